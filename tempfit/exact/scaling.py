"""Affine scaling of the readings before training."""

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

    def after(self, first: Scaling) -> Scaling:
        """The scaling that takes readings scaled by `first` to readings scaled by this one.

        The centers are subtracted before anything is multiplied, so no digits are lost on the way through raw units.
        """
        return Scaling(self.factor / first.factor, first.factor * (self.center - first.center))


def fit_scaling(t_u: NDArray[Any], config: ScalingConfig, root_weights: NDArray[Any] | None = None) -> Scaling:
    """The scaling that `config` asks for, from the readings (rows,) in raw units.

    `standardize` divides by the population standard deviation (divisor n, as scikit-learn's StandardScaler),
    which makes the Hessian of a line's mean squared error exactly 2 times the identity; both mean and deviation are
    weighted where the readings are, by the squares of root_weights (rows,).
    """
    match config.scaling:
        case "none":
            return Scaling()
        case "factor":
            return Scaling(factor=config.factor)
        case "standardize" if root_weights is not None:
            weights = root_weights**2
            center = float(np.average(t_u, weights=weights))
            return Scaling(factor=1.0 / float(np.sqrt(np.average((t_u - center) ** 2, weights=weights))), center=center)
        case "standardize":
            return Scaling(factor=1.0 / float(t_u.std()), center=float(t_u.mean()))
        case "minmax":
            low, high = float(t_u.min()), float(t_u.max())
            return Scaling(factor=1.0 / (high - low), center=low)
