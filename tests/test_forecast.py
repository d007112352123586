"""The forecast against what then really happens."""

from __future__ import annotations

import numpy as np
import pytest

from tempfit.calibration import calibrate
from tempfit.config import CalibrationConfig, format_rate
from tempfit.forecast import make_forecast
from tempfit.problem import normalize
from tempfit.readings import as_readings
from tempfit.training import Status
from tests.conftest import T_C, T_U


def forecast(**settings):
    config = CalibrationConfig(**settings)
    return make_forecast(normalize(as_readings((T_U, T_C), config), config).design, config)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "settings",
    [
        {"scaling": "none", "learning_rate": 1e-2},
        {"scaling": "none", "learning_rate": 4e-4},
        {"scaling": "factor", "learning_rate": 0.05},
        {"scaling": "minmax", "learning_rate": 2.0},
        {"scaling": "none", "learning_rate": 1e-2, "l2": 0.01},
    ],
    ids=str,
)
def test_overflow_happens_at_the_epoch_foretold(settings, dtype):
    result = calibrate((T_U, T_C), **settings, dtype=dtype)
    assert result.status is Status.DIVERGED
    assert result.forecast.stable is False
    assert result.forecast.overflow_epoch == result.fit.diverged_at
    assert result.forecast.epochs_needed is None


@pytest.mark.parametrize(
    "settings",
    [
        {"scaling": "factor", "learning_rate": 1e-2},
        {"scaling": "minmax", "learning_rate": 1e-1},
        {"scaling": "minmax", "learning_rate": 0.7},
        {"scaling": "standardize", "learning_rate": 0.5},
        {"scaling": "standardize", "learning_rate": 0.01},
        {"scaling": "none", "learning_rate": 3.3e-4, "n_epochs": 100_000},
    ],
    ids=str,
)
def test_epochs_needed_are_the_epochs_it_takes(settings):
    result = calibrate((T_U, T_C), **settings, tolerance=0)
    within = result.fit.history.loss <= 1.001 * result.exact.loss
    assert result.forecast.stable is True
    assert result.forecast.epochs_needed == np.argmax(within)  # state k is reached by k updates
    assert result.forecast.overflow_epoch is None


def test_a_start_at_the_optimum_needs_no_epochs():
    exact = calibrate((T_U, T_C), scaling="none").exact
    assert forecast(scaling="none", learning_rate=1e-4, w_start=exact.w, b_start=exact.b).epochs_needed == 0


def test_momentum_moves_the_critical_rate():
    """Heavy ball is stable below 2 (1 + momentum) / λmax (Polyak 1964)."""
    plain, heavy = forecast(), forecast(momentum=0.9)
    assert heavy.critical_learning_rate == pytest.approx(1.9 * plain.critical_learning_rate, rel=1e-12)
    for factor, status in [(0.99, {Status.CONVERGED}), (1.01, {Status.DIVERGED})]:
        rate = factor * heavy.critical_learning_rate
        assert calibrate((T_U, T_C), momentum=0.9, learning_rate=rate, n_epochs=100_000).status in status


def test_huber_is_stable_below_its_critical_rate():
    rate = forecast(loss="huber").critical_learning_rate
    assert calibrate((T_U, T_C), loss="huber", learning_rate=0.99 * rate).status is Status.CONVERGED


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"scaling": "none", "learning_rate": 1e-2}, ["29.4 times", "3.4e-4", "epoch 88", "--scaling standardize"]),
        ({"scaling": "none", "learning_rate": 1e-4}, ["259,8", "more than the 5,000", "--scaling standardize"]),
        ({"scaling": "none", "learning_rate": 1e-2, "clip_norm": 1.0}, ["clipping", "over-correction"]),
        ({"learning_rate": 2.0}, ["2 times the critical 1", "--learning-rate 0.5"]),
        ({"optimizer": "adam"}, ["adam adapts"]),
        ({}, ["stable", "needs 1 epoch to"]),
    ],
    ids=str,
)
def test_advice_names_cause_and_cure(settings, says):
    advice = forecast(**settings).advice
    for words in says:
        assert words in advice


def test_advised_learning_rates_work():
    assert calibrate((T_U, T_C), scaling="none", learning_rate=1.7e-4).status is Status.EXHAUSTED
    assert calibrate((T_U, T_C), scaling="standardize").status is Status.CONVERGED


@pytest.mark.parametrize(("rate", "text"), [(0.5, "0.5"), (3.39938e-4, "3.4e-4"), (1e-2, "0.01"), (1e-5, "1e-5")])
def test_rates_read_as_people_write_them(rate, text):
    assert format_rate(rate) == text
