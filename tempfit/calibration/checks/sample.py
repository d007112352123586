"""The readings as their exact fit sees them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.checks.footing import ROUNDED
from tempfit.exact.problem import Problem
from tempfit.readings.paired import Readings


@dataclass(frozen=True, eq=False)
class Sample:
    """The readings trained on, as their exact fit sees them; rows in the order of the file.

    rows: (n,), their numbers among all readings, from 1. z: (n,), scaled readings. root_weights: (n,).
    x: (n, terms), weighted terms. inverse: (terms, terms), (xᵀx)⁻¹. t_c: (n,), weighted. residual: (n,), weighted,
    t_c − fit. leverage: (n,). is_weighted: by uncertainties stated. largest: of all t_c, by size.
    unit: of t_c, residual and largest, a power of two near the largest t_c: so no power of them leaves float64.
    """

    rows: NDArray[np.int_]
    z: NDArray[np.float64]
    root_weights: NDArray[np.float64]
    x: NDArray[np.float64]
    inverse: NDArray[np.float64]
    t_c: NDArray[np.float64]
    residual: NDArray[np.float64]
    leverage: NDArray[np.float64]
    freedom: int
    is_weighted: bool
    largest: float
    unit: float

    @property
    def n(self) -> int:
        return len(self.residual)

    @property
    def rss(self) -> float:
        """Residual sum of squares."""
        return float(self.residual @ self.residual)

    @property
    def sd(self) -> float:
        """Standard deviation of the residuals."""
        return math.sqrt(self.rss / self.freedom)

    @property
    def is_perfect(self) -> bool:
        """Whether the residuals are rounding, so that nothing can be tested."""
        return self.rss <= self.n * self.rounding

    @property
    def rounding(self) -> float:
        """Square of a residual that is rounding."""
        return (ROUNDED * self.largest) ** 2

    @cached_property
    def space(self) -> NDArray[np.float64]:
        """(n, freedom), an orthonormal basis of the space that the fit's terms leave to residuals."""
        return np.linalg.qr(self.x, mode="complete").Q[:, self.x.shape[1] :]

    def without_terms(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,), what the fit's terms cannot make of values (n,); twice, since once leaves rounding."""
        for _ in range(2):
            values = values - self.x @ (self.inverse @ (self.x.T @ values))
        return values


def take_sample(readings: Readings, problem: Problem) -> Sample:
    rows, points = np.flatnonzero(problem.mask), problem.points
    t_u, t_c = (readings.t_u[rows], readings.t_c[rows]) if points is None else (points.t_u, points.t_c)
    root_weights = np.ones(len(rows)) if points is None else points.root_weights(problem.variance)
    if problem.robust is not None:  # least squares with these weights is Huber's optimum
        root_weights = root_weights * np.sqrt(problem.robust.weights)
    terms = problem.standard.features(t_u)
    x = terms * root_weights[:, None]
    inverse = np.asarray(np.linalg.inv(x.T @ x), dtype=np.float64)
    largest = float(np.abs(t_c).max())
    unit = 2.0 ** math.frexp(largest)[1]
    weighted = root_weights * (t_c / unit)
    return Sample(
        rows=rows + 1,
        z=problem.standard.scaling.apply(t_u),
        root_weights=root_weights,
        x=x,
        inverse=inverse,
        t_c=weighted,
        residual=weighted - x @ (problem.best.params / unit),
        leverage=np.einsum("ij,ij->i", x @ inverse, x),
        freedom=len(rows) - problem.standard.n_terms,
        is_weighted=points is not None,
        largest=largest / unit,
        unit=unit,
    )
