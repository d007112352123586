"""Figures and words for every way a fit can end, and for data that make drawing hard."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.image import imread, imsave

from tempfit.calibration.calibration import Calibration, calibrate
from tempfit.calibration.equation import equation, headline, write_sum
from tempfit.calibration.recording import record_of
from tempfit.plots.calibration import draw_figures, draw_layers, draw_line, draw_loss, draw_path, draw_residuals
from tempfit.plots.canvas import SMALL, to_png, to_small_png
from tempfit.report.summary import describe_status, summary, to_markdown
from tests.conftest import T_C, T_U

BOOK = {"scaling": "factor", "learning_rate": 1e-2, "n_epochs": 3000, "holdout_rows": "2,10"}
MLP = {"model": "mlp", "optimizer": "adam", "learning_rate": 0.01}
CASES = {
    "converged": {},
    "crawls": {"scaling": "none", "learning_rate": 1e-4, "n_epochs": 2000},
    "explodes": {"scaling": "none", "learning_rate": 1e-2},
    "explodes slowly": {"scaling": "none", "learning_rate": 3.45e-4, "n_epochs": 100_000},
    "explodes in float32": {"scaling": "none", "learning_rate": 1e-2, "dtype": "float32"},
    "one epoch": {"scaling": "factor", "learning_rate": 1e-3, "n_epochs": 1},
    "starts at the optimum": {"scaling": "none", "w_start": 152075 / 283314, "b_start": -2451344 / 141657},
    "huber": {"loss": "huber"},
    "held out": {"holdout_rows": "2,10"},
    "folds": {"folds": 11, "scaling": "factor", "learning_rate": 1e-2},
    "explodes in folds": {"folds": 4, "scaling": "none", "learning_rate": 1e-2},
    "polynomial": {"model": "polynomial", "degree": 3, "holdout_rows": "2,10"},
    "polynomial crawls": {"model": "polynomial", "scaling": "factor", "factor": 0.01, "learning_rate": 0.1},
    "polynomial explodes": {"model": "polynomial", "learning_rate": 2.0, "holdout_rows": "2,10"},
    "mlp": MLP | {"n_epochs": 300},
    "mlp, one epoch": MLP | {"n_epochs": 1, "activation": "prelu"},
    "mlp overfits": MLP | {"n_epochs": 2000, "holdout_rows": "2,10"},
    "mlp in folds": MLP | {"n_epochs": 100, "folds": 3, "loss": "huber", "activation": "leaky_relu"},
    "mlp explodes": {"model": "mlp", "activation": "relu", "learning_rate": 1.0, "folds": 3},
    "mlp of 65 layers": MLP | {"n_epochs": 5, "activation": "sigmoid", "hidden": "x".join(["3"] * 64)},
}


@pytest.fixture(params=CASES, scope="module")
def result(request) -> Calibration:
    return calibrate((T_U, T_C), **CASES[request.param])


def pixels(png: bytes) -> np.ndarray:
    return imread(io.BytesIO(png))


@pytest.mark.filterwarnings("error")
def test_every_figure_can_be_drawn(result):
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
    result = calibrate((T_U, T_C), **CASES["explodes"])
    (axes,) = draw_line(result).axes
    assert [line.get_label() for line in axes.lines] == ["readings", "exact least squares"]
    assert "Diverged at epoch 88" in axes.get_title()
    assert "exact line" in draw_residuals(result).axes[0].get_title()


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
    (axes,) = draw_path(calibrate((T_U, T_C), **CASES["explodes slowly"])).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "linear")


def test_words(result):
    lines = dict(summary(record_of(result)))
    assert lines["status"] == describe_status(record_of(result))
    assert lines["status"].startswith(result.status.value)
    assert (result.config.model in lines) == (result.fit.diverged_at is None)
    assert ("validation" in lines) == (result.validation is not None and result.fit.diverged_at is None)
    page = to_markdown(record_of(result), b"png", {"the run": "http://127.0.0.1:5000/#/x"})
    assert page.startswith(f"# {result.status.value.capitalize()}")
    assert result.forecast.advice in page
    assert "[the run](http://127.0.0.1:5000/#/x)" in page


def test_words_for_what_was_held_out():
    lines = dict(summary(record_of(calibrate((T_U, T_C), holdout_rows="2,10"))))
    assert "11 from <memory>, 2 of them held out (" in lines["readings"]
    assert lines["validation loss"] == "3.54439 °C² (2 readings held out)"  # numpy's lstsq on the nine others
    assert lines["validation"] == "no overfitting seen: validation loss 3.544, training loss 3.012"
    lines = dict(summary(record_of(calibrate((T_U, T_C), folds=11))))
    assert "held out" not in lines["readings"]  # the model is fitted to all
    assert lines["validation loss"] == "4.51911 °C² (11 folds)"  # PRESS / n in closed form: 4.519112476


def test_words_for_models_beyond_the_line():
    lines = dict(summary(record_of(calibrate((T_U, T_C), model="polynomial"))))
    assert lines["polynomial"] == "t_c = 0.00283 · t_u² + 0.2476 · t_u − 10.65"  # numpy.polyfit(T_U, T_C, 2)
    assert lines["to exact optimum"].startswith("c2 off by ")
    assert lines["critical learning rate"] == "1 (chosen 0.5, condition number 1)"
    lines = dict(summary(record_of(calibrate((T_U, T_C), **MLP | {"hidden": "4x3", "n_epochs": 1}))))
    assert lines["mlp"] == "t_c = mlp(t_u), 1-4-3-1 units, tanh"
    deep = calibrate((T_U, T_C), **CASES["mlp of 65 layers"])
    assert equation(record_of(deep)) == "t_c = mlp(t_u), 1-3-3-3-…-3-3-3-1 units, sigmoid"
    assert "times that of the best line" in lines["to exact line"]
    assert "critical learning rate" not in lines
    lines = dict(summary(record_of(calibrate((T_U, T_C), **MLP, l2=0.0))))
    assert lines["to exact line"].endswith("below that of the best line")


@pytest.mark.parametrize(
    ("case", "exact", "told"),
    [
        ("explodes", "exact line", "no line to use"),
        ("polynomial explodes", "exact polynomial", "no polynomial to use"),
        ("mlp explodes", "exact line", "no mlp to use"),
    ],
)
def test_words_for_what_diverged(case, exact, told):
    result = calibrate((T_U, T_C), **CASES[case])
    lines = dict(summary(record_of(result)))
    assert lines[exact] == write_sum(record_of(result), result.exact.coefficients)
    assert headline(record_of(result)).endswith(told)
    assert f"of the {exact} (gradient descent diverged)" in draw_residuals(result).axes[0].get_title()


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


def test_status_lines():
    assert describe_status(record_of(calibrate((T_U, T_C)))).endswith("after 1 epoch")
    stopped = calibrate((T_U, T_C), scaling="factor", learning_rate=1e-3, on_epochs=lambda block: True)
    assert describe_status(record_of(stopped)) == "stopped on request after 7 epochs"


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


def test_why_stands_in_the_summary_of_what_did_not_arrive():
    """The tutorial's sigmoid network on raw readings is stuck, and told why (docs/sweeps.md: what each remedy does)."""
    raw = {"scaling": "none", "learning_rate": 1e-2}
    stuck = calibrate((T_U, T_C), model="mlp", hidden="13x13x13", activation="sigmoid", **raw)
    why = dict(summary(record_of(stuck)))["why"]
    assert why.startswith("the units are saturated, no gradient passes, and only the mean")
    crawls = dict(summary(record_of(calibrate((T_U, T_C), **CASES["crawls"]))))
    assert crawls["why"].startswith("stable, but slow: below the critical 3.39e-4")
    assert "why" not in dict(summary(record_of(calibrate((T_U, T_C)))))
