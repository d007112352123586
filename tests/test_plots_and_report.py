"""Figures and words for every way a fit can end, and for data that make drawing hard."""

from __future__ import annotations

import numpy as np
import pytest

from tempfit.calibration import Calibration, calibrate
from tempfit.plots.calibration import draw_figures, draw_line, draw_loss, draw_path, draw_residuals
from tempfit.report import describe_status, summary, to_html, to_markdown
from tests.conftest import T_C, T_U

CASES = {
    "converged": {},
    "crawls": {"scaling": "none", "learning_rate": 1e-4, "n_epochs": 2000},
    "explodes": {"scaling": "none", "learning_rate": 1e-2},
    "explodes slowly": {"scaling": "none", "learning_rate": 3.45e-4, "n_epochs": 100_000},
    "explodes in float32": {"scaling": "none", "learning_rate": 1e-2, "dtype": "float32"},
    "one epoch": {"scaling": "factor", "learning_rate": 1e-3, "n_epochs": 1},
    "starts at the optimum": {"scaling": "none", "w_start": 152075 / 283314, "b_start": -2451344 / 141657},
    "huber": {"loss": "huber"},
}


@pytest.fixture(params=CASES, scope="module")
def result(request) -> Calibration:
    return calibrate((T_U, T_C), **CASES[request.param])


def pixels(png: bytes) -> np.ndarray:
    import io

    from matplotlib.image import imread

    return imread(io.BytesIO(png))


@pytest.mark.filterwarnings("error")
def test_every_figure_can_be_drawn(result):
    figures = draw_figures(result)
    assert list(figures) == ["line.png", "loss.png", "path.png", "residuals.png"]
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
    star = next(line for line in axes.lines if line.get_label() == "exact optimum").get_xydata()
    assert way[-1] == pytest.approx(star[0], rel=1e-6)


def test_words(result):
    lines = dict(summary(result))
    assert lines["status"] == describe_status(result)
    assert lines["status"].startswith(result.status.value)
    assert ("line" in lines) == (result.fit.diverged_at is None)
    page = to_markdown(result, b"png", {"the run": "http://127.0.0.1:5000/#/x"})
    assert page.startswith(f"# {result.status.value.capitalize()}")
    assert result.forecast.advice in page
    assert "[the run](http://127.0.0.1:5000/#/x)" in page


def test_what_a_notebook_shows_is_escaped():
    result = calibrate((T_U, T_C), x="<script>", y="b&b")
    html = to_html(result)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert html.count("<img") == 2
    assert result._repr_html_() == html


def test_status_lines():
    assert describe_status(calibrate((T_U, T_C))).endswith("after 1 epoch")
    stopped = calibrate((T_U, T_C), scaling="factor", learning_rate=1e-3, on_epochs=lambda block: True)
    assert describe_status(stopped) == "stopped on request after 7 epochs"
