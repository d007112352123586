"""The exact optimum of Huber's loss, which weighs readings far from the line less, and how uncertain it is.

Huber: Robust estimation of a location parameter, Ann. Math. Statist. 35 (1964) 73; Huber and Ronchetti: Robust
Statistics, 2nd ed. (2009), chapter 7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tempfit.exact.design import Design

TUNING = 1.345  # standard deviations: 95 % efficient where errors are normal
NORMAL_MAD = 0.6745  # median of the absolute value of a standard normal variable
MOST_ITERATIONS, SCALE_ITERATIONS = 500, 50
CONVERGED = 1e-14  # of the residuals' root mean square at the start
SMALLEST_DELTA = 1e-2  # of the same: where most readings lie on a line exactly, descent needs some slope all the same
FALSE_ALARM = 0.01  # probability to set aside any reading of a good line
ROUNDING = 1e-12  # of the targets' root mean square: smaller residuals are those of a perfect fit


@dataclass(frozen=True, eq=False)
class Robust:
    """Where Huber's loss is lowest.

    params: (terms,). delta: the residual beyond which it grows linearly. weights: (rows,), by which least squares would
    end at the same params: 1 up to delta, less beyond. set_aside: (rows,), which readings lie so far from the line that
    chance does not explain it.
    observation_sd: what takes the place of s in the covariance s² (XᵀX)⁻¹; NaN where nothing tells it.
    degrees_of_freedom: of observation_sd.
    """

    params: NDArray[np.float64]
    delta: float
    weights: NDArray[np.float64]
    set_aside: NDArray[np.bool_]
    observation_sd: float
    degrees_of_freedom: float


def fit_huber(design: Design, delta: float | None) -> Robust:
    """Minimize Huber's loss of one member's rows by iteratively reweighted least squares.

    design: all rows, in well-conditioned terms. delta: None takes 1.345 robust standard deviations (the median absolute
    residual / 0.6745), found along the way.
    """
    features, targets = design.features[0], design.targets[0]
    params = _solve(features, targets, np.ones_like(targets))
    residual = targets - features @ params
    scale = math.sqrt(float(residual @ residual) / len(targets))
    size = math.sqrt(float(targets @ targets) / len(targets)) or 1.0
    fixed, n_terms = delta, features.shape[1]
    for iteration in range(MOST_ITERATIONS):
        if fixed is None and iteration < SCALE_ITERATIONS:
            deviation = _robust_sd(residual, n_terms)
            if deviation > ROUNDING * size:
                delta = TUNING * deviation
            else:  # most lie on the line exactly; where all do, nothing is to be set aside
                delta = SMALLEST_DELTA * scale if scale > ROUNDING * size else size
        assert delta is not None
        weights = np.minimum(1.0, delta / np.maximum(np.abs(residual), delta))
        before, params = params, _solve(features, targets, weights)
        residual = targets - features @ params
        if float(np.abs(params - before).max()) <= CONVERGED * scale:
            break
    assert delta is not None
    weights = np.minimum(1.0, delta / np.maximum(np.abs(residual), delta))
    sd, freedom = _observation_sd(residual, weights, n_terms), _degrees_of_freedom(weights, n_terms)
    far = _far(np.abs(residual), max(_robust_sd(residual, n_terms), ROUNDING * size), freedom)
    return Robust(params, delta, weights, far & (weights < 1), sd, freedom)


def _robust_sd(residual: NDArray[np.float64], n_terms: int) -> float:
    """The median absolute residual (about 0) as a standard deviation, with the residuals' degrees of freedom."""
    n = len(residual)
    return float(np.median(np.abs(residual))) / NORMAL_MAD * math.sqrt(n / max(n - n_terms, 1))


def _far(size: NDArray[np.float64], sd: float, freedom: float) -> NDArray[np.bool_]:
    """(rows,), which absolute residuals are too large for their number: Student's t, by Bonferroni."""
    from scipy.special import stdtrit

    return np.asarray(size > sd * stdtrit(freedom, 1 - FALSE_ALARM / (2 * len(size))))


def _observation_sd(residual: NDArray[np.float64], weights: NDArray[np.float64], n_terms: int) -> float:
    """K sqrt(Σψ² / (n - p)) / mean(ψ'): Huber and Ronchetti, (7.81), with K = 1 + p/n · var(ψ') / mean(ψ')²."""
    n, inside = len(residual), float((weights == 1).mean())
    if n <= n_terms or inside == 0:
        return math.nan
    correction = 1 + n_terms / n * (1 - inside) / inside
    psi = weights * residual
    return correction * math.sqrt(float(psi @ psi) / (n - n_terms)) / inside


def _degrees_of_freedom(weights: NDArray[np.float64], n_terms: int) -> float:
    """Of `_observation_sd`: m² (n - p), m being the share of readings within delta.

    Least squares has n - p, and with every reading within delta it is least squares. What is beyond delta tells less of
    the scatter: 2 / var(ln s²), by which Satterthwaite counts degrees of freedom (Biometrics Bulletin 2, 1946, 110), is
    0.64 n for normal errors and the delta that is found by default, where m² is 0.67, and within a tenth of m² n for m
    from 0.6 to 1. With n - p, intervals of 95 % cover 92 % of five readings and 93 % of seven.
    """
    n = len(weights)
    inside = float((weights == 1).mean())
    return round(inside**2 * max(n - n_terms, 0), 2)  # (more digits would say more than is known)


def _solve(
    features: NDArray[np.float64], targets: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(terms,), weighted least squares by its normal equations, which well-conditioned terms can afford."""
    weighted = features * weights[:, None]
    return np.asarray(np.linalg.solve(weighted.T @ features, weighted.T @ targets))
