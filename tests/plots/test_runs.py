"""Runs over each other: two, a handful with one that diverged, a whole sweep, and hard ones."""

from __future__ import annotations

import numpy as np
import pytest

from tempfit.calibration.calibration import Calibration
from tempfit.calibration.pipeline import calibrate
from tempfit.plots.canvas import GREY, to_png
from tempfit.plots.runs import draw_runs
from tempfit.studies.compare import Comparison, RecordedData, RecordedLoss, RecordedRun, compare
from tests.conftest import T_C, T_U
from tests.plots.test_calibration import pixels

FIVE = (
    {},
    {"scaling": "none", "learning_rate": 1e-4},
    {"scaling": "none", "learning_rate": 1e-2},  # diverges
    {"scaling": "factor", "learning_rate": 1e-2},
    {"scaling": "none", "learning_rate": 0.1, "optimizer": "adam"},
)
FORTY = tuple(
    {"scaling": scaling, "learning_rate": float(f"{rate:.3g}")}
    for scaling in ("standardize", "none")
    for rate in np.geomspace(1e-4, 1.5, 20)
)


def recorded(k: int, result: Calibration) -> tuple[RecordedRun, RecordedLoss]:
    """What MLflow gives back of a calibration."""
    series, history, readings = result.series(), result.fit.history, result.readings
    metrics = {key: float(values[-1]) for key, values in series.items()}
    data = RecordedData("<memory>", (readings.t_u.min(), readings.t_u.max()), (readings.t_c.min(), readings.t_c.max()))
    params = {name: str(value) for name, value in result.config.hyperparameters().items()}
    tags = {"data_sha256": readings.sha256}
    run = RecordedRun(f"{k:08x}" + "0" * 24, "memory", "1", result.status.value, params, metrics, tags, data)
    states = history.sample(300)
    return run, RecordedLoss(history.updates[states], history.loss[states])


def fitted(*settings: dict, data=(T_U, T_C)) -> tuple[Comparison, dict[str, RecordedLoss]]:
    pairs = [recorded(k, calibrate(data, n_epochs=500, **given)) for k, given in enumerate(settings)]
    return compare([run for run, _ in pairs]), {run.run_id: curve for run, curve in pairs}


CASES = {
    "two": FIVE[:2],
    "five": FIVE,
    "the same twice": ({}, {}),
    "all diverged": ({"scaling": "none", "learning_rate": 1e-2}, {"scaling": "none", "learning_rate": 1e-3}),
    "models": ({"model": "mlp"}, {"model": "polynomial", "degree": 3}, {}),
    "networks": ({"model": "mlp"}, {"model": "mlp", "hidden": "3"}),
    "eight of long labels": tuple(
        {"l1": 0.1 * k, "l2": 0.001 * k, "momentum": 0.1 * k, "clip_norm": 1.0 + k, "w_start": 1.2345678 * k,
         "b_start": 2.3456789 * k, "coverage": 0.9 + 0.01 * k, "tolerance": 0.1 * k, "y_unit": f"$K_{k}$ of $T"}
        for k in range(8)
    ),
    "nine alike": ({},) * 9,
    "nine diverged": ({"scaling": "none", "learning_rate": 1e-2},) * 9,
    "forty": FORTY,
}  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
def test_any_runs_can_be_drawn(settings):
    figure = draw_runs(*fitted(*settings))
    image = pixels(to_png(figure))
    assert image[..., :3].std() > 0.01  # something is drawn
    for edge in (image[0], image[-1], image[:, 0], image[:, -1]):
        assert (edge[..., :3] == 1).all()  # no label is cut off at the border
    figure.canvas.draw()
    for legend in figure.legends:
        for axes in figure.axes:
            assert not legend.get_window_extent().overlaps(axes.get_window_extent())  # no legend over data


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("t_c", [2 * T_U, np.full(11, 5.0)], ids=["perfect", "flat"])
def test_hard_data_can_be_drawn(t_c):
    assert draw_runs(*fitted({}, {"learning_rate": 0.1}, data=(T_U, t_c))).axes


@pytest.mark.filterwarnings("error")
def test_runs_without_history_or_range_say_so():
    comparison, _ = fitted({}, {})
    bare = [RecordedRun(**{**vars(run), "data": None, "metrics": {}, "status": "failed"}) for run in comparison.runs]
    nothing = RecordedLoss(np.array([], dtype=np.int64), np.array([]))
    figure = draw_runs(compare(bare), {run.run_id: nothing for run in bare})
    assert figure.axes[1].get_title().startswith("No lines")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["00000000 (failed)", "00000001 (failed)"]
    assert len(to_png(figure)) > 0


def test_few_have_a_legend_of_what_differs_best_first():
    comparison, curves = fitted(*FIVE)
    figure = draw_runs(comparison, curves)
    left, right = figure.axes
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[0] == "00000000: scaling standardize, learning_rate 0.5, optimizer sgd"
    assert labels[-1] == "00000002: scaling none, learning_rate 0.01, optimizer sgd (diverged)"
    assert (left.get_yscale(), left.get_xscale()) == ("log", "symlog")
    assert [line.get_linestyle() for line in left.lines].count("--") == 1
    assert len(right.lines) == 4  # a diverged run has no line
    assert right.get_xlabel() == "Thermometer reading t_u (unknown unit)"
    best = right.lines[-1]  # drawn last: on top
    assert best.get_xdata().tolist() == [T_U.min(), T_U.max()]
    w, b = comparison.runs[0].coefficients
    assert best.get_ydata() == pytest.approx(w * best.get_xdata() + b)


def test_lines_about_different_reference_points_lie_on_each_other():
    comparison, curves = fitted({}, {"t0": 50.0}, {"model": "polynomial", "t0": 40.0})
    curve, *lines = sorted(draw_runs(comparison, curves).axes[1].lines, key=lambda line: -len(line.get_xdata()))
    for line in lines:
        assert line.get_ydata() == pytest.approx(np.polyval(np.polyfit(T_U, T_C, 1), line.get_xdata()), rel=1e-9)
    assert curve.get_ydata() == pytest.approx(np.polyval(np.polyfit(T_U, T_C, 2), curve.get_xdata()), rel=1e-9)


def test_what_is_on_its_way_to_overflow_is_drawn_as_diverged():
    comparison, curves = fitted(*FIVE[:2])
    runs = [
        RecordedRun(**{**vars(run), "tags": {**run.tags, "outcome": outcome}})
        for run, outcome in zip(comparison.runs, ("arrives", "explodes"), strict=True)
    ]
    figure = draw_runs(compare(runs), curves)
    left, right = figure.axes
    assert [line.get_linestyle() for line in left.lines] == ["--", "-"]
    assert len(right.lines) == 1
    assert figure.legends[0].get_texts()[1].get_text().endswith(" (explodes)")


def test_what_diverges_does_not_flatten_the_others():
    figure = draw_runs(*fitted(*FIVE))
    low, high = figure.axes[0].get_ylim()
    # From the lowest loss of all, 2.93 (exact optimum), to 60 times the highest start, 1763.88 (raw readings).
    assert 1 < low < 2.93
    assert 1763 < high < 1763.9 * 61


def test_a_legend_is_silent_on_settings_that_play_no_part():
    rate = {"learning_rate": 0.01, "optimizer": "adam"}
    comparison, curves = fitted({"model": "mlp", **rate}, {"model": "mlp", "hidden": "3", **rate}, rate)
    labels = [text.get_text() for text in draw_runs(comparison, curves).figure.legends[0].get_texts()]
    assert "00000002: model line" in labels
    assert any(label.startswith("00000001: model mlp, hidden 3") for label in labels)


def test_many_are_coloured_by_loss_without_a_legend_of_each():
    comparison, curves = fitted(*FORTY)
    figure = draw_runs(comparison, curves)
    left, right, bar = figure.axes
    n_diverged = sum(run.diverged for run in comparison.runs)
    # The critical learning rate of the raw readings is 3.40e-4. The one rate next above it, 4.56e-4, multiplies the
    # distance by 4.56e-4 * 5883.42 - 1 = 1.68 per epoch: 500 epochs reach 1e228, not yet 1e308; neither does 1.5 on the
    # standardized readings, with a factor of 2.
    rates = np.array([given["learning_rate"] for given in FORTY[:20]])
    assert n_diverged == (rates > 3.39938e-4).sum() - 1 == 16
    exploding = [run for run in comparison.runs if not run.diverged and run.metrics["loss"] > 1e200]
    assert len(exploding) == 2
    assert left.get_ylim()[1] < 1763.9 * 61  # and they flatten the others no more than what diverged
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [f"diverged ({n_diverged})"]
    assert bar.get_ylabel() == "Final loss"
    assert sum(line.get_color() == GREY for line in left.lines) == n_diverged
    assert len(right.lines) == 40 - n_diverged
