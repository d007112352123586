"""Tables in files, CSV or Parquet, as columns of numbers: whole, or block by block."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BufferedIOBase
from itertools import chain
from pathlib import Path
from tempfile import SpooledTemporaryFile, TemporaryFile
from typing import cast

import numpy as np

from tempfit.config import ReadingsConfig
from tempfit.errors import ReadingsError
from tempfit.readings.columns import Columns, Wanted
from tempfit.readings.csv_text import parse_csv
from tempfit.readings.parquet import parse_parquet
from tempfit.wording import printable

BLOCK_BYTES, BLOCK_ROWS = 1024 * 1024, 32_768  # of CSV text, of Parquet: what is read at once of a large file
KEPT_BYTES = 32 * 1024 * 1024  # of what comes through a pipe: what is kept in memory


def name_of(source: str | Path) -> str:
    """What a source is called in messages and records."""
    return "<stdin>" if str(source) == "-" else str(source)


class Table:
    """A table in a CSV or Parquet file, or from standard input (`-`), which can be read again and again.

    What comes through a pipe is kept, on disk where it is large.

    share: of it, what was read the last time that it was. Raises ReadingsError where it cannot be read.
    """

    def __init__(self, source: str | Path):
        self.source, self.share = str(source), 0.0
        self._kept: BufferedIOBase | None = None
        self._version: tuple[int, ...] = ()
        with open_table(self.source) as file:
            if self.source == "-" or not file.seekable():
                self._kept = cast(BufferedIOBase, SpooledTemporaryFile(KEPT_BYTES))  # noqa: SIM115 (as long as this object)
                self._kept.writelines(_pieces(file, self.source, lambda n_bytes: None))
                self.n_bytes = self._kept.tell()
            else:
                self.n_bytes = os.fstat(file.fileno()).st_size
                self._version = _version_of(file)

    @contextmanager
    def open(self) -> Iterator[BufferedIOBase]:
        """For `read_blocks`, from its start. Raises ReadingsError where it is not what it was."""
        if self._kept is not None:
            self._kept.seek(0)
            yield self._kept
            return
        with open_table(self.source) as file:
            if _version_of(file) != self._version:
                place = printable(name_of(self.source))
                raise ReadingsError(f"{place}: the file was changed while it was read; try again when it is whole")
            yield file

    def read(self, config: ReadingsConfig, wanted: Sequence[Wanted]) -> Columns:
        """The wanted columns. Raises ReadingsError."""
        with self.open() as file:
            blocks = list(read_blocks(file, self.source, config, wanted, whole=True))
        names = blocks[0].values
        return Columns(
            {name: np.concatenate([block.values[name] for block in blocks]) for name in names},
            sum(block.n_dropped for block in blocks),
        )

    def blocks(self, config: ReadingsConfig, wanted: Sequence[Wanted]) -> Iterator[Columns]:
        """The same block by block, as `read_blocks`."""
        with self.open() as file:
            yield from read_blocks(file, self.source, config, wanted, self._set_share)

    def _set_share(self, n_bytes: int) -> None:
        self.share = n_bytes / max(self.n_bytes, 1)


def _version_of(file: BufferedIOBase) -> tuple[int, ...]:
    """What changes when a file does."""
    told = os.fstat(file.fileno())
    return told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns


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
    on_bytes: Callable[[int], None] = lambda n_bytes: None,
    *,
    whole: bool = False,
) -> Iterator[Columns]:
    """The wanted columns of a table of any size, in blocks of any number of rows, at least one.

    file: as `open_table` gives it. on_bytes: called with the number of bytes read so far. whole: CSV is one
    block; else the decimal mark is that of the first block that tells it.
    Raises ReadingsError where a block is reached that cannot be used.
    """
    name = name_of(source)
    place = printable(name)
    pieces = _pieces(file, source, on_bytes)
    first = next(pieces)
    if not first:
        names = " and ".join(column.name for column in wanted if column.required)
        raise ReadingsError(f"{place}: the file is empty (0 bytes); expected columns {names}")
    if first.startswith(b"PAR1"):
        if file.seekable():
            yield from parse_parquet(file, BLOCK_ROWS, place, config, wanted, on_bytes)
        else:  # a pipe: Parquet is read from its end
            with TemporaryFile() as copy:
                copy.writelines(chain([first], pieces))
                yield from parse_parquet(copy, BLOCK_ROWS, place, config, wanted, on_bytes)
    elif name.lower().endswith(".parquet"):
        raise ReadingsError(f"{place}: not a Parquet file, whatever its name says; rename it to .csv if it is CSV")
    else:
        text = chain([first], pieces)
        yield from parse_csv([b"".join(text)] if whole else text, place, config, wanted)


def _pieces(file: BufferedIOBase, source: str, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    """A pipe hands out little at a time: what makes a piece of it is waited for here, where Ctrl-C is heard.

    The last may be empty.
    """
    n_read, piece, ended = 0, bytearray(), False
    while not ended:
        try:
            read = file.read1(BLOCK_BYTES)
        except (OSError, ValueError) as error:
            raise _no_stdin() if source == "-" else _unreadable(source, error) from None
        ended = not read
        piece += read
        if ended or len(piece) >= BLOCK_BYTES:
            n_read += len(piece)
            on_bytes(n_read)
            yield bytes(piece)
            piece.clear()


def _no_stdin() -> ReadingsError:
    return ReadingsError("<stdin>: nothing can be read from standard input; pipe a file into it")


def _unreadable(path: str | Path, error: OSError | ValueError) -> ReadingsError:
    """ValueError: a NUL in the path."""
    place = printable(str(path))
    if isinstance(error, FileNotFoundError):
        return ReadingsError(f"{place}: no such file; check the path")
    if isinstance(error, IsADirectoryError):
        return ReadingsError(f"{place}: this is a directory; name a CSV or Parquet file")
    reason = error.strerror if isinstance(error, OSError) else error
    return ReadingsError(f"{place}: cannot be read ({reason}); check the path and its permissions")
