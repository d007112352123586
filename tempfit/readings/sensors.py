"""Rows of many sensors: from the order of a table to that of the sensors, as arrays, whoever's row stands where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempfit.config import ReadingsConfig
from tempfit.readings.faults import BROKEN, NO_NAME, count_faults


@dataclass(frozen=True, eq=False)
class SensorRows:
    """Paired readings of some sensors; more of the same sensors may be elsewhere.

    names: Arrow's strings (sensors,), distinct and sorted. starts: (sensors + 1,) int64; the readings of sensor k, in
    the table's order, are rows starts[k] up to starts[k + 1]. t_u, t_c, u_c, u_u: (rows,) float64, as in `Readings`;
    u_c and u_u None where the table states none. faults: Arrow's table of the rows that could not be used, which are
    not among these, as `tempfit.readings.faults.fault_schema` says. n_rows: how many rows were read, with those.
    """

    names: Any
    starts: NDArray[np.int64]
    t_u: NDArray[np.float64]
    t_c: NDArray[np.float64]
    u_c: NDArray[np.float64] | None
    u_u: NDArray[np.float64] | None
    faults: Any
    n_rows: int


@dataclass(frozen=True, eq=False)
class Block:
    """Rows of a table in its order, those that cannot be used among them.

    keys: whose each is, Arrow's (rows,) strings or dictionary of strings. values: of each column, (rows,) float64.
    faults: (rows,) places among `reasons`, 0 for a row that can be used; None where all can. number: the numbers of
    rows, which count in `unit`, of their places here. broken: the numbers of rows that are not here, as they could not
    be split into cells. file: as messages call it.
    """

    keys: Any
    values: Mapping[str, NDArray[np.float64]]
    faults: NDArray[np.int16] | None
    reasons: Sequence[str]
    number: Callable[[NDArray[np.int64]], NDArray[np.int64]]
    broken: NDArray[np.int64]
    unit: str
    file: str


def by_sensor(block: Block, config: ReadingsConfig) -> SensorRows:
    """The rows of each sensor behind each other; those of one stay in their order.

    A name is text without the spaces around it. Nothing is sorted where the sensors come one after the other by name.
    """
    names, starts, sensors = _runs(block.keys)
    n_rows = int(starts[-1])
    order: NDArray[np.int64] | slice = slice(None)
    faulty = np.empty(0, dtype=np.int64)
    why = whose = faulty
    if block.faults is not None or (sensors < 0).any():
        of_rows = np.repeat(sensors, np.diff(starts))
        faults = np.zeros(n_rows, dtype=np.int64) if block.faults is None else block.faults.astype(np.int64)
        faults[of_rows < 0] = len(block.reasons)
        faulty = np.flatnonzero(faults)
        why, whose = faults[faulty], of_rows[faulty]
        usable = np.flatnonzero(faults == 0)
        order = usable[_stable_order(of_rows[usable])]
        n_each = np.bincount(of_rows[usable], minlength=len(names))
    elif (np.diff(sensors) <= 0).any():
        runs = _stable_order(sensors)
        order = _joined_ranges(starts[runs], np.diff(starts)[runs])
        n_each = np.bincount(sensors, np.diff(starts), minlength=len(names)).astype(np.int64)
    else:
        n_each = np.diff(starts)
    counted = count_faults(
        names,
        np.append(whose, np.full(len(block.broken), -1)),
        np.append(why, np.full(len(block.broken), len(block.reasons) + 1)),
        np.append(block.number(faulty), block.broken),
        [*block.reasons, NO_NAME, BROKEN],
        file=block.file,
        unit=block.unit,
    )
    has_rows = n_each > 0
    if not has_rows.all():
        names = names.take(np.flatnonzero(has_rows))
    columns = {name: values[order] for name, values in block.values.items()}
    return SensorRows(
        names=names,
        starts=np.concatenate([[0], np.cumsum(n_each[has_rows])]),
        t_u=columns[config.x],
        t_c=columns[config.y],
        u_c=columns.get(config.u_c),
        u_u=columns.get(config.u_u),
        faults=counted,
        n_rows=n_rows + len(block.broken),
    )


def _runs(keys: Any) -> tuple[Any, NDArray[np.int64], NDArray[np.int64]]:
    """The names among the keys, distinct and sorted; where each run of rows of one sensor starts, and the last ends;
    and whose each run is, as a place among the names, -1 where it has no name."""
    import pyarrow as pa
    import pyarrow.compute as pc

    encoded = keys if pa.types.is_dictionary(keys.type) else keys.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy()
    changes = np.flatnonzero(codes[1:] != codes[:-1]) + 1
    starts = np.concatenate([[0], changes, [len(codes)]]) if len(codes) else np.zeros(1, dtype=np.int64)
    of_runs = codes[starts[:-1]]
    told = encoded.dictionary.take(pa.array(of_runs, mask=of_runs < 0)).cast(pa.string())
    told = pc.fill_null(pc.utf8_trim_whitespace(told), "")
    if len(told) and told[0].as_py() != "" and pc.all(pc.less(told[:-1], told[1:]), min_count=0).as_py():
        return told, starts, np.arange(len(told))
    distinct = told.dictionary_encode()
    ascending = pc.sort_indices(distinct.dictionary).to_numpy()
    ranks = np.empty(len(ascending), dtype=np.int64)
    ranks[ascending] = np.arange(len(ascending))
    sensors = ranks[distinct.indices.to_numpy()]
    names = distinct.dictionary.take(pa.array(ascending))
    if len(names) and names[0].as_py() == "":
        return names[1:], starts, sensors - 1
    return names, starts, sensors


def _stable_order(ranks: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of ranks from 0 on in ascending order, equal ones in theirs.

    By 16 bits at a time, which numpy sorts by counting: in a quarter of the time.
    """
    order = np.argsort(ranks.astype(np.uint16), kind="stable")
    shift = 16
    while len(ranks) and int(ranks.max()) >> shift:
        order = order[np.argsort((ranks[order] >> shift).astype(np.uint16), kind="stable")]
        shift += 16
    return order


def _joined_ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """starts[0], starts[0] + 1, … as many as lengths[0], then those of the next."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
