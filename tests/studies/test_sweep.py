"""Sweeps: every member is the configuration run alone; ranks, outcomes and the tutorial's table."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempfit.calibration.explain import why
from tempfit.calibration.pipeline import calibrate
from tempfit.config import CalibrationConfig
from tempfit.errors import ReadingsError
from tempfit.plots.sweep import draw_figures, draw_losses, draw_map, draw_profile
from tempfit.readings.paired import Readings
from tempfit.studies.grid import Grid, Trial, make_grid
from tempfit.studies.presets import preset_grid
from tempfit.studies.sweep import STATES, Sweep, plan_sweep, run_sweep
from tempfit.studies.sweep_table import make_table, to_markdown
from tempfit.words import Outcome, Status
from tests.conftest import ROOT, T_C, T_U

READINGS = Readings(T_U, T_C)
LOWEST = 2.92764557089563972  # exact least squares, rational arithmetic


def sweep(*axes: str, readings: Readings = READINGS, **base: object) -> Sweep:
    return run_sweep(plan_sweep(readings, make_grid(CalibrationConfig(**base), axes)))


configs = st.builds(
    lambda optimizer, momentum, exponent, **more: CalibrationConfig(
        optimizer=optimizer,
        momentum=0.0 if optimizer == "adam" else momentum,
        learning_rate=10**exponent,
        n_epochs=120,
        **more,
    ),
    optimizer=st.sampled_from(["sgd", "adam", "rmsprop"]),
    momentum=st.sampled_from([0.0, 0.9]),
    exponent=st.floats(-4, 0.5),
    clip_norm=st.sampled_from([None, 1.0, 30.0]),
    l1=st.sampled_from([0.0, 0.1]),
    l2=st.sampled_from([0.0, 0.1]),
    scaling=st.sampled_from(["none", "factor", "standardize", "minmax"]),
    loss=st.sampled_from(["squared", "huber"]),
    model=st.sampled_from(["line", "polynomial"]),
)


@settings(max_examples=15, deadline=None)
@given(chosen=st.lists(configs, min_size=2, max_size=12, unique=True))
def test_a_member_is_the_configuration_run_alone(chosen):
    """To 1e-9 relative, as long as the descent itself does not magnify rounding.

    Adam and RMSprop divide by the gradient's size and so magnify rounding without bound once it is small; they are
    compared by where they are while it is not: up to the states whose gradient is at least 1e-4 of the first.
    """
    grid = Grid((), tuple(Trial(str(number), config) for number, config in enumerate(chosen)))
    for member in run_sweep(plan_sweep(READINGS, grid)).members:
        together, alone = member.calibration.fit, calibrate((T_U, T_C), member.trial.config).fit
        adaptive = member.trial.config.optimizer != "sgd"
        if not adaptive:
            assert (together.status, together.n_epochs) == (alone.status, alone.n_epochs)
        kept, whole = together.history, alone.history
        small = np.flatnonzero(whole.gradient_norm < 1e-4 * whole.gradient_norm[0]) if adaptive else []
        end = whole.updates[small[0]] if len(small) else np.inf
        both = kept.updates[(kept.updates < end) & (kept.updates < len(whole))]
        n = len(both)
        scale = np.abs(whole.params[both]).max()
        assert kept.params[:n] == pytest.approx(whole.params[both], rel=1e-9, abs=1e-9 * scale)
        assert kept.loss[:n] == pytest.approx(whole.loss[both], rel=1e-9, abs=1e-9 * whole.loss[both].max())


def test_members_keep_a_sample_of_their_history():
    result = sweep("learning_rate=1e-3,1e-2", scaling="factor", tolerance=0)
    for member in result.members:
        history = member.calibration.fit.history
        assert len(history) <= STATES + 1
        assert (history.updates[0], history.updates[-1]) == (0, 5000)


def test_ranks():
    """Equally good ones by the epochs they took; the diverged last, who held out longer first."""
    result = sweep("learning_rate=1e-4,1e-2,0.5,1.05,3.0", n_epochs=8000)
    rates = [member.trial.config.learning_rate for member in result.ranked]
    assert rates == [0.5, 0.01, 1e-4, 1.05, 3.0]
    assert result.best is result.members[2]
    assert [member.trial.config.learning_rate for member in result.failed] == [1.05, 3.0]
    assert result.headline() == "5 configurations: 2 arrive, 1 crawls, 2 explode; best: learning_rate 0.5"
    everything_fails = sweep("learning_rate=2,3")
    assert everything_fails.best is None
    assert everything_fails.headline() == "2 configurations: 2 explode"


def test_a_loss_on_its_way_to_overflow_has_diverged_too():
    """At 1.5 times the critical rate the loss quadruples per epoch: 10 epochs do not overflow."""
    (member,) = sweep("learning_rate=1.5", n_epochs=10).members
    assert member.calibration.status is Status.EXHAUSTED
    assert member.failed
    assert "the loss has grown" in why(member.calibration)


def test_validated_members_are_ranked_by_their_validation_loss():
    result = sweep("degree=1..6:6", model="polynomial", folds=11)
    losses = [member.calibration.validation.final for member in result.members]
    assert result.best is result.members[int(np.argmin(losses))]
    assert result.best.trial.config.degree < 6  # whose training loss is the lowest


def test_the_dictionary_is_json():
    result = sweep("learning_rate=1e-2,0.5,5.0", "clip_norm=none,1")
    again = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert again["axes"] == {"learning_rate": [0.01, 0.5, 5.0], "clip_norm": [None, 1.0]}
    assert again["n_members"] == len(again["members"]) == 6
    assert again["n_failed"] == 1  # clipping bounds the step
    assert again["members"][0]["settings"] == {"learning_rate": 0.01, "clip_norm": None}
    assert {member["outcome"] for member in again["members"]} >= {"arrives", "explodes"}


@pytest.fixture(scope="module")
def tutorial() -> Sweep:
    return run_sweep(plan_sweep(READINGS, preset_grid("tutorial", CalibrationConfig())))


@pytest.mark.integration
def test_the_tutorials_table(tutorial):
    """Against the design's figures, which were computed by other implementations."""
    by_name = {member.name: member.calibration for member in tutorial.members}
    explosion = by_name["raw readings, learning rate 1e-2"]
    assert (explosion.status, explosion.fit.diverged_at) == (Status.DIVERGED, 88)
    assert by_name["L2 regularization: 0.01"].fit.diverged_at == 88
    losses = {
        "raw readings, 1e-4, 10,000 epochs": 21.3763,  # state 10,000: one update on from the 21.3770 of epoch 10,000
        "raw readings, 1e-4, 100,000 epochs": 3.7167,
        "readings × 0.1, 1e-2, 1,000 epochs": 3.8255,
        "readings × 0.1, 1e-2, 10,000 epochs": 2.9276456,
        "clipping: norm 1": 17.56,
        "optimizer: RMSprop, 1e-2": 3.004,
        "optimizer: momentum 0.9, 1e-4": 7.474,
    }
    for name, loss in losses.items():
        assert by_name[name].loss == pytest.approx(loss, rel=3e-4), name  # 17.56 and the like have four digits
    close_at = {
        "optimizer: Adam, 1e-1": 1404,
        "preprocessing: min-max, 1e-1": 432,
        "preprocessing: standardize, 0.5": 2,
    }
    for name, epoch in close_at.items():
        assert by_name[name].fit.close_at == epoch, name
    words = {name: calibration.outcome for name, calibration in by_name.items()}
    assert words["raw readings, learning rate 1e-2"] is Outcome.EXPLODES
    assert words["clipping: norm 1"] is Outcome.CRAWLS
    assert words["optimizer: RMSprop, 1e-2"] is Outcome.STICKS
    assert words["preprocessing: standardize, 0.5"] is Outcome.ARRIVES


@pytest.mark.integration
def test_the_best_the_median_and_the_worst_curve_are_named_beside_the_picture(tutorial):
    """Without overlaps, outside the axes and inside the picture."""
    grid = sweep("learning_rate=1e-4..1:9", "scaling=none,factor,standardize,minmax", n_epochs=300)
    for swept, names in ((tutorial, ["lowest loss", "worst", "median"]), (grid, ["best", "worst", "median"])):
        figure = draw_losses(swept)
        figure.draw_without_rendering()
        texts = {text.get_text().replace("\n", " "): text.get_window_extent() for text in figure.axes[0].texts}
        sound = [member for member in swept.ranked if not member.failed]
        members = [sound[0], sound[-1], sound[len(sound) // 2]]
        expected = {f"{name}: {member.name}" for name, member in zip(names, members, strict=True)}
        assert set(texts) == expected | {f"first to explode: {swept.ranked[-1].name}"}
        boxes = list(texts.values())
        assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
        for box in boxes:
            assert figure.axes[0].bbox.x1 < box.x0 < box.x1 <= figure.bbox.x1
            assert 0 <= box.y0 < box.y1 <= figure.bbox.y1


@pytest.mark.integration
def test_remedies_that_only_hide_the_problem_are_said_to(tutorial):
    said = {member.name: why(member.calibration) for member in tutorial.members}
    for name in (
        "clipping: norm 1",
        "other activation: tanh",
        "other activation: ReLU",
        "other activation: ReLU",
    ):
        assert "hides the explosion" in said[name], name
    for name in ("optimizer: Adam, 1e-1", "preprocessing: standardize, 0.5", "network, standardized: ReLU"):
        assert "hides" not in said[name], name
    assert "29.4 times the critical 3.39e-4" in said["raw readings, learning rate 1e-2"]
    assert "L2 adds 0.02 to a curvature of 5883" in said["L2 regularization: 0.01"]


@pytest.mark.integration
def test_a_saturated_network_on_raw_readings_knows_the_mean_alone(tutorial):
    """What "only the mean temperature is learned" claims: the loss is the variance of t_c."""
    for member in tutorial.members:
        if "only the mean temperature is learned" in why(member.calibration):
            assert member.calibration.mean_squared_error == pytest.approx(T_C.var(), rel=0.01)


@pytest.mark.integration
def test_tables(tutorial):
    table = make_table(tutorial)
    assert table.columns == ("configuration", "outcome", "final loss", "0.1 % at epoch", "why")
    assert [row[0] for row in table.rows] == [member.name for member in tutorial.members]
    markdown = to_markdown(tutorial)
    assert markdown.count("\n") == len(tutorial.members) + 2
    grid = sweep("learning_rate=1e-5..10:30", "scaling=none,standardize")
    short = make_table(grid, most=4, most_failures=2)
    assert short.columns == ("learning_rate", "scaling", "outcome", "final loss", "0.1 % at epoch")
    assert [row[2] for row in short.rows] == ["arrives"] * 4 + ["explodes"] * 2
    assert short.n_left_out == 54
    assert to_markdown(grid, most=4).endswith("\n51 more in table.csv\n")  # beside 4 and 5 failures
    assert to_markdown(grid).endswith("|\n")  # whole
    idle = make_table(sweep("scaling=none,factor", "factor=0.1,0.5"))
    assert {row[:2] for row in idle.rows} == {("none", ""), ("factor", "0.1"), ("factor", "0.5")}


@pytest.mark.integration
def test_the_page_has_the_same_table(tutorial):
    """Networks' later digits depend on the processor: rounding grows over thousands of updates."""
    computed = to_markdown(tutorial).splitlines()
    page = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8").splitlines()
    start = page.index(computed[0])
    for member, mine, printed in zip(tutorial.members, computed[2:], page[start + 2 :], strict=False):
        if member.calibration.is_linear:
            assert printed == mine
        else:
            assert printed.split(" | ")[:2] == mine.split(" | ")[:2]


def test_pipes_do_not_break_the_markdown():
    grid = Grid((), (Trial("a|b", CalibrationConfig()),))
    assert "| a\\|b |" in to_markdown(run_sweep(plan_sweep(READINGS, grid)))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("axes", "base", "figures"),
    [
        (["learning_rate=1e-5..10:13", "scaling=none,factor,standardize"], {}, ["losses.png", "map.png"]),
        (["learning_rate=1e-5..10:13"], {"scaling": "none"}, ["losses.png", "profile.png"]),
        (["scaling=none,standardize"], {"learning_rate": 1e-5}, ["losses.png", "profile.png"]),
        (["learning_rate=2,3"], {}, ["losses.png", "profile.png"]),  # all diverge
        (["momentum=0,0.9", "l2=0,1", "scaling=none,factor", "factor=0.1,0.2"], {}, ["losses.png", "map.png"]),
        (["seed=0,1"], {"model": "mlp", "n_epochs": 30, "learning_rate": 1e-3}, ["losses.png", "profile.png"]),
        (["learning_rate=0.5"], {}, ["losses.png"]),
        (["degree=1,2", "folds=3,4"], {"model": "polynomial"}, ["losses.png", "map.png"]),
    ],
    ids=str,
)
def test_every_sweep_can_be_drawn(axes, base, figures):
    drawn = draw_figures(sweep(*axes, **base))
    assert list(drawn) == figures
    assert all(png.startswith(b"\x89PNG") for png in drawn.values())


@pytest.mark.filterwarnings("error")
def test_perfect_readings_can_be_swept_and_drawn():
    perfect = sweep("learning_rate=0.1,0.5", readings=Readings([1.0, 2.0, 4.0], [3.0, 5.0, 9.0]))
    assert perfect.best.trial.config.learning_rate == 0.5
    assert len(draw_figures(perfect)) == 2


@pytest.mark.integration
def test_the_map_shows_the_forecasts_critical_rate_between_what_converges_and_what_does_not():
    result = sweep("learning_rate=1e-4..1e-1:31", "scaling=none,factor", n_epochs=100_000)
    x, y = result.axes
    axes = draw_map(result, x, y).axes[0]
    steps = [line.get_xdata()[0] for line in axes.lines]
    for row, place in enumerate(steps):
        of_row = [m for m in result.members if m.trial.config.scaling == y.values[row]]
        sound = [x.values.index(m.trial.config.learning_rate) for m in of_row if not m.failed]
        assert max(sound) < place < max(sound) + 1
    assert len(steps) == 2


def test_a_profile_marks_the_critical_rate_of_plain_descent_only():
    def labels(**base: object) -> list[str]:
        result = sweep("learning_rate=1e-4..1e-1:9", scaling="none", n_epochs=50, **base)
        return [line.get_label() for line in draw_profile(result, result.axes[0]).axes[0].lines]

    border = "critical learning rate, forecast"
    assert border in labels()
    for other in ({"optimizer": "adam"}, {"clip_norm": 1.0}, {"loss": "huber"}, {"model": "mlp"}):
        assert border not in labels(**other), other


@pytest.mark.parametrize(
    ("axes", "base"),
    [
        (["learning_rate=1e-3,1e-2"], {"readings": Readings([0.1, 0.2, -0.1, 0.05], [0.0] * 4), "n_epochs": 100}),
        (["learning_rate=0.1,0.5"], {"readings": Readings(np.arange(1.0, 11.0), 0.5 * np.arange(1.0, 11.0) - 17)}),
        (["learning_rate=1e-6,1e-7"], {"loss": "huber", "w_start": 1e160, "scaling": "none", "n_epochs": 3}),
        (["loss=squared,huber", "learning_rate=0.1,2.5"], {}),
        (["holdout=0,0.2"], {"learning_rate": 0.1}),
    ],
    ids=["an ice bath", "a perfect line", "no finite error", "an axis named loss", "some validated"],
)
def test_hard_sweeps_are_ranked_described_and_drawn(axes, base):
    result = sweep(*axes, **base)
    assert len(result.ranked) == len(result.members)
    assert json.dumps(result.as_dict(), allow_nan=False)
    columns = make_table(result).columns
    assert len(set(columns)) == len(columns)
    assert draw_figures(result)


def test_a_perfect_line_arrives():
    result = sweep("learning_rate=0.1,0.5", readings=Readings(np.arange(1.0, 11.0), 0.5 * np.arange(1.0, 11.0) - 17))
    assert [member.calibration.outcome for member in result.members] == [Outcome.ARRIVES] * 2
    assert result.best.trial.config.learning_rate == 0.5  # in one update, and not by what rounding left


def test_a_fold_that_diverges_leaves_nothing_to_use():
    """One reading far out: the folds that leave it out are scaled by the others and see it far outside."""
    rng = np.random.default_rng(1)
    t_u = np.append(np.linspace(10, 12, 10), 100.0)
    readings = Readings(t_u, t_u + 0.3 * rng.normal(size=11))
    result = sweep(
        *["learning_rate=0.5..1.2:8:lin"],
        readings=readings,
        **{"scaling": "minmax", "folds": 11, "tolerance": 0, "n_epochs": 20_000},
    )
    diverged = [member for member in result.members if member.calibration.validation.diverged]
    assert diverged
    assert all(member.failed for member in diverged)
    assert result.best is None or not result.best.calibration.validation.diverged


def test_trials_that_the_readings_cannot_carry_are_left_out_with_the_reason():
    result = sweep("degree=2..9:8", model="polynomial", readings=Readings(T_U[:6], T_C[:6]))
    assert [member.trial.config.degree for member in result.members] == [2, 3, 4]
    assert [name for name, _ in result.grid.left_out] == [f"degree {degree}" for degree in range(5, 10)]
    assert "degree 5 and its uncertainty: that takes 7" in result.grid.left_out[0][1]
    huge = Readings(1e25 * T_U, T_C)
    mixed = sweep("dtype=float32,float64", scaling="none", learning_rate=1e-60, readings=huge)
    assert [member.trial.config.dtype for member in mixed.members] == ["float64"]
    with pytest.raises(ReadingsError, match="degree 8"):
        sweep("degree=8,9", model="polynomial", readings=Readings(T_U[:6], T_C[:6]))


@pytest.mark.parametrize(
    ("settings", "expected", "says"),
    [
        ({"scaling": "none", "learning_rate": 1e-4, "n_epochs": 100}, Outcome.CRAWLS, "slow"),
        ({"learning_rate": 0.01, "n_epochs": 2}, Outcome.CRAWLS, "after 2 epochs"),
        ({"learning_rate": 1.0}, Outcome.STICKS, "the learning rate is 1 times the critical 1"),
        ({"l2": 0.37}, Outcome.SETTLES, "the penalty moves the optimum"),
        ({"l2": 1.93}, Outcome.EXPLODES, "L2 brings the critical learning rate down from 1 to 0.341"),
        ({"loss": "huber", "huber_delta": 1.0}, Outcome.SETTLES, "Huber's loss has another optimum"),
        ({"clip_norm": 1e6}, Outcome.ARRIVES, "points straight at the optimum"),  # never reached
        ({"clip_norm": 1e6, "scaling": "none", "learning_rate": 1.0}, Outcome.EXPLODES, "over-corrects"),
        (
            {"model": "mlp", "learning_rate": 1e-5, "n_epochs": 300},
            Outcome.CRAWLS,
            "the gradient reaches all of 13 tanh",
        ),
        ({"model": "mlp", "learning_rate": 10.0, "n_epochs": 200}, Outcome.EXPLODES, "critical when training starts"),
    ],
    ids=str,
)
def test_outcomes_and_their_causes(settings, expected, says):
    result = calibrate((T_U, T_C), **settings)
    assert result.outcome is expected
    assert says in why(result)


random_settings = st.fixed_dictionaries(
    {
        "optimizer": st.sampled_from(["sgd", "sgd", "sgd", "adam", "rmsprop"]),
        "learning_rate": st.floats(-5, 1).map(lambda exponent: 10**exponent),
        "scaling": st.sampled_from(["none", "factor", "standardize", "minmax"]),
        "clip_norm": st.sampled_from([None, None, 1e-2, 1.0, 1e3]),
        "l1": st.sampled_from([0.0, 0.0, 0.1]),
        "l2": st.sampled_from([0.0, 0.0, 0.1, 3.0]),
        "loss": st.sampled_from(["squared", "squared", "huber"]),
        "model": st.sampled_from(["line", "polynomial", "mlp"]),
        "activation": st.sampled_from(["tanh", "relu", "prelu"]),
        "n_epochs": st.sampled_from([1, 3, 30, 300]),
    }
).map(lambda chosen: chosen if chosen["model"] == "mlp" else {k: v for k, v in chosen.items() if k != "activation"})


@settings(max_examples=80, deadline=None)
@given(chosen=random_settings, seed=st.integers(0, 2**32 - 1), noise=st.sampled_from([0.0, 0.1, 3.0]))
def test_sentences_are_true(chosen, seed, noise):
    """Each says something that can be checked on the fit."""
    rng = np.random.default_rng(seed)
    t_u = rng.uniform(-20, 60, 12)
    result = calibrate((t_u, 0.5 * t_u - 3 + noise * rng.normal(size=12)), **chosen)
    sentence, history, config = why(result), result.fit.history, result.config
    above = config.learning_rate >= result.forecast.critical_learning_rate
    assert ("overflows at epoch" in sentence) == (result.status is Status.DIVERGED)
    if "over-corrects" in sentence or "hides the explosion" in sentence or "critical learning rate down" in sentence:
        assert above
        assert config.optimizer == "sgd"
    if "hides the explosion" in sentence:
        assert result.outcome is not Outcome.EXPLODES
    if "clipping" in sentence:
        assert (history.gradient_norm > config.clip_norm).any()
    if "within 0.1 %" in sentence or "one update does it" in sentence or "it arrives" in sentence:
        assert result.mean_squared_error <= result.setup.goal
    if "only the mean temperature" in sentence:
        assert result.mean_squared_error == pytest.approx(result.readings.t_c.var(), rel=0.01)
    if "has grown" in sentence:
        assert result.objective[-1] > result.objective[0]
    if "stable" in sentence:
        assert not above
    if "times the lowest mean squared error" in sentence:
        assert result.mean_squared_error > result.exact.loss
        assert result.outcome in (Outcome.CRAWLS, Outcome.STICKS, Outcome.SETTLES)
    if result.outcome is Outcome.SETTLES:
        assert config.l1 or config.l2 or config.loss == "huber"
    if result.status is Status.CONVERGED:
        assert result.outcome not in (Outcome.CRAWLS, Outcome.EXPLODES)
