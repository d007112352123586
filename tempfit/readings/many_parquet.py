"""Blocks of many sensors' rows from Parquet, row groups at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from io import BufferedIOBase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempfit.readings.columns import Columns, Wanted, as_names, refuse_unusable
from tempfit.readings.layout import Layout
from tempfit.readings.parquet import BUFFER_BYTES, find_in, holds, numbers_of, read_metadata, refusing_damage
from tempfit.readings.sensors import Block, refuse_wrong_times
from tempfit.readings.times import times_of

BLOCK_ROWS = 300_000  # of three columns
MOST_COLUMNS = 3


def parquet_blocks(
    file: BufferedIOBase,
    row_groups: range | None,
    keys: str | None,
    place: str,
    layout: Layout,
    on_share: Callable[[float], None],
    *,
    is_remote: bool,
) -> Iterator[Block]:
    """The rows of some row groups of a Parquet file, or of all.

    keys: whose all rows are; None where the table says it. on_share: called with the share of the rows that are read.
    is_remote: few large pieces are read of it, rather than many small ones, at the cost of memory.
    Raises ReadingsError, naming `place`, for what is no such table, and, where rows that cannot be used are refused, at
    the first of them.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    options: dict[str, Any] = {
        "page_checksum_verification": True,
        "pre_buffer": is_remote,
        "buffer_size": 0 if is_remote else BUFFER_BYTES,
    }
    metadata = read_metadata(file, place, row_groups)
    schema = metadata.schema.to_arrow_schema()
    layout = layout.among([name.strip() for name in schema.names], place)
    found = _find(schema, place, layout)
    by = [found[layout.by.name]] if layout.by else []
    groups = list(range(metadata.num_row_groups) if row_groups is None else row_groups)
    counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    n_before, n_rows, n_read = sum(counts[: groups[0]]) if groups else 0, sum(counts[group] for group in groups), 0
    n_at_once = max(1, BLOCK_ROWS * MOST_COLUMNS // max(MOST_COLUMNS, len(found)))

    def batches() -> Iterator[Any]:
        with refusing_damage(place):
            parquet = pq.ParquetFile(file, metadata=metadata, read_dictionary=by, **options)
            yield from parquet.iter_batches(n_at_once, groups, columns=list(found.values()), use_threads=False)

    for batch in batches() if n_rows else [pa.RecordBatch.from_pylist([], schema)]:
        columns = {it: batch.column(found[it.name]) for it in layout.wanted}
        yield _block(columns, keys, place, layout, n_before + n_read)
        n_read += batch.num_rows
        on_share(n_read / max(1, n_rows))


def _find(schema: Any, place: str, layout: Layout) -> dict[str, str]:
    """Name → name in the file of the columns that are read; in a wide table, those of sensors may hold anything."""
    found = find_in(schema, place, [it for it in layout.wanted if layout.strict or not it.gaps])
    names = {name.strip(): name for name in schema.names}
    return found | {it.name: names[it.name] for it in layout.sensors}


def _block(columns: Mapping[Wanted, Any], keys: str | None, place: str, layout: Layout, n_before: int) -> Block:
    values: dict[str, NDArray[np.float64]] = {}
    texts: dict[str, NDArray[np.bool_]] = {}
    for it in layout.numbers:
        if holds(columns[it].type, it):
            values[it.name] = numbers_of(columns[it])
        else:
            values[it.name] = np.full(len(columns[it]), np.nan)
            texts[it.name] = columns[it].is_valid().to_numpy(zero_copy_only=False)
    if layout.strict:
        named = {layout.by.name: as_names(columns[layout.by])} if layout.by else {}
        drop_missing = layout.config.drop_missing
        refuse_unusable(Columns(values, texts=named), place, layout.wanted, drop_missing=drop_missing, n_rows=n_before)
    if layout.time is not None:
        values[layout.time.name], texts[layout.time.name] = times_of(columns[layout.time], layout.time_format)
    block = Block(
        layout=layout,
        keys=columns[layout.by] if layout.by else keys,
        values=values,
        texts=texts,
        number=partial(np.add, n_before + 1),
        broken=np.empty(0, dtype=np.int64),
        unit="row",
        file=place,
    )
    refuse_wrong_times(block)
    return block
