"""A calibration in any unit: the descent arrives, what did not arrive is not usable, and nothing overflows."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

import tempfit
from tempfit.calibration.calibration import Calibration
from tempfit.calibration.checks import Check
from tempfit.calibration.equation import headline
from tempfit.calibration.pipeline import calibrate
from tempfit.calibration.recording import record_of
from tempfit.config import TrainingConfig
from tempfit.errors import ReadingsError
from tempfit.report.summary import summary
from tempfit.words import Outcome, Status, Verdict
from tests.conftest import T_C, T_U
from tests.tools import descend, line_design

W, B = 152075 / 283314, -17.304785503010794  # the exact solution (tests/test_tutorial.py)

MINMAX = {"scaling": "minmax", "learning_rate": 0.7, "n_epochs": 2000}


def descent(result: Calibration) -> Check:
    (found,) = [check for check in result.checks if check.name == "descent"]
    return found


def distance(result: Calibration, t_u, t_c) -> float:
    """How far the line is from least squares at the ends, in its standard uncertainties there: all in long double."""
    x, y = np.asarray(t_u, np.longdouble), np.asarray(t_c, np.longdouble)
    dx, dy = x - x.mean(), y - y.mean()
    sxx = dx @ dx
    w = dx @ dy / sxx
    residual = dy - w * dx
    s = np.sqrt(residual @ residual / (len(x) - 2))
    ends = np.array([x.min(), x.max()])
    u = s * np.sqrt(1 / len(x) + (ends - x.mean()) ** 2 / sxx)
    return float(np.max(np.abs(result.predict(ends) - (w * (ends - x.mean()) + y.mean())) / u))


@pytest.mark.parametrize("power", [-90, -71, -40, -20, -16, -8, 8, 40, 90])
def test_the_tutorials_line_in_any_unit(power):
    """Measured by the gradient at its start, w = 1, t_c × 1e-16 once converged 3.4 u off, and passed."""
    unit = 10.0**power
    for result, w, b in (
        (calibrate((T_U, T_C * unit)), W * unit, B * unit),
        (calibrate((T_U * unit, T_C)), W / unit, B),
        (calibrate((T_U * unit, T_C * unit)), W, B * unit),
    ):
        assert (result.w, result.b) == pytest.approx((w, b), rel=1e-11, abs=0)
        assert (result.status, result.outcome) == (Status.CONVERGED, Outcome.ARRIVES)
        assert descent(result).figure < 1e-6
        assert result.usable


@effort(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    power=st.floats(-60, 60),
    offset=st.sampled_from([0, 1, 1e6]),
    scatter=st.sampled_from([1e-1, 1e-4]),
    settings=st.sampled_from(
        [
            {},
            MINMAX,
            MINMAX | {"n_epochs": 100},
            {"optimizer": "adam", "learning_rate": 0.1, "n_epochs": 300},
            {"learning_rate": 0.01, "n_epochs": 300},
        ]
    ),
)
def test_a_line_that_did_not_arrive_is_not_usable(seed, power, offset, scatter, settings):
    """Whatever the unit of the references, and however many digits are the same in all of them."""
    rng = np.random.default_rng(seed)
    t_u = rng.uniform(20, 90, 12)
    t_c = (offset * 10 + 0.5 * t_u + scatter * rng.normal(size=12)) * 10.0**power
    result = calibrate((t_u, t_c), **settings)
    if result.curve is None:
        return
    off = distance(result, t_u, t_c)
    assert descent(result).figure == pytest.approx(off, rel=1e-3, abs=1e-3)
    assert (descent(result).verdict is Verdict.FAILS) == (off >= 1)
    if not settings:
        assert off < 0.01


@pytest.mark.parametrize("scale", [1, 1e-20])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"scaling": "minmax", "learning_rate": 0.75},
        {"scaling": "factor", "learning_rate": 0.0328, "n_epochs": 20_000},
    ],
    ids=["standardize", "minmax", "factor"],
)
def test_a_perfect_line_arrives_to_rounding(settings, scale):
    """Where the readings' scatter gives no measure, that of float64 is taken, times the condition number."""
    result = calibrate((T_U, (0.5 * T_U - 17) * scale), **settings)
    assert (result.status, result.outcome) == (Status.CONVERGED, Outcome.ARRIVES)
    assert (result.w, result.b) == pytest.approx((0.5 * scale, -17 * scale), rel=1e-9, abs=0)
    assert result.usable
    assert result.fit.close_at <= result.forecast.epochs_needed + 2


def test_converged_is_a_residual_that_is_orthogonal_to_every_term():
    """MINPACK's gtol: the cosine of the angle between residuals and each column, whatever their units."""
    tolerance = 1e-3
    for t_u, t_c in ((0.1 * T_U, T_C), (0.1 * T_U, 1e-12 * T_C)):
        config = TrainingConfig(learning_rate=0.03, n_epochs=100_000, tolerance=tolerance)
        (fit,) = descend(line_design(t_u, t_c), [config])
        columns = np.stack([t_u, np.ones(11)])

        def cosines(params, columns=columns, t_c=t_c):
            residual = params @ columns - t_c
            return np.abs(columns @ residual) / np.linalg.norm(columns, axis=1) / np.linalg.norm(residual)

        assert fit.status is Status.CONVERGED
        assert cosines(fit.params).max() <= tolerance < cosines(fit.history.params[-2]).max()


EXTREMES = [(1e49, 1), (1, 1e49), (-1e100, -1e100), (1, 9e99), (9e99, 1e-99), (1e-99, 9e99), (1, 1e-99), (1e-99, 1e-99)]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "settings", [{}, {"loss": "huber"}, {"model": "polynomial"}], ids=["line", "huber", "degree 2"]
)
@pytest.mark.parametrize(("x_unit", "y_unit"), EXTREMES)
def test_readings_of_any_size_are_judged(x_unit, y_unit, settings):
    """Fourth powers of residuals, which the Breusch–Pagan test takes, overflow from 1e77 on and vanish below 1e-81.

    Figures and verdicts are those in plain units: no check depends on a unit.
    """
    rng = np.random.default_rng(5)
    t_u = np.linspace(0.2, 0.9, 40)  # enough for every check
    t_c = t_u + 0.03 * rng.normal(size=40)
    plain = calibrate((t_u, t_c), **settings, y_unit="u")
    result = calibrate((x_unit * t_u, y_unit * t_c), **settings, y_unit="u")
    json.dumps(record_of(result).as_dict(), allow_nan=False)
    assert [(check.name, check.verdict) for check in result.checks] == [(c.name, c.verdict) for c in plain.checks]
    assert Verdict.NOT_CHECKED not in [check.verdict for check in plain.checks]
    figures = [check.figure for check in result.checks[:-1]]
    assert figures == pytest.approx([check.figure for check in plain.checks[:-1]], rel=1e-6)


def test_references_that_float64_cannot_square_are_refused():
    with pytest.raises(ReadingsError, match=r"t_c.*1e-100.*unit"):
        calibrate((T_U, 1e-110 * T_C))
    assert calibrate((T_U, np.zeros(11))).usable is False  # all the same: the slope tells nothing


def test_a_curve_has_its_own_uncertainty_and_nothing_of_the_exact_lines():
    crawls = calibrate((T_U, T_C), scaling="none", learning_rate=1e-4, n_epochs=1000)
    huber = calibrate((T_U, T_C + 30 * (T_C == 28)), loss="huber")
    for result in (crawls, huber):
        for name in ("loss", "r_squared", "residual_sd", "chi_squared", "n"):
            assert not hasattr(result.curve, name)
    assert crawls.loss > 5 * crawls.exact.loss
    assert crawls.curve.observation_sd == pytest.approx(math.sqrt(crawls.loss * 11 / 9), rel=1e-12)
    assert crawls.residual_sd == crawls.curve.observation_sd


def test_chi_squared_is_that_of_the_line_found():
    readings = tempfit.Readings(T_U, T_C, u_c=np.full(11, 2.0))
    crawls = calibrate(readings, scaling="none", learning_rate=1e-4, n_epochs=1000)
    residual = T_C - crawls.w * T_U - crawls.b
    assert crawls.chi_squared == pytest.approx(np.sum((residual / 2) ** 2), rel=1e-12)
    assert crawls.chi_squared > 5 * crawls.exact.chi_squared
    assert f"χ² = {crawls.chi_squared:.4g}" in dict(summary(record_of(crawls)))["uncertainty"]


@pytest.mark.parametrize("n_epochs", [10, 86])
def test_a_loss_that_grows_is_diverging(n_epochs):
    """At epoch 88 it would overflow (tests/test_tutorial.py); before that, it is as useless."""
    result = calibrate((T_U, T_C), scaling="none", learning_rate=1e-2, n_epochs=n_epochs)
    assert (result.status, result.outcome) == (Status.EXHAUSTED, Outcome.EXPLODES)
    assert (result.exploded, result.usable, result.curve, result.scales) == (True, False, None, ())
    assert descent(result).verdict is Verdict.FAILS
    assert headline(record_of(result)) == f"Diverging after {n_epochs} epochs: no line to use"
    lines = dict(summary(record_of(result)))
    grown = result.fit.loss / result.fit.history.loss[0]
    assert grown > 1e10
    assert lines["status"].startswith(f"diverging: in {n_epochs} epochs the loss has grown ")
    assert not {"line", "uncertainty", "expanded", "scale", "checks passed", "to exact optimum"} & set(lines)
    values = record_of(result).as_dict()
    assert (values["curve"], values["uncertainty"], values["scales"], values["usable"]) == (None, None, [], False)


def test_without_a_penalty_parameters_whose_squares_overflow_do_no_harm():
    """0 × ∞ once made the objective NaN, which no comparison of the outcome sees as growth."""
    result = calibrate((1e-60 * T_U, 1e-30 * T_C), scaling="factor", factor=1e12, w_start=1e200, n_epochs=2)
    assert np.isfinite(result.objective).all()
    assert np.array_equal(result.objective, result.fit.history.loss)
