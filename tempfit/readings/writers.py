"""Files written whole or not at all, and tables in them, block by block, as CSV or Parquet.

Numbers are written so that they read back to the same float64.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from tempfit.errors import SettingsError
from tempfit.system.files import whole_file

TableBlock = Mapping[str, Any]
"""Columns by name, in their order, (rows,) each: arrays of float64 or bool, or Arrow's of these or of strings, which
may have nulls; the same names and types in every block."""


class TableWriter(Protocol):
    """Writes the blocks of a table, one after the other."""

    def prepare(self, block: TableBlock) -> Any:
        """Whatever `write` wants: the costly part, that other threads may do ahead."""

    def write(self, prepared: Any) -> None: ...

    def close(self) -> None: ...


class CsvWriter:
    """CSV in UTF-8: comma, decimal point, true and false, inf and nan; nothing for null.

    Nothing is written before the first block is. file: stays open. empty: a block without rows, for the names.
    """

    def __init__(self, file: BinaryIO, empty: TableBlock):
        self.file = file
        header = io.StringIO()
        csv.writer(header, lineterminator="\n").writerow(empty)
        self.header = header.getvalue().encode()

    def prepare(self, block: TableBlock) -> Any:
        import pyarrow as pa
        import pyarrow.csv as pa_csv

        table, buffer = _table(block), pa.BufferOutputStream()
        try:
            pa_csv.write_csv(table, buffer, pa_csv.WriteOptions(include_header=False, quoting_style="none"))
        except pa.ArrowInvalid:  # a name has a comma, a quote or a line's end in it: then all names are quoted
            buffer = pa.BufferOutputStream()
            pa_csv.write_csv(table, buffer, pa_csv.WriteOptions(include_header=False, quoting_style="needed"))
        return buffer.getvalue()

    def write(self, prepared: Any) -> None:
        self._write_header()
        self.file.write(prepared)

    def close(self) -> None:
        self._write_header()
        self.file.flush()

    def _write_header(self) -> None:
        self.file.write(self.header)
        self.header = b""


class ParquetWriter:
    """Parquet, a row group for each block. file: stays open. empty: a block without rows, for names and types."""

    def __init__(self, file: BinaryIO, empty: TableBlock):
        import pyarrow.parquet as pq

        self.writer = pq.ParquetWriter(file, _table(empty).schema, use_dictionary=False)

    def prepare(self, block: TableBlock) -> Any:
        return _table(block)

    def write(self, prepared: Any) -> None:
        self.writer.write_table(prepared)

    def close(self) -> None:
        try:
            self.writer.close()
        finally:
            self.writer.is_open = False  # where that fails, its finalizer would try again, and complain


WRITERS: dict[str, type[CsvWriter] | type[ParquetWriter]] = {".csv": CsvWriter, ".parquet": ParquetWriter}


def check_output(path: Path, source: str) -> None:
    """What can be told before anything is read; source: the file that is read, or `-`. Raises SettingsError."""
    if path.suffix.lower() not in WRITERS:
        raise SettingsError(f"`output`: {path}: tables are CSV or Parquet; name a file that ends in .csv or .parquet")
    if source != "-" and path.exists() and Path(source).exists() and path.samefile(source):
        raise SettingsError(f"`output`: {path}: this is the file that is read; name another")


@contextmanager
def open_output(path: Path, empty: TableBlock) -> Iterator[TableWriter]:
    """A writer for a table in a file, of the kind that its name tells. Raises as `whole_file`."""
    with whole_file(path) as file, closing(WRITERS[path.suffix.lower()](file, empty)) as writer:
        yield writer


def _table(block: TableBlock) -> Any:
    import pyarrow as pa

    return pa.table({name: _array(values) for name, values in block.items()})


def _array(values: Any) -> Any:
    """As Arrow's array, without the copy, and without pandas, which pyarrow.array would import."""
    import numpy as np
    import pyarrow as pa

    if isinstance(values, pa.Array):
        return values
    if values.dtype == np.bool_:
        kind, values, n_rows = pa.bool_(), np.packbits(values, bitorder="little"), len(values)
    else:
        kind, n_rows = pa.float64(), len(values)
    return pa.Array.from_buffers(kind, n_rows, [None, pa.py_buffer(np.ascontiguousarray(values))])
