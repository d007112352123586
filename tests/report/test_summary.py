"""A calibration in words, for every way a fit can end."""

from __future__ import annotations

import pytest

from tempfit.calibration.equation import equation, headline, write_sum
from tempfit.calibration.pipeline import calibrate
from tempfit.calibration.recording import record_of
from tempfit.report.summary import describe_status, summary, to_markdown
from tests.cases import CASES, MLP, calibrated
from tests.conftest import T_C, T_U


@pytest.mark.parametrize("case", CASES)
def test_words(case):
    result = calibrated(case)
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
    deep = calibrated("mlp of 65 layers")
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
    result = calibrated(case)
    lines = dict(summary(record_of(result)))
    assert lines[exact] == write_sum(record_of(result), result.exact.coefficients)
    assert headline(record_of(result)).endswith(told)


def test_status_lines():
    assert describe_status(record_of(calibrate((T_U, T_C)))).endswith("after 1 epoch")
    stopped = calibrate((T_U, T_C), scaling="factor", learning_rate=1e-3, on_epochs=lambda block: True)
    assert describe_status(record_of(stopped)) == "stopped on request after 1 epoch"


def test_why_stands_in_the_summary_of_what_did_not_arrive():
    """The tutorial's sigmoid network on raw readings is stuck, and told why (docs/sweeps.md: what each remedy does)."""
    raw = {"scaling": "none", "learning_rate": 1e-2}
    stuck = calibrate((T_U, T_C), model="mlp", hidden="13x13x13", activation="sigmoid", **raw)
    assert dict(summary(record_of(stuck)))["why"].startswith(
        "the units are saturated, no gradient passes, and only the mean"
    )
    crawls = dict(summary(record_of(calibrated("crawls"))))
    assert crawls["why"].startswith("stable, but slow: below the critical 3.39e-4")
    assert "why" not in dict(summary(record_of(calibrate((T_U, T_C)))))
