"""A source of many sensors' readings in partitions, each of which is read by itself, wherever that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tempfit.config import FleetConfig, ReadingsConfig
from tempfit.errors import ReadingsError
from tempfit.readings.columns import Wanted
from tempfit.readings.many_csv import csv_blocks
from tempfit.readings.many_parquet import parquet_blocks
from tempfit.readings.paired import wanted_columns
from tempfit.readings.sensors import SensorRows, by_sensor
from tempfit.readings.tables import open_table
from tempfit.wording import printable, shown

PARTITION_ROWS = 4_000_000  # of Parquet, about
BLOCK_BYTES = 8 * 1024 * 1024  # of CSV


@dataclass(frozen=True)
class Partition:
    """A part of a source that is read by itself: a CSV file, or row groups of a Parquet file.

    path: as the source names it. row_groups: the first, and the one behind the last; None of CSV. n_bytes: of it.
    """

    path: str
    row_groups: tuple[int, int] | None
    n_bytes: int

    @property
    def place(self) -> str:
        """As messages call it."""
        return printable(self.path)


def find_partitions(source: str | Path, fleet: FleetConfig, config: ReadingsConfig) -> list[Partition]:
    """The partitions of a file, in their order. Raises ReadingsError."""
    path = str(source)
    with open_table(path) as file:
        is_parquet = file.read(4) == b"PAR1"
        if not is_parquet:
            return [Partition(path, None, Path(path).stat().st_size)]
        import pyarrow.parquet as pq

        metadata = pq.read_metadata(file)
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    partitions, start, n_rows = [], 0, 0
    for stop, group in enumerate(groups, 1):
        n_rows += group.num_rows
        if n_rows >= PARTITION_ROWS or stop == len(groups):
            n_bytes = sum(group.total_byte_size for group in groups[start:stop])
            partitions.append(Partition(path, (start, stop), n_bytes))
            start, n_rows = stop, 0
    return partitions


def read_partition(
    partition: Partition, config: ReadingsConfig, fleet: FleetConfig, on_bytes: Callable[[int], None]
) -> Iterator[SensorRows]:
    """The readings of a partition, block by block.

    on_bytes: called with how many of its bytes were read so far. Raises ReadingsError.
    """
    place = partition.place
    assert fleet.by is not None
    wanted = [Wanted(fleet.by, options="`by`", is_text=True), *wanted_columns(config)]
    if fleet.by in (column.name for column in wanted[1:]):
        raise ReadingsError(f"{place}: column {shown(fleet.by)} cannot name the sensors and hold numbers; name another")
    with open_table(partition.path) as file:
        if partition.row_groups is None:
            pieces = iter(lambda: file.read(BLOCK_BYTES), b"")
            blocks = csv_blocks(pieces, place, config, wanted, strict=fleet.strict)
        else:
            row_groups = range(*partition.row_groups)
            blocks = parquet_blocks(file, row_groups, place, config, wanted, on_bytes, strict=fleet.strict)
        for block in blocks:
            yield by_sensor(block, config)
