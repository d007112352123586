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
from tempfit.plots.fleet import ALL_NAMED, BINS, FEW, draw_readings, draw_spread, draw_worst, short_names

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
    figure = draw_spread(values_of(n), [("w", "b", "s"), *[()] * (n - 1)], names, CONFIG)
    for axes in figure.axes:
        assert sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() in "oD") == n
        assert len(axes.texts) == (n if n <= ALL_NAMED else 1)
        assert all(len(text.get_text()) < 20 for text in axes.texts)
    assert to_png(figure).startswith(b"\x89PNG")


def test_many_sensors_are_counted_in_bins_and_those_far_off_are_told():
    values = values_of(5000)
    values["w"][:3] = 50.0
    values["b"][:2] = -50.0
    accused = [("w",), ("b", "w"), *[()] * 4998]
    figure = draw_spread(values, accused, [f"s{k}" for k in range(5000)], CONFIG)
    w = figure.axes[0]
    assert sum(bar.get_height() for bar in w.patches) == 4997
    assert len(w.patches) == BINS
    assert w.get_title() == "3 beyond the axis, 2 of them odd"
    assert w.get_xlim()[1] < 2
    assert figure.axes[1].get_title() == "2 beyond the axis, all of them odd"
    assert figure.axes[2].get_title() == ""


@pytest.mark.parametrize("n", [FEW, 1000])
def test_marks_are_of_those_that_are_odd_by_what_the_panel_shows(n: int):
    """The worst by name; who is odd by a check that no panel shows is hollow among dots, and not among bins."""
    values = values_of(n)
    values["w"][:2], values["s"][2] = [0.9, 0.95], 0.15
    accused = [("w",), ("w", "curvature"), ("s",), ("curvature",), *[()] * (n - 4)]
    figure = draw_spread(values, accused, [f"s{k}" for k in range(n)], CONFIG)
    for axes, wanted in zip(figure.axes, ({"s0", "s1"}, set(), {"s2"}), strict=True):
        marked = {line.get_label(): len(line.get_xdata()) for line in axes.lines}
        assert {text.get_text() for text in axes.texts} == wanted
        assert marked.get("odd here", 0) == len(wanted)
        assert marked.get("odd by another check", 0) == (4 - len(wanted) if n == FEW else 0)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["odd here", "odd by another check"][
        : 2 if n == FEW else 1
    ]
    assert not draw_spread(values, [()] * n, ["x"] * n, CONFIG).legends


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["a$b", "c"], [r"a\$b", "c"]),
        (["house 3/floor 1/room 12/air", "house 3/floor 1/room 17/air"], ["…12…", "…17…"]),
        (["one of a kind, and a long name", "x"], ["one of a…long name", "x"]),
    ],
)
def test_long_names_keep_what_tells_them_apart(names: list[str], shown: list[str]):
    assert short_names(names, 18) == shown


def test_where_all_have_the_same_number_of_readings_their_uncertainties_are_spread():
    expanded = np.linspace(0.1, 0.2, 15)
    (axes,) = draw_readings(np.full(15, 24.0), expanded, np.arange(15) < 3, CONFIG).axes
    assert axes.lines[0].get_xdata() == pytest.approx(expanded)
    assert axes.get_title().startswith("Each sensor has 24 readings;")
    assert axes.get_legend() is None
    labels = draw_readings(np.arange(5.0, 20), expanded, np.zeros(15, bool), CONFIG).axes[0].get_legend().get_texts()
    assert [text.get_text() for text in labels] == ["sensors", "as 1/√n"]


@pytest.mark.parametrize("n", [20, FEW + 20])
def test_sensors_that_are_all_the_same_but_for_rounding_have_a_picture(n: int):
    rounding = 1 + np.spacing(1.0) * (np.arange(n) % 2)
    same = {name: value * rounding for name, value in {"w": 1.0, "b": 0.0, "s": 0.1}.items()}
    assert to_png(draw_spread(same, [()] * n, ["x"] * n, CONFIG))
    assert to_png(draw_readings(np.full(n, 5.0), 0.1 * rounding, np.zeros(n, bool), CONFIG))
    assert to_png(draw_readings(np.full(n, 5.0), np.zeros(n), np.zeros(n, bool), CONFIG))


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
