"""Huber's fit: its optimum, its scale, its uncertainty, and what it sets aside."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from tempfit.calibration.equation import equation
from tempfit.calibration.pipeline import calibrate
from tempfit.calibration.recording import record_of
from tempfit.config import CalibrationConfig
from tempfit.descent.setup import normalize
from tempfit.errors import SettingsError
from tempfit.readings.paired import Readings
from tempfit.report.summary import summary
from tempfit.words import Status
from tests.conftest import T_C, T_U


def with_outliers(rng, n=25, rows=(3, 9)):
    t_u = np.sort(rng.uniform(0, 50, n))
    t_c = 0.5 * t_u + 2 + rng.normal(0, 0.1, n)
    t_c[list(rows)] += rng.choice([-1, 1], len(rows)) * rng.uniform(3, 20, len(rows))
    return t_u, t_c


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), delta=st.sampled_from([None, 0.05, 0.5, 100.0]))
def test_the_loop_and_reweighting_find_the_lowest_huber_loss(seed, delta):
    t_u, t_c = with_outliers(np.random.default_rng(seed))
    result = calibrate((t_u, t_c), loss="huber", huber_delta=delta, n_epochs=200_000)
    robust = result.problem.robust
    assert delta is None or robust.delta == delta

    def loss(params):
        size = np.abs(params[0] * t_u + params[1] - t_c)
        return float(np.where(size <= robust.delta, size**2 / 2, robust.delta * (size - robust.delta / 2)).mean())

    w, b = result.problem.standard.to_raw(result.problem.best.params)
    found = scipy.optimize.minimize(
        loss, [w + 0.1, b - 1], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-14}
    )
    assert loss((w, b)) <= found.fun + 1e-12
    assert loss((result.w, result.b)) == pytest.approx(loss((w, b)), rel=1e-6)
    descent = next(check for check in result.checks if check.name == "descent")
    assert descent.verdict == "passes"


def test_the_scale_is_that_of_the_good_readings():
    """1.345 × the median absolute residual / 0.6745 at the robust line, whatever the unit."""
    t_u, t_c = with_outliers(np.random.default_rng(2))
    for unit in (1.0, 1e-3, 1e6):
        result = calibrate((t_u, unit * t_c), loss="huber")
        residual = unit * t_c - np.polyval((result.w, result.b), t_u)
        deviation = np.median(np.abs(residual)) / 0.6745 * np.sqrt(25 / 23)
        assert result.problem.robust.delta == pytest.approx(1.345 * deviation, rel=1e-3)
        assert record_of(result).as_dict()["robust"]["set_aside"] == [4, 10]
        assert result.w == pytest.approx(0.5 * unit, rel=0.05)


def test_what_is_set_aside_is_said():
    t_u, t_c = with_outliers(np.random.default_rng(2))
    result = calibrate((t_u, t_c), loss="huber")
    (check,) = [check for check in result.checks if check.name == "outliers"]
    assert (
        check.sentence == "Huber's loss set aside readings 4 and 10: too far from the line for chance, and counted less"
    )
    assert (check.verdict, result.usable) == ("doubtful", True)
    held_out = calibrate((t_u, t_c), loss="huber", holdout_rows="0")
    assert record_of(held_out).as_dict()["robust"]["set_aside"] == [4, 10]


def test_the_uncertainty_is_that_of_the_simulated_scatter():
    """1,000 robust lines through readings of which one in ten is 20 standard deviations off."""
    rng = np.random.default_rng(5)
    t_u, config = np.linspace(0, 50, 20), CalibrationConfig(loss="huber")
    slopes, stated = [], []
    for _ in range(1000):
        t_c = 0.5 * t_u + rng.normal(0, 0.1, 20)
        t_c[rng.choice(20, 2, replace=False)] += 2.0 * rng.choice([-1, 1])
        best = normalize(Readings(t_u, t_c), config).problem.best
        slopes.append(best.w)
        stated.append(best.u_w)
    assert np.mean(slopes) == pytest.approx(0.5, abs=4 * np.std(slopes) / 1000**0.5)
    assert np.sqrt(np.mean(np.square(stated))) == pytest.approx(np.std(slopes), rel=0.15)
    # Least squares is several times as uncertain there.
    plain = calibrate((t_u, t_c)).curve.u_w
    assert plain > 2 * np.mean(stated)


def test_readings_on_a_line_but_for_a_few():
    t_u = np.arange(12.0)
    t_c = 2 * t_u + 1
    t_c[5] += 30
    result = calibrate((t_u, t_c), loss="huber")
    assert result.problem.standard.to_raw(result.problem.best.params) == pytest.approx([2, 1], abs=0.02)
    assert record_of(result).as_dict()["robust"]["set_aside"] == [6]
    perfect = calibrate((t_u, 2 * t_u + 1), loss="huber")
    assert (perfect.w, perfect.b) == pytest.approx((2, 1), rel=1e-9)
    assert record_of(perfect).as_dict()["robust"]["set_aside"] == []


def test_a_descent_that_did_not_arrive_at_hubers_line_should_not_be_used():
    """An outlier makes least squares uncertain, but not Huber's line: that is what descent is measured by."""
    rng = np.random.default_rng(3)
    t_u = np.linspace(0, 50, 12)
    t_c = 0.5 * t_u + 2 + rng.normal(0, 0.1, 12)
    t_c[4] = -127.0  # what a DS18B20 says of nothing
    assert calibrate((t_u, t_c), loss="huber").usable
    for n_epochs in (5, 50):
        result = calibrate((t_u, t_c), loss="huber", n_epochs=n_epochs)
        descent = result.checks[-1]
        distance = np.abs(np.polyval((result.w, result.b), t_u) - result.problem.best.predict(t_u)).max()
        assert descent.figure == pytest.approx(distance / 0.05, rel=0.9)
        assert descent.verdict == "fails"


def test_clean_readings_are_seldom_set_aside():
    """Of 300 data sets without an outlier, 1 % by design, and fewer with few readings; four binomial standard
    deviations more. By n − p degrees of freedom, which the scale does not have, they were 3 %."""
    rng = np.random.default_rng(8)
    for n in (5, 12, 40):
        config = CalibrationConfig(loss="huber")
        t_u = np.linspace(0, 50, n)
        data = [Readings(t_u, 0.5 * t_u + rng.normal(0, 0.1, n)) for _ in range(300)]
        aside = [normalize(readings, config).problem.robust.set_aside.any() for readings in data]
        assert np.mean(aside) < 0.01 + 4 * (0.01 * 0.99 / 300) ** 0.5, n


def test_degrees_of_freedom_count_what_is_within_delta():
    """m² (n − p) for a share m; least squares' own where delta leaves every reading within it, and in what is told."""
    result = calibrate(with_outliers(np.random.default_rng(2)), loss="huber")
    inside = np.mean(result.problem.robust.weights == 1)
    assert 0.5 < inside < 1
    assert result.curve.degrees_of_freedom == pytest.approx(23 * inside**2, abs=0.005)
    told = record_of(result).as_dict()["uncertainty"]
    assert told["degrees_of_freedom"] == result.curve.degrees_of_freedom
    assert told["coverage_factor"] == pytest.approx(scipy.stats.t.ppf(0.975, told["degrees_of_freedom"]), rel=1e-9)
    (uncertainty,) = [text for label, text in summary(record_of(result)) if label == "uncertainty"]
    assert uncertainty.endswith(f"ν = {result.curve.degrees_of_freedom:g}")
    wide = calibrate((T_U, T_C), loss="huber", huber_delta=100.0)
    assert wide.curve.degrees_of_freedom == calibrate((T_U, T_C)).curve.degrees_of_freedom == 9


def test_four_readings_have_none_to_set_aside():
    """With two degrees of freedom no residual is beyond the delta that is found, however far off a reading is."""
    rng = np.random.default_rng(1)
    for t_u in ([0.0, 1, 2, 3], [0.0, 0, 1, 1], [0.0, 1, 10, 100], [0.0, 0, 1, 5]):
        for _ in range(10):
            t_c = np.array(t_u) + 0.1 * rng.normal(size=4)
            t_c[rng.integers(4)] += 50
            assert not normalize(
                Readings(np.array(t_u), t_c), CalibrationConfig(loss="huber")
            ).problem.robust.set_aside.any()
    found = next(check for check in calibrate((t_u, t_c), loss="huber").checks if check.name == "outliers")
    assert (found.verdict, found.p) == ("not checked", None)


def test_precise_readings_converge():
    rng = np.random.default_rng(9)
    t_u = np.linspace(0, 100, 30)
    t_c = 1.001 * t_u - 0.2 + rng.normal(0, 0.005, 30)
    t_c[7] += 5
    result = calibrate((t_u, t_c), loss="huber")
    assert result.status is Status.CONVERGED
    assert record_of(result).as_dict()["robust"]["set_aside"] == [8]
    assert equation(record_of(result)).startswith("t_c = 1.00")
    assert result.curve.observation_sd == pytest.approx(0.005, rel=0.5)


def test_stated_uncertainties_do_not_go_with_it():
    readings = Readings(T_U, T_C, u_c=np.ones(11))
    with pytest.raises(SettingsError, match="after Huber's loss"):
        calibrate(readings, loss="huber", uncertainty_from="stated")
    assert [check.name for check in calibrate(readings, loss="huber").checks if check.name == "consistency"] == []


def test_without_outliers_it_is_nearly_least_squares():
    weighted = Readings(T_U, T_C, u_c=np.linspace(0.5, 1.5, 11))
    for data in ((T_U, T_C), weighted):
        squared, huber = calibrate(data, uncertainty_from="residuals"), calibrate(data, loss="huber")
        assert huber.w == pytest.approx(squared.w, abs=squared.curve.u_w)
        assert huber.curve.u_w == pytest.approx(squared.curve.u_w, rel=0.3)
        assert record_of(huber).as_dict()["uncertainty"]["from"] == "residuals"
