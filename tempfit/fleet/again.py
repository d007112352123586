"""The rows of a few sensors, read once more: of a fleet only evidence is kept, and a picture takes rows.

Where a file is a sensor's, or a row group's statistics tell who is in it, the others are left alone: twelve of a
million sensors take a fifth of the time in which all are compressed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tempfit.config import CalibrationConfig, FleetConfig
from tempfit.fleet.engine import Engine
from tempfit.readings.many import read_partition
from tempfit.readings.partitions import Partition
from tempfit.readings.storage import opened

MOST_ROWS = 2_000  # of a sensor: a picture shows no more
MOST_BYTES = 256 * 1024 * 1024  # to read again, about, before only a part of what there is of a sensor is looked for

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SomeRows:
    """Paired readings of one sensor, evenly spread over those that it has. t_u, t_c: (rows,)."""

    t_u: Floats
    t_c: Floats


@dataclass(frozen=True)
class Piece:
    """A part of a partition, and who of the sensors looked for may be in it."""

    partition: Partition
    sensors: frozenset[str]


def read_again(
    partitions: Sequence[Partition],
    sensors: Sequence[str],
    settings: FleetConfig,
    config: CalibrationConfig,
    engine: Engine,
) -> dict[str, SomeRows]:
    """Rows of each of the sensors, MOST_ROWS at most. Raises ReadingsError."""
    wanted = frozenset(sensors)
    pieces = [piece for partition in partitions for piece in _pieces(partition, settings, wanted)]
    if sum(piece.partition.n_bytes for piece in pieces) > MOST_BYTES:
        pieces = _some_of_each(pieces, sensors)
    parts: dict[str, list[SomeRows]] = {name: [] for name in sensors}
    for found in engine.map(partial(_read, settings, config), pieces):
        for name, rows in found.items():
            parts[name].append(rows)
    return {name: _thinned(rows) for name, rows in parts.items() if rows}


def _pieces(partition: Partition, settings: FleetConfig, sensors: frozenset[str]) -> Iterator[Piece]:
    """What of the partition may hold rows of the sensors: files of theirs, row groups whose statistics allow it."""
    files = tuple(file for file in partition.files if file.thermometer is None or file.thermometer in sensors)
    if not files:
        return
    n_bytes = sum(file.n_bytes for file in files)
    if partition.row_groups is None:
        yield Piece(replace(partition, files=files, n_bytes=n_bytes), sensors)
        return
    with opened(files[0].path) as file:
        metadata = pq.read_metadata(file)
    first, stop = partition.row_groups
    for group in range(first, stop):
        some = frozenset(name for name in sensors if _may_hold(metadata.row_group(group), settings.by, name))
        if some:
            share = partition.n_bytes // (stop - first)
            yield Piece(replace(partition, row_groups=(group, group + 1), n_bytes=share), some)


def _may_hold(group: Any, by: str | None, name: str) -> bool:
    """Whether the statistics of a row group let the sensor be in it."""
    for column in map(group.column, range(group.num_columns)):
        if column.path_in_schema.strip() == by and column.statistics is not None and column.statistics.has_min_max:
            low, high = column.statistics.min, column.statistics.max
            if not isinstance(low, str):  # of numbers, the order is another
                return not name.isdecimal() or bool(low <= int(name) <= high)
            return low != low.strip() or low <= name <= high  # spaces around a name count in the file's order alone
    return True


def _some_of_each(pieces: Sequence[Piece], sensors: Sequence[str]) -> list[Piece]:
    """As many pieces of each sensor, evenly spread, as MOST_BYTES hold, and one at least; in their order."""
    most = max(1, MOST_BYTES // max(piece.partition.n_bytes for piece in pieces))
    chosen: set[int] = set()
    for name in sensors:
        own = [k for k, piece in enumerate(pieces) if name in piece.sensors]
        chosen.update(own[int(k)] for k in np.linspace(0, len(own) - 1, min(most, len(own))))
    return [pieces[k] for k in sorted(chosen)]


def _read(settings: FleetConfig, config: CalibrationConfig, piece: Piece) -> Mapping[str, SomeRows]:
    """The sensors' rows in a piece."""
    found: dict[str, _Kept] = {}
    wanted = sorted(piece.sensors)
    for rows in read_partition(piece.partition, config, settings, lambda n_bytes: None):
        for name, place in zip(wanted, pc.index_in(pa.array(wanted), rows.names).to_pylist(), strict=True):
            if place is not None:
                own = slice(rows.starts[place], rows.starts[place + 1])
                found.setdefault(name, _Kept()).add(rows.t_u[own], rows.t_c[own])
    return {name: _thinned(kept.parts) for name, kept in found.items()}


class _Kept:
    """Every row of a sensor, then every second, every fourth, …, so that a few thousand are held at a time."""

    def __init__(self) -> None:
        self.parts: list[SomeRows] = []
        self.step, self.n = 1, 0

    def add(self, t_u: Floats, t_c: Floats) -> None:
        kept = slice(-self.n % self.step, None, self.step)
        self.parts.append(SomeRows(t_u[kept].copy(), t_c[kept].copy()))
        self.n += len(t_u)
        while sum(len(part.t_u) for part in self.parts) > 2 * MOST_ROWS:
            whole = _joined(self.parts)
            self.parts, self.step = [SomeRows(whole.t_u[::2].copy(), whole.t_c[::2].copy())], 2 * self.step


def _joined(parts: Sequence[SomeRows]) -> SomeRows:
    return SomeRows(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("t_u", "t_c")))


def _thinned(parts: Sequence[SomeRows]) -> SomeRows:
    """Every second of all rows, or every third, …: MOST_ROWS at most."""
    whole = _joined(parts)
    step = -(-len(whole.t_u) // MOST_ROWS)
    return SomeRows(whole.t_u[::step], whole.t_c[::step])
