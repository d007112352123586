"""Blocks of many sensors' rows from Parquet, row groups at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from io import BufferedIOBase

import numpy as np

from tempfit.config import ReadingsConfig
from tempfit.readings.columns import Columns, Wanted, as_names, refuse_unusable
from tempfit.readings.faults import find_faults, reasons_of
from tempfit.readings.parquet import BUFFER_BYTES, find_in, numbers_of, refusing_damage
from tempfit.readings.sensors import Block

BLOCK_ROWS = 1_000_000


def parquet_blocks(
    file: BufferedIOBase,
    row_groups: range,
    place: str,
    config: ReadingsConfig,
    wanted: Sequence[Wanted],
    on_bytes: Callable[[int], None],
    *,
    strict: bool,
) -> Iterator[Block]:
    """The rows of some row groups of a Parquet file; whose they are is in the first of the wanted columns.

    on_bytes: called with the number of bytes read so far. Raises ReadingsError, naming `place`, for what is no such
    table, and, where `strict`, at the first row that cannot be used.
    """
    import pyarrow.parquet as pq

    with refusing_damage(place):
        parquet = pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False, buffer_size=BUFFER_BYTES)
        found = find_in(parquet.schema_arrow, place, wanted)
        by, *numeric = [column for column in wanted if column.name in found]
        parquet = pq.ParquetFile(
            file,
            metadata=parquet.metadata,
            read_dictionary=[found[by.name]],
            page_checksum_verification=True,
            pre_buffer=False,
            buffer_size=BUFFER_BYTES,
        )
        groups = [parquet.metadata.row_group(group) for group in row_groups]
        n_rows = sum(group.num_rows for group in groups)
        n_bytes = sum(group.total_byte_size for group in groups)
        first = sum(parquet.metadata.row_group(group).num_rows for group in range(row_groups.start))
        reasons, n_read = reasons_of(numeric), 0
        columns = list(found.values())
        for batch in parquet.iter_batches(BLOCK_ROWS, row_groups=list(row_groups), columns=columns, use_threads=True):
            keys = batch.column(found[by.name])
            values = {it.name: numbers_of(batch.column(found[it.name])) for it in numeric}
            if strict:
                read = Columns(values, texts={by.name: as_names(keys)})
                refuse_unusable(read, place, wanted, drop_missing=config.drop_missing, n_rows=first + n_read)
            yield Block(
                keys=keys,
                values=values,
                faults=find_faults(numeric, values),
                reasons=reasons,
                number=partial(np.add, first + n_read + 1),
                broken=np.empty(0, dtype=np.int64),
                unit="row",
                file=place,
            )
            n_read += batch.num_rows
            on_bytes(n_bytes * n_read // n_rows)
