"""The checks on a line: what each sees, and that it says so; figures against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

import tempfit
from tempfit.calibration import calibrate
from tempfit.checks import Verdict
from tempfit.readings import Readings
from tests.conftest import T_C, T_U

N = 40
T = np.linspace(-10, 60, N)


def line(rng, sd=0.1):
    return 0.5 * T + 3 + rng.normal(0, sd, N)


def check(result, name):
    (found,) = [check for check in result.checks if check.name == name]
    return found


def test_a_good_line_passes_all():
    result = calibrate((T, line(np.random.default_rng(3))))
    assert [check.name for check in result.checks] == [
        "slope", "curvature", "outliers", "influence", "autocorrelation", "heteroscedasticity", "descent"
    ]  # fmt: skip
    assert {check.verdict for check in result.checks} == {Verdict.PASSES}
    assert result.usable
    values = result.as_dict()
    assert values["usable"] is True
    curvature = check(result, "curvature")
    assert values["checks"][1] == {
        "name": "curvature",
        "measure": "F",
        "figure": curvature.figure,
        "p": curvature.p,
        "verdict": "passes",
        "sentence": curvature.sentence,
    }


def test_curvature_is_the_f_test_of_nested_models():
    """F = (RSS₁ − RSS₂) / (RSS₂ / (n − 3)), of two polynomials fitted by numpy; with weights, too."""
    rng = np.random.default_rng(0)
    for u_c in (None, rng.uniform(0.1, 1, 11)):
        w = None if u_c is None else 1 / u_c
        fits = (np.polyval(np.polyfit(T_U, T_C, degree, w=w), T_U) for degree in (1, 2))
        rss = [np.sum(((fit - T_C) * (1 if w is None else w)) ** 2) for fit in fits]
        figure = (rss[0] - rss[1]) / (rss[1] / 8)
        found = check(calibrate(Readings(T_U, T_C, u_c=u_c)), "curvature")
        assert found.figure == pytest.approx(figure, rel=1e-9)
        assert found.p == pytest.approx(scipy.stats.f.sf(figure, 1, 8), rel=1e-9)


def test_a_bent_thermometer_should_not_be_used_as_a_line():
    rng = np.random.default_rng(3)
    bent = line(rng) + 2e-3 * (T - 25) ** 2
    result = calibrate((T, bent))
    found = check(result, "curvature")
    assert found.verdict is Verdict.FAILS
    assert 'use `model="polynomial", degree=2`' in found.sentence
    assert not result.usable
    assert check(calibrate((T, bent), model="polynomial"), "curvature").verdict is Verdict.PASSES
    assert calibrate((T, bent), model="polynomial").usable


def test_a_curvature_that_the_scatter_hides_does_no_harm():
    rng = np.random.default_rng(4)
    t_u = np.repeat(T, 2000)
    t_c = 0.5 * t_u + rng.normal(0, 0.1, len(t_u)) + 5e-6 * (t_u - 25) ** 2
    found = check(calibrate((t_u, t_c)), "curvature")
    assert found.p < 0.001
    assert found.verdict is Verdict.PASSES
    assert "which the scatter hides" in found.sentence


def test_an_outlier_is_named():
    t_c = line(np.random.default_rng(5))
    t_c[16] += 2
    result = calibrate((T, t_c))
    found = check(result, "outliers")
    assert found.verdict is Verdict.DOUBTFUL
    assert found.sentence.startswith("reading 17 lies off the line (largest studentized residual")
    # Externally studentized by leaving it out: the residual over the standard deviation of its prediction.
    others = calibrate((np.delete(T, 16), np.delete(t_c, 16))).exact
    expected = (t_c[16] - others.predict(T[16])) / others.u_prediction(T[16])
    assert found.figure == pytest.approx(abs(expected), rel=1e-9)


def test_an_outlier_that_moves_the_line_refuses_it():
    t_c = line(np.random.default_rng(5))
    t_c[-1] += 5
    result = calibrate((T, t_c))
    assert check(result, "outliers").verdict is Verdict.FAILS
    assert not result.usable


def test_cooks_distance_is_how_far_the_line_moves():
    """D = (ŷ − ŷ₍ᵢ₎)ᵀ(ŷ − ŷ₍ᵢ₎) / (p s²), from leaving each reading out."""
    exact = calibrate((T_U, T_C)).exact
    moved = []
    for i in range(11):
        other = calibrate((np.delete(T_U, i), np.delete(T_C, i))).exact
        moved.append(np.sum((exact.predict(T_U) - other.predict(T_U)) ** 2) / (2 * exact.residual_sd**2))
    assert check(calibrate((T_U, T_C)), "influence").figure == pytest.approx(max(moved), rel=1e-9)


def test_a_reading_that_the_line_follows():
    rng = np.random.default_rng(6)
    t_u = np.append(rng.normal(20, 0.5, 20), 80.0)
    found = check(calibrate((t_u, 0.5 * t_u + rng.normal(0, 0.1, 21))), "influence")
    assert found.verdict is Verdict.DOUBTFUL
    assert "reading 21" in found.sentence


def test_drift_shows_in_the_order_of_the_file():
    rng = np.random.default_rng(7)
    order = rng.permutation(N)
    t_u, drift = T[order], np.linspace(0, 1, N)
    found = check(calibrate((t_u, 0.5 * t_u + drift + rng.normal(0, 0.05, N))), "autocorrelation")
    assert found.verdict is Verdict.DOUBTFUL
    assert "something drifts" in found.sentence
    residual = calibrate((T_U, T_C)).exact.predict(T_U) - T_C
    durbin_watson = np.sum(np.diff(residual) ** 2) / np.sum(residual**2)
    assert check(calibrate((T_U, T_C)), "autocorrelation").figure == pytest.approx(durbin_watson, rel=1e-9)
    alternating = check(calibrate((T, 0.5 * T + 0.1 * (-1.0) ** np.arange(N))), "autocorrelation")
    assert "alternate" in alternating.sentence


def test_scatter_that_grows():
    rng = np.random.default_rng(8)
    t_u = np.tile(T, 5)
    result = calibrate((t_u, 0.5 * t_u + (0.02 + 0.005 * (t_u + 10)) * rng.normal(size=len(t_u))))
    found = check(result, "heteroscedasticity")
    assert (found.verdict, "the scatter grows" in found.sentence) == (Verdict.DOUBTFUL, True)
    # n R² of a regression of the squared residuals on the readings, by scipy.
    squares = (result.exact.predict(t_u) - result.readings.t_c) ** 2
    expected = len(t_u) * scipy.stats.linregress(t_u, squares).rvalue ** 2
    assert found.figure == pytest.approx(expected, rel=1e-9)


def test_consistency_with_the_stated_uncertainties():
    t_c = line(np.random.default_rng(9))
    right, small, large = (calibrate(Readings(T, t_c, u_c=np.full(N, u))) for u in (0.1, 0.03, 1.0))
    assert check(right, "consistency").verdict is Verdict.PASSES
    found = check(small, "consistency")
    assert found.verdict is Verdict.FAILS
    assert found.p == pytest.approx(scipy.stats.chi2.sf(small.exact.chi_squared, N - 2), rel=1e-9)
    assert not small.usable
    assert "look too large" in check(large, "consistency").sentence
    scatter = calibrate(Readings(T, t_c, u_c=np.full(N, 0.03)), uncertainty_from="residuals")
    assert [found.name for found in scatter.checks if found.name == "consistency"] == []  # weights without a size
    assert scatter.usable


@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ({}, Verdict.PASSES),
        ({"scaling": "factor", "learning_rate": 1e-2, "n_epochs": 2000}, Verdict.DOUBTFUL),
        ({"scaling": "none", "learning_rate": 1e-4, "n_epochs": 1000}, Verdict.FAILS),
        ({"scaling": "none", "learning_rate": 1e-2}, Verdict.FAILS),
        ({"l2": 1.0}, Verdict.FAILS),
    ],
)
def test_a_descent_that_did_not_arrive_should_not_be_used(options, verdict):
    result = calibrate((T_U, T_C), **options)
    assert check(result, "descent").verdict is verdict
    assert result.usable is (verdict is not Verdict.FAILS)


def test_a_perfect_line_has_nothing_to_test():
    result = calibrate(([1.0, 2.0, 3.0, 4.0], [3.0, 5.0, 7.0, 9.0]))
    assert result.usable
    assert check(result, "scatter").verdict is Verdict.DOUBTFUL
    three = calibrate(([1.0, 2.0, 3.0], [3.0, 5.0, 7.1]))  # one degree of freedom: an F test has none left
    for found in (result, three):
        not_checked = [check.name for check in found.checks if check.verdict is Verdict.NOT_CHECKED]
        assert not_checked == ["curvature", "outliers", "influence", "autocorrelation", "heteroscedasticity"]
    assert three.usable


def test_a_thermometer_that_tells_nothing():
    rng = np.random.default_rng(12)
    for t_c in (rng.normal(20, 1, N), np.full(N, 20.0)):
        result = calibrate((T, t_c))
        assert check(result, "slope").verdict is Verdict.FAILS
        assert "the reading t_u tells nothing of t_c" in check(result, "slope").sentence
        assert not result.usable
    # F of the slope is the square of Student's t of scipy's linregress.
    found, reference = check(calibrate((T_U, T_C)), "slope"), scipy.stats.linregress(T_U, T_C)
    assert found.figure == pytest.approx((reference.slope / reference.stderr) ** 2, rel=1e-9)
    assert found.p == pytest.approx(reference.pvalue, rel=1e-6)


def test_misfit_that_hides_in_its_own_scatter():
    """A thermistor as a line: eleven readings are too few for the F test alone, but their residuals are alike."""
    t_c = np.linspace(0, 100, 11)
    kelvin = t_c + 273.15
    resistance = 10_000 * np.exp(3950 * (1 / kelvin - 1 / 298.15))
    result = calibrate((resistance, t_c))
    assert not result.usable
    assert check(result, "curvature").verdict is Verdict.FAILS


def test_two_temperatures_show_no_curvature():
    result = calibrate(([0.0, 0.0, 0.0, 10.0, 10.0, 10.0], [1.0, 1.1, 0.9, 6.0, 6.1, 5.8]))
    assert "too few different readings" in check(result, "curvature").sentence
    assert check(result, "curvature").verdict is Verdict.NOT_CHECKED
    assert check(result, "curvature").p is None
    assert tempfit.calibrate(result.readings).usable


def test_networks_have_no_line_to_check():
    result = calibrate((T_U, T_C), model="mlp", n_epochs=20)
    assert result.checks == ()
    assert result.as_dict()["uncertainty"] is None
