"""Ratios of quadratic forms in normal residuals: their distribution, exact for any number of readings, and the power
of a test by them.

Durbin and Watson's d and Breusch and Pagan's statistic are such ratios, uᵀFu / uᵀu, of residuals u in coordinates of
the space that a fit leaves them. Whether one is below c is whether Σ (λᵢ − c) zᵢ² is below 0, λᵢ being F's
eigenvalues and zᵢ independent standard normal variables (Imhof: Computing the distribution of quadratic forms in
normal variables, Biometrika 48, 1961, 419).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

EXACT = 0.15, 32.0  # step of the trapezoidal rule, and -ln of what is cut off: an error of 1e-13 with 40 eigenvalues
CLOSE = 0.25, 16.0  # the same for an error of 1e-7 with 20, which is enough for a power
SECTIONS, ROUNDS = 16, 2  # by which a quantile is closed in, before it is interpolated
SAME = 1e-9  # of the largest eigenvalue: the spread of eigenvalues that are all the same


def probability_below_zero(
    coefficients: NDArray[np.float64], accuracy: tuple[float, float] = EXACT
) -> NDArray[np.float64]:
    """P(Σ aᵢ zᵢ² < 0) for coefficients a (…, terms), not all 0: Imhof's integral, of the shape (…).

    With u = eᵗ, its integrand is analytic and dies away at both ends, so that the trapezoidal rule converges
    exponentially (Trefethen and Weideman, SIAM Review 56, 2014, 385).
    """
    step, cut_off = accuracy
    a = coefficients / np.abs(coefficients).max(axis=-1, keepdims=True)
    au = a[..., None] * np.exp(np.arange(-cut_off, _end(a, cut_off), step))
    theta, log_rho = 0.5 * np.arctan(au).sum(axis=-2), 0.25 * np.log1p(au * au).sum(axis=-2)
    integral = step * (np.sin(theta) * np.exp(-log_rho)).sum(axis=-1)
    return np.clip(0.5 - integral / np.pi, 0.0, 1.0)


def _end(a: NDArray[np.float64], cut_off: float) -> float:
    """A t from which on the integrand is below exp(-cut_off): its decay there is ½ Σ max(0, t + ln|aᵢ|)."""
    with np.errstate(divide="ignore"):
        logs = -np.sort(-np.log(np.abs(a)), axis=-1)
    ends = (2 * cut_off - np.cumsum(logs, axis=-1)) / np.arange(1, a.shape[-1] + 1)
    return float(ends.min(axis=-1).max())


@dataclass(frozen=True, eq=False)
class Ratio:
    """uᵀFu / uᵀu for u of independent normal variables of the same variance.

    form: (terms, terms), F, symmetric.
    """

    form: NDArray[np.float64]

    @cached_property
    def eigenvalues(self) -> NDArray[np.float64]:
        """(terms,), ascending; the ratio lies between the first and the last."""
        return np.asarray(np.linalg.eigvalsh(self.form), dtype=np.float64)

    @property
    def is_constant(self) -> bool:
        """Whether the ratio is the same whatever u is."""
        lowest, highest = self.eigenvalues[[0, -1]]
        return bool(highest - lowest <= SAME * max(abs(lowest), abs(highest)))

    def below(self, value: float) -> float:
        """The probability that the ratio is below value."""
        lowest, highest = self.eigenvalues[[0, -1]]
        if not lowest < value < highest:
            return float(value >= highest)
        return float(probability_below_zero(self.eigenvalues - value))

    def quantiles(self, level: float) -> tuple[float, float]:
        """The limits of a two-sided test: the ratio is below the first, and above the second, with probability level/2
        each, to 1 in 1,000 of it."""
        return self._lower(level / 2), -Ratio(-self.form)._lower(level / 2)

    def _lower(self, p: float) -> float:
        """The value that the ratio is below with a small probability p."""
        lowest, highest = self.eigenvalues[[0, -1]]
        low, high, below = 0.0, 1.0, (0.0, 1.0)  # of an angle, in quarter turns, in which tails are not steep
        for _ in range(ROUNDS):
            grid = np.linspace(low, high, SECTIONS + 1)
            values = lowest + (highest - lowest) * np.sin(np.pi / 2 * grid[1:-1]) ** 2
            inside = probability_below_zero(self.eigenvalues - values[:, None], CLOSE)
            known = np.concatenate([below[:1], inside, below[1:]])
            at = int((inside < p).sum())
            low, high, below = grid[at], grid[at + 1], (known[at], known[at + 1])
        angle = low + (high - low) * (p - below[0]) / (below[1] - below[0])
        return float(lowest + (highest - lowest) * np.sin(np.pi / 2 * angle) ** 2)

    def power(self, root: NDArray[np.float64], limits: tuple[float, float]) -> float:
        """The probability that the ratio is outside of limits for u of the covariance root rootᵀ.

        root: (terms, any number).
        """
        gram, squares = root.T @ self.form @ root, root.T @ root
        low, high = np.linalg.eigvalsh(np.stack([gram - limit * squares for limit in limits]))
        return float(probability_below_zero(low, CLOSE) + 1 - probability_below_zero(high, CLOSE))
