"""Tables in files, CSV or Parquet, as columns of numbers: whole, or block by block."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import SEEK_END, BufferedIOBase
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from tempfit.config import ReadingsConfig
from tempfit.errors import ReadingsError
from tempfit.readings.csv_text import (
    LARGEST,
    Columns,
    Wanted,
    find_columns,
    least_values,
    parse_blocks,
    parse_csv,
    uncertainty_error,
    value_error,
)
from tempfit.wording import printable, shown

BLOCK_BYTES, BLOCK_ROWS = 1024 * 1024, 65_536  # of CSV text, of Parquet: what is read at once of a large file


def read_table(source: str | Path, config: ReadingsConfig, wanted: Sequence[Wanted]) -> Columns:
    """The wanted columns of a CSV or Parquet file; `-` reads standard input. Raises ReadingsError."""
    data = _read_stdin() if str(source) == "-" else _read_file(Path(source))
    name = name_of(source)
    place = printable(name)
    if not data:
        names = " and ".join(column.name for column in wanted if column.required)
        raise ReadingsError(f"{place}: the file is empty (0 bytes); expected columns {names}")
    if data.startswith(b"PAR1"):
        return _parse_parquet(data, place, config, wanted)
    if name.lower().endswith(".parquet"):
        raise _not_parquet(place)
    return parse_csv(data, place, config, wanted)


def name_of(source: str | Path) -> str:
    """What a source is called in messages and records."""
    return "<stdin>" if str(source) == "-" else str(source)


@contextmanager
def open_table(source: str) -> Iterator[BufferedIOBase]:
    """A file for `read_blocks`, to be read from its start; `-` is standard input. Raises ReadingsError."""
    if source == "-":
        if sys.stdin is None:
            raise _no_stdin()
        yield cast(BufferedIOBase, sys.stdin.buffer)
    else:
        try:
            file = open(source, "rb")  # noqa: SIM115
        except (OSError, ValueError) as error:
            raise _unreadable(source, error) from None
        with file:
            yield file


def read_blocks(
    file: BufferedIOBase,
    source: str,
    config: ReadingsConfig,
    wanted: Sequence[Wanted],
    on_bytes: Callable[[int], None],
) -> Iterator[Columns]:
    """The wanted columns of a table of any size, in blocks of any number of rows: as `read_table` reads them.

    file: as `open_table` gives it. on_bytes: called with the number of bytes read so far.
    Raises ReadingsError, as `read_table`, where a block is reached that cannot be used.
    """
    name = name_of(source)
    place = printable(name)
    pieces = _pieces(file, source, on_bytes)
    first = next(pieces, b"")
    if first.startswith(b"PAR1"):
        if file.seekable():
            yield from _parquet_blocks(file, place, config, wanted, on_bytes)
        else:  # a pipe: Parquet is read from its end
            with TemporaryFile() as copy:
                copy.writelines(chain([first], pieces))
                yield from _parquet_blocks(copy, place, config, wanted, on_bytes)
    elif name.lower().endswith(".parquet"):
        raise _not_parquet(place)
    else:
        yield from parse_blocks(chain([first], pieces), place, config, wanted)


def _pieces(file: BufferedIOBase, source: str, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    """A pipe hands out little at a time: what makes a block of it is waited for here, where Ctrl-C is heard."""
    n_bytes, block, ended = 0, bytearray(), False
    while not ended:
        try:
            read = file.read1(BLOCK_BYTES)
        except (OSError, ValueError) as error:
            raise _no_stdin() if source == "-" else _unreadable(source, error) from None
        ended = not read
        block += read
        if ended or len(block) >= BLOCK_BYTES:
            n_bytes += len(block)
            on_bytes(n_bytes)
            yield bytes(block)
            block.clear()


def _read_stdin() -> bytes:
    try:
        return sys.stdin.buffer.read()
    except (OSError, ValueError, AttributeError):  # closed, or there is none
        raise _no_stdin() from None


def _no_stdin() -> ReadingsError:
    return ReadingsError("<stdin>: nothing can be read from standard input; pipe a file into it")


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: str | Path, error: OSError | ValueError) -> ReadingsError:
    """ValueError: a NUL in the path."""
    place = printable(str(path))
    if isinstance(error, FileNotFoundError):
        return ReadingsError(f"{place}: no such file; check the path")
    if isinstance(error, IsADirectoryError):
        return ReadingsError(f"{place}: this is a directory; name a CSV or Parquet file")
    reason = error.strerror if isinstance(error, OSError) else error
    return ReadingsError(f"{place}: cannot be read ({reason}); check the path and its permissions")


def _not_parquet(place: str) -> ReadingsError:
    return ReadingsError(f"{place}: not a Parquet file, whatever its name says; rename it to .csv if it is CSV")


def _parse_parquet(data: bytes, place: str, config: ReadingsConfig, wanted: Sequence[Wanted]) -> Columns:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _refusing_damage(place):
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        columns = _parquet_columns(file, place, wanted)
        table = file.read(columns=list(columns.values()))
        values = {name: _parquet_values(table.column(column)) for name, column in columns.items()}
    return without_missing(values, place, config, wanted)


def _parquet_blocks(
    file: BufferedIOBase | BinaryIO,
    place: str,
    config: ReadingsConfig,
    wanted: Sequence[Wanted],
    on_bytes: Callable[[int], None],
) -> Iterator[Columns]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    n_bytes, n_rows = file.seek(0, SEEK_END), 0
    with _refusing_damage(place):
        parquet = pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False, buffer_size=BLOCK_BYTES)
        columns = _parquet_columns(parquet, place, wanted)
        for batch in parquet.iter_batches(BLOCK_ROWS, columns=list(columns.values())):
            table = pa.Table.from_batches([batch])
            values = {name: _parquet_values(table.column(column)) for name, column in columns.items()}
            yield without_missing(values, place, config, wanted, n_rows)
            n_rows += batch.num_rows
            on_bytes(n_bytes * n_rows // parquet.metadata.num_rows)


@contextmanager
def _refusing_damage(place: str) -> Iterator[None]:
    """Arrow's errors as ReadingsError."""
    import pyarrow as pa

    try:
        yield
    except ReadingsError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = shown(str(error).partition("\n")[0], 60)
        raise ReadingsError(f"{place}: damaged or incomplete Parquet file ({reason}); write or copy it again") from None


def _parquet_columns(file: Any, place: str, wanted: Sequence[Wanted]) -> dict[str, str]:
    """Name → name in the file, which may have spaces around it, of the wanted columns. Raises ReadingsError."""
    schema = file.schema_arrow
    positions = find_columns([name.strip() for name in schema.names], wanted, place)
    for position in positions.values():
        _refuse_type(schema.field(position), place)
    return {name: schema.names[position] for name, position in positions.items()}


def _refuse_type(field: Any, place: str) -> None:
    import pyarrow as pa

    kind = field.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise ReadingsError(
            f"{place}: column {shown(field.name)} holds {shown(str(kind))}, not numbers; store it as a numeric type"
        )


def _parquet_values(column: Any) -> NDArray[np.float64]:
    """A numeric column as float64, NaN where it is null."""
    import pyarrow as pa

    if pa.types.is_decimal(column.type):
        column = column.cast(pa.string())  # by way of its digits: the nearest float64, as from CSV
    values: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy()
    return values


def without_missing(
    values: Mapping[str, NDArray[np.float64]],
    place: str,
    config: ReadingsConfig,
    wanted: Sequence[Wanted],
    n_rows: int = 0,
) -> Columns:
    """Refuse unusable values by their column and row, before rows are dropped, which would shift the numbers.

    n_rows: what of the table comes before `values`.
    """
    if len({len(column) for column in values.values()}) > 1:
        return Columns(values, 0)  # Readings refuses them
    refuse_values(values, place, least_values(wanted), drop_missing=config.drop_missing, n_rows=n_rows)
    if not config.drop_missing:
        return Columns(values, 0)
    present = ~np.logical_or.reduce([np.isnan(column) for column in values.values()])
    return Columns({name: column[present] for name, column in values.items()}, int(len(present) - present.sum()))


def refuse_values(
    values: Mapping[str, NDArray[np.float64]],
    place: str,
    least: Mapping[str, float],
    *,
    drop_missing: bool,
    n_rows: int = 0,
) -> None:
    """Raise ReadingsError at the first row, and in it the first column, with a value that is not usable.

    least: as in `Wanted`, by column. n_rows: what of the table comes before `values`.
    """
    usable = {
        name: ((np.abs(column) <= LARGEST) & (column >= least.get(name, -np.inf))) | (np.isnan(column) & drop_missing)
        for name, column in values.items()
    }
    all_usable = np.logical_and.reduce(list(usable.values()))
    if all_usable.all():
        return
    row = int(all_usable.argmin())
    name = next(name for name in usable if not usable[name][row])
    where, value = f"{place}: row {n_rows + row + 1}, column {shown(name)}", float(values[name][row])
    raise uncertainty_error(where, value, least[name]) if abs(value) <= LARGEST else value_error(where, value)
