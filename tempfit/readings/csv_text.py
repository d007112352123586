"""CSV text to columns of numbers, exactly or not at all.

Two parsers share one grammar: Arrow's, for speed, and one in Python that finds the first culprit and names its line.
Arrow's result is kept only where nothing in the text could be read differently; a test holds them to each other.

Text of any length is read block by block: as every row is a line, blocks that end with lines are tables of their own.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from tempfit.config import ReadingsConfig
from tempfit.errors import ReadingsError
from tempfit.wording import printable, shown

SMALL = 64 * 1024
"""Bytes up to which reading row by row is quicker than to import Arrow."""

LONGEST = 16 * 1024 * 1024
"""Bytes of the longest line in text that is read block by block."""

LARGEST = 1e100
"""Largest magnitude of a value; the square of a sum of ten million such is still finite in float64."""

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none"})
"""What stands for a missing value, whatever its case."""

_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}
_MARKS = {"point": ".", "comma": ","}
_NUMBER = {  # possessive quantifiers: the grammar needs no backtracking, and without it matching takes half the time
    mark: re.compile(rf"[+-]?+(?:[0-9]++(?:[{mark}][0-9]*+)?+|[{mark}][0-9]++)(?:[eE][+-]?+[0-9]++)?+")
    for mark in _MARKS.values()
}
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:([,.'  ])[0-9]{3})(?:\1[0-9]{3})*(?:[,.][0-9]*)?")
_BOM = b"\xef\xbb\xbf"
_REST_OF_FIRST_LINE = re.compile(rb"[^ \t\r\n][^\r\n]*")
_NOT_TEXT = {
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
    b"PK\x03\x04": "a zip archive or Excel workbook; export the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; export the sheet as CSV",
    b"\x1f\x8b": "compressed with gzip; unpack it first",
}


@dataclass(frozen=True)
class Wanted:
    """A column to read; one that is not required is read where the table has it.

    options: that choose another. least: of a standard uncertainty, the smallest value that can be used.
    """

    name: str
    required: bool = True
    options: str = "`x` and `y`"
    least: float | None = None


@dataclass(frozen=True, eq=False)
class Columns:
    """Parsed columns by name, (rows,) float64 each, without the `n_dropped` rows that had a missing value."""

    values: Mapping[str, NDArray[np.float64]]
    n_dropped: int


def parse_csv(data: bytes, source: str, config: ReadingsConfig, wanted: Sequence[Wanted]) -> Columns:
    """The wanted columns of CSV text, written as `config` says; every value is the float64 nearest to what is written.

    Raises ReadingsError, naming `source` (shown as it is), line and column, when the text is no such table.
    """
    _refuse_other_than_utf8(data, source)
    table = _open_table(data, source, config, wanted)
    return _parse(table, _told_mark(table) or ".")


def parse_blocks(
    pieces: Iterable[bytes], source: str, config: ReadingsConfig, wanted: Sequence[Wanted]
) -> Iterator[Columns]:
    """The wanted columns of CSV text of any length, block by block: `pieces` are its bytes, cut anywhere.

    Accepts what `parse_csv` accepts, less lines of more than 16 MiB, and says the same about the first line that cannot
    be used. The decimal mark is that of the first block that tells it; a `1,234` in an earlier one is refused.
    Raises ReadingsError where a block is reached that is no such table.
    """
    table: _Table | None = None
    mark: str | None = None
    for block, n_bytes, n_lines in _whole_lines(pieces, source):
        _refuse_other_than_utf8(block, source, n_bytes, n_lines)
        if table is None:
            table = _open_table(block, source, config, wanted)
        else:
            table = replace(table, data=block, body=0, line=n_lines)
        mark = mark or _told_mark(table)
        yield _parse(table, mark or ".")


def _whole_lines(pieces: Iterable[bytes], source: str) -> Iterator[tuple[bytes, int, int]]:
    """Blocks that end with a line's end (but for the file's last), and the numbers of bytes and of lines before each.

    The first is not blank, unless all the text is.
    """
    n_bytes = n_lines = 0
    rest = b""
    for piece in pieces:
        data = rest + piece
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1)) + 1  # after a \r that is the last byte, \n may follow
        if n_bytes == 0 and _first_row(data[:end]) is None:
            end = 0
        if end:
            yield data[:end], n_bytes, n_lines
            n_bytes += end
            n_lines += _line_number(data, end) - 1
        rest = data[end:]
        if len(rest) > LONGEST:
            raise ReadingsError(
                f"{source}: no row ends within {LONGEST:,} bytes from line {n_lines + 1}; "
                "a table of readings has shorter lines"
            )
    if rest or n_bytes == 0:
        yield rest, n_bytes, n_lines


def _parse(table: _Table, mark: str) -> Columns:
    fast = parse_fast(table, mark) if len(table.data) > SMALL else None
    return fast or parse_slowly(table, mark)


def find_columns(names: Sequence[str], wanted: Sequence[Wanted], place: str) -> dict[str, int]:
    """Name → position of the wanted columns among `names`; `place` opens the message.

    Raises ReadingsError when a required one is missing, or one is there more than once.
    """
    found = {}
    for column in wanted:
        if column.name in names:
            found[column.name] = names.index(column.name)
        elif column.required:
            raise ReadingsError(f"{place}: no column {shown(column.name)}; {_what_there_is(column, names)}")
        if names.count(column.name) > 1:
            times = f"is there {names.count(column.name)} times"
            raise ReadingsError(f"{place}: column {shown(column.name)} {times}; rename or remove the others")
    return found


def value_error(place: str, value: str | float) -> ReadingsError:
    """The error for one value that is missing (NaN), infinite or beyond ±`LARGEST`."""
    if value != value or (isinstance(value, str) and value.lower() in MISSING):
        written = f" ({shown(value)})" if isinstance(value, str) and value else ""
        return ReadingsError(
            f"{place}: the value is missing{written}; fill it in, or drop rows with a missing value by "
            "`drop_missing=True`"
        )
    text = shown(value) if isinstance(value, str) else f"{value:g}"
    if (isinstance(value, str) and _INFINITE.fullmatch(value)) or value in (np.inf, -np.inf):
        return ReadingsError(f"{place}: {text} is not finite; correct or remove the row")
    return ReadingsError(f"{place}: {text} is beyond ±{LARGEST:g}; correct or remove the row")


def uncertainty_error(place: str, value: str | float, least: float) -> ReadingsError:
    """The error for one value of a column of standard uncertainties that is below `least`."""
    text = shown(value) if isinstance(value, str) else f"{value:g}"
    return ReadingsError(
        f"{place}: {text} is no standard uncertainty; it has to be {'above' if least else 'at least'} 0"
    )


def least_values(wanted: Iterable[Wanted]) -> dict[str, float]:
    """Column → the smallest value that it may have, of those that are standard uncertainties."""
    return {column.name: column.least for column in wanted if column.least is not None}


def _what_there_is(column: Wanted, names: Sequence[str]) -> str:
    """What to do about a missing column: what there is instead."""
    if all(_NUMBER["."].fullmatch(item) or _NUMBER[","].fullmatch(item) for item in names):
        return "the first line holds numbers; put the columns' names above them"
    if len(names) == 1:
        return (
            f"the only column is {shown(names[0])}; choose it with {column.options}, or separate columns by comma, "
            "semicolon or tab"
        )
    by_lower = {item.lower(): item for item in names}
    close = difflib.get_close_matches(column.name.lower(), by_lower, n=1)
    guess = f" (did you mean {shown(by_lower[close[0]])}?)" if close else ""
    return f"the columns are {shown(', '.join(names), 160)}; choose with {column.options}{guess}"


@dataclass(frozen=True, eq=False)
class _Table:
    """CSV text whose header has been read: `data` from byte `body` on are rows, after line number `line`."""

    data: bytes
    body: int
    line: int
    source: str
    delimiter: str
    n_columns: int
    columns: Mapping[str, int]
    least: Mapping[str, float]
    config: ReadingsConfig

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line number and the wanted cells, in the order of `columns`, of each row that is not blank."""
        stream = io.BytesIO(self.data)
        stream.seek(self.body)
        lines = io.TextIOWrapper(stream, encoding="utf-8", newline=None)
        # An empty line more, so that a quotation mark still open at the end runs over a line's end as any other does.
        reader = csv.reader(chain(lines, [""]), delimiter=self.delimiter, skipinitialspace=True, strict=True)
        positions = list(self.columns.values())
        n_read = 0
        try:
            for cells in reader:
                if reader.line_num > n_read + 1:
                    self._refuse_open_quotation(n_read + 1)
                n_read += 1
                if len(cells) == self.n_columns:
                    yield self.line + n_read, [cells[position].strip() for position in positions]
                elif any(cell.strip() for cell in cells) or len(cells) > 1:
                    counts = f"{len(cells)} {'cell' if len(cells) == 1 else 'cells'} where the header has"
                    self._refuse_line(n_read, f"has {counts} {self.n_columns}; check for missing or surplus separators")
        except csv.Error as error:
            if reader.line_num > n_read + 1:
                self._refuse_open_quotation(n_read + 1)
            self._refuse_line(
                n_read + 1, f"cannot be split into cells ({printable(str(error))}); check its quotation marks"
            )

    def place(self, line: int, name: str) -> str:
        """Where the cell of the column `name` is."""
        return f"{self.source}: line {line}, column {shown(name)}"

    def _refuse_open_quotation(self, n: int) -> NoReturn:
        self._refuse_line(n, "has a quotation mark that is not closed on it; close or remove it")

    def _refuse_line(self, n: int, what: str) -> NoReturn:
        raise ReadingsError(f"{self.source}: line {self.line + n} {what}")


def _refuse_other_than_utf8(data: bytes, source: str, n_bytes: int = 0, n_lines: int = 0) -> None:
    """n_bytes, n_lines: what of the text comes before `data`."""
    for magic, name in _NOT_TEXT.items():
        if data.startswith(magic) and n_bytes == 0:
            raise ReadingsError(f"{source}: not CSV text: the file is {name}")
    if (byte := data.find(b"\0")) >= 0:
        raise ReadingsError(
            f"{source}: line {n_lines + _line_number(data, byte)} holds a NUL byte (byte {n_bytes + byte}); "
            "the file is binary or UTF-16: save it as CSV in UTF-8"
        )
    if data.isascii():
        return
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise ReadingsError(
            f"{source}: line {n_lines + _line_number(data, error.start)} is not UTF-8 "
            f"(byte {n_bytes + error.start} is 0x{data[error.start]:02x}); save the file as CSV in UTF-8"
        ) from None


def _line_number(data: bytes, byte: int) -> int:
    """Number, from 1, of the line that holds the byte at this position."""
    ends = data.count(b"\n", 0, byte) + data.count(b"\r", 0, byte) - data.count(b"\r\n", 0, byte)
    return ends + 1


def _first_row(data: bytes) -> re.Match[bytes] | None:
    """The first line that is not blank, from its first character on."""
    return _REST_OF_FIRST_LINE.search(data, _text_start(data))


def _text_start(data: bytes) -> int:
    return len(_BOM) if data.startswith(_BOM) else 0


def _open_table(data: bytes, source: str, config: ReadingsConfig, wanted: Sequence[Wanted]) -> _Table:
    text, rest = _text_start(data), _first_row(data)
    if rest is None:
        raise ReadingsError(f"{source}: the file is empty; expected a header with the columns' names, then rows")
    start = max(data.rfind(b"\n", text, rest.start()) + 1, data.rfind(b"\r", text, rest.start()) + 1, text)
    end = rest.end()
    line = _line_number(data, start)
    place = f"{source}: line {line}"
    delimiter, names = _split_header(data[start:end].decode(), place, config, wanted)
    body = end + len(b"\r\n") if data.startswith(b"\r\n", end) else end + 1
    columns = find_columns(names, wanted, place)
    return _Table(data, body, line, source, delimiter, len(names), columns, least_values(wanted), config)


def _split_header(header: str, place: str, config: ReadingsConfig, wanted: Sequence[Wanted]) -> tuple[str, list[str]]:
    """The delimiter that brings out the columns that are looked for, else most columns; and the columns' names."""
    required = {column.name for column in wanted if column.required}
    delimiters = _DELIMITERS.values() if config.delimiter == "auto" else [_DELIMITERS[config.delimiter]]
    found: list[tuple[str, list[str]]] = []
    for delimiter in delimiters:
        try:
            cells = next(csv.reader([header], delimiter=delimiter, skipinitialspace=True, strict=True))
        except csv.Error:
            continue
        found.append((delimiter, [cell.strip() for cell in cells]))
    if not found:
        raise ReadingsError(f"{place} cannot be split into columns' names; check its quotation marks")
    return max(found, key=lambda item: (required <= set(item[1]), len(item[1])))


def _told_mark(table: _Table) -> str | None:
    """The decimal mark: as told, or as the first number with a mark has it; None where no number has one.

    `1,234` may also be 1234 with a separator of thousands, unless semicolons separate the columns, which is done
    because the comma is taken. It does not count; in a file with no plainer number it is refused later.
    """
    if table.config.decimal != "auto":
        return _MARKS[table.config.decimal]
    commas_in_cells = table.delimiter != "," or table.data.find(b'"', table.body) >= 0
    if not commas_in_cells or table.data.find(b",", table.body) < 0:
        return "." if table.data.find(b".", table.body) >= 0 else None
    try:
        for _, cells in table.rows():
            for cell in cells:
                if "." in cell and _NUMBER["."].fullmatch(cell):
                    return "."
                plain = table.delimiter == ";" or not _THOUSANDS.fullmatch(cell)
                if "," in cell and _NUMBER[","].fullmatch(cell) and plain:
                    return ","
    except ReadingsError:
        pass  # whatever the mark, parsing meets the same broken line, or an earlier fault
    return None


def parse_fast(table: _Table, mark: str) -> Columns | None:
    """The columns by Arrow's parser, or None where the text is not plain enough to be sure of it."""
    import pyarrow as pa
    import pyarrow.csv

    if table.data.find(b'"', table.body) >= 0:
        return None
    names = [f"{position}" for position in range(table.n_columns)]
    wanted = [names[position] for position in table.columns.values()]
    try:
        parsed = pa.csv.read_csv(
            pa.BufferReader(pa.py_buffer(memoryview(table.data)[table.body :])),
            read_options=pa.csv.ReadOptions(column_names=names),
            parse_options=pa.csv.ParseOptions(delimiter=table.delimiter, quote_char=False),
            convert_options=pa.csv.ConvertOptions(
                include_columns=wanted,
                column_types=dict.fromkeys(wanted, pa.float64()),
                decimal_point=mark,
                null_values=["", "NA", "NaN", "nan"],
            ),
        )
    except pa.ArrowException:
        return None
    present = [column.drop_null().to_numpy() for column in parsed.columns]
    if not all(bool((np.abs(values) <= LARGEST).all()) for values in present):
        return None  # also where the row would be dropped for its other cell
    least = [table.least.get(name, -np.inf) for name in table.columns]
    if any(bool((values < low).any()) for values, low in zip(present, least, strict=True)):
        return None
    n_rows = parsed.num_rows
    if table.config.drop_missing:
        parsed = parsed.drop_null()
    if any(column.null_count for column in parsed.columns):
        return None
    values = (column.to_numpy() for column in parsed.columns)
    return Columns(dict(zip(table.columns, values, strict=True)), n_rows - parsed.num_rows)


def parse_slowly(table: _Table, mark: str) -> Columns:
    """The columns row by row. Raises ReadingsError at the first line that cannot be used."""
    columns = {name: array("d") for name in table.columns}
    n_dropped = 0
    for line, cells in table.rows():
        row = [_number(table, mark, line, name, cell) for name, cell in zip(columns, cells, strict=True)]
        missing = [position for position, value in enumerate(row) if value != value]
        if missing and not table.config.drop_missing:
            raise value_error(table.place(line, list(columns)[missing[0]]), cells[missing[0]])
        if missing:
            n_dropped += 1
            continue
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
    return Columns({name: np.array(column, dtype=np.float64) for name, column in columns.items()}, n_dropped)


def _number(table: _Table, mark: str, line: int, name: str, cell: str) -> float:
    """A cell's value, NaN for a missing one. Raises ReadingsError for anything else that is not a usable number."""
    if _NUMBER[mark].fullmatch(cell):
        value = float(cell.replace(mark, "."))
        least = table.least.get(name, -LARGEST)
        if value < least and abs(value) <= LARGEST:
            raise uncertainty_error(table.place(line, name), cell, least)
        if abs(value) <= LARGEST:
            return value
        raise value_error(table.place(line, name), cell)
    if cell.lower() in MISSING:
        return np.nan
    place = table.place(line, name)
    if _INFINITE.fullmatch(cell):
        raise value_error(place, cell)
    raise ReadingsError(f"{place}: {shown(cell)} is not a number{_why_not(cell, mark)}")


def _why_not(cell: str, mark: str) -> str:
    """What to do about a cell that is not a number."""
    other, name, other_name = (",", "point", "comma") if mark == "." else (".", "comma", "point")
    if _THOUSANDS.fullmatch(cell):
        return f' with a decimal {name}; remove separators of thousands, or say `decimal="{other_name}"` if it is one'
    if _NUMBER[other].fullmatch(cell):
        return f' with a decimal {name}; use one mark throughout, or say `decimal="{other_name}"`'
    return "; correct or remove the row"
