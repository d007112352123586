"""Pictures of fleets of any size and shape."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tempfit.config import ReadingsConfig
from tempfit.exact.curve import Curve
from tempfit.fleet.again import SomeRows
from tempfit.notebook import calibrate
from tempfit.plots.canvas import to_png
from tempfit.plots.fleet import ALL_NAMED, BINS, FEW, draw_readings, draw_spread, draw_worst

CONFIG = ReadingsConfig()


def values_of(n: int, seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"w": rng.normal(1, 0.01, n), "b": rng.normal(0, 0.5, n), "s": rng.uniform(0.09, 0.11, n)}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("n", [1, 3, ALL_NAMED, FEW])
def test_few_sensors_are_a_dot_each(n: int):
    names = [f"a sensor of a long name {k:050}" for k in range(n)]
    figure = draw_spread(values_of(n), np.arange(n) < 1, names, CONFIG)
    for axes in figure.axes:
        assert sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() in "oD") == n
        assert len(axes.texts) == (n if n <= ALL_NAMED else 1)
        assert all(len(text.get_text()) < 20 for text in axes.texts)
    assert to_png(figure).startswith(b"\x89PNG")


def test_many_sensors_are_counted_in_bins_and_those_far_off_are_told():
    values = values_of(5000)
    values["w"][:3] = 50.0
    odd = np.arange(5000) < 3
    figure = draw_spread(values, odd, [f"s{k}" for k in range(5000)], CONFIG)
    w = figure.axes[0]
    assert sum(bar.get_height() for bar in w.patches) == 4997
    assert len(w.patches) == BINS
    assert w.get_title() == "3 beyond the axis"
    assert w.get_xlim()[1] < 2
    assert figure.axes[1].get_title() == ""


def test_sensors_that_are_all_the_same_have_a_picture():
    same = {name: np.full(20, value) for name, value in {"w": 1.0, "b": 0.0, "s": 0.0}.items()}
    assert to_png(draw_spread(same, np.zeros(20, bool), ["x"] * 20, CONFIG))
    assert to_png(draw_readings(np.full(20, 5.0), np.zeros(20), np.zeros(20, bool), CONFIG))


@pytest.mark.parametrize("n", [10, 1000])
def test_the_guide_is_the_median_sensor_with_more_readings(n: int):
    readings = np.linspace(5, 500, n)
    figure = draw_readings(readings, 2 / np.sqrt(readings), np.zeros(n, bool), CONFIG)
    (guide,) = [line for line in figure.axes[0].lines if line.get_label() == "as 1/√n"]
    assert guide.get_ydata() == pytest.approx(2 / np.sqrt(guide.get_xdata()))


def test_the_worst_are_drawn_by_what_the_line_leaves():
    t_u = np.linspace(0, 80, 9)
    t_c = 0.5 * t_u - 17 + np.where(np.arange(9) % 2, 0.1, -0.1)
    curve = calibrate(t_u, t_c).curve
    assert isinstance(curve, Curve)
    rows = {f"s{k}": SomeRows(t_u, t_c) for k in range(5)}
    figure = draw_worst(rows, dict.fromkeys(rows, curve), CONFIG)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == list(rows)
    assert shown[0].lines[0].get_ydata() == pytest.approx(t_c - curve.predict(t_u))
