"""The checks on a line: what each sees, and that it says so; figures against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

import tempfit
from tempfit.calibration.pipeline import calibrate
from tempfit.calibration.quadratic_forms import Ratio
from tempfit.calibration.recording import record_of
from tempfit.readings.paired import Readings
from tempfit.report.summary import summary
from tempfit.words import Verdict
from tests import simulations
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
    values = record_of(result).as_dict()
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


@pytest.mark.parametrize("n", [4, 5, 11, 30])
def test_durbin_watson_is_exact_for_few_readings(n):
    """Of 50,000 draws of normal errors, a share p / 2 has a d that is as far out; four binomial standard deviations.

    Taken for a beta variable, d had a p that was off by 0.19 at n = 4 and by 0.06 at n = 5.
    """
    rng = np.random.default_rng(n)
    t_u = np.append(np.linspace(0, 10, n - 1), 3.3)
    x = np.vander(t_u, 2)
    hat = x @ np.linalg.pinv(x)
    draws = rng.normal(size=(50_000, n))
    residual = draws - draws @ hat
    d = np.square(np.diff(residual)).sum(axis=1) / np.square(residual).sum(axis=1)
    for share in (0.01, 0.1, 0.5, 0.9):
        at = int(np.argsort(d)[round(share * len(d))])
        ratio = Ratio(_differences(hat))
        assert ratio.below(d[at]) == pytest.approx(share, abs=4 * (share * (1 - share) / 5e4) ** 0.5)
        found = check(calibrate((t_u, 0.5 * t_u + 0.01 * draws[at])), "autocorrelation")
        if found.verdict is not Verdict.NOT_CHECKED:
            assert found.figure == pytest.approx(d[at], rel=1e-6)
            assert found.p == pytest.approx(2 * min(ratio.below(d[at]), 1 - ratio.below(d[at])), rel=1e-5)


def _differences(hat):
    """Durbin and Watson's form, in the coordinates that the hat matrix leaves."""
    values, vectors = np.linalg.eigh(np.eye(len(hat)) - hat)
    steps = np.diff(vectors[:, values > 0.5], axis=0)
    return steps.T @ steps


def test_durbin_watson_goes_over_into_its_approximation():
    """41 readings, from which on the moments' beta distribution is taken: within 0.001 of the exact p."""
    rng = np.random.default_rng(1)
    t_u = np.linspace(0, 10, 41)
    x = np.vander(t_u, 2)
    ratio = Ratio(_differences(x @ np.linalg.pinv(x)))
    for _ in range(20):
        found = check(calibrate((t_u, t_u + 0.1 * rng.normal(size=41))), "autocorrelation")
        below = ratio.below(found.figure)
        assert found.p == pytest.approx(2 * min(below, 1 - below), abs=1e-3)


@pytest.mark.parametrize("n", [4, 5, 7])
def test_what_few_readings_cannot_show_is_not_checked(n):
    """Nor is anything said of it: the most that these places allow is less than one in ten of plain cases."""
    t_u = np.linspace(0, 100, n)
    result = calibrate((t_u, 0.5 * t_u + np.random.default_rng(n).normal(0, 0.1, n)))
    for name, what in (
        ("autocorrelation", "a drift that is a random walk"),
        ("heteroscedasticity", "a scatter 10 times"),
    ):
        found = check(result, name)
        assert (found.verdict, found.p) == (Verdict.NOT_CHECKED, None)
        assert found.sentence.startswith(f"not checked: with {n} readings at these places, {what}")
        share = float(found.sentence.split("in ")[-1].split(" %")[0])
        assert 1 <= share < 10
    told = [text for label, text in summary(record_of(result)) if label == "not checked"]
    assert [text.split(":")[0] for text in told] == ["autocorrelation", "heteroscedasticity"]


def test_the_power_that_a_check_tells_is_what_it_has():
    """Random walks at eleven equidistant places, of which a check says that it sees 21 %; four standard deviations."""
    walks = simulations.calibrations(11, 500, lambda rng, x: (x, rng.normal(size=11).cumsum()), seed=2)
    found = [next(check for check in checks if check.name == "autocorrelation") for _, checks in walks]
    told = next(one.sentence for one in found if one.verdict is Verdict.PASSES)
    assert "a drift that is a random walk would be seen in 21 % of cases" in told
    seen = np.mean([one.verdict is Verdict.DOUBTFUL for one in found])
    assert seen == pytest.approx(0.21, abs=4 * (0.21 * 0.79 / 500) ** 0.5)


def test_what_a_check_says_that_it_would_have_seen():
    """Nine in ten: the noncentral t distribution of scipy's, with the scatter as it was."""
    result = calibrate((T_U, T_C))
    told = check(result, "curvature").sentence
    assert told.endswith("it would be from 5.4 °C on")
    square = np.polyval(np.polyfit(T_U, T_U**2, 1), T_U) - T_U**2
    sd = np.sqrt(np.sum((np.polyval(np.polyfit(T_U, T_C, 2), T_U) - T_C) ** 2) / 8)
    effect = 5.4 / np.abs(square).max() * np.sqrt(square @ square) / sd
    assert scipy.stats.nct.sf(scipy.stats.t.ppf(0.995, 8), 8, effect) == pytest.approx(0.9, abs=0.01)
    assert check(result, "outliers").sentence.endswith("a reading would be one from 14 °C on")


SINGLE = ([20.0, 20.0, 20.0, 20.0, 80.0], [1.0, 1.1, 0.9, 1.05, 31.0])


@pytest.mark.parametrize("u_c", [None, [0.1, 0.2, 0.1, 0.3, 0.1]])
def test_a_line_on_a_single_reading_is_refused_unless_it_is_accepted(u_c):
    t_u, t_c = (np.array(values) for values in SINGLE)
    readings = Readings(t_u, t_c, u_c=None if u_c is None else np.array(u_c))
    result = calibrate(readings, uncertainty_from="residuals" if u_c else "auto")
    found = check(result, "influence")
    assert (found.verdict, result.usable) == (Verdict.FAILS, False)
    assert "the line rests on reading 5 alone: the others lie at one place" in found.sentence
    assert "accept_single_reading" in found.sentence
    assert found.figure == pytest.approx(1, rel=1e-9)
    accepted = calibrate(readings, uncertainty_from="residuals" if u_c else "auto", accept_single_reading=True)
    assert (check(accepted, "influence").verdict, accepted.usable) == (Verdict.DOUBTFUL, True)


def test_a_single_reading_is_found_where_nothing_else_can_be_checked():
    for t_u, t_c in (([20.0, 20.0, 80.0], [1.0, 1.1, 31.0]), ([20.0, 20.0, 80.0], [1.0, 1.0, 31.0])):
        assert "rests on reading 3 alone" in check(calibrate((t_u, t_c)), "influence").sentence
        assert calibrate((t_u, t_c), accept_single_reading=True).usable
    parabola = calibrate(([0.0, 0, 50, 50, 100], [0.0, 0.1, 24.9, 25.0, 51.0]), model="polynomial")
    assert "the model rests on reading 5 alone: the others lie at 2 places" in check(parabola, "influence").sentence
    assert calibrate(([20.0, 20.0, 80.0, 80.0], [1.0, 1.1, 31.0, 31.2])).usable


def test_others_that_jitter_about_one_place_do_not_carry_a_line():
    """A cluster whose own slope is not significant is one place; one whose slope is, confirms the line."""
    rng = np.random.default_rng(4)
    t_u = np.append(20 + 0.01 * rng.normal(size=10), 80.0)
    jitter = calibrate((t_u, 0.5 * t_u + rng.normal(0, 0.1, 11)))
    assert not jitter.usable
    assert "reading 11 alone: the others tell no slope (F(1, 9)" in check(jitter, "influence").sentence
    wide = np.append(np.linspace(15, 25, 10), 200.0)
    assert calibrate((wide, 0.5 * wide + rng.normal(0, 0.1, 11))).usable


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


def test_scatter_of_few_readings_is_breusch_and_pagans():
    """Their own statistic, half the explained sum of squares of e² / σ̂², by numpy; its p by 200,000 draws."""
    rng = np.random.default_rng(4)
    t_u = np.linspace(0, 10, 15)
    t_c = t_u + np.linspace(0.01, 0.3, 15) * rng.normal(size=15)
    x = np.vander(t_u, 2)
    rest = np.eye(15) - x @ np.linalg.pinv(x)

    def statistic(errors):
        squares = np.square(errors @ rest)
        g = squares / squares.mean(axis=-1, keepdims=True)
        return 0.5 * np.square(g @ (t_u - 5)) / np.sum((t_u - 5) ** 2), g @ (t_u - 5)

    figure, slope = statistic(t_c)
    _, slopes = statistic(rng.normal(size=(200_000, 15)))
    found = check(calibrate((t_u, t_c)), "heteroscedasticity")
    assert found.figure == pytest.approx(float(figure), rel=1e-9)
    share = np.mean(slopes > slope)
    assert found.p == pytest.approx(2 * share, abs=8 * (share / 2e5) ** 0.5)
    assert (found.verdict, "the scatter grows" in found.sentence) == (Verdict.DOUBTFUL, True)


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
    assert record_of(result).as_dict()["uncertainty"] is None
