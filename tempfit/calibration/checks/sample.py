"""The rows of every member as their exact fit sees them: what checks stand on that evidence alone cannot carry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.checks.footing import ROUNDED
from tempfit.exact.problem import Problem
from tempfit.readings.paired import Readings


@dataclass(frozen=True, eq=False)
class Sample:
    """The readings trained on, rows in the order of the file, as many for every member.

    rows: (n,), their numbers among all readings, from 1. z: (members, n), scaled readings. root_weights: (members, n).
    x: (members, n, terms), weighted terms. inverse: (members, terms, terms), (xᵀx)⁻¹. residual: (members, n), weighted,
    t_c − fit, and t_c: (members, n), weighted: both in units of `unit` (members,), a power of two near the largest t_c,
    so that no power of them leaves float64. largest: (members,), of all t_c, by size, in that unit.
    is_weighted: by uncertainties stated.
    """

    rows: NDArray[np.int_]
    z: NDArray[np.float64]
    root_weights: NDArray[np.float64]
    x: NDArray[np.float64]
    inverse: NDArray[np.float64]
    t_c: NDArray[np.float64]
    residual: NDArray[np.float64]
    largest: NDArray[np.float64]
    unit: NDArray[np.float64]
    is_weighted: bool

    @property
    def n(self) -> int:
        return self.residual.shape[1]

    @property
    def n_terms(self) -> int:
        return self.x.shape[2]

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the residuals."""
        return self.n - self.n_terms

    @cached_property
    def leverage(self) -> NDArray[np.float64]:
        """(members, n)."""
        return np.einsum("mij,mij->mi", self.x @ self.inverse, self.x)

    @cached_property
    def rss(self) -> NDArray[np.float64]:
        """(members,), residual sum of squares."""
        return np.einsum("mi,mi->m", self.residual, self.residual)

    @cached_property
    def sd(self) -> NDArray[np.float64]:
        """(members,), standard deviation of the residuals."""
        return np.sqrt(self.rss / self.freedom)

    @cached_property
    def rounding(self) -> NDArray[np.float64]:
        """(members,), square of a residual that is rounding."""
        return np.square(ROUNDED * self.largest)

    @cached_property
    def studentized(self) -> NDArray[np.float64]:
        """(members, n), each residual by the standard deviation that the other readings give it."""
        left = np.maximum(1 - self.leverage, np.finfo(float).eps)
        with np.errstate(divide="ignore", invalid="ignore"):
            others = (self.rss[:, None] - np.square(self.residual) / left) / (self.freedom - 1)
            t = self.residual / np.sqrt(left * np.maximum(others, self.rounding[:, None]))
        return np.where(self.leverage > 1 - 1e-9, 0.0, t)  # a reading that the line must pass has no residual

    @cached_property
    def distance(self) -> NDArray[np.float64]:
        """(members, n), Cook's distance; inf for a reading that the line must pass."""
        left = 1 - self.leverage
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = self.n_terms * np.square(self.sd)[:, None] * left**2
            squares = np.square(self.residual) * self.leverage / scale
        return np.where(left < 1e-9, np.inf, squares)

    @cached_property
    def space(self) -> NDArray[np.float64]:
        """(members, n, freedom), an orthonormal basis of what the terms leave to residuals; for few readings."""
        return np.linalg.qr(self.x, mode="complete").Q[:, :, self.n_terms :]


def take_sample(readings: Readings, problem: Problem) -> Sample:
    """Of one member."""
    rows, points = np.flatnonzero(problem.mask), problem.points
    t_u, t_c = (readings.t_u[rows], readings.t_c[rows]) if points is None else (points.t_u, points.t_c)
    root_weights = np.ones(len(rows)) if points is None else points.root_weights(problem.variance)
    if problem.robust is not None:  # least squares with these weights is Huber's optimum
        root_weights = root_weights * np.sqrt(problem.robust.weights)
    x = (problem.standard.features(t_u) * root_weights[:, None])[None]
    largest = np.abs(t_c).max(keepdims=True)
    unit = 2.0 ** np.frexp(largest)[1]
    weighted = (root_weights * (t_c / unit))[None]
    return Sample(
        rows=rows + 1,
        z=problem.standard.scaling.apply(t_u)[None],
        root_weights=root_weights[None],
        x=x,
        inverse=np.asarray(np.linalg.inv(x.mT @ x), dtype=np.float64),
        t_c=weighted,
        residual=weighted - x @ (problem.best.params / unit),
        largest=largest / unit,
        unit=unit,
        is_weighted=points is not None,
    )
