"""Figures for every way a fit can end, and for data that make drawing hard."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.image import imread, imsave

from tempfit.calibration.pipeline import calibrate
from tempfit.plots.calibration import draw_figures, draw_layers, draw_line, draw_loss, draw_path, draw_residuals
from tempfit.plots.canvas import SMALL, to_png, to_small_png
from tests.cases import CASES, MLP, calibrated
from tests.conftest import T_C, T_U

BOOK = {"scaling": "factor", "learning_rate": 1e-2, "n_epochs": 3000, "holdout_rows": "2,10"}


def pixels(png: bytes) -> np.ndarray:
    return imread(io.BytesIO(png))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", CASES)
def test_every_figure_can_be_drawn(case):
    result = calibrated(case)
    figures = draw_figures(result)
    third = {"line": ["path.png"], "polynomial": [], "mlp": ["layers.png"]}[result.config.model]
    assert list(figures) == ["line.png", "loss.png", *third, "residuals.png"]
    for png in figures.values():
        image = pixels(png)
        assert image.shape[:2] == (460, 720)
        assert image[..., :3].std() > 0.01  # something is drawn
        for edge in (image[0], image[-1], image[:, 0], image[:, -1]):
            assert (edge[..., :3] == 1).all()  # no label is cut off at the border


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("t_u", "t_c"),
    [
        ([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]),
        ([1.0, 2.0, 3.0], [5.0, 5.0, 5.0]),
        (1e8 + np.arange(5.0), np.arange(5.0)),
        (1e-8 * np.arange(5.0), 1e8 * np.arange(5.0) ** 2),
        (np.linspace(0, 1, 20_000), np.sin(np.linspace(0, 9, 20_000))),
    ],
    ids=["perfect", "flat", "far from zero", "tiny and huge", "many"],
)
def test_hard_data_can_be_drawn(t_u, t_c):
    assert len(draw_figures(calibrate((t_u, t_c)))) == 4


def test_the_line_is_drawn_over_raw_readings_with_labels_of_quantity_and_unit():
    result = calibrate((T_U, T_C), x_unit="mV", scaling="factor", learning_rate=1e-2)
    (axes,) = draw_line(result).axes
    assert axes.get_xlabel() == "Thermometer reading t_u (mV)"
    assert axes.get_ylabel() == "Temperature t_c (°C)"
    dots, line, _ = axes.lines
    assert dots.get_xdata().tolist() == T_U.tolist()
    assert line.get_ydata() == pytest.approx(result.w * line.get_xdata() + result.b)


def test_a_diverged_fit_shows_no_line_of_its_own():
    result = calibrated("explodes")
    (axes,) = draw_line(result).axes
    assert [line.get_label() for line in axes.lines] == ["readings", "exact least squares"]
    assert "Diverged at epoch 88" in axes.get_title()
    assert "exact line" in draw_residuals(result).axes[0].get_title()


@pytest.mark.parametrize(
    ("case", "exact"),
    [("explodes", "exact line"), ("polynomial explodes", "exact polynomial"), ("mlp explodes", "exact line")],
)
def test_residuals_of_what_diverged_are_those_of_the_exact_curve(case, exact):
    title = draw_residuals(calibrated(case)).axes[0].get_title()
    assert f"of the {exact} (gradient descent diverged)" in title


def test_a_picture_says_of_how_many_readings_it_shows_some(monkeypatch):
    monkeypatch.setattr("tempfit.plots.calibration.MOST_POINTS", 5)
    result = calibrated("converged")
    assert draw_line(result).axes[0].get_legend_handles_labels()[1].count("5 of 11 readings") == 1
    assert draw_residuals(result).axes[0].get_title().startswith("5 of 11 residuals (root mean square 1.7")


def test_the_loss_has_a_log_axis_and_the_path_ends_at_the_optimum():
    result = calibrate((T_U, T_C), scaling="factor", learning_rate=1e-2, n_epochs=20_000)
    (axes,) = draw_loss(result).axes
    assert axes.get_yscale() == "log"
    (axes,) = draw_path(result).axes
    way = next(line for line in axes.lines if line.get_label() == "gradient descent").get_xydata()
    star = next(line for line in axes.lines if line.get_label() == "exact least squares").get_xydata()
    assert way[-1] == pytest.approx(star[0], rel=1e-6)


@pytest.mark.parametrize("more", [{}, {"n_epochs": 10}], ids=["overflows", "on its way"])
def test_what_explodes_at_once_is_shown_to_and_fro(more):
    """Along the steepest direction each update multiplies the distance to the optimum by 1 − 0.01 · 5883.42126 (the
    design's λmax), which is −57.8: to the other side, and further away."""
    (axes,) = draw_path(calibrate((T_U, T_C), **CASES["explodes"] | more)).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("symlog", "symlog")
    way = next(line for line in axes.lines if line.get_label() == "gradient descent").get_xydata()
    assert len(way) == 6
    assert (way[3:] / way[2:-1])[:, 0] == pytest.approx([1 - 1e-2 * 5883.42126] * 3, rel=1e-3)  # the flat one dies out
    for edge, ends in zip(np.abs(way).max(axis=0), (axes.get_xlim(), axes.get_ylim()), strict=True):
        assert -ends[0] == ends[1] > edge
    assert [text.get_text() for text in axes.texts] == ["1", "2", "3", "4", "5"]


def test_what_explodes_slowly_is_shown_as_it_is():
    (axes,) = draw_path(calibrated("explodes slowly")).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "linear")


def test_held_out_readings_are_drawn_open_and_their_loss_beside_the_fits():
    result = calibrate((T_U, T_C), **BOOK)
    (axes,) = draw_line(result).axes
    seen, held_out = axes.lines[:2]
    assert seen.get_xdata().tolist() == np.delete(T_U, [2, 10]).tolist()
    assert held_out.get_xydata().tolist() == [[58.2, 15.0], [68.4, 21.0]]  # rows 2 and 10, counted from 0
    assert (held_out.get_label(), held_out.get_markerfacecolor()) == ("readings held out", "none")
    (axes,) = draw_loss(result).axes
    curve = next(line for line in axes.lines if line.get_label() == "validation loss (2 readings held out)")
    assert curve.get_ydata()[-1] == result.validation.final
    (axes,) = draw_residuals(result).axes
    dots, squares = axes.lines[1:]
    assert dots.get_ydata() == pytest.approx(np.delete(T_C - result.predict(T_U), [2, 10]))
    assert squares.get_ydata() == pytest.approx((T_C - result.predict(T_U))[[2, 10]])


@pytest.mark.parametrize("hidden", ["5", "4x3", "x".join(["2"] * 64)])
def test_a_networks_layers_are_drawn_all_and_ten_of_them_named(hidden):
    result = calibrate((T_U, T_C), **MLP | {"hidden": hidden, "n_epochs": 3})
    figure = draw_layers(result)
    n_layers = len(result.config.widths) + 1
    assert len(figure.axes[0].lines) == n_layers
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(names) == min(n_layers, 10)
    assert (names[0], names[-1]) == ("hidden 1", "output")
    last = figure.axes[0].lines[-1].get_ydata()
    assert last.tolist() == result.series()["gradient_norm/output"].tolist()


def test_a_small_picture_is_small_and_stays_readable():
    line = to_png(draw_line(calibrate((T_U, T_C))))
    small = to_small_png(line)
    assert len(small) <= SMALL < 20_000 < len(line)
    shown, whole = pixels(small)[..., :3], pixels(line)[..., :3]
    assert shown.shape == whole.shape  # few colours are enough: nothing is scaled down
    assert np.abs(shown - whole).mean() < 0.02  # of the range from black to white


def test_a_crowded_picture_is_made_smaller_until_it_fits():
    noise = np.random.default_rng(0).integers(0, 256, (460, 720, 3), dtype=np.uint8)  # nothing compresses worse
    buffer = io.BytesIO()
    imsave(buffer, noise)
    small = to_small_png(buffer.getvalue())
    assert len(small) <= SMALL
    height, width, _ = pixels(small).shape
    assert width / height == pytest.approx(720 / 460, rel=0.02)  # a pixel more or less
