"""The rows of every member as their exact fit sees them: what checks stand on that evidence alone cannot carry."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.checks.footing import ROUNDED
from tempfit.exact.large import AnyReadings, LargeReadings
from tempfit.exact.problem import Problem
from tempfit.readings.paired import Readings
from tempfit.readings.rows import Rows


@dataclass(frozen=True, eq=False)
class Sample:
    """The readings trained on, or some of them, rows in the order of the file, as many for every member.

    rows: (rows,), their numbers among all readings, from 1. z: (members, rows), scaled readings. root_weights:
    (members, rows). x: (members, rows, terms), weighted terms. residual: (members, rows), weighted, t_c − fit, and t_c:
    (members, rows), weighted: both in units of `unit` (members,), a power of two near the largest t_c, so that no power
    of them leaves float64. Of all readings trained on: n, their number; inverse: (members, terms, terms), (xᵀx)⁻¹; rss:
    (members,), residual sum of squares; largest: (members,), of t_c, by size, both in that unit. is_weighted: by
    uncertainties stated.
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
    n: int
    rss: NDArray[np.float64]

    @property
    def n_terms(self) -> int:
        return self.x.shape[2]

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the residuals."""
        return self.n - self.n_terms

    @cached_property
    def leverage(self) -> NDArray[np.float64]:
        """(members, rows)."""
        return np.einsum("mij,mij->mi", self.x @ self.inverse, self.x)

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
        """(members, rows), each residual by the standard deviation that the other readings give it."""
        left = np.maximum(1 - self.leverage, np.finfo(float).eps)
        with np.errstate(divide="ignore", invalid="ignore"):
            others = (self.rss[:, None] - np.square(self.residual) / left) / (self.freedom - 1)
            t = self.residual / np.sqrt(left * np.maximum(others, self.rounding[:, None]))
        return np.where(self.leverage > 1 - 1e-9, 0.0, t)  # a reading that the line must pass has no residual

    @cached_property
    def distance(self) -> NDArray[np.float64]:
        """(members, rows), Cook's distance; inf for a reading that the line must pass."""
        left = 1 - self.leverage
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = self.n_terms * np.square(self.sd)[:, None] * left**2
            squares = np.square(self.residual) * self.leverage / scale
        return np.where(left < 1e-9, np.inf, squares)

    @cached_property
    def space(self) -> NDArray[np.float64]:
        """(members, rows, freedom), an orthonormal basis of what the terms leave to residuals; of few readings."""
        return np.linalg.qr(self.x, mode="complete").Q[:, :, self.n_terms :]


def take_sample(readings: Readings, problem: Problem) -> Sample:
    """All rows of one member."""
    rows, points = np.flatnonzero(problem.mask), problem.points
    t_u, t_c = (readings.t_u[rows], readings.t_c[rows]) if points is None else (points.t_u, points.t_c)
    root_weights = np.ones(len(rows)) if points is None else points.root_weights(problem.variance)
    if problem.robust is not None:  # least squares with these weights is Huber's optimum
        root_weights = root_weights * np.sqrt(problem.robust.weights)
    x = (problem.standard.features(t_u) * root_weights[:, None])[None]
    largest = np.abs(t_c).max(keepdims=True)
    unit = 2.0 ** np.frexp(largest)[1]
    weighted = (root_weights * (t_c / unit))[None]
    residual = weighted - x @ (problem.best.params / unit)
    return Sample(
        rows=rows + 1,
        z=problem.standard.scaling.apply(t_u)[None],
        root_weights=root_weights[None],
        x=x,
        inverse=np.asarray(np.linalg.inv(x.mT @ x), dtype=np.float64),
        t_c=weighted,
        residual=residual,
        largest=largest / unit,
        unit=unit,
        is_weighted=points is not None,
        n=len(rows),
        rss=np.einsum("mi,mi->m", residual, residual),
    )


def sample_of(rows: Rows, numbers: NDArray[np.int_], readings: LargeReadings, problem: Problem) -> Sample:
    """Some rows of one member, with these numbers from 1; what is of all readings is by their evidence."""
    exact, standard = problem.exact, problem.standard
    root_weights = np.ones(len(rows)) if rows.u_c is None else math.sqrt(problem.variance) / rows.u_c
    x = standard.features(rows.t_u) * root_weights[:, None]
    largest = problem.evidence.largest
    unit = 2.0 ** np.frexp(largest)[1]
    weighted = root_weights * (rows.t_c / unit)
    return Sample(
        rows=numbers,
        z=standard.scaling.apply(rows.t_u)[None],
        root_weights=root_weights[None],
        x=x[None],
        inverse=exact.cofactor[None] * problem.spread,
        t_c=weighted[None],
        residual=(weighted - x @ (exact.params / unit))[None],
        largest=largest / unit,
        unit=unit,
        is_weighted=bool(readings.weighted_by),
        n=readings.n,
        rss=readings.n * exact.loss / np.square(unit),
    )


def each_sample(readings: AnyReadings, problem: Problem) -> Iterator[Sample]:
    """The rows of one member, block by block where they are not held."""
    if isinstance(readings, Readings):
        yield take_sample(readings, problem)
        return
    n = 0
    for rows in readings.blocks():
        yield sample_of(rows, np.arange(n, n + len(rows)) + 1, readings, problem)
        n += len(rows)
