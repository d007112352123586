"""Rows of many sensors: from the order of a table to that of the sensors, as arrays, whoever's row stands where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempfit.errors import ReadingsError
from tempfit.readings.faults import BROKEN, NO_NAME, count_faults, find_faults, reasons_of
from tempfit.readings.layout import Layout

Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SensorRows:
    """Paired readings of some sensors; more of the same sensors may be elsewhere.

    names: Arrow's strings (sensors,), distinct and sorted. starts: (sensors + 1,) int64; the readings of sensor k, in
    the table's order, are rows starts[k] up to starts[k + 1], at least one. t_u, t_c, u_c, u_u: (rows,) float64, as in
    `Readings`; u_c and u_u None where the table states none. faults: Arrow's table of the rows that could not be used,
    which are not among these, as `tempfit.readings.faults.fault_schema` says. n_rows: rows that were read, with those.
    """

    names: Any
    starts: Places
    t_u: NDArray[np.float64]
    t_c: NDArray[np.float64]
    u_c: NDArray[np.float64] | None
    u_u: NDArray[np.float64] | None
    faults: Any
    n_rows: int


@dataclass(frozen=True, eq=False)
class Block:
    """Rows of a table in its order, those that cannot be used among them.

    keys: whose each is, Arrow's (rows,) strings or dictionary of strings; or the name of whose all are. values: of each
    column of numbers and times, (rows,) float64, NaN where there is none. texts: where that is as something else is
    written there. number: the numbers of rows, which count in `unit`, of their places here. broken: the numbers of rows
    that are not here, as they could not be split into cells. file: as messages call it.
    """

    layout: Layout
    keys: Any
    values: Mapping[str, NDArray[np.float64]]
    texts: Mapping[str, NDArray[np.bool_]]
    number: Callable[[Places], Places]
    broken: Places
    unit: str
    file: str

    @property
    def n_rows(self) -> int:
        return len(next(iter(self.values.values())))

    def count_faults(self, names: Any, sensors: Places, why: Places, places: Places, reasons: Sequence[str]) -> Any:
        """The faults of rows at these places, and of the broken ones; see `tempfit.readings.faults.count_faults`."""
        return count_faults(
            names,
            np.append(sensors, np.full(len(self.broken), -1)),
            np.append(why, np.full(len(self.broken), len(reasons))),
            np.append(self.number(places), self.broken),
            [*reasons, BROKEN],
            file=self.file,
            unit=self.unit,
        )


def refuse_wrong_times(block: Block) -> None:
    """Raise ReadingsError at the first row of which the time is wrong, where rows that cannot be used are refused."""
    layout = block.layout
    codes = find_faults([layout.time], block.values, block.texts) if layout.time and layout.strict else None
    if codes is None or layout.time is None:
        return
    reasons = reasons_of([layout.time])
    wrong = codes > (1 if layout.config.drop_missing else 0)  # the first reason is that it is missing
    if wrong.any():
        place = np.flatnonzero(wrong)[:1]
        how = "write it as 2024-05-31 12:30 or as a number of seconds, say how it is written by `time_format`"
        if layout.time_format is not None:
            how = f'write it as `time_format="{layout.time_format}"` says'
        raise ReadingsError(
            f"{block.file}: {block.unit} {block.number(place)[0]}, {reasons[codes[place[0]]]}; {how}, or remove the row"
        )


@dataclass(frozen=True, eq=False)
class Series:
    """Rows that can be used, those of each sensor behind each other.

    names, starts: as in `SensorRows`. columns: (rows,) by name. rows: their numbers, where they are kept.
    """

    names: Any
    starts: Places
    columns: Mapping[str, NDArray[Any]]
    rows: Places | None = None

    def at(self, places: Places | slice, names: Any, lengths: Places) -> Series:
        """The rows at these places, of sensors that have so many of them, if any."""
        has_rows = lengths > 0
        return Series(
            names if has_rows.all() else names.take(np.flatnonzero(has_rows)),
            np.concatenate([[0], np.cumsum(lengths[has_rows])]),
            {name: column[places] for name, column in self.columns.items()},
            None if self.rows is None else self.rows[places],
        )

    def where(self, chosen: NDArray[np.bool_]) -> Series:
        """The rows that are chosen."""
        n_before = np.concatenate([[0], np.cumsum(chosen)])
        return self.at(np.flatnonzero(chosen), self.names, np.diff(n_before[self.starts]))

    def owners(self) -> Places:
        """Of each row, the place of its sensor."""
        return np.repeat(np.arange(len(self.names)), np.diff(self.starts))


def by_sensor(block: Block, *, numbered: bool = False) -> tuple[Series, Any]:
    """The rows of each sensor, those of one in their order, and the table of the faults of the others.

    A name is text without the spaces around it. Nothing is sorted where the sensors come one after the other by name.
    numbered: rows keep their numbers.
    """
    layout = block.layout
    columns = [*layout.numbers, *([layout.time] if layout.time else [])]
    codes = find_faults(columns, block.values, block.texts)
    names, starts, sensors = _runs(block)
    faulty = why = whose = np.empty(0, dtype=np.int64)
    rows = block.number(np.arange(block.n_rows)) if numbered else None
    given = Series(names, starts, block.values, rows)
    reasons = [*reasons_of(columns), NO_NAME]
    if codes is not None or (sensors < 0).any():
        of_rows = np.repeat(sensors, np.diff(starts))
        why = np.where(of_rows < 0, len(reasons) - 1, 0 if codes is None else codes)
        faulty, usable = np.flatnonzero(why), np.flatnonzero(why == 0)
        why, whose = why[faulty], of_rows[faulty]
        order = usable[_stable_order(of_rows[usable])]
        found = given.at(order, names, np.bincount(of_rows[usable], minlength=len(names)))
    else:
        found = _in_order(given, sensors)
    return found, block.count_faults(names, whose, why, faulty, reasons)


def join(parts: Sequence[Series]) -> Series:
    """The rows of all, those of each sensor in the order of the parts."""
    import pyarrow as pa

    if len(parts) == 1:
        return parts[0]
    names, sensors = _ranked(pa.concat_arrays([part.names for part in parts]))
    lengths = np.concatenate([np.diff(part.starts) for part in parts])
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
    numbers = [part.rows for part in parts if part.rows is not None]
    rows = np.concatenate(numbers) if numbers else None
    return _in_order(Series(names, np.concatenate([[0], np.cumsum(lengths)]), columns, rows), sensors)


def _in_order(given: Series, sensors: Places) -> Series:
    """given: rows in runs, by its starts, and all names, sorted; sensors: the place among them of whose each run is."""
    lengths = np.diff(given.starts)
    if len(sensors) == len(given.names) and (np.diff(sensors) > 0).all():
        return given
    runs = _stable_order(sensors)
    places = _joined_ranges(given.starts[runs], lengths[runs])
    return given.at(places, given.names, np.bincount(sensors, lengths, minlength=len(given.names)).astype(np.int64))


def _runs(block: Block) -> tuple[Any, Places, Places]:
    """The names of whose the rows are, distinct and sorted; where each run of rows of one sensor starts, and the last
    ends; and whose each run is, as a place among the names, -1 where it has no name."""
    import pyarrow as pa

    if isinstance(block.keys, str):
        told = pa.array([block.keys] if block.n_rows else [], pa.string())
        starts = np.arange(len(told) + 1) * block.n_rows
    else:
        encoded = block.keys if pa.types.is_dictionary(block.keys.type) else block.keys.dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy()
        starts = np.concatenate([[0], np.flatnonzero(codes[1:] != codes[:-1]) + 1, [len(codes)]])[: len(codes) + 1]
        of_runs = codes[starts[:-1]]
        told = encoded.dictionary.take(pa.array(of_runs, mask=of_runs < 0)).cast(pa.string())
    names, sensors = _ranked(told)
    return names, starts, sensors


def _ranked(told: Any) -> tuple[Any, Places]:
    """The distinct ones of some names, sorted, and the place among them of each; -1 of what is no name."""
    import pyarrow as pa
    import pyarrow.compute as pc

    told = pc.fill_null(pc.utf8_trim_whitespace(told), "")
    if len(told) and told[0].as_py() != "" and pc.all(pc.less(told[:-1], told[1:]), min_count=0).as_py():
        return told, np.arange(len(told))
    distinct = told.dictionary_encode()
    ascending = pc.sort_indices(distinct.dictionary).to_numpy().astype(np.int64)
    ranks = np.empty(len(ascending), dtype=np.int64)
    ranks[ascending] = np.arange(len(ascending))
    names, sensors = distinct.dictionary.take(pa.array(ascending)), ranks[distinct.indices.to_numpy()]
    if len(names) and names[0].as_py() == "":
        return names[1:], sensors - 1
    return names, sensors


def _stable_order(ranks: Places) -> Places:
    """The places of ranks from 0 on in ascending order, equal ones in theirs.

    By 16 bits at a time, which numpy sorts by counting: in a quarter of the time.
    """
    order = np.argsort(ranks.astype(np.uint16), kind="stable")
    shift = 16
    while len(ranks) and int(ranks.max()) >> shift:
        order = order[np.argsort((ranks[order] >> shift).astype(np.uint16), kind="stable")]
        shift += 16
    return order


def _joined_ranges(starts: Places, lengths: Places) -> Places:
    """starts[0], starts[0] + 1, … as many as lengths[0], then those of the next."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
