"""One learning rate under every scaling: foretold and trained, as values and as a figure."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempfit.config import CalibrationConfig
from tempfit.descent.setup import normalize
from tempfit.errors import SettingsError
from tempfit.plots.canvas import to_png
from tempfit.plots.forecast import draw_outlook
from tempfit.readings.paired import as_readings
from tempfit.studies.outlook import SCALINGS, Outlook, make_outlook
from tests.conftest import T_C, T_U
from tests.plots.test_calibration import pixels


def outlook(t_u=T_U, t_c=T_C, *, train=False, **settings) -> Outlook:
    config = CalibrationConfig(**settings)
    return make_outlook(as_readings((t_u, t_c), config), config, train=train)


def by_scaling(result: Outlook) -> dict:
    return {prospect.config.scaling: prospect for prospect in result.prospects}


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": 1e-2},
        {"learning_rate": 0.5},
        {"learning_rate": 1e-2, "l2": 0.1},
        {"learning_rate": 0.05, "model": "polynomial", "degree": 2, "n_epochs": 20_000},
        {"learning_rate": 0.05, "holdout": 0.2},
    ],
    ids=str,
)
def test_what_is_foretold_happens_under_every_scaling(settings):
    """Where n_epochs suffice; exploding members may need more than the others, but never more than that here."""
    result = outlook(train=True, **settings)
    assert [prospect.config.scaling for prospect in result.prospects] == list(SCALINGS)
    for prospect in result.prospects:
        told, trained = prospect.forecast, prospect.as_dict()["trained"]
        assert trained["diverged_at"] == told.overflow_epoch
        enough = told.epochs_needed is not None and told.epochs_needed - 1 <= prospect.fit.n_epochs
        assert trained["epochs_taken"] == (told.epochs_needed if enough else None)
        assert (prospect.foretold == prospect.seen) == (told.overflow_epoch is not None or enough)


def test_without_training_nothing_is_seen():
    prospect = outlook().chosen
    assert (prospect.fit, prospect.epochs_taken, prospect.seen) == (None, None, "")
    assert prospect.as_dict()["trained"] is None


@pytest.mark.parametrize(
    ("settings", "foretold", "untold"),
    [
        ({"optimizer": "adam"}, ["not told"], "adam adapts its step"),
        ({"optimizer": "rmsprop", "l1": 1.0}, ["not told"], "rmsprop adapts its step"),
        ({"clip_norm": 1.0, "momentum": 0.5}, ["not told"], "clipping shortens the step"),
        ({"momentum": 0.9}, ["over-corrects", "stable"], "momentum adds to the step"),
        ({"l1": 0.1}, ["over-corrects", "stable"], "L1 puts kinks into the loss"),
        ({"loss": "huber"}, ["not told", "stable"], "Huber's loss is no quadratic"),
    ],
    ids=str,
)
def test_what_the_closed_form_cannot_tell_is_not_told(settings, foretold, untold):
    result = outlook(**settings)
    assert sorted({prospect.foretold for prospect in result.prospects}) == foretold  # at 0.5 the raw ones over-correct
    assert result.as_dict()["untold"] == untold
    for numbers in result.as_dict()["scalings"].values():
        assert numbers["critical_learning_rate"] > 0
        assert numbers["epochs_needed"] is numbers["overflow_epoch"] is numbers["best_learning_rate"] is None


def test_what_cannot_be_told_can_be_trained():
    """Adam with 0.1 on raw readings is close at epoch 1,404 (the design's table), counted as in the forecast and in a
    sweep's table: that is after 1,403 updates."""
    result = outlook(train=True, optimizer="adam", learning_rate=0.1)
    assert by_scaling(result)["none"].epochs_taken == 1404
    assert by_scaling(result)["none"].seen == "close at epoch 1,404"
    huber = outlook(train=True, loss="huber", huber_delta=1, n_epochs=20)
    assert huber.lowest_loss is None
    assert huber.chosen.epochs_taken is None  # the lowest of Huber's loss is not known
    assert huber.chosen.seen == f"loss {huber.chosen.fit.loss:.4g} after 20 epochs"


def test_the_dictionary_is_json_with_finite_numbers():
    for chosen in ({}, {"optimizer": "adam", "train": True, "n_epochs": 5}, {"loss": "huber"}):
        values = json.loads(json.dumps(outlook(**chosen).as_dict(), allow_nan=False))
        assert list(values["scalings"]) == list(SCALINGS)
        assert values["advice"] == values["scalings"][values["scaling"]]["advice"]


def test_a_network_has_no_outlook():
    with pytest.raises(SettingsError, match="no learning rate can be judged for good"):
        outlook(model="mlp")


def test_a_curvature_beyond_numbers_is_told():
    """(1e20)^9 squared is 1e360, beyond float64; of what standardizing makes of it, nothing is."""
    with pytest.raises(SettingsError, match='not finite with `scaling="none"`'):
        outlook(1e20 * T_U, T_C, model="polynomial", degree=9)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    scaling=st.sampled_from(SCALINGS),
    l2=st.sampled_from([0.0, 0.1]),
    degree=st.integers(1, 3),
)
def test_no_learning_rate_needs_fewer_epochs_than_the_best(seed, scaling, l2, degree):
    """Neither a little more or less, nor the classic 2 / (λmin + λmax), nor any of fifty more that are stable."""
    rng = np.random.default_rng(seed)
    t_u = rng.normal(rng.normal(0, 3), rng.uniform(0.3, 3), 12)
    config = CalibrationConfig(scaling=scaling, l2=l2, model="polynomial", degree=degree)
    readings = as_readings((t_u, np.polyval(rng.normal(size=4), t_u)), config)
    told = normalize(readings, config).forecast
    best, critical = told.loss_curve.best_learning_rate, told.critical_learning_rate
    fewest = told.loss_curve.at(best).epochs_needed
    classic = 2 / (told.eigenvalues[0] + told.eigenvalues[-1])
    others = [0.9 * best, 0.99 * best, 1.01 * best, 1.1 * best, classic, *rng.uniform(0.3, 1, 50) * critical]
    for rate in others:
        if rate < critical:
            assert fewest <= (told.loss_curve.at(rate).epochs_needed or math.inf)


@pytest.mark.parametrize("scaling", ["factor", "standardize", "minmax"])
def test_the_best_rate_trains_in_the_epochs_foretold(scaling):
    best = by_scaling(outlook())[scaling].best
    trained = by_scaling(outlook(train=True, learning_rate=best.learning_rate))[scaling]
    assert trained.epochs_taken == best.epochs_needed


def test_a_start_at_the_optimum_has_no_best_rate():
    assert outlook(T_U, 0 * T_U, w_start=0.0).chosen.best is None


PICTURES = {
    "explodes": {"learning_rate": 1e-2},
    "crawls": {"learning_rate": 1e-4, "n_epochs": 500},
    "at once": {"learning_rate": 0.5},
    "all explode": {"learning_rate": 10.0},
    "float32": {"learning_rate": 0.5, "dtype": "float32"},
    "penalty": {"learning_rate": 1e-2, "l2": 0.1},
    "polynomial": {"learning_rate": 1e-3, "model": "polynomial", "degree": 5, "n_epochs": 500},
    "exactly critical": {"learning_rate": 1.0, "n_epochs": 300},
    "neither near nor far": {"learning_rate": 1e-2, "model": "polynomial", "degree": 9, "n_epochs": 300},
}
REAL_ONLY = {
    "adam": {"optimizer": "adam", "learning_rate": 0.1, "n_epochs": 500},
    "momentum": {"momentum": 0.9, "learning_rate": 1e-2},
    "huber": {"loss": "huber", "n_epochs": 300},
    "clip": {"clip_norm": 1.0, "learning_rate": 1e-2, "n_epochs": 20},
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", [*PICTURES, *REAL_ONLY])
def test_the_figure_can_be_drawn(name):
    chosen = (PICTURES | REAL_ONLY)[name]
    for train in [False, True] if name in PICTURES else [True]:
        image = pixels(to_png(draw_outlook(outlook(train=train, **chosen))))
        assert image.shape[:2] == (460, 720)
        for edge in (image[0], image[-1], image[:, 0], image[:, -1]):
            assert (edge[..., :3] == 1).all()  # no label is cut off at the border


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("t_u", "t_c"),
    [
        ([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]),
        ([1.0, 2.0, 3.0], [0.0, 0.0, 0.0]),
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
        (1e8 + np.arange(5.0), np.arange(5.0)),
        (1e-8 * np.arange(5.0), 1e8 * np.arange(5.0) ** 2),
        (1e48 + 1e45 * T_U, T_C),
    ],
    ids=["perfect", "zero", "raw start is perfect", "far from zero", "tiny and huge", "out of this world"],
)
@pytest.mark.parametrize("train", [False, True])
def test_hard_data_can_be_drawn(t_u, t_c, train):
    for w_start in (1.0, 0.0):  # with t_c = 0, there is nothing to learn from 0
        assert pixels(to_png(draw_outlook(outlook(t_u, t_c, train=train, n_epochs=300, w_start=w_start)))).size


def lines(result: Outlook) -> dict:
    """The lines of the figure that have a label, by its first word."""
    (axes,) = draw_outlook(result).axes
    return {line.get_label().split(":")[0]: line for line in axes.lines if not line.get_label().startswith("_")}


def test_an_explosion_does_not_squash_the_others():
    (axes,) = draw_outlook(outlook(learning_rate=1e-2)).axes
    # It ends at a thousand times the highest start, with w = 1 and b = 0, of those that do not explode.
    t_un = (T_U - T_U.mean()) / T_U.std()
    highest = max(np.mean((t_un - T_C) ** 2), np.mean(((T_U - 21.8) / 60.1 - T_C) ** 2))
    assert axes.get_ylim()[1] == pytest.approx(1e3 * highest, rel=1e-9)
    assert "cut off" in axes.get_title()
    assert axes.get_yscale() == "log"
    (triangle,) = [line for line in axes.lines if line.get_marker() == "^"]
    assert triangle.get_xdata() == [87]  # epoch 88 reports the state of 87 updates
    drawn = lines(outlook(learning_rate=1e-2))
    assert drawn["none"].get_linestyle() == "--"
    assert drawn["none"].get_label() == "none: overflows at epoch 88"
    assert drawn["none"].get_ydata().max() > axes.get_ylim()[1]  # its line leaves the figure at the top
    assert [drawn[name].get_linestyle() for name in ("factor 0.1", "standardize", "minmax")] == ["-"] * 3


def test_nothing_is_cut_off_where_nothing_explodes():
    (axes,) = draw_outlook(outlook(learning_rate=1e-4)).axes
    assert axes.get_title() == "What learning rate 1e-4 does"
    assert not [line for line in axes.lines if line.get_marker() == "^"]


def test_rings_of_the_real_losses_lie_on_the_foretold_lines():
    result = outlook(train=True, learning_rate=1e-2)
    (axes,) = draw_outlook(result).axes
    rings = [line for line in axes.lines if line.get_marker() == "o"]
    assert len(rings) == 4
    for ring, prospect in zip(rings, result.prospects, strict=True):
        foretold = prospect.forecast.loss_curve.loss_after(ring.get_xdata())
        assert ring.get_ydata() == pytest.approx(foretold, rel=1e-9)
        assert 1 <= len(ring.get_xdata()) <= 24


def test_lines_are_real_where_nothing_is_foretold():
    result = outlook(train=True, optimizer="adam", learning_rate=0.1, n_epochs=300)
    drawn = lines(result)
    assert drawn["minmax"].get_ydata() == pytest.approx(by_scaling(result)["minmax"].fit.history.loss)
