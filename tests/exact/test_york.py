"""Lines through readings of which both axes are uncertain, against published fits and an independent minimum."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from tempfit.calibration.pipeline import calibrate
from tempfit.config import CalibrationConfig
from tempfit.descent.setup import normalize
from tempfit.errors import ReadingsError, SettingsError
from tempfit.readings.paired import Readings
from tempfit.studies.grid import make_grid
from tempfit.studies.sweep import plan_sweep, run_sweep
from tempfit.words import Outcome, Status
from tests.conftest import T_C, T_U

# Pearson's points with York's weights; the fit as York et al. (2004) and York (1966) print it.
PEARSON_X = np.array([0.0, 0.9, 1.8, 2.6, 3.3, 4.4, 5.2, 6.1, 6.5, 7.4])
PEARSON_Y = np.array([5.9, 5.4, 4.4, 4.6, 3.5, 3.7, 2.8, 2.8, 2.4, 1.5])
WEIGHTS_X = np.array([1000, 1000, 500, 800, 200, 80, 60, 20, 1.8, 1])
WEIGHTS_Y = np.array([1, 1.8, 4, 8, 20, 20, 70, 70, 100, 500])
PEARSON = Readings(PEARSON_X, PEARSON_Y, u_c=WEIGHTS_Y**-0.5, u_u=WEIGHTS_X**-0.5)

# The example of ISO/TS 28037:2010, clause 7.
ISO = Readings(
    np.array([1.2, 1.9, 2.9, 4.0, 4.7, 5.9]),
    np.array([3.4, 4.4, 7.2, 8.5, 10.8, 13.5]),
    u_c=np.array([0.2, 0.2, 0.2, 0.4, 0.4, 0.4]),
    u_u=np.full(6, 0.2),
)


def test_pearsons_points_with_yorks_weights():
    result = calibrate(PEARSON)
    assert result.config.loss == "york"
    assert result.status is Status.CONVERGED
    for curve in (result.curve, result.exact):
        assert curve.w == pytest.approx(-0.480533407, abs=5e-10)
        assert curve.b == pytest.approx(5.47991022, abs=5e-9)
        assert curve.u_w == pytest.approx(0.0579850, abs=5e-8)
        assert curve.u_b == pytest.approx(0.2949707, abs=5e-8)
    assert result.exact.chi_squared == pytest.approx(11.8663532, abs=5e-8)
    (consistency,) = [check for check in result.checks if check.name == "consistency"]
    assert consistency.figure == pytest.approx(11.8663532, abs=5e-8)
    assert consistency.p == pytest.approx(scipy.stats.chi2.sf(11.8663532, 8), rel=1e-6)


def test_the_example_of_iso_28037():
    curve = calibrate(ISO).curve
    assert curve.b == pytest.approx(0.5788, abs=5e-5)
    assert curve.w == pytest.approx(2.1597, abs=5e-5)
    assert curve.u_b == pytest.approx(0.4764, abs=5e-5)
    assert curve.u_w == pytest.approx(0.1355, abs=5e-5)
    assert curve.covariance[0, 1] == pytest.approx(-0.0577, abs=5e-5)
    assert calibrate(ISO).exact.chi_squared == pytest.approx(2.743, abs=5e-4)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scaling=st.sampled_from(["standardize", "minmax"]))
def test_the_loop_and_the_iteration_find_the_lowest_chi_squared(seed, scaling):
    rng = np.random.default_rng(seed)
    u_u, u_c = rng.uniform(0.1, 1, 12), rng.uniform(0.1, 1, 12)
    truth = rng.uniform(-10, 40, 12)
    readings = Readings(
        truth + u_u * rng.normal(size=12), 0.6 * truth - 3 + u_c * rng.normal(size=12), u_c=u_c, u_u=u_u
    )
    result = calibrate(readings, scaling=scaling, n_epochs=50_000)

    def chi_squared(params):
        w, b = params
        return float(((readings.t_c - w * readings.t_u - b) ** 2 / (u_c**2 + w**2 * u_u**2)).sum())

    found = scipy.optimize.minimize(
        chi_squared, [0.6, -3.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}
    )
    assert (result.exact.w, result.exact.b) == pytest.approx(tuple(found.x), rel=1e-5, abs=1e-5)
    assert result.exact.chi_squared == pytest.approx(chi_squared((result.exact.w, result.exact.b)), rel=1e-9)
    assert (result.w, result.b) == pytest.approx((result.exact.w, result.exact.b), rel=1e-7, abs=1e-7)
    assert result.outcome is Outcome.ARRIVES
    assert result.loss * result.exact.n / result.exact.variance == pytest.approx(result.exact.chi_squared, rel=1e-9)


@pytest.mark.parametrize(
    ("slope", "offset", "u_u"), [(0.5, 273.15, 0.5), (0.5, 2.0, 2.0), (10.0, 0.0, 0.5), (0.5, 1e6, 0.5)]
)
def test_descent_finds_its_way_from_anywhere(slope, offset, u_u):
    """York's χ² grows flat where w is large: a start far from the line would run away."""
    rng = np.random.default_rng(1)
    truth = np.linspace(0, 50, 11)
    t_u, t_c = truth + u_u * rng.normal(size=11), slope * truth + offset + 0.2 * rng.normal(size=11)
    result = calibrate(Readings(t_u, t_c, u_c=np.full(11, 0.2), u_u=np.full(11, u_u)))
    assert (result.status, result.outcome, result.usable) == (Status.CONVERGED, Outcome.ARRIVES, True)
    assert result.w == pytest.approx(result.exact.w, rel=1e-8 + 1e-12 * offset)


def test_an_outlier_is_studentized_at_the_adjusted_reading():
    rng = np.random.default_rng(2)
    truth = np.linspace(0, 50, 12)
    t_c = 0.5 * truth + 0.1 * rng.normal(size=12)
    t_c[5] += 30
    readings = Readings(truth + 2 * rng.normal(size=12), t_c, u_c=np.full(12, 0.1), u_u=np.full(12, 2.0))
    (found,) = [check for check in calibrate(readings).checks if check.name == "outliers"]
    assert found.sentence.startswith("reading 6 lies off the line")
    assert "huber" not in found.sentence
    assert 10 < found.figure < 1000


def test_certain_readings_are_a_weighted_fit():
    u_c = np.linspace(0.1, 1, 11)
    york = calibrate(Readings(T_U, T_C, u_c=u_c, u_u=np.zeros(11)))
    weighted = calibrate(Readings(T_U, T_C, u_c=u_c))
    assert (york.config.loss, weighted.config.loss) == ("york", "squared")
    assert york.exact.covariance == pytest.approx(weighted.exact.covariance, rel=1e-12)
    assert (york.w, york.b) == pytest.approx((weighted.w, weighted.b), rel=1e-9)
    assert york.loss == pytest.approx(weighted.loss, rel=1e-9)


@pytest.mark.integration
def test_stated_uncertainties_cover_the_truth():
    """2,000 simulated calibrations: w within 1.96 u(w) in 95 % of them, to four binomial standard deviations."""
    rng = np.random.default_rng(11)
    truth, config = np.linspace(0, 50, 10), CalibrationConfig(loss="york")
    hits = 0
    for _ in range(2000):
        readings = Readings(
            truth + 0.5 * rng.normal(size=10),
            0.8 * truth + 2 + 0.3 * rng.normal(size=10),
            u_c=np.full(10, 0.3),
            u_u=np.full(10, 0.5),
        )
        exact = normalize(readings, config).problem.exact
        hits += abs(exact.w - 0.8) < scipy.stats.norm.ppf(0.975) * exact.u_w
    assert abs(hits - 1900) < 4 * (2000 * 0.95 * 0.05) ** 0.5


def test_what_cannot_be_fitted_so_is_refused():
    both = Readings(T_U, T_C, u_c=np.ones(11), u_u=np.ones(11))
    for options in ({"loss": "huber"}, {"model": "polynomial"}, {"model": "mlp"}):
        with pytest.raises(SettingsError, match='`u_u="none"`'):
            calibrate(both, **options)
    with pytest.raises(SettingsError, match="york needs the columns u_c and u_u; <memory> has u_c alone"):
        calibrate(Readings(T_U, T_C, u_c=np.ones(11)), loss="york")
    with pytest.raises(SettingsError, match='`loss="york"` is for `model="line"`'):
        calibrate(both, loss="york", model="polynomial")
    u_c, u_u = np.array([10, 1, 0.1, 1]), np.array([1, 10, 100, 0.1])
    vague = Readings(np.array([1.0, 5, 6, 7]), np.array([0.0, -2, -2, -1]), u_c=u_c, u_u=u_u)
    with pytest.raises(ReadingsError, match="too large for the range of the readings"):
        calibrate(vague)


def test_york_in_folds_and_sweeps():
    result = calibrate(ISO, folds=3)
    assert 0.1 < result.validation.final / result.loss < 10
    sweep = run_sweep(plan_sweep(PEARSON, make_grid(CalibrationConfig(), ["scaling=standardize,minmax"])))
    assert [member.calibration.config.loss for member in sweep.members] == ["york", "york"]
    assert sweep.members[0].calibration.w == pytest.approx(-0.480533407, abs=5e-10)
    losses = run_sweep(plan_sweep(PEARSON, make_grid(CalibrationConfig(), ["loss=squared,huber"])))
    assert [member.name for member in losses.members] == ["loss york"]
    assert losses.axes[0].values == ("york", "huber")
    assert losses.as_dict()["left_out"][0]["name"] == "loss huber"
