"""What one pass over the rows tells, in sums and extremes: for rows that are held, and for those that stream by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.checks.sample import Sample, sample_of, take_sample
from tempfit.calibration.significance import DOUBT
from tempfit.exact.large import AnyReadings, LargeReadings
from tempfit.exact.problem import Problem
from tempfit.readings.paired import Readings
from tempfit.readings.rows import Rows, join
from tempfit.system.threads import ahead

REACH = 2  # rows before a block that its first differences of differences reach back to
NEARLY = 0.99  # of the size from which on a residual is an outlier: what its p-value is computed of


@dataclass(frozen=True, eq=False)
class Extreme:
    """The largest of a figure, (members,), the number of its row, and what else is wanted of that row."""

    figure: NDArray[np.float64]
    row: NDArray[np.int_]
    beside: NDArray[np.float64]

    def or_larger(self, later: Extreme) -> Extreme:
        """The larger one, the first of equals."""
        is_later = later.figure > self.figure
        pairs = ((self.figure, later.figure), (self.row, later.row), (self.beside, later.beside))
        return Extreme(*(np.where(is_later, other, own) for own, other in pairs))


@dataclass(frozen=True, eq=False)
class Trend:
    """Squared residuals s beside scaled readings z, (members,): their number, means, and sums of products about them.

    Of two blocks: Chan, Golub and LeVeque, The American Statistician 37 (1983) 242.
    """

    n: int
    z: NDArray[np.float64]
    s: NDArray[np.float64]
    zz: NDArray[np.float64]
    zs: NDArray[np.float64]
    ss: NDArray[np.float64]

    def and_those_of(self, other: Trend) -> Trend:
        n = self.n + other.n
        h, dz, ds = self.n * other.n / n, other.z - self.z, other.s - self.s
        return Trend(
            n=n,
            z=self.z + dz * (other.n / n),
            s=self.s + ds * (other.n / n),
            zz=self.zz + other.zz + h * dz * dz,
            zs=self.zs + other.zs + h * dz * ds,
            ss=self.ss + other.ss + h * ds * ds,
        )


@dataclass(frozen=True, eq=False)
class Tally:
    """What the rows of every member tell together, (members,) each.

    sample: the rows where they are held, else some, evenly spread. rss: residual sum of squares. steps: of the
    residuals from each row to the next, the sum of squares. x_steps: (members, terms, terms), sums of products of the
    terms' steps; x_turns: of what their steps change by, the first and last from and to none. trend: of the scatter.
    outlier: the largest studentized residual, and Cook's distance there. outliers: the numbers of the rows of every
    member of which it is beyond chance. distance: the largest of Cook's. leverage: the largest. ends: (2, members), the
    lowest and the highest z.
    """

    sample: Sample
    rss: NDArray[np.float64]
    steps: NDArray[np.float64]
    x_steps: NDArray[np.float64]
    x_turns: NDArray[np.float64]
    trend: Trend
    outlier: Extreme
    outliers: tuple[NDArray[np.int_], ...]
    distance: Extreme
    leverage: Extreme
    ends: NDArray[np.float64]

    def and_those_of(self, later: Tally) -> Tally:
        """Of the rows behind these, too; both know of the same rows at their border."""
        return Tally(
            sample=self.sample,
            rss=self.rss + later.rss,
            steps=self.steps + later.steps,
            x_steps=self.x_steps + later.x_steps,
            x_turns=self.x_turns + later.x_turns,
            trend=self.trend.and_those_of(later.trend),
            outlier=self.outlier.or_larger(later.outlier),
            outliers=tuple(np.concatenate(pair) for pair in zip(self.outliers, later.outliers, strict=True)),
            distance=self.distance.or_larger(later.distance),
            leverage=self.leverage.or_larger(later.leverage),
            ends=np.stack([np.minimum(self.ends[0], later.ends[0]), np.maximum(self.ends[1], later.ends[1])]),
        )


def p_of_outlier(sample: Sample, size: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of studentized residuals by size, times the number of readings (Bonferroni)."""
    from scipy.special import stdtr

    return 2 * sample.n * np.asarray(stdtr(sample.freedom - 1, -size))


def tally(readings: AnyReadings, problem: Problem) -> Tally:
    """Of one member. Raises ReadingsError where a file that is read again has changed."""
    if isinstance(readings, Readings):
        sample = take_sample(readings, problem)
        return tally_block(sample, sample)
    numbers = np.arange(len(readings.thinned)) + 1
    thinned = sample_of(readings.thinned, numbers, readings, problem)

    def of(block: _Block) -> Tally:
        first, before = block.first, block.before
        numbers = np.arange(first - before, first + len(block.rows) - before) + 1
        sample = sample_of(block.rows, numbers, readings, problem)
        return tally_block(sample, thinned, before, is_last=block.is_last)

    return reduce(Tally.and_those_of, ahead(of, _overlapping(readings)))


@dataclass(frozen=True, eq=False)
class _Block:
    """Rows of which the first `before` are the last ones of blocks before it. first: how many come before its own."""

    rows: Rows
    before: int
    first: int
    is_last: bool


def _overlapping(readings: LargeReadings) -> Iterator[_Block]:
    first, before, held = 0, 0, None
    for rows in readings.blocks():
        if held is not None:
            yield _Block(held, before, first, is_last=False)
            first, before = first + len(held) - before, min(REACH, len(held))
            rows = join([held[-before:], rows])
        held = rows
    assert held is not None
    yield _Block(held, before, first, is_last=True)


def tally_block(sample: Sample, shown: Sample, before: int = 0, *, is_last: bool = True) -> Tally:
    """Of the rows of a block, but the first `before` of them, which are others'. shown: what `Tally.sample` is.

    is_last: whether no rows come behind it.
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # what cannot be tested is not
        size, distance, leverage = np.abs(sample.studentized), sample.distance, sample.leverage
    size, distance, leverage = (figure[:, before:] for figure in (size, distance, leverage))
    numbers, residual, z = sample.rows[before:], sample.residual[:, before:], sample.z[:, before:]
    reach = max(before - 1, 0)
    x_steps = np.diff(sample.x, axis=1)
    none = np.zeros_like(sample.x[:, :1])
    ends = [none] if before < REACH else [], [none] if is_last else []
    x_turns = np.diff(np.concatenate([*ends[0], x_steps, *ends[1]], axis=1), axis=1)
    x_steps = x_steps[:, reach:]
    squares = np.square(residual)
    return Tally(
        sample=shown,
        rss=np.einsum("mi,mi->m", residual, residual),
        steps=np.square(np.diff(sample.residual[:, reach:], axis=1)).sum(axis=1),
        x_steps=x_steps.mT @ x_steps,
        x_turns=x_turns.mT @ x_turns,
        trend=_trend(z, squares),
        outlier=_extreme(size, numbers, distance),
        outliers=_outliers(sample, size, numbers),
        distance=_extreme(distance, numbers, distance),
        leverage=_extreme(leverage, numbers, leverage),
        ends=np.stack([z.min(axis=1), z.max(axis=1)]),
    )


def _trend(z: NDArray[np.float64], s: NDArray[np.float64]) -> Trend:
    z_mean, s_mean = z.mean(axis=1), s.mean(axis=1)
    z, s = z - z_mean[:, None], s - s_mean[:, None]
    zz, ss = np.square(z).sum(axis=1), np.square(s).sum(axis=1)
    return Trend(z.shape[1], z_mean, s_mean, zz, np.einsum("mi,mi->m", z, s), ss)


def _extreme(figure: NDArray[np.float64], numbers: NDArray[np.int_], beside: NDArray[np.float64]) -> Extreme:
    at = figure.argmax(axis=1)[:, None]
    of_row = (np.take_along_axis(values, at, axis=1)[:, 0] for values in (figure, beside))
    largest, other = of_row
    return Extreme(largest, numbers[at[:, 0]], other)


def _outliers(sample: Sample, size: NDArray[np.float64], numbers: NDArray[np.int_]) -> tuple[NDArray[np.int_], ...]:
    """Of every member, the numbers of the rows that lie off; p is computed of few, as it takes long."""
    from scipy.special import stdtrit

    bound = -NEARLY * stdtrit(max(sample.freedom - 1, 1), DOUBT / (2 * sample.n))
    found = []
    for sizes in size:
        far = np.flatnonzero(sizes > bound)
        found.append(numbers[far[p_of_outlier(sample, sizes[far]) < DOUBT]])
    return tuple(found)
