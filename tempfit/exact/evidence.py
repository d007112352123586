"""What any number of readings says of a line or polynomial, in a few numbers: the triangular factor of its rows.

For squared loss, N rows `[1, z, …, zᵈ | t_c]` say no more than the triangular factor R of their QR decomposition:
`‖A p - y‖² = ‖R₁ p - r‖²` for every p, because Q does not change lengths. Factors of two blocks of rows merge by a QR
of the two stacked (Demmel, Grigori, Hoemmen, Langou: Communication-optimal parallel and sequential QR and LU
factorizations, SIAM J. Sci. Comput. 34, 2012). So evidence is a monoid: blocks of rows merge in any order, on any
machine, and scaling, solution, covariance and the loop are derived from what has been merged.

The QR is by modified Gram-Schmidt, whose R is as good as Householder's (Björck: Solving linear least squares problems
by Gram-Schmidt orthogonalization, BIT 7, 1967), and which needs nothing but sums over the rows of a member: for all
members at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempfit.exact.matrices import product
from tempfit.system.threads import ahead

CURVATURE = 2  # degree: a line's evidence carries t_u², to tell a bend from a line
BLOCK_ELEMENTS = 65_536  # of a column taken at once: of fewer, threads wait for Python; of more, for memory
MANY = 100_000  # members that threads share to copy
MERGED = 4_096  # members at a time: what is made of them on the way stays in a core's cache


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the readings of every member say, whatever their number.

    n: (members,), how many there are. low, high: (members,), their range, in the unit of t_u.
    largest: (members,), of t_c by size.
    center, scale: (members,), of `z = (t_u - center) / scale`, which lies between -1 and 1.
    factor: (members, degree + 2, degree + 2), upper triangular with no negative diagonal, of the rows
    `[1, z, …, z**degree | t_c]`, each times the square root of its weight; the weights' mean is 1.
    variance: (members,), of an observation of weight 1, by the uncertainties stated; NaN where none are.
    mean_variance: (members,), the mean of what is stated for the observations; NaN likewise.
    """

    n: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    largest: NDArray[np.float64]
    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    factor: NDArray[np.float64]
    variance: NDArray[np.float64]
    mean_variance: NDArray[np.float64]

    @property
    def members(self) -> int:
        return len(self.n)

    @property
    def degree(self) -> int:
        """The highest power of the reading that is in it."""
        return self.factor.shape[-1] - 2

    @property
    def targets(self) -> NDArray[np.float64]:
        """(members, degree + 2), what of t_c each power explains beyond the lower ones, and what all of them leave."""
        return self.factor[..., -1]

    def rss(self, n_terms: int) -> NDArray[np.float64]:
        """(members,), the residual sum of squares of least squares with so many terms, from the constant upwards."""
        left = self.targets[:, n_terms:]
        return np.einsum("mj,mj->m", left, left)

    @property
    def mean_square(self) -> NDArray[np.float64]:
        """(members,), of t_c, weighted."""
        return np.einsum("mj,mj->m", self.targets, self.targets) / self.n

    def __getitem__(self, members: Any) -> Evidence:
        """The evidence of some members: a slice, positions, or a mask."""
        return Evidence(*(getattr(self, name)[members] for name in self.__dataclass_fields__))

    @classmethod
    def empty(cls, members: int, degree: int) -> Evidence:
        """Room for so many members, to be filled by `put`."""
        size = degree + 2
        numbers = {name: np.empty(members) for name in cls.__dataclass_fields__ if name != "factor"}
        return cls(**numbers, factor=np.empty((members, size, size), order="F"))

    def put(self, members: NDArray[np.int64] | slice, others: Evidence) -> None:
        """Put others' evidence in the place of these members'."""
        for name in self.__dataclass_fields__:
            getattr(self, name)[members] = getattr(others, name)


def gather(
    t_u: NDArray[np.float64],
    t_c: NDArray[np.float64],
    u_c: NDArray[np.float64] | None = None,
    *,
    degree: int = CURVATURE,
    counts: NDArray[np.int64] | None = None,
) -> Evidence:
    """The evidence of readings t_u and references t_c, (members, rows) float64 each.

    u_c: (members, rows), standard uncertainties of t_c, which weigh the rows; None where all weigh the same.
    counts: (members,), at least 1, how many of a member's rows there are: the rows behind fill the rectangle with
    numbers that the member has, and say nothing. None where all are there. For at most `BLOCK_ELEMENTS` rows.
    """
    members, n_rows = t_u.shape
    if counts is not None and (counts == n_rows).all():
        counts = None
    given = [t_u, t_c] if u_c is None else [t_u, t_c, u_c]
    few_rows = min(n_rows, BLOCK_ELEMENTS)
    few_members = max(1, BLOCK_ELEMENTS // few_rows)
    gathered = Evidence.empty(members, degree)
    for first in range(0, members, few_members):
        some = slice(first, first + few_members)
        n = None if counts is None else counts[some]
        blocks = ([column[some, k : k + few_rows] for column in given] for k in range(0, n_rows, few_rows))
        gathered.put(some, merge([_gather(degree, n, *block) for block in blocks]))
    return gathered


def concatenate(parts: Sequence[Evidence]) -> Evidence:
    """The evidence of all parts' members, one part's behind the other's."""
    if len(parts) == 1:
        return parts[0]
    ends = np.cumsum([part.members for part in parts]).tolist()
    whole = Evidence.empty(ends[-1], parts[0].degree)
    places = [slice(end - part.members, end) for part, end in zip(parts, ends, strict=True)]
    if ends[-1] < MANY:
        for some, part in zip(places, parts, strict=True):
            whole.put(some, part)
    else:
        list(ahead(lambda k: whole.put(places[k], parts[k]), range(len(parts))))
    return whole


def _gather(
    degree: int,
    counts: NDArray[np.int64] | None,
    t_u: NDArray[np.float64],
    t_c: NDArray[np.float64],
    u_c: NDArray[np.float64] | None = None,
) -> Evidence:
    members, n_rows = t_u.shape
    beside = np.asfortranarray(t_u)  # a largest one of many members is found most quickly for all of them at once
    low, high, largest = beside.min(axis=1), beside.max(axis=1), np.abs(np.asfortranarray(t_c)).max(axis=1)
    center, scale = _frame(low, high)
    n = np.full(members, float(n_rows)) if counts is None else counts.astype(np.float64)
    there = None if counts is None else (np.arange(n_rows) < counts[:, None]).astype(np.float64)
    unknown = np.full(members, np.nan)
    variance, mean_variance, root_weights = unknown, unknown, there
    if u_c is not None:
        variances = np.square(u_c)
        some = True if there is None else there > 0
        variance = 1 / np.mean(1 / variances, axis=1, where=some)
        mean_variance = np.mean(variances, axis=1, where=some)
        root_weights = np.sqrt(variance)[:, None] / u_c * (1.0 if there is None else there)
    columns = np.empty((degree + 2, members, n_rows))
    columns[0] = 1.0
    z = np.divide(np.subtract(t_u, center[:, None], out=columns[1]), scale[:, None], out=columns[1])
    for power in range(2, degree + 1):
        np.multiply(columns[power - 1], z, out=columns[power])
    columns[-1] = t_c
    if root_weights is not None:
        columns *= root_weights
    return Evidence(
        n=n,
        low=low,
        high=high,
        largest=largest,
        center=center,
        scale=scale,
        factor=_triangle(columns),
        variance=variance,
        mean_variance=mean_variance,
    )


def merge(parts: Sequence[Evidence]) -> Evidence:
    """The evidence of all parts' readings, member by member: each part is of some of the rows of every member.

    In pairs, then pairs of pairs, so that rounding grows with the logarithm of the number of parts.
    """
    parts = list(parts)
    while len(parts) > 1:
        pairs = [parts[k : k + 2] for k in range(0, len(parts), 2)]
        parts = [reduce(_merge, pair) for pair in pairs]
    return parts[0]


def _merge(one: Evidence, other: Evidence) -> Evidence:
    if one.members <= MERGED:
        return _merge_some(one, other)
    merged = Evidence.empty(one.members, one.degree)
    for first in range(0, one.members, MERGED):
        some = slice(first, first + MERGED)
        merged.put(some, _merge_some(one[some], other[some]))
    return merged


def _merge_some(one: Evidence, other: Evidence) -> Evidence:
    n = one.n + other.n
    low, high = np.minimum(one.low, other.low), np.maximum(one.high, other.high)
    center, scale = _frame(low, high)
    variance = n / (one.n / one.variance + other.n / other.variance)
    factors = []
    for part in (one, other):
        weight = np.where(np.isnan(variance), 1.0, np.sqrt(variance / part.variance))
        moved = part.factor.copy("K")
        moved[..., :-1] = product(part.factor[..., :-1], _change(part, center, scale))
        factors.append(moved * weight[:, None, None])
    rows = np.concatenate(factors, axis=1)  # (members, 2 (degree + 2), degree + 2)
    return Evidence(
        n=n,
        low=low,
        high=high,
        largest=np.maximum(one.largest, other.largest),
        center=center,
        scale=scale,
        factor=_triangle(np.ascontiguousarray(np.moveaxis(rows, -1, 0))),
        variance=variance,
        mean_variance=(one.n * one.mean_variance + other.n * other.mean_variance) / n,
    )


def _frame(low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Center and scale that take the range to ±1; where all readings are the same, z is 0."""
    half = high / 2 - low / 2
    return low + half, np.where(half > 0, half, 1.0)


def _change(part: Evidence, center: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """(members, degree + 1, degree + 1), upper triangular T with `powers(z) @ T = powers(new z)`: binomial theorem."""
    slope, shift = part.scale / scale, (part.center - center) / scale  # new z = slope z + shift
    n_terms = part.degree + 1
    change = np.zeros((part.members, n_terms, n_terms), order="F")
    for power in range(n_terms):
        for k in range(power + 1):
            change[:, k, power] = comb(power, k) * slope**k * shift ** (power - k)
    return change


def _triangle(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """R of the QR decomposition of columns (columns, members, rows), which are used up: (members, columns, columns)."""
    n_columns, members, _ = columns.shape
    factor = np.zeros((members, n_columns, n_columns), order="F")
    made = np.empty_like(columns[0])
    for j, column in enumerate(columns):
        square, rest = np.einsum("mr,mr->m", column, column), columns[j + 1 :]
        norm, is_there = np.sqrt(square), square > 0
        factor[:, j, j] = norm
        products = np.einsum("mr,kmr->km", column, rest)
        factor[:, j, j + 1 :] = (products / np.where(is_there, norm, 1.0)).T
        for other, share in zip(rest, products / np.where(is_there, square, 1.0), strict=True):
            other -= np.multiply(column, share[:, None], out=made)
    return factor
