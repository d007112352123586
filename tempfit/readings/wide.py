"""Wide tables, a column for each sensor beside the reference: their rows, and the readings of each sensor in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempfit.config import ReadingsConfig
from tempfit.readings.columns import Wanted
from tempfit.readings.faults import NO_NUMBER, NO_READING, fault_schema, find_faults, reasons_of
from tempfit.readings.sensors import Block, Series
from tempfit.wording import shown


def by_row(block: Block, *, numbered: bool) -> tuple[Series, Any]:
    """The rows of a block of which the reference can be used, as those of one series, named as the reference: the
    columns of sensors are NaN where there is no reading that can be used. And the table of the faults of all sensors.

    A cell with nothing in it is no reading, and no fault. numbered: rows keep their numbers.
    """
    import pyarrow as pa

    layout = block.layout
    common = [it for it in layout.numbers if not it.gaps] + ([layout.time] if layout.time else [])
    of_rows = find_faults(common, block.values, block.texts)
    whys = np.zeros(block.n_rows, dtype=np.int64) if of_rows is None else of_rows.astype(np.int64)
    sensors = sorted(layout.sensors, key=lambda it: it.name)
    reasons = reasons_of([*common, *sensors])
    kept = slice(None) if of_rows is None else np.flatnonzero(of_rows == 0)
    columns = {it.name: block.values[it.name][kept] for it in common}
    n_common, n_each = len(reasons_of(common)) - 1, len(reasons_of(sensors[:1])) - 1
    faults = [_faults_of(it, block, whys, n_common + n_each * k) for k, it in enumerate(sensors)]
    for it, (places, _) in zip(sensors, faults, strict=True):
        readings = block.values[it.name]
        if len(places):
            readings = readings.copy()
            readings[places] = np.nan
        columns[it.name] = readings[kept]
    rows = block.number(np.arange(block.n_rows))[kept] if numbered else None
    n_rows = len(next(iter(columns.values())))
    counted = block.count_faults(
        pa.array([it.name for it in sensors], pa.string()),
        np.repeat(np.arange(len(sensors)), [len(places) for places, _ in faults]),
        np.concatenate([np.empty(0, dtype=np.int64), *(why for _, why in faults)]),
        np.concatenate([np.empty(0, dtype=np.int64), *(places for places, _ in faults)]),
        reasons,
    )
    names = pa.array([layout.config.y] if n_rows else [], pa.string())
    return Series(names, np.arange(len(names) + 1) * n_rows, columns, rows), counted


def _faults_of(
    it: Wanted, block: Block, whys: NDArray[np.int64], n_before: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where a sensor has a reading that cannot be used, or that has no reference, and why; n_before: reasons that stand
    before the sensor's own."""
    own = find_faults([it], block.values, block.texts)
    codes = whys * ~np.isnan(block.values[it.name])
    if own is not None:
        codes = np.where(own > 0, own + n_before, codes)
    places = np.flatnonzero(codes)
    return places, codes[places]


def by_column(rows: Series, sensors: Sequence[Wanted], config: ReadingsConfig) -> Series:
    """The readings of each sensor in the rows of a wide table, sensor by sensor."""
    import pyarrow as pa

    names = sorted(it.name for it in sensors)
    has_reading = {name: ~np.isnan(rows.columns[name]) for name in names}
    counts = np.array([np.count_nonzero(has_reading[name]) for name in names], dtype=np.int64)
    places = np.concatenate([np.empty(0, dtype=np.int64), *(np.flatnonzero(has_reading[name]) for name in names)])
    common = {name: column for name, column in rows.columns.items() if name not in has_reading}
    found = Series(pa.array(names, pa.string()), np.array([0]), common, rows.rows).at(
        places, pa.array(names, pa.string()), counts
    )
    readings = np.concatenate([np.empty(0), *(rows.columns[name][has_reading[name]] for name in names)])
    return Series(found.names, found.starts, {**found.columns, config.x: readings}, found.rows)


def still_numberless(block: Block, numberless: Mapping[str, bool] | None) -> dict[str, bool]:
    """Those of the numberless sensors (None: of all) that have no number in a block, either; and whether there was
    text."""
    before = dict.fromkeys((it.name for it in block.layout.sensors), False) if numberless is None else numberless
    nothing = np.zeros(0, dtype=bool)
    return {
        name: had_text or bool(block.texts.get(name, nothing).any())
        for name, had_text in before.items()
        if np.isnan(block.values[name]).all()
    }


def faults_of_numberless(numberless: Mapping[str, bool], block: Block) -> Any:
    """A table of faults that tells of sensors with no number at all, of which no row more is at fault."""
    import pyarrow as pa

    told = {"n": 0, "file": block.file, "row": int(block.number(np.zeros(1, np.int64))[0]), "unit": block.unit}
    faults = [
        {"thermometer": name, "why": NO_NUMBER.format(shown(name)) if had_text else NO_READING, **told}
        for name, had_text in sorted(numberless.items())
    ]
    return pa.Table.from_pylist(faults, fault_schema())
