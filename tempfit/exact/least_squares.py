"""The exact least-squares solution of every member, in closed form from its evidence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from tempfit.exact.basis import Basis
from tempfit.exact.curve import Curve
from tempfit.exact.design import compressed
from tempfit.exact.evidence import Evidence
from tempfit.exact.matrices import product, solve_upper, transform

ROUNDED = 1e-14  # of the norm of t_c: what a constant leaves of references that are all the same


@dataclass(frozen=True, eq=False, kw_only=True)
class LeastSquares(Curve):
    """The line or polynomial that minimizes the (weighted) mean squared error exactly.

    loss: mean squared error at the optimum. n: readings. residual_sd: s of the residuals, of mean weight; NaN where
    there are as many terms as readings. r_squared: share of the variance of t_c explained; NaN when t_c is constant.
    variance: of an observation of mean weight, by the uncertainties stated; NaN where none are.
    Numbers, or (members,) of several solutions at once.
    """

    loss: Any
    n: Any
    residual_sd: Any
    r_squared: Any
    variance: Any

    def __getitem__(self, member: int) -> Self:
        return replace(super().__getitem__(member), n=int(self.n[member]))

    @property
    def residual_freedom(self) -> Any:
        """Degrees of freedom of residual_sd: n less the terms."""
        return self.n - self.basis.n_terms

    def residual_sd_of(self, rmse: Any) -> Any:
        """Standard deviation of residuals whose root mean square is `rmse`, by their degrees of freedom; NaN where
        there are none."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.divide(self.n, self.residual_freedom)
            return np.where(self.residual_freedom > 0, rmse * np.sqrt(ratio), np.nan)[()]

    @property
    def chi_squared(self) -> Any:
        """Sum of squared residuals, each in units of its stated uncertainty; NaN where none are stated."""
        return self.n * self.loss / self.variance


def solve(
    evidence: Evidence, standard: Basis, *, stated: bool = False, u_common: float = 0.0, coverage: float = 0.95
) -> LeastSquares:
    """The exact solution of every member, in well-conditioned terms (`standard_basis` of the same evidence).

    From the factor `[R₁ | r]` in these terms: params = R₁⁻¹ r, residual sum of squares = what is left of r, and
    covariance σ² (R₁ᵀ R₁)⁻¹; JCGM 100:2008, annex H.3, gives the same in sums. σ² is s² = RSS / (n - terms), or, if
    `stated`, the variance that the stated uncertainties give an observation of mean weight (ISO/TS 28037:2010, clause
    6). An observation whose weight nobody knows has the mean variance of those that were.
    """
    n, n_terms = evidence.n, standard.n_terms
    design = compressed(evidence, standard)
    inverse = solve_upper(design.features[:, :-1, ::-1], np.eye(n_terms))[:, ::-1]
    rss, explained = evidence.rss(n_terms), evidence.targets[:, 1:n_terms]
    freedom = n - n_terms
    with np.errstate(divide="ignore", invalid="ignore"):
        residual_sd = np.where(freedom > 0, np.sqrt(rss / freedom), np.nan)
    tss = rss + np.einsum("mj,mj->m", explained, explained)
    norm = np.sqrt(n * evidence.mean_square)
    spread = np.where(np.isnan(evidence.variance), 1.0, evidence.mean_variance / evidence.variance)
    sd = np.sqrt(evidence.variance) if stated else residual_sd
    with np.errstate(divide="ignore", invalid="ignore"):
        r_squared = np.where(tss > (ROUNDED * norm) ** 2, 1 - rss / tss, np.nan)
    return LeastSquares(
        basis=standard,
        params=transform(inverse, design.targets[:, :-1]),
        cofactor=product(inverse, inverse.mT) / spread[:, None, None],
        observation_sd=sd * np.sqrt(spread),
        degrees_of_freedom=np.full(len(n), np.inf) if stated else freedom,
        u_common=u_common,
        coverage=coverage,
        t_u_range=(evidence.low, evidence.high),
        loss=rss / n,
        n=n,
        residual_sd=residual_sd,
        r_squared=r_squared,
        variance=evidence.variance,
    )
