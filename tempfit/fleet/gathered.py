"""What was read of the sensors of a fleet, in any part of its readings: a monoid, as evidence is.

Blocks of a partition, partitions of a source and machines merge by one operation, in the order of the parts, so that a
fleet's table depends on how its readings are parted, to rounding, and on nothing else: not on who was ready first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tempfit.exact.evidence import BLOCK_ELEMENTS, CURVATURE, Evidence, concatenate, gather, merge
from tempfit.fleet.accelerated import Gather
from tempfit.readings.sensors import SensorRows

LONG = 2_048  # rows from which on a sensor is compressed by itself
WIDER = 1.25  # a rectangle is filled up by a quarter at most


@dataclass(frozen=True, eq=False)
class Gathered:
    """What was read of some sensors.

    names: (sensors,) Arrow's strings, distinct and sorted: those with a reading that can be used. evidence: theirs.
    faults: rows that cannot be used, as `SensorRows` has them, summed for each sensor and reason.
    n_rows: all that were read.
    """

    names: pa.StringArray
    evidence: Evidence
    faults: pa.Table
    n_rows: int

    def __len__(self) -> int:
        return len(self.names)


def unite_all(parts: Iterable[Gathered]) -> Gathered:
    """What all parts say, at least one, as they come: in pairs, and pairs of pairs, so that rounding grows with the
    logarithm of their number, and as many are held at a time. Parts whose sensors follow each other count as one."""
    held: list[tuple[int, Gathered]] = []
    for run in _runs(parts):
        level, whole = 0, unite(run)
        while held and held[-1][0] == level:
            whole, level = unite([held.pop()[1], whole]), level + 1
        held.append((level, whole))
    while len(held) > 1:
        (_, last), (level, before) = held.pop(), held.pop()
        held.append((level, unite([before, last])))
    return held[0][1]


def _runs(parts: Iterable[Gathered]) -> Iterator[list[Gathered]]:
    """The parts; those together whose sensors follow each other by name."""
    run: list[Gathered] = []
    for part in parts:
        follows = len(part) and run and len(run[-1]) and run[-1].names[-1].as_py() <= part.names[0].as_py()
        if run and not follows:
            yield run
            run = []
        run.append(part)
    if run:
        yield run


def compress(rows: SensorRows, degree: int = CURVATURE, gather: Gather = gather) -> Gathered:
    """The rows of every sensor to its evidence, by `gather` of `tempfit.exact.evidence`, or what does the same."""
    counts = np.diff(rows.starts)
    groups = list(_alike(counts))
    parts = (_gather(rows, some, counts[some], partial(gather, degree=degree)) for some in groups)
    if len(groups) == 1 and (np.diff(groups[0]) > 0).all():
        return Gathered(rows.names, next(parts), rows.faults, rows.n_rows)
    evidence = Evidence.empty(len(counts), degree)
    for some, part in zip(groups, parts, strict=True):
        evidence.put(some, part)
    return Gathered(rows.names, evidence, rows.faults, rows.n_rows)


def _alike(counts: NDArray[np.int64]) -> Iterable[NDArray[np.int64]]:
    """Positions of sensors that have about as many rows; of a sensor with many rows, its own."""
    if len(counts) and counts.min() == counts.max() and counts[0] < LONG:
        yield np.arange(len(counts))
        return
    order = np.argsort(counts, kind="stable")
    first = 0
    while first < len(order):
        few = counts[order[first]]
        until = np.searchsorted(counts[order], few * WIDER, side="right") if few < LONG else first + 1
        yield order[first:until]
        first = int(until)


def _gather(rows: SensorRows, some: NDArray[np.int64], counts: NDArray[np.int64], gather: Gather) -> Evidence:
    """Of sensors with about as many rows, as the rows of a rectangle."""
    columns = [rows.t_u, rows.t_c] if rows.u_c is None else [rows.t_u, rows.t_c, rows.u_c]
    start, most = rows.starts[some[0]], int(counts.max())
    end = rows.starts[some[-1] + 1]
    if (counts == most).all() and end - start == most * len(some):  # they follow each other
        return gather(*(column[start:end].reshape(len(some), most) for column in columns))
    parts = []
    step = max(1, 16 * BLOCK_ELEMENTS // most)  # sensors whose rectangles stay small
    for first in range(0, len(some), step):
        few, n = some[first : first + step], counts[first : first + step]
        places = rows.starts[few][:, None] + np.minimum(np.arange(most), n[:, None] - 1)
        parts.append(gather(*(column[places] for column in columns), counts=n))
    return concatenate(parts)


def unite(parts: Sequence[Gathered]) -> Gathered:
    """What the parts say. Evidence of a sensor in several of them is merged in their order."""
    if len(parts) == 1:
        return parts[0]
    faults = _sum_faults([part.faults for part in parts])
    n_rows = sum(part.n_rows for part in parts)
    evidence = [part.evidence for part in parts]
    if all(part.names.equals(parts[0].names) for part in parts[1:]):
        return Gathered(parts[0].names, merge(evidence), faults, n_rows)
    names, order, sensors = _in_order(pa.concat_arrays([part.names for part in parts]))
    return Gathered(names, _merge_runs(evidence, order, sensors), faults, n_rows)


def _merge_runs(parts: Sequence[Evidence], order: NDArray[np.int64] | None, sensors: NDArray[np.int64]) -> Evidence:
    """The evidence of the members of all parts, in this order, in which they stand for these sensors, ascending: those
    that stand for the same one are merged."""
    if order is not None:
        parts = [concatenate(parts)]
    is_first = np.diff(sensors, prepend=-1) > 0
    firsts = np.flatnonzero(is_first)
    several = np.diff(firsts, append=len(sensors)) > 1
    if not several.any():
        return _chosen(parts, order, is_first)
    among = np.repeat(several, np.diff(firsts, append=len(sensors)))
    of_one, rest = _chosen(parts, order, is_first), _chosen(parts, order, among)
    owners = sensors[among]
    while len(owners) > several.sum():
        place = np.arange(len(owners)) - np.searchsorted(owners, owners)
        odd = place % 2 == 1  # of each sensor's members, the second is merged into the first
        seconds = np.flatnonzero(odd)
        both = merge([rest[seconds - 1], rest[seconds]])
        rest.put(seconds - 1, both)
        rest, owners = rest[~odd], owners[~odd]
    of_one.put(np.flatnonzero(several), rest)
    return of_one


def _chosen(parts: Sequence[Evidence], order: NDArray[np.int64] | None, is_chosen: NDArray[np.bool_]) -> Evidence:
    """The evidence of some members of all parts, copied once."""
    if order is not None:
        return parts[0][order[is_chosen]]
    chosen, first = [], 0
    for part in parts:
        places = np.flatnonzero(is_chosen[first : first + part.members])
        first += part.members
        follow_each_other = len(places) and places[-1] - places[0] == len(places) - 1
        chosen.append(part[places[0] : places[-1] + 1] if follow_each_other else part[places])
    return concatenate(chosen)


def _in_order(names: pa.StringArray) -> tuple[pa.StringArray, NDArray[np.int64] | None, NDArray[np.int64]]:
    """The distinct names, sorted; what sorts all of them, those of the same sensor in their order (None where they are
    sorted already); and, in that order, which of the distinct ones each is."""
    if pc.all(pc.less_equal(names[:-1], names[1:])).as_py() is not False:
        is_first = np.ones(len(names), dtype=bool)
        is_first[1:] = pc.not_equal(names[1:], names[:-1]).to_numpy(zero_copy_only=False)
        return names.filter(pa.array(is_first)), None, np.cumsum(is_first) - 1
    encoded = names.dictionary_encode()
    sorting = pc.sort_indices(encoded.dictionary).to_numpy()
    ranks = np.empty(len(sorting), dtype=np.int64)
    ranks[sorting] = np.arange(len(sorting))
    ranked = ranks[encoded.indices.to_numpy()]
    order = np.argsort(ranked, kind="stable")
    return encoded.dictionary.take(pa.array(sorting)), order, ranked[order]


def _sum_faults(tables: Sequence[pa.Table]) -> pa.Table:
    """For each sensor and reason how many rows there are, and the first place."""
    table = pa.concat_tables(tables)
    if table.num_rows == 0:
        return table
    places = [name for name in table.column_names if name not in ("thermometer", "why", "n")]
    wanted = [("n", "sum"), *((name, "first") for name in places)]
    summed = table.group_by(["thermometer", "why"], use_threads=False).aggregate(wanted)
    names = {"n_sum": "n", **{f"{name}_first": name for name in places}}
    return summed.rename_columns([names.get(name, name) for name in summed.column_names]).select(table.column_names)
