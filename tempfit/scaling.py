"""Affine scaling of the readings before training, and its exact undoing at the output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempfit.config import ScalingConfig


@dataclass(frozen=True)
class Scaling:
    """`t_un = factor * (t_u - center)`; the center is taken off first, so large readings keep their digits."""

    factor: float = 1.0
    center: float = 0.0

    def apply(self, t_u: NDArray[Any]) -> NDArray[Any]:
        """Readings in raw units to scaled ones, any shape."""
        return self.factor * (t_u - self.center)

    @property
    def fold(self) -> NDArray[np.float64]:
        """(2, 2) matrix that takes scaled parameters (w, b) to raw ones, and their covariance C to `fold C foldᵀ`.

        From `w_s * factor * (t_u - center) + b_s = w * t_u + b`.
        """
        return np.array([[self.factor, 0.0], [-self.factor * self.center, 1.0]])

    @property
    def unfold(self) -> NDArray[np.float64]:
        """(2, 2) inverse of `fold`: raw parameters to scaled ones."""
        return np.array([[1.0 / self.factor, 0.0], [self.center, 1.0]])

    def to_raw(self, params: NDArray[Any]) -> NDArray[Any]:
        """Scaled parameters (..., 2) as raw ones (..., 2)."""
        return params @ self.fold.T


def fit_scaling(t_u: NDArray[Any], config: ScalingConfig) -> Scaling:
    """The scaling that `config` asks for, from the readings (rows,) in raw units.

    `standardize` divides by the population standard deviation (divisor n, as scikit-learn's StandardScaler),
    which makes the Hessian of the mean squared error exactly 2 times the identity.
    """
    match config.scaling:
        case "none":
            return Scaling()
        case "factor":
            return Scaling(factor=config.factor)
        case "standardize":
            return Scaling(factor=1.0 / float(t_u.std()), center=float(t_u.mean()))
        case "minmax":
            low, high = float(t_u.min()), float(t_u.max())
            return Scaling(factor=1.0 / (high - low), center=low)
