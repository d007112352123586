"""The exact least-squares solution, in closed form from the compressed factor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempfit.exact.basis import Basis
from tempfit.exact.curve import Curve
from tempfit.exact.design import Design


@dataclass(frozen=True, eq=False, kw_only=True)
class LeastSquares(Curve):
    """The line or polynomial that minimizes the (weighted) mean squared error exactly.

    loss: mean squared error at the optimum. n: readings. residual_sd: s of the residuals, of mean weight; NaN where
    there are as many terms as readings. r_squared: share of the variance of t_c explained; NaN when t_c is constant.
    variance: of an observation of mean weight, by the uncertainties stated; NaN where none are.
    """

    loss: float
    n: int
    residual_sd: float
    r_squared: float
    variance: float = math.nan

    @property
    def residual_freedom(self) -> int:
        """Degrees of freedom of residual_sd: n less the terms."""
        return self.n - self.basis.n_terms

    @property
    def chi_squared(self) -> float:
        """Sum of squared residuals, each in units of its stated uncertainty; NaN where none are stated."""
        return self.n * self.loss / self.variance


def solve(design: Design, basis: Basis, *, variance: float = math.nan, stated: bool = False) -> LeastSquares:
    """The exact solution of one member's compressed design, made with the terms of `basis`.

    From the triangular factor `[R₁ | r]`: params = R₁⁻¹ r, residual sum of squares = ‖R₁ p - r‖² and covariance
    σ² (R₁ᵀ R₁)⁻¹; JCGM 100:2008, annex H.3, gives the same in sums. σ² is s² = RSS / (n - terms), or, if `stated`, the
    variance that the stated uncertainties give an observation of mean weight (ISO/TS 28037:2010, clause 6).
    """
    factor = design.features[0].numpy()  # (terms + 1, terms)
    target = design.targets[0].numpy()  # (terms + 1,)
    n = int(design.n_readings[0])
    q, r1 = np.linalg.qr(factor)
    inverse = np.linalg.inv(r1)
    params = inverse @ (q.T @ target)
    residual = factor @ params - target
    rss = float(residual @ residual)
    freedom = n - basis.n_terms
    residual_sd = math.sqrt(rss / freedom) if freedom > 0 else math.nan
    return LeastSquares(
        basis=basis,
        params=params,
        cofactor=inverse @ inverse.T,
        observation_sd=math.sqrt(variance) if stated else residual_sd,
        degrees_of_freedom=math.inf if stated else float(freedom),
        loss=rss / n,
        n=n,
        residual_sd=residual_sd,
        r_squared=_r_squared(factor, target, rss),
        variance=variance,
    )


def _r_squared(factor: NDArray[Any], target: NDArray[Any], rss: float) -> float:
    """1 - RSS / TSS, where TSS is what a constant alone leaves of the target; the last term is the constant."""
    ones = factor[:, -1] / np.linalg.norm(factor[:, -1])
    about_mean = target - ones * (ones @ target)
    tss = float(about_mean @ about_mean)
    rounding = 1e-14 * float(np.linalg.norm(target))
    return 1.0 - rss / tss if tss > rounding**2 else float("nan")
