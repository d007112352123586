"""The uncertainties of a calibration: published values, exact arithmetic, laws, and simulation."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

import tempfit
from tempfit.calibration.equation import equation
from tempfit.calibration.parts import CurveRecord
from tempfit.calibration.pipeline import calibrate, judge
from tempfit.calibration.recording import record_of
from tempfit.config import CalibrationConfig
from tempfit.descent.batches import fit_setups
from tempfit.descent.setup import normalize
from tempfit.errors import ReadingsError, SettingsError
from tempfit.readings.paired import Readings
from tests.conftest import T_C, T_U
from tests.exact.test_least_squares import GUM_B, GUM_T


def exact_line(x, y, weights=None):
    """Slope, intercept, (XᵀWX)⁻¹ and the weighted residual sum of squares in rational arithmetic."""
    x, y = [Fraction(float(v)) for v in x], [Fraction(float(v)) for v in y]
    w = [Fraction(1)] * len(x) if weights is None else [Fraction(float(v)) for v in weights]
    s = sum(w)
    sx, sy = sum(a * b for a, b in zip(w, x, strict=True)), sum(a * b for a, b in zip(w, y, strict=True))
    sxx = sum(a * b * b for a, b in zip(w, x, strict=True))
    sxy = sum(a * b * c for a, b, c in zip(w, x, y, strict=True))
    determinant = s * sxx - sx * sx
    slope, intercept = (s * sxy - sx * sy) / determinant, (sxx * sy - sx * sxy) / determinant
    rss = sum(a * (c - slope * b - intercept) ** 2 for a, b, c in zip(w, x, y, strict=True))
    cofactor = [[s / determinant, -sx / determinant], [-sx / determinant, sxx / determinant]]
    return slope, intercept, cofactor, rss


@pytest.mark.parametrize("by", ["the loop", "the exact solution"])
@pytest.mark.parametrize("settings", [{}, {"scaling": "factor", "learning_rate": 0.03, "n_epochs": 100_000}])
def test_the_tutorial_to_ten_digits(by, settings):
    """The first digits from the design's table, all from the readings as decimals in rational arithmetic."""
    x, y = ([Fraction(str(v)) for v in values] for values in (T_U, T_C))
    n, sx, sy = len(x), sum(x), sum(y)
    sxx, sxy = sum(a * a for a in x), sum(a * b for a, b in zip(x, y, strict=True))
    determinant = n * sxx - sx * sx
    w, b = (n * sxy - sx * sy) / determinant, (sxx * sy - sx * sxy) / determinant
    assert (w, b) == (Fraction(152075, 283314), Fraction(-2451344, 141657))
    variance = sum((v - w * a - b) ** 2 for a, v in zip(x, y, strict=True)) / 9
    mean = variance * (Fraction(1, n) + (50 - sx / n) ** 2 * n / determinant)

    result = calibrate((T_U, T_C), **settings)
    curve = result.curve if by == "the loop" else result.exact
    reported = (
        record_of(result).as_dict()["uncertainty"]
        if by == "the loop"
        else record_of(result).as_dict()["exact"]["uncertainty"]
    )
    ten = {"rel": 1e-10}
    assert (curve.w, curve.b) == (pytest.approx(float(w), **ten), pytest.approx(float(b), **ten))
    assert reported["w"] == pytest.approx(0.0355386003267285, **ten)
    assert reported["b"] == pytest.approx(1.92722725958692839, **ten)
    assert reported["correlation"] == pytest.approx(-0.955206236195554, **ten)
    assert reported["covariance"] == pytest.approx(-float(variance * sx / determinant), **ten)
    assert reported["residual_sd"] == pytest.approx(1.89162191664695914, **ten)
    assert reported["degrees_of_freedom"] == 9
    assert reported["coverage_factor"] == pytest.approx(scipy.stats.t.ppf(0.975, 9), rel=1e-12)
    assert float(curve.predict(50)) == pytest.approx(9.533810542, **ten)
    assert float(curve.u_mean(50)) == pytest.approx(float(mean) ** 0.5, **ten)
    assert float(curve.u_mean(50)) == pytest.approx(0.573922, abs=5e-7)
    assert float(curve.u_prediction(50)) == pytest.approx(float(mean + variance) ** 0.5, **ten)
    assert float(curve.u_prediction(50)) == pytest.approx(1.976770, abs=5e-7)
    assert result.exact.r_squared == pytest.approx(0.962045844101530, **ten)


def test_gum_annex_h3_about_20_degrees():
    """JCGM 100:2008, H.3: every published figure, and more digits of them; b(t) = y1 + y2 (t − 20 °C)."""
    result = calibrate((GUM_T, GUM_B), t0=20)
    for curve in (result.curve, result.exact):
        assert curve.b == pytest.approx(-0.171203790131, rel=1e-10)
        assert curve.u_b == pytest.approx(0.002877597836, rel=1e-9)
        assert curve.w == pytest.approx(0.002182697740, rel=1e-9)
        assert curve.u_w == pytest.approx(0.000667938773, rel=1e-9)
        assert curve.correlation == pytest.approx(-0.930429603, rel=1e-9)
        assert curve.observation_sd == pytest.approx(0.003497563964, rel=1e-9)
        assert float(curve.predict(30)) == pytest.approx(-0.1494, abs=5e-5)
        assert float(curve.u_mean(30)) == pytest.approx(0.004138595753, rel=1e-9)
        # As printed: y1 = −0.1712 (29), y2 = 0.00218 (67), r = −0.930, s = 0.0035, b(30) = −0.1494 (41).
        printed = [curve.b, curve.u_b, curve.u_w, curve.correlation, curve.observation_sd, float(curve.u_mean(30))]
        assert [f"{v:.{d}f}" for v, d in zip(printed, (4, 4, 5, 3, 4, 4), strict=True)] == [
            "-0.1712", "0.0029", "0.00067", "-0.930", "0.0035", "0.0041"
        ]  # fmt: skip
        assert f"{curve.w:.5f}" == "0.00218"
        assert curve.degrees_of_freedom == 9
    assert equation(record_of(result)) == "t_c = 0.002183 · (t_u − 20) − 0.1712"
    assert tempfit.calibrate((GUM_T, GUM_B)).curve.about(20).u_b == pytest.approx(result.curve.u_b, rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    scaling=st.sampled_from(["none", "factor", "minmax"]),
    factor=st.floats(0.01, 100),
    t0=st.sampled_from([0.0, 20.0, -1e3]),
    degree=st.integers(1, 3),
    stated=st.sampled_from([None, "residuals", "stated"]),
)
def test_uncertainties_do_not_depend_on_the_scaling(seed, scaling, factor, t0, degree, stated):
    rng = np.random.default_rng(seed)
    t_u = rng.uniform(-20, 80, 12)
    t_c = 0.5 * t_u + 1e-3 * t_u**2 + rng.normal(0, 0.2, 12)
    u_c = rng.uniform(0.05, 0.5, 12) if stated else None
    readings = Readings(t_u, t_c, u_c=u_c)
    common = {"model": "polynomial", "degree": degree, "t0": t0, "u_common": 0.1}
    common["uncertainty_from"] = stated or "auto"
    one = calibrate(readings, **common)
    if scaling == "factor":
        common["factor"] = factor
    other = calibrate(readings, scaling=scaling, **common, learning_rate=1e-9, n_epochs=1)
    assert other.exact.covariance == pytest.approx(one.exact.covariance, rel=1e-8)
    at = np.linspace(-40, 100, 7)
    assert other.exact.u_mean(at) == pytest.approx(one.exact.u_mean(at), rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scaling=st.sampled_from(["factor", "standardize", "minmax"]))
def test_uncertainties_of_the_loops_line_do_not_depend_on_the_scaling(seed, scaling):
    """The loop's own line, trained to its tolerance under each scaling."""
    rng = np.random.default_rng(seed)
    t_u = rng.uniform(0, 40, 9)
    t_c = 0.5 * t_u + rng.normal(0, 0.2, 9)
    rate = 0.9 * calibrate((t_u, t_c), scaling=scaling, n_epochs=1, learning_rate=1e-6).forecast.critical_learning_rate
    one = calibrate((t_u, t_c)).curve
    other = calibrate((t_u, t_c), scaling=scaling, learning_rate=rate, n_epochs=200_000).curve
    assert other.covariance == pytest.approx(one.covariance, rel=1e-8)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), u=st.floats(1e-6, 1e6), model=st.sampled_from(["line", "polynomial"]))
def test_equal_weights_are_no_weights(seed, u, model):
    rng = np.random.default_rng(seed)
    t_u = rng.uniform(-20, 80, 10)
    t_c = 0.5 * t_u + rng.normal(0, 0.2, 10)
    plain = calibrate((t_u, t_c), model=model)
    weighted = calibrate(Readings(t_u, t_c, u_c=np.full(10, u)), model=model, uncertainty_from="residuals")
    assert weighted.coefficients == pytest.approx(plain.coefficients, rel=1e-9)
    assert weighted.exact.coefficients == pytest.approx(plain.exact.coefficients, rel=1e-9)
    assert weighted.curve.covariance == pytest.approx(plain.curve.covariance, rel=1e-9)
    assert weighted.loss == pytest.approx(plain.loss, rel=1e-9)
    stated = calibrate(Readings(t_u, t_c, u_c=np.full(10, u)), model=model).curve
    assert stated.covariance == pytest.approx(plain.curve.covariance * (u / plain.residual_sd) ** 2, rel=1e-9)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), offset=st.sampled_from([0.0, 1e4]))
def test_weighted_lines_in_rational_arithmetic(seed, offset):
    """The loop's line and the exact one, with the covariance of ISO/TS 28037:2010, clause 6: (XᵀWX)⁻¹."""
    rng = np.random.default_rng(seed)
    t_u = offset + rng.uniform(-20, 80, 8)
    t_c = 0.5 * t_u + rng.normal(0, 0.2, 8)
    u_c = np.exp(rng.uniform(-4, 1, 8))
    w, b, cofactor, rss = exact_line(t_u, t_c, 1 / u_c**2)
    result = calibrate(Readings(t_u, t_c, u_c=u_c))
    # The loop leaves 1e-12 of the error at its start, which an offset of 1e4 makes large.
    for curve, tolerance in ((result.curve, 1e-9 + 1e-12 * offset), (result.exact, 1e-9)):
        assert curve.w == pytest.approx(float(w), rel=tolerance)
        assert curve.b == pytest.approx(float(b), rel=1e-8, abs=tolerance * offset)
        assert curve.covariance == pytest.approx(np.array(cofactor, dtype=float), rel=1e-8)
        assert curve.degrees_of_freedom == np.inf
        assert float(curve.coverage_factor()) == pytest.approx(scipy.stats.norm.ppf(0.975), rel=1e-12)
    assert result.exact.chi_squared == pytest.approx(float(rss), rel=1e-7)


def test_x_near_1e8_with_a_spread_of_1e_2():
    """As hard as the NIST's StRD of higher difficulty: the sums of squares of such readings have no digit left."""
    rng = np.random.default_rng(7)
    t_u = 1e8 + rng.uniform(0, 1e-2, 30)
    t_c = 3.0 + 250.0 * (t_u - 1e8) + rng.normal(0, 1e-3, 30)
    w, b, cofactor, rss = exact_line(t_u, t_c)
    result = calibrate((t_u, t_c))
    for curve in (result.curve, result.exact):
        assert curve.w == pytest.approx(float(w), rel=1e-9)
        assert curve.b == pytest.approx(float(b), rel=1e-9)
        assert curve.u_w == pytest.approx(float(cofactor[0][0] * rss / 28) ** 0.5, rel=1e-9)
        assert float(curve.predict(t_u[3])) == pytest.approx(float(w * Fraction(t_u[3]) + b), rel=1e-9)


# Simulated calibrations, all trained as members of one batch.
N_SIMULATED = 2000
TRUE_W, TRUE_B, SD = 0.5368, -17.3, 1.9


@pytest.fixture(scope="module")
def simulated():
    rng = np.random.default_rng(20)
    config = CalibrationConfig()
    data = [Readings(T_U, TRUE_W * T_U + TRUE_B + rng.normal(0, SD, len(T_U))) for _ in range(N_SIMULATED)]
    setups = [normalize(readings, config) for readings in data]
    trained = fit_setups(setups)
    return [judge(readings, setup, fit) for readings, setup, fit in zip(data, setups, trained, strict=True)]


def within_binomial_error(hits: int, n: int, p: float) -> bool:
    """Four standard deviations: one in 16,000 by chance, and the seed is fixed."""
    return abs(hits - n * p) < 4 * (n * p * (1 - p)) ** 0.5


@pytest.mark.integration
@pytest.mark.parametrize("t_u", [20.0, 50.0, 90.0])
def test_the_bands_cover_what_they_say(simulated, t_u):
    rng = np.random.default_rng(int(t_u))
    truth = TRUE_W * t_u + TRUE_B
    observed = truth + rng.normal(0, SD, N_SIMULATED)
    bands = [(c.curve.confidence_band(t_u), c.curve.prediction_band(t_u)) for c in simulated]
    confident = sum(bool(low <= truth <= high) for (low, high), _ in bands)
    predicted = sum(bool(low <= t_c <= high) for (_, (low, high)), t_c in zip(bands, observed, strict=True))
    assert within_binomial_error(confident, N_SIMULATED, 0.95)
    assert within_binomial_error(predicted, N_SIMULATED, 0.95)
    # A check that can fail: bands with the normal k in place of Student's cover less.
    k = scipy.stats.norm.ppf(0.975) / scipy.stats.t.ppf(0.975, 9)
    narrower = sum(bool(abs(c.curve.predict(t_u) - truth) <= k * (high - low) / 2)
                   for c, ((low, high), _) in zip(simulated, bands, strict=True))  # fmt: skip
    assert not within_binomial_error(narrower, N_SIMULATED, 0.95)


@pytest.mark.integration
def test_the_inverse_covers_what_it_says(simulated):
    """The reading for a temperature, from a single observation of it."""
    rng = np.random.default_rng(3)
    truth = 55.0
    observed = TRUE_W * truth + TRUE_B + rng.normal(0, SD, N_SIMULATED)
    found = [c.curve.invert(t_c) for c, t_c in zip(simulated, observed, strict=True)]
    hits = sum(bool(inverse.low <= truth <= inverse.high) for inverse in found)
    assert within_binomial_error(hits, N_SIMULATED, 0.95)


@pytest.mark.integration
def test_p_values_of_the_checks_are_uniform(simulated):
    """Of readings that a line explains, a share p of all p-values is below p; those of Bonferroni at most."""
    for name in ("curvature", "autocorrelation"):
        p = [check.p for c in simulated for check in c.checks if check.name == name]
        assert len(p) == N_SIMULATED
        assert scipy.stats.kstest(p, "uniform").pvalue > 1e-3, name
    p = np.array([check.p for c in simulated for check in c.checks if check.name == "outliers"])
    assert (p < 0.01).mean() < 0.015
    doubted = sum(any(check.verdict in ("doubtful", "fails") for check in c.checks) for c in simulated)
    assert doubted < 0.05 * N_SIMULATED
    assert sum(c.usable for c in simulated) > 0.995 * N_SIMULATED


def test_what_the_references_have_in_common():
    """It adds to the variance of the intercept and of everything read off the line, and to no other."""
    plain, common = calibrate((T_U, T_C)).curve, calibrate((T_U, T_C), u_common=0.3).curve
    assert common.u_w == plain.u_w
    assert common.u_b == pytest.approx(np.hypot(plain.u_b, 0.3), rel=1e-12)
    assert common.covariance[0, 1] == plain.covariance[0, 1]
    assert common.u_mean([20.0, 50.0]) == pytest.approx(np.hypot(plain.u_mean([20.0, 50.0]), 0.3), rel=1e-12)
    assert float(common.u_prediction(50)) == pytest.approx(np.hypot(float(plain.u_prediction(50)), 0.3), rel=1e-12)
    # Welch–Satterthwaite: ν_eff = u⁴ / (u_A⁴ / 9), between the fit's 9 and the normal's infinity.
    u, from_fit = float(common.u_mean(50)), float(plain.u_mean(50))
    expected = scipy.stats.t.ppf(0.975, 9 * (u / from_fit) ** 4)
    assert float(common.coverage_factor(u)) == pytest.approx(expected, rel=1e-12)
    assert 1.96 < expected < scipy.stats.t.ppf(0.975, 9)
    assert record_of(calibrate((T_U, T_C), u_common=0.3)).as_dict()["uncertainty"]["common"] == 0.3


def test_bands_and_coverage():
    curve = calibrate((T_U, T_C), coverage=0.9).curve
    low, high = curve.confidence_band(50)
    assert high - low == pytest.approx(2 * scipy.stats.t.ppf(0.95, 9) * curve.u_mean(50), rel=1e-12)
    assert np.array(curve.prediction_band([50])).mean() == pytest.approx(9.533810542, rel=1e-9)
    assert curve.is_extrapolated([21.7, 21.8, 81.9, 82.0]).tolist() == [True, False, False, True]


def test_curves_are_read_back_to_the_last_bit():
    for options in ({"t0": 20}, {"model": "polynomial", "degree": 4, "u_common": 0.1}):
        curve = calibrate((T_U, T_C), **options).curve
        again = CurveRecord.model_validate_json(CurveRecord.of(curve).model_dump_json()).to_curve()
        at = np.linspace(0, 100, 11)
        assert again.predict(at).tolist() == curve.predict(at).tolist()
        assert again.u_prediction(at).tolist() == curve.u_prediction(at).tolist()
        assert again.covariance.tolist() == curve.covariance.tolist()


def test_a_new_observation_is_as_uncertain_as_those_before_on_average():
    """Where stated uncertainties differ, a new observation gets their root mean square: the band covers a mixture."""
    rng = np.random.default_rng(4)
    t_u, u_c = np.linspace(0, 50, 20), np.linspace(0.05, 1, 20)
    readings = Readings(t_u, 0.5 * t_u + u_c * rng.normal(size=20), u_c=u_c)
    for options in ({}, {"uncertainty_from": "residuals"}):
        curve = calibrate(readings, **options).curve
        if not options:
            assert curve.observation_sd == pytest.approx(np.sqrt(np.mean(u_c**2)), rel=1e-12)
            assert curve.u_w == pytest.approx(float(exact_line(t_u, t_u, 1 / u_c**2)[2][0][0]) ** 0.5, rel=1e-9)
        rows = rng.integers(0, 20, 20_000)
        new = 0.5 * t_u[rows] + u_c[rows] * rng.normal(size=20_000)
        low, high = curve.prediction_band(t_u[rows])
        assert 0.9 < np.mean((low <= new) & (new <= high)) < 0.99


def test_folds_of_weighted_readings_share_their_unit():
    """Each judged in units of the whole: precise readings that fall into one fold do not change the others' size."""
    rng = np.random.default_rng(6)
    t_u = np.linspace(0, 50, 40)
    u_c = np.where(np.arange(40) < 20, 0.1, 1.0)
    readings = Readings(t_u, 0.5 * t_u + u_c * rng.normal(size=40), u_c=u_c)
    for folds in (2, 5, 40):
        result = calibrate(readings, folds=folds)
        assert not result.validation.overfits
        assert result.validation.final == pytest.approx(result.loss, rel=0.5)


def test_fingerprints_tell_columns_apart():
    six = Readings(np.arange(6.0), np.arange(6.0) + 10)
    values = np.concatenate([six.t_u, six.t_c])
    four = Readings(values[:4], values[4:8], u_c=values[8:])
    assert six.sha256 != four.sha256


def test_stated_uncertainties_have_to_be_there():
    with pytest.raises(SettingsError, match="stated needs the column u_c"):
        calibrate((T_U, T_C), uncertainty_from="stated")
    with pytest.raises(ReadingsError, match="row 3, column 'u_c': 0 is no standard uncertainty"):
        Readings(T_U, T_C, u_c=np.where(np.arange(11) == 2, 0.0, 1.0))
    with pytest.raises(ReadingsError, match='give both, or ignore them by `u_u="none"`'):
        Readings(T_U, T_C, u_u=np.ones(11))
    weights = np.where(np.arange(11) == 4, 1e-9, 1.0)
    with pytest.raises(ReadingsError, match=r"all the weight is on readings of 56\.3"):
        calibrate(Readings(T_U, T_C, u_c=weights))


def test_weighted_networks_and_held_out_readings():
    """A network's rows are weighted like a line's; equal weights change nothing."""
    options = {"model": "mlp", "hidden": "3", "n_epochs": 50, "holdout_rows": "2,10"}
    plain = calibrate((T_U, T_C), **options)
    equal = calibrate(Readings(T_U, T_C, u_c=np.full(11, 0.3)), **options)
    assert equal.loss == pytest.approx(plain.loss, rel=1e-9)
    assert equal.rmse == pytest.approx(plain.rmse, rel=1e-9)
    assert equal.validation.final == pytest.approx(plain.validation.final, rel=1e-9)
    other = calibrate(Readings(T_U, T_C, u_c=np.linspace(0.1, 1, 11)), **options)
    assert other.loss != pytest.approx(plain.loss, rel=1e-3)
    assert other.curve is None
