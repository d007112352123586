"""Readings of many sensors in one table, block by block: what a fleet's calibrations are made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tempfit.config import ReadingsConfig
from tempfit.errors import ReadingsError
from tempfit.readings.columns import Columns, Wanted
from tempfit.readings.paired import refuse_lone_uncertainties, wanted_columns
from tempfit.readings.tables import name_of, open_table, read_blocks
from tempfit.wording import printable, shown


@dataclass(frozen=True, eq=False)
class SensorBlock:
    """Paired readings of some sensors; others of the same sensors may stand in other blocks.

    names: (sensors,), sorted. starts: (sensors + 1,) int64; the readings of sensor k, in the table's order, are rows
    starts[k] up to starts[k + 1]. t_u, t_c, u_c, u_u: (rows,) float64, as in `Readings`; u_c and u_u None where the
    table states none. n_dropped: rows that were dropped because something was missing.
    """

    names: list[str]
    starts: NDArray[np.int64]
    t_u: NDArray[np.float64]
    t_c: NDArray[np.float64]
    u_c: NDArray[np.float64] | None
    u_u: NDArray[np.float64] | None
    n_dropped: int


def read_sensors(source: str | Path, config: ReadingsConfig, sensor: str = "sensor_id") -> Iterator[SensorBlock]:
    """The readings in a CSV or Parquet file, or on standard input (`-`), by the sensor that the column `sensor` names.

    A name is text without the spaces around it, or an integer as it is written: 007 is not 7. Values are checked as
    those of `load_readings`, but for what needs all of a sensor's: how many there are, and how far apart.
    Raises ReadingsError, as `load_readings`, where a block is reached that cannot be used.
    """
    wanted = [Wanted(sensor, options="`sensor`", is_text=True), *wanted_columns(config)]
    place = printable(name_of(source))
    if sensor in (column.name for column in wanted[1:]):
        raise ReadingsError(f"{place}: column {shown(sensor)} cannot name the sensors and hold numbers; name another")
    with open_table(str(source)) as file:
        for columns in read_blocks(file, str(source), config, wanted):
            block = _by_sensor(columns, sensor, config)
            refuse_lone_uncertainties(place, block.u_c, block.u_u)
            yield block


def _by_sensor(columns: Columns, sensor: str, config: ReadingsConfig) -> SensorBlock:
    """The rows of each sensor behind each other; those of one stay in their order."""
    encoded = columns.texts[sensor].combine_chunks().dictionary_encode()
    found = encoded.dictionary.to_pylist()
    ranks = np.empty(len(found), dtype=np.int64)
    ranks[sorted(range(len(found)), key=found.__getitem__)] = np.arange(len(found))
    ranked = ranks[encoded.indices.to_numpy()]
    order = np.argsort(ranked, kind="stable")
    values = {name: column[order] for name, column in columns.values.items()}
    return SensorBlock(
        names=sorted(found),
        starts=np.concatenate([[0], np.cumsum(np.bincount(ranked, minlength=len(found)))]),
        t_u=values[config.x],
        t_c=values[config.y],
        u_c=values.get(config.u_c),
        u_u=values.get(config.u_u),
        n_dropped=columns.n_dropped,
    )
