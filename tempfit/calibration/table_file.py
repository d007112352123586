"""How a table of calibrations is written as Parquet: block by block, quickly, and no larger than it has to be.

Its texts are few, and stand in dictionaries, but for the thermometers' names; of numbers that all differ, a dictionary
takes twice the time and room. The names alone have statistics, by which a reader finds the rows of one. Pages carry
checksums.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from types import TracebackType
from typing import IO, Self

import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP = 50_000  # rows: what is read at a time to find one of them
NAMES = "thermometer"


class TableWriter:
    """Writes tables of the same columns into an open file, one behind the other; leaving the context ends it.

    gaps: columns that may have nulls; None: all. The others take less time.
    """

    def __init__(self, file: IO[bytes], gaps: Collection[str] | None = None):
        self.file, self.gaps = file, gaps
        self.writer: pq.ParquetWriter | None = None
        self.waiting: list[pa.Table] = []

    def write(self, rows: pa.Table) -> None:
        self.waiting.append(rows)
        if sum(table.num_rows for table in self.waiting) >= ROW_GROUP:
            self._write_waiting()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self.waiting:
            self._write_waiting()
        if self.writer is not None:
            self.writer.close()

    def _write_waiting(self) -> None:
        rows, self.waiting = pa.concat_tables(self.waiting), []
        if self.gaps is not None:
            fields = [field.with_nullable(field.name in self.gaps) for field in rows.schema]
            rows = pa.Table.from_arrays(rows.columns, schema=pa.schema(fields))
        if self.writer is None:
            texts = [path for field in rows.schema if field.name != NAMES for path in _texts(field.name, field.type)]
            self.writer = pq.ParquetWriter(
                self.file,
                rows.schema,
                use_dictionary=texts,
                write_statistics=[NAMES],
                write_page_checksum=True,
                write_batch_size=ROW_GROUP,
            )
        self.writer.write_table(rows, row_group_size=2 * ROW_GROUP)


def _texts(path: str, kind: pa.DataType) -> Iterator[str]:
    """Parquet's paths of the texts in a column."""
    if pa.types.is_list(kind):
        yield from _texts(f"{path}.list.element", kind.value_type)
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from _texts(f"{path}.{field.name}", field.type)
    elif pa.types.is_string(kind) or pa.types.is_dictionary(kind):
        yield path
