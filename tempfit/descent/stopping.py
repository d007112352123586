"""When a gradient counts as zero, so that a member has converged."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tempfit.descent.history import Block, gradient_norm
from tempfit.exact.design import Design


class Stop(Protocol):
    """When a gradient counts as zero, so that a member has converged."""

    def reached(self, block: Block) -> NDArray[np.bool_]:
        """(states, members) of the block."""
        ...


class OrthogonalResidual:
    """A sum of terms has converged where its residuals are orthogonal to every term: MINPACK's gtol.

    Each element of the gradient is a product of a column of features with the residuals, xⱼᵀr; relative to ‖xⱼ‖ ‖r‖ it
    is the cosine of the angle between them, which no unit of either changes (Moré, Garbow, Hillstrom: User guide for
    MINPACK-1, 1980). Below that there is what rounding leaves of such a product, which is made of y and xₖ pₖ.
    """

    def __init__(self, tolerance: NDArray[np.float64], rounding: float, design: Design, n_params: int):
        root, features = np.sqrt(2 / design.n_readings), design.features[..., :n_params]
        columns = np.sqrt(np.einsum("mrt,mrt->tm", features, features)) * root
        targets = np.sqrt(np.einsum("mr,mr->m", design.targets, design.targets)) * root
        self.columns = np.broadcast_to(columns, (n_params, len(tolerance)))
        self.targets = np.broadcast_to(targets, len(tolerance))
        self.tolerance, self.rounding = tolerance, rounding

    def reached(self, block: Block) -> NDArray[np.bool_]:
        members = block.members
        columns, tolerance = self.columns[:, members].T, self.tolerance[members]
        with np.errstate(over="ignore", invalid="ignore"):
            residual = np.sqrt(2 * block.loss)
            summands = self.targets[members] + (columns * np.abs(block.params)).sum(axis=-1)
            least = columns * np.maximum(tolerance * residual, self.rounding * summands)[..., None]
            small: NDArray[np.bool_] = (np.abs(block.gradient) <= least).all(axis=-1)
        return small & (tolerance > 0)


class ShorterGradient:
    """A network has converged where its gradient is a small part of what it was at the start."""

    def __init__(self, thresholds: NDArray[np.float64]):
        self.thresholds = thresholds

    def reached(self, block: Block) -> NDArray[np.bool_]:
        with np.errstate(invalid="ignore", over="ignore"):
            return gradient_norm(block.gradient) <= self.thresholds[block.members]
