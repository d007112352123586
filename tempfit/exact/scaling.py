"""Affine scaling of the readings before training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempfit.config import ScalingConfig
from tempfit.exact.evidence import Evidence


@dataclass(frozen=True, eq=False)
class Scaling:
    """`t_un = factor * (t_u - center)`; the center is taken off first, so large readings keep their digits.

    factor, center: numbers, or (members,) of several scalings at once.
    """

    factor: Any = 1.0
    center: Any = 0.0

    def apply(self, t_u: NDArray[Any]) -> NDArray[Any]:
        """Readings in raw units to scaled ones: any shape, or (members, …) for several scalings."""
        return along(self.factor, t_u) * (t_u - along(self.center, t_u))

    def after(self, first: Scaling) -> Scaling:
        """The scaling that takes readings scaled by `first` to readings scaled by this one.

        The centers are subtracted before anything is multiplied, so no digits are lost on the way through raw units.
        """
        return Scaling(self.factor / first.factor, first.factor * (self.center - first.center))

    def __getitem__(self, member: int) -> Scaling:
        return Scaling(float(self.factor[member]), float(self.center[member]))


def along(values: Any, array: NDArray[Any]) -> Any:
    """A number as it is; (members,) with as many axes behind it as it takes to meet an array (members, …)."""
    return values if np.ndim(values) == 0 else np.expand_dims(values, tuple(range(1, array.ndim)))


def fit_scaling(evidence: Evidence, config: ScalingConfig) -> Scaling:
    """The scaling of every member that `config` asks for.

    `standardize` divides by the population standard deviation (divisor n, as scikit-learn's StandardScaler),
    which makes the Hessian of a line's mean squared error exactly 2 times the identity; both mean and deviation are
    weighted where the readings are.
    """
    ones = np.ones(evidence.members)
    match config.scaling:
        case "none":
            return Scaling(ones, 0 * ones)
        case "factor":
            return Scaling(config.factor * ones, 0 * ones)
        case "standardize":
            constant, mean, deviation = (evidence.factor[:, i, j] for i, j in ((0, 0), (0, 1), (1, 1)))
            center = evidence.center + evidence.scale * (mean / constant)
            return Scaling(constant / deviation / evidence.scale, center)
        case "minmax":
            return Scaling(1 / (evidence.high - evidence.low), evidence.low)
