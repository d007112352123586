"""The exact least-squares solution, in closed form from the compressed factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tempfit.basis import Basis
from tempfit.design import Design


@dataclass(frozen=True, eq=False)
class LeastSquares:
    """The line or polynomial that minimizes the mean squared error exactly, with its standard uncertainties (type A).

    basis, params, params_covariance: the solution where it is best conditioned; (terms,) and (terms, terms).
    loss: mean squared error at the optimum. n: readings. residual_sd: s, with n - terms degrees of freedom; NaN where
    there are none. r_squared: share of the variance of t_c explained; NaN when t_c is constant.
    """

    basis: Basis
    params: NDArray[np.float64]
    params_covariance: NDArray[np.float64]
    loss: float
    n: int
    residual_sd: float
    r_squared: float

    @property
    def coefficients(self) -> NDArray[np.float64]:
        """(terms,), of raw powers, the highest first: (w, b) of a line."""
        return self.basis.to_raw(self.params)

    @property
    def covariance(self) -> NDArray[np.float64]:
        """(terms, terms), of `coefficients`."""
        fold = self.basis.fold
        with np.errstate(over="ignore", invalid="ignore"):  # not finite where float64 cannot say
            return fold @ self.params_covariance @ fold.T

    @property
    def uncertainties(self) -> NDArray[np.float64]:
        """(terms,), standard uncertainties of `coefficients`."""
        with np.errstate(invalid="ignore"):
            return np.sqrt(np.diag(self.covariance))

    @property
    def w(self) -> float:
        """The slope of a line; of a polynomial, its coefficient of t_u."""
        return float(self.coefficients[-2])

    @property
    def b(self) -> float:
        """The intercept, in raw units."""
        return float(self.coefficients[-1])

    @property
    def degrees_of_freedom(self) -> int:
        return self.n - self.basis.n_terms

    @property
    def u_w(self) -> float:
        """Standard uncertainty of w."""
        return float(self.uncertainties[-2])

    @property
    def u_b(self) -> float:
        """Standard uncertainty of b."""
        return float(self.uncertainties[-1])

    @property
    def correlation(self) -> float:
        """Correlation coefficient r(w, b); NaN when the fit is perfect."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return float(np.float64(self.covariance[-2, -1]) / (self.u_w * self.u_b))

    def predict(self, t_u: ArrayLike) -> NDArray[np.float64]:
        """The temperature at t_u, any shape."""
        return self.basis.features(np.asarray(t_u)) @ self.params

    def u_mean(self, t_u: ArrayLike) -> NDArray[np.float64]:
        """Standard uncertainty of the line at t_u, any shape: sqrt(xᵀ C x), x being the terms at t_u."""
        x = self.basis.features(np.asarray(t_u))
        return np.sqrt(np.einsum("...i,ij,...j->...", x, self.params_covariance, x))

    def u_prediction(self, t_u: ArrayLike) -> NDArray[np.float64]:
        """Standard uncertainty of a single new observation of t_c at t_u: the line's and the residual's together."""
        return np.hypot(self.u_mean(t_u), self.residual_sd)


def solve(design: Design, basis: Basis) -> LeastSquares:
    """The exact solution of one member's compressed design, made with the terms of `basis`.

    From the triangular factor `[R₁ | r]`: params = R₁⁻¹ r, residual sum of squares = ‖R₁ p - r‖² and covariance
    s² (R₁ᵀ R₁)⁻¹ with s² = RSS / (n - terms); JCGM 100:2008, annex H.3, gives the same in sums.
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
    variance = rss / freedom if freedom > 0 else float("nan")
    return LeastSquares(
        basis=basis,
        params=params,
        params_covariance=variance * inverse @ inverse.T,
        loss=rss / n,
        n=n,
        residual_sd=float(np.sqrt(variance)),
        r_squared=_r_squared(factor, target, rss),
    )


def _r_squared(factor: NDArray[Any], target: NDArray[Any], rss: float) -> float:
    """1 - RSS / TSS, where TSS is what a constant alone leaves of the target; the last term is the constant."""
    ones = factor[:, -1] / np.linalg.norm(factor[:, -1])
    about_mean = target - ones * (ones @ target)
    tss = float(about_mean @ about_mean)
    rounding = 1e-14 * float(np.linalg.norm(target))
    return 1.0 - rss / tss if tss > rounding**2 else float("nan")
