"""Ratios of quadratic forms: closed forms, published bounds, and draws by seed."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from tempfit.calibration.quadratic_forms import Ratio, probability_below_zero


@pytest.mark.parametrize("ratio", [1e-12, 1e-4, 0.3, 1.0, 50.0])
def test_two_terms_in_closed_form(ratio):
    """P(z₁² < r z₂²) = 2/π atan √r."""
    assert probability_below_zero(np.array([1.0, -ratio])) == pytest.approx(
        2 / np.pi * np.arctan(ratio**0.5), abs=1e-12
    )


@pytest.mark.parametrize(("p", "q"), [(1, 2), (2, 1), (3, 5), (10, 4), (20, 18)])
def test_repeated_terms_follow_the_f_distribution(p, q):
    """P(a χ²ₚ < b χ²_q) is that of F(p, q) below bq/(ap); zero terms take no part."""
    for b in (0.01, 0.5, 1.0, 7.0):
        coefficients = np.array([1.0] * p + [-b] * q)
        expected = scipy.stats.f.cdf(b * q / p, p, q)
        assert probability_below_zero(coefficients) == pytest.approx(expected, abs=1e-12)
        assert probability_below_zero(np.append(1e6 * coefficients, 0.0)) == pytest.approx(expected, abs=1e-12)


# Savin and White, Econometrica 45 (1977) 1989, one regressor: n → (dL, dU) at 1 % and at 5 %.
SAVIN_WHITE = {
    6: ((0.390, 1.142), (0.610, 1.400)),
    7: ((0.435, 1.036), (0.700, 1.356)),
    10: ((0.604, 1.001), (0.879, 1.320)),
    15: ((0.811, 1.070), (1.077, 1.361)),
    20: ((0.952, 1.147), (1.201, 1.411)),
}


@pytest.mark.parametrize("n", SAVIN_WHITE)
def test_durbin_watson_bounds(n):
    """dL belongs to the lowest eigenvalues that a regressor can leave, 2 (1 − cos πj/n), and dU to the highest."""
    all_of_a = 2 * (1 - np.cos(np.pi * np.arange(1, n) / n))
    for level, bounds in zip((0.01, 0.05), SAVIN_WHITE[n], strict=True):
        for eigenvalues, bound in zip((all_of_a[:-1], all_of_a[1:]), bounds, strict=True):
            ratio = Ratio(np.diag(eigenvalues))
            # The bounds are rounded to 0.001.
            assert ratio.below(bound - 0.0006) < level < ratio.below(bound + 0.0006)


def test_limits_and_power_by_draws():
    """100,000 draws; four binomial standard deviations."""
    rng = np.random.default_rng(0)
    form = np.diag([0.3, 0.7, 1.5, 2.0, 3.9])
    ratio, root = Ratio(form), rng.normal(size=(5, 7)) * [3, 1, 1, 1, 1, 1, 0.1]
    low, high = ratio.quantiles(0.01)
    assert ratio.below(low) == pytest.approx(0.005, rel=2e-3)
    assert 1 - ratio.below(high) == pytest.approx(0.005, rel=2e-3)
    assert (ratio.below(0.3), ratio.below(3.9)) == (0, 1)
    u = rng.normal(size=(100_000, 7)) @ root.T
    drawn = np.square(u) @ np.diag(form) / np.square(u).sum(axis=1)
    power = ratio.power(root, (low, high))
    assert np.mean((drawn < low) | (drawn > high)) == pytest.approx(power, abs=4 * (power / 1e5) ** 0.5)
    assert ratio.power(np.eye(5), (low, high)) == pytest.approx(0.01, rel=2e-3)


def test_a_ratio_that_cannot_vary():
    assert Ratio(2.0 * np.eye(3)).is_constant
    assert not Ratio(np.diag([1.0, 2.0])).is_constant
