"""The exact least-squares line, in closed form from the compressed factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tempfit.design import Design
from tempfit.scaling import Scaling


@dataclass(frozen=True, eq=False)
class LeastSquares:
    """The line that minimizes the mean squared error exactly, with its standard uncertainties (type A).

    w, b: raw units. loss: mean squared error at the optimum. n: readings. residual_sd: s, with n - 2 degrees of
    freedom. covariance: (2, 2) of (w, b). r_squared: share of the variance of t_c explained; NaN when t_c is constant.
    """

    w: float
    b: float
    loss: float
    n: int
    residual_sd: float
    covariance: NDArray[np.float64]
    r_squared: float

    @property
    def line(self) -> NDArray[np.float64]:
        """(2,), w and b in raw units."""
        return np.array([self.w, self.b])

    @property
    def degrees_of_freedom(self) -> int:
        return self.n - 2

    @property
    def u_w(self) -> float:
        """Standard uncertainty of w."""
        return float(np.sqrt(self.covariance[0, 0]))

    @property
    def u_b(self) -> float:
        """Standard uncertainty of b."""
        return float(np.sqrt(self.covariance[1, 1]))

    @property
    def correlation(self) -> float:
        """Correlation coefficient r(w, b); NaN when the fit is perfect."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return float(np.float64(self.covariance[0, 1]) / (self.u_w * self.u_b))

    def predict(self, t_u: ArrayLike) -> NDArray[np.float64]:
        """`w * t_u + b`, any shape."""
        line: NDArray[np.float64] = self.w * np.asarray(t_u, dtype=np.float64) + self.b
        return line

    def u_mean(self, t_u: ArrayLike) -> NDArray[np.float64]:
        """Standard uncertainty of the line at t_u, any shape: sqrt(xᵀ C x) with x = (t_u, 1)."""
        x = np.stack([np.asarray(t_u, dtype=np.float64), np.ones_like(t_u, dtype=np.float64)], axis=-1)
        return np.sqrt(np.einsum("...i,ij,...j->...", x, self.covariance, x))

    def u_prediction(self, t_u: ArrayLike) -> NDArray[np.float64]:
        """Standard uncertainty of a single new observation of t_c at t_u: the line's and the residual's together."""
        return np.hypot(self.u_mean(t_u), self.residual_sd)


def solve(design: Design, scaling: Scaling) -> LeastSquares:
    """The exact solution of one member's compressed design, folded back to raw units.

    From the triangular factor `[R₁ | r]`: params = R₁⁻¹ r, residual sum of squares = ‖R₁ p - r‖² and covariance
    s² (R₁ᵀ R₁)⁻¹ with s² = RSS / (n - 2); JCGM 100:2008, annex H.3, gives the same in sums.
    """
    factor = design.features[0].numpy()  # (3, 2)
    target = design.targets[0].numpy()  # (3,)
    n = int(design.n_readings[0])
    q, r1 = np.linalg.qr(factor)
    inverse = np.linalg.inv(r1)
    scaled = inverse @ (q.T @ target)
    residual = factor @ scaled - target
    rss = float(residual @ residual)
    variance = rss / (n - 2)
    w, b = scaling.to_raw(scaled)
    fold = scaling.fold
    return LeastSquares(
        w=float(w),
        b=float(b),
        loss=rss / n,
        n=n,
        residual_sd=float(np.sqrt(variance)),
        covariance=fold @ (variance * inverse @ inverse.T) @ fold.T,
        r_squared=_r_squared(factor, target, rss),
    )


def _r_squared(factor: NDArray[Any], target: NDArray[Any], rss: float) -> float:
    """1 - RSS / TSS, where TSS is what a constant alone leaves of the target."""
    ones = factor[:, 1] / np.linalg.norm(factor[:, 1])
    about_mean = target - ones * (ones @ target)
    tss = float(about_mean @ about_mean)
    rounding = 1e-14 * float(np.linalg.norm(target))
    return 1.0 - rss / tss if tss > rounding**2 else float("nan")
