"""CSV text to columns of numbers, exactly or not at all.

Arrow splits the text into cells. It reads numbers, too, and where all of them can be used, they are taken as they are;
else every cell is read by `read_number`, which finds the first culprit. A test holds the two to each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from tempfit.config import ReadingsConfig
from tempfit.errors import ReadingsError
from tempfit.readings.cells import Rows, is_blank, make_rows, open_rows
from tempfit.readings.columns import (
    NUMBER,
    THOUSANDS,
    Columns,
    Wanted,
    are_usable,
    as_names,
    as_numpy,
    read_number,
    why_unusable,
)
from tempfit.readings.lines import whole_lines
from tempfit.wording import shown

MARKS = {"point": ".", "comma": ","}


def parse_csv(
    pieces: Iterable[bytes], source: str, config: ReadingsConfig, wanted: Sequence[Wanted]
) -> Iterator[Columns]:
    """The wanted columns of CSV text of any length, written as `config` says, block by block: `pieces` are its bytes,
    cut anywhere, and one piece is one block. Every value is the float64 nearest to what is written.

    The decimal mark is that of the first block that tells it; a `1,234` in an earlier one is refused.
    Raises ReadingsError, naming `source` (shown as it is), line and column, where a block is reached that is no such
    table. What is said is of the first line that cannot be used.
    """
    header, mark = None, None
    for text, n_lines in whole_lines(pieces, source):
        if header is None:
            rows = open_rows(text, n_lines, source, config, wanted)
            header = rows.header
        else:
            rows = make_rows(header, text, n_lines)
        mark = mark or (told_mark(rows) if config.decimal == "auto" else MARKS[config.decimal])
        yield parse_fast(rows, mark or ".", config) or parse_slowly(rows, mark or ".", config)


def told_mark(rows: Rows) -> str | None:
    """The decimal mark as the first number with a mark has it; None where no number has one.

    `1,234` may also be 1234 with a separator of thousands, unless semicolons separate the columns, which is done
    because the comma is taken. It does not count; in a file with no plainer number it is refused later.
    """
    delimiter, wanted = rows.header.delimiter, rows.header.wanted
    commas_in_cells = delimiter != "," or rows.has_quotes
    if not commas_in_cells or b"," not in rows.text:
        return "." if b"." in rows.text else None
    try:
        for _, cells in rows.cells():
            for cell in (cell for column, cell in zip(wanted, cells, strict=True) if not column.is_text):
                if "." in cell and NUMBER["."].fullmatch(cell):
                    return "."
                plain = delimiter == ";" or not THOUSANDS.fullmatch(cell)
                if "," in cell and NUMBER[","].fullmatch(cell) and plain:
                    return ","
    except ReadingsError:
        pass  # whatever the mark, parsing meets the same broken line, or an earlier fault
    return None


def parse_fast(rows: Rows, mark: str, config: ReadingsConfig) -> Columns | None:
    """The columns by Arrow's numbers, or None where not all of them can be used as they are."""
    import pyarrow as pa

    try:
        parsed = rows.read(pa.float64(), mark, lambda row: "skip" if is_blank(row) else "error")
    except pa.ArrowInvalid:
        return None
    if rows.fault is not None:
        return None
    values, texts = {}, {}
    for column, read in zip(rows.header.wanted, parsed.columns, strict=True):
        if column.is_text:
            texts[column.name] = as_names(read)
            continue
        values[column.name] = as_numpy(read)
        n_usable = int(are_usable(values[column.name], column.least).sum())
        if n_usable + read.null_count != parsed.num_rows:
            return None
    columns = Columns(values, texts=texts)
    whole = columns.without_missing()
    return whole if config.drop_missing or whole is columns else None


def parse_slowly(rows: Rows, mark: str, config: ReadingsConfig) -> Columns:
    """The columns cell by cell. Raises ReadingsError at the first line that cannot be used."""
    wanted, n_dropped = rows.header.wanted, 0
    kept: list[tuple[float | str, ...]] = []
    for number, cells in rows.cells():
        row = tuple(_read_cell(rows, number, it, cell, mark) for it, cell in zip(wanted, cells, strict=True))
        missing = [k for k, value in enumerate(row) if not wanted[k].gaps and (value != value or value == "")]
        if missing and not config.drop_missing:
            raise _fault(rows, number, wanted[missing[0]], why_unusable(np.nan, -np.inf, cells[missing[0]]))
        if missing:
            n_dropped += 1
        else:
            kept.append(row)
    columns = dict(zip(wanted, zip(*kept, strict=True) if kept else repeat(()), strict=False))
    return Columns(
        {it.name: np.array(column, dtype=np.float64) for it, column in columns.items() if not it.is_text},
        n_dropped,
        {it.name: _as_strings(column) for it, column in columns.items() if it.is_text},
    )


def _as_strings(names: Iterable[Any]) -> Any:
    import pyarrow as pa

    return pa.chunked_array([list(names)], pa.string())


def _read_cell(rows: Rows, number: int, column: Wanted, cell: str, mark: str) -> float | str:
    if column.is_text:
        return cell
    try:
        return read_number(cell, mark, column.least)
    except ValueError as error:
        raise _fault(rows, number, column, str(error)) from None


def _fault(rows: Rows, number: int, column: Wanted, why: str) -> ReadingsError:
    return ReadingsError(f"{rows.header.source}: line {rows.line_of(number)}, column {shown(column.name)}: {why}")
