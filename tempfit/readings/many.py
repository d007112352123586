"""Partitions to rows of sensors, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempfit.config import FleetConfig, ReadingsConfig
from tempfit.errors import ReadingsError
from tempfit.readings.faults import UNSTEADY, count_faults, fault_schema
from tempfit.readings.layout import layout_of
from tempfit.readings.many_csv import csv_blocks
from tempfit.readings.many_parquet import parquet_blocks
from tempfit.readings.partitions import Partition
from tempfit.readings.sensors import Block, SensorRows, Series, by_sensor, join
from tempfit.readings.steady import SteadyGate
from tempfit.readings.storage import is_url, opened, pieces_of
from tempfit.readings.wide import by_column, by_row, faults_of_numberless, still_numberless
from tempfit.wording import printable

CSV_BYTES = 8 * 1024 * 1024  # of a block
FEW_ROWS = 250_000  # blocks with fewer are put together

Part = tuple[Series, Any]  # rows that can be used, and the faults of others


def peek_many(partitions: Sequence[Partition], config: ReadingsConfig, fleet: FleetConfig) -> None:
    """Refuse at once what the first rows can tell is wrong with a source; `read_partition` finds the rest.

    Raises as `read_partition`.
    """
    next(read_partition(partitions[0], config, fleet, lambda n_bytes: None), None)


def read_partition(
    partition: Partition, config: ReadingsConfig, fleet: FleetConfig, on_bytes: Callable[[int], None]
) -> Iterator[SensorRows]:
    """The readings of a partition, block by block.

    A row that cannot be used counts against its sensor, or, where `fleet.strict`, is refused as `load_readings` does.
    on_bytes: called with how many of its bytes were read so far. Raises ReadingsError.
    """
    held: list[Part] = []
    for series, faults in _parts(partition, config, fleet, on_bytes):
        if held and (series.columns.keys() != held[0][0].columns.keys()):
            yield _joined(held, config)
            held = []
        held.append((series, faults))
        if sum(int(part.starts[-1]) for part, _ in held) >= FEW_ROWS:
            yield _joined(held, config)
            held = []
    if held:
        yield _joined(held, config)


def _joined(parts: list[Part], config: ReadingsConfig) -> SensorRows:
    import pyarrow as pa

    rows = join([series for series, _ in parts])
    faults = pa.concat_tables([fault_schema().empty_table(), *(faults for _, faults in parts)])
    return SensorRows(
        names=rows.names,
        starts=rows.starts,
        t_u=rows.columns[config.x],
        t_c=rows.columns[config.y],
        u_c=rows.columns.get(config.u_c),
        u_u=rows.columns.get(config.u_u),
        faults=faults,
        n_rows=int(rows.starts[-1]) + int(np.sum(faults["n"].to_numpy())),
    )


def _parts(
    partition: Partition, config: ReadingsConfig, fleet: FleetConfig, on_bytes: Callable[[int], None]
) -> Iterator[Part]:
    n_before = 0
    for file in partition.files:
        n_bytes = file.n_bytes if partition.row_groups is None else partition.n_bytes
        place = printable(file.path)
        by = None if file.thermometer is not None or fleet.wide else fleet.by
        layout = layout_of(config, fleet, by=by, place=place)

        def on_share(share: float, start: int = n_before, n_bytes: int = n_bytes) -> None:
            on_bytes(start + int(share * n_bytes))

        with opened(file.path) as source:
            magic = source.read(4)
            source.seek(0)
            if magic == b"PAR1":
                groups = None if partition.row_groups is None else range(*partition.row_groups)
                remote = is_url(file.path)
                blocks = parquet_blocks(source, groups, file.thermometer, place, layout, on_share, is_remote=remote)
            elif file.path.lower().endswith((".parquet", ".pq")):
                raise ReadingsError(
                    f"{place}: not a Parquet file, whatever its name says; rename it to .csv if it is CSV"
                )
            else:
                pieces = pieces_of(source, CSV_BYTES, file.n_bytes, on_share)
                blocks = csv_blocks(pieces, file.thermometer, place, layout)
            yield from _by_sensor(blocks, config, fleet)
        n_before += n_bytes
        on_bytes(n_before)


def _by_sensor(blocks: Iterator[Block], config: ReadingsConfig, fleet: FleetConfig) -> Iterator[Part]:
    gate, block, numberless = None, None, None
    for block in blocks:
        series, faults = (by_row if fleet.wide else by_sensor)(block, numbered=fleet.steady is not None)
        numberless = still_numberless(block, numberless)
        if fleet.steady is None:
            yield (by_column(series, block.layout.sensors, config) if fleet.wide else series), faults
            continue
        if gate is None:
            gate = SteadyGate(fleet.steady, str(fleet.time), config.y, block.file, block.unit)
        yield _gated(*gate.feed(series), faults, block, config)
    assert block is not None
    if gate is not None:
        for series, steady in gate.finish():
            yield _gated(series, steady, fault_schema().empty_table(), block, config)
    if numberless:
        none = series.where(np.zeros(int(series.starts[-1]), dtype=bool))
        yield by_column(none, block.layout.sensors, config), faults_of_numberless(numberless, block)


def _gated(series: Series, steady: NDArray[np.bool_], faults: Any, block: Block, config: ReadingsConfig) -> Part:
    """The steady rows by sensor; the others are counted with the faults."""
    import pyarrow as pa

    kept, others = series.where(steady), series.where(~steady)
    if block.layout.wide:
        kept, others = (by_column(it, block.layout.sensors, config) for it in (kept, others))
    why = np.zeros(int(others.starts[-1]), dtype=np.int64)
    assert others.rows is not None
    unsteady = count_faults(
        others.names, others.owners(), why, others.rows, [UNSTEADY], file=block.file, unit=block.unit
    )
    return kept, pa.concat_tables([faults, unsteady])
