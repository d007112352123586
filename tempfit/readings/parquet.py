"""Columns of numbers from Parquet, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import SEEK_END, BufferedIOBase
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tempfit.config import ReadingsConfig
from tempfit.errors import ReadingsError
from tempfit.readings.columns import Columns, Wanted, as_names, as_numpy, find_columns, refuse_unusable
from tempfit.wording import shown

BUFFER_BYTES = 1024 * 1024


def parse_parquet(
    file: BufferedIOBase | BinaryIO,
    n_rows_at_once: int,
    source: str,
    config: ReadingsConfig,
    wanted: Sequence[Wanted],
    on_bytes: Callable[[int], None],
) -> Iterator[Columns]:
    """The wanted columns of a Parquet file that can be read from any place; rows in messages count from 1.

    on_bytes: called with the number of bytes read so far. Raises ReadingsError, naming `source` (shown as it is).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    n_bytes, n_rows = file.seek(0, SEEK_END), 0
    with refusing_damage(source):
        parquet = pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False, buffer_size=BUFFER_BYTES)
        names = find_in(parquet.schema_arrow, source, wanted)
        found = [column for column in wanted if column.name in names]
        for batch in parquet.iter_batches(n_rows_at_once, columns=list(names.values())):
            table = pa.Table.from_batches([batch])
            yield _columns({it: table.column(names[it.name]) for it in found}, source, config, n_rows)
            n_rows += batch.num_rows
            on_bytes(n_bytes * n_rows // parquet.metadata.num_rows)
        if n_rows == 0:
            none = parquet.schema_arrow.empty_table()
            yield _columns({it: none.column(names[it.name]) for it in found}, source, config, n_rows)


def read_metadata(file: BufferedIOBase, place: str, row_groups: range | None = None) -> Any:
    """What Parquet says of itself. Raises ReadingsError, also where it does not have these row groups any more."""
    import pyarrow.parquet as pq

    with refusing_damage(place):
        metadata = pq.read_metadata(file)
    if row_groups is not None and row_groups.stop > metadata.num_row_groups:
        raise ReadingsError(f"{place}: was changed while it was read; start again when it is not written any more")
    return metadata


@contextmanager
def refusing_damage(place: str) -> Iterator[None]:
    """Arrow's errors as ReadingsError."""
    import pyarrow as pa

    try:
        yield
    except ReadingsError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = shown(str(error).partition("\n")[0], 60)
        raise ReadingsError(f"{place}: damaged or incomplete Parquet file ({reason}); write or copy it again") from None


def find_in(schema: Any, place: str, wanted: Sequence[Wanted]) -> dict[str, str]:
    """Name → name in the file, which may have spaces around it, of the wanted columns. Raises ReadingsError."""
    positions = find_columns([name.strip() for name in schema.names], wanted, place)
    for column in wanted:
        if column.name in positions:
            _refuse_type(schema.field(positions[column.name]), column, place)
    return {name: schema.names[position] for name, position in positions.items()}


def holds(kind: Any, column: Wanted) -> bool:
    """Whether a column of this type holds what is looked for."""
    import pyarrow.types as of

    numbers, texts = (of.is_integer, of.is_floating, of.is_decimal), (of.is_string, of.is_large_string)
    kinds: Sequence[Callable[[Any], bool]] = numbers
    if column.is_time:
        kinds = (*numbers, *texts, of.is_timestamp, of.is_date)
    elif column.is_text:
        kind = kind.value_type if of.is_dictionary(kind) else kind
        kinds = (of.is_integer, *texts)
    return any(is_of(kind) for is_of in kinds)


def _refuse_type(field: Any, column: Wanted, place: str) -> None:
    what, instead = "numbers", "a numeric type"
    if column.is_time:
        what, instead = "times", "timestamps, ISO 8601 text or seconds"
    elif column.is_text:
        what, instead = "names", "text or integers"
    if not holds(field.type, column):
        raise ReadingsError(
            f"{place}: column {shown(field.name)} holds {shown(str(field.type))}, not {what}; store it as {instead}"
        )


def _columns(columns: dict[Wanted, Any], place: str, config: ReadingsConfig, n_rows: int) -> Columns:
    """A block's columns as numbers and names, checked; n_rows: what of the table comes before."""
    read = Columns(
        {it.name: numbers_of(column) for it, column in columns.items() if not it.is_text},
        texts={it.name: as_names(column) for it, column in columns.items() if it.is_text},
    )
    if read.are_whole(list(columns)):
        return read
    refuse_unusable(read, place, list(columns), drop_missing=config.drop_missing, n_rows=n_rows)
    return read.without_missing()


def numbers_of(column: Any) -> NDArray[np.float64]:
    """A numeric column as float64, NaN where it is null."""
    import pyarrow as pa

    if pa.types.is_decimal(column.type):
        column = column.cast(pa.string())  # by way of its digits: the nearest float64, as from CSV
    return as_numpy(column.cast(pa.float64(), safe=False))
