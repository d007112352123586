"""How a table of calibrations is written as Parquet: block by block, quickly, and no larger than it has to be.

Its texts are few, and stand in dictionaries, but for the thermometers' names; of numbers that all differ, a dictionary
takes twice the time and room, and a compression finds nothing. The names alone have statistics, by which a reader finds
the rows of one. Pages carry checksums.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tempfit.system.files import replaced

ROW_GROUP = 50_000  # rows: what is read at a time to find one of them
NAMES = "thermometer"
SAMPLE, ALL = 1_000, 0.9  # rows that tell whether a column's numbers differ, and the share of them that has to


class TableWriter:
    """Writes tables of the same columns into a file, one behind the other; leaving the context ends it.

    A column says that it has no nulls as long as none came: it is written in half the time. The file is opened by
    Arrow: of a file of Python's, other threads would be asked for Python at every page.
    """

    def __init__(self, path: Path):
        self.path = path
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
        if self.writer is None:
            self.writer = _open(self.path, rows, gaps=_gaps(rows))
        elif any(not self.writer.schema.field(name).nullable for name in _gaps(rows)):
            self._allow_gaps(self.writer)
        self._write(self.writer, rows)

    def _allow_gaps(self, before: pq.ParquetWriter) -> None:
        """Copy what is written so far to where every column may have nulls."""
        before.close()
        with replaced(self.path) as wider, pq.ParquetFile(self.path) as file:
            groups = (file.read_row_group(group) for group in range(file.num_row_groups))
            for rows in groups:
                if self.writer is before:
                    self.writer = _open(wider, rows, gaps=rows.column_names)
                self._write(self.writer, rows)

    @staticmethod
    def _write(writer: pq.ParquetWriter, rows: pa.Table) -> None:
        writer.write_table(rows.cast(writer.schema), row_group_size=2 * ROW_GROUP)


def _gaps(rows: pa.Table) -> list[str]:
    """The columns that have nulls."""
    return [name for name, column in zip(rows.column_names, rows.columns, strict=True) if column.null_count]


def _open(path: Path, rows: pa.Table, gaps: Collection[str]) -> pq.ParquetWriter:
    """A file for rows like these, where some columns may have nulls."""
    leaves = dict(leaf for field in rows.schema for leaf in _leaves(field.name, field.type))
    return pq.ParquetWriter(
        path,
        pa.schema([field.with_nullable(field.name in gaps) for field in rows.schema]),
        use_dictionary=[path for path, kind in leaves.items() if path != NAMES and _is_text(kind)],
        compression={path: "NONE" if _all_differ(rows, path) else "SNAPPY" for path in leaves},
        write_statistics=[NAMES],
        write_page_checksum=True,
        write_batch_size=ROW_GROUP,
    )


def _leaves(path: str, kind: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    """Parquet's paths of what is in a column, and what that is."""
    if pa.types.is_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    else:
        yield path, kind


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_dictionary(kind)


def _all_differ(rows: pa.Table, path: str) -> bool:
    """Whether this is a column of numbers of which nearly every one is another."""
    if path not in rows.column_names or not pa.types.is_floating(rows[path].type):
        return False
    some = rows[path].slice(0, SAMPLE)
    return bool(pc.count_distinct(some).as_py() > ALL * len(some))
