"""CSV text to rows of cells: its header, and what Arrow makes of the lines below it."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from tempfit.config import ReadingsConfig
from tempfit.errors import ReadingsError
from tempfit.readings.columns import MISSING, Wanted, find_columns
from tempfit.readings.lines import LONGEST_LINE
from tempfit.wording import printable, shown

_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}
_FIRST_LINE = re.compile(rb"[^ \t\n][^\n]*")  # that is not blank, from its first character on
_LINE = re.compile(rb"[^\n]+")
_ROWS_AT_ONCE = 4096  # as Python's objects


@dataclass(frozen=True)
class Header:
    """What the first line of a table says: the columns' names, and by name, where the wanted ones are that are there.

    line: its number.
    """

    source: str
    delimiter: str
    names: Sequence[str]
    line: int
    positions: Mapping[str, int]
    wanted: Sequence[Wanted]

    def looking_for(self, wanted: Sequence[Wanted]) -> Header:
        """The same with other columns wanted. Raises ReadingsError."""
        positions = find_columns(self.names, wanted, f"{self.source}: line {self.line}")
        return replace(self, positions=positions, wanted=[column for column in wanted if column.name in positions])


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a table, whose lines come after line number `line`. fault: what is wrong with the line behind them."""

    header: Header
    text: bytes
    line: int
    fault: str | None = None

    @property
    def has_quotes(self) -> bool:
        return b'"' in self.text

    def read(self, kind: Any, mark: str, on_invalid: Callable[[Any], str]) -> Any:
        """An Arrow table of the wanted columns, numbers as `kind`, written with this decimal mark, names as strings.

        on_invalid: says of a row with another number of cells than the header whether it is "skip" or "error".
        Raises ArrowInvalid.
        """
        import pyarrow as pa
        import pyarrow.csv as pa_csv

        header = self.header
        names = [str(position) for position in range(len(header.names))]
        wanted = {names[header.positions[it.name]]: pa.string() if it.is_text else kind for it in header.wanted}
        return pa_csv.read_csv(
            pa.BufferReader(self.text or b"\n"),
            read_options=pa_csv.ReadOptions(column_names=names, use_threads=False, block_size=LONGEST_LINE),
            parse_options=pa_csv.ParseOptions(
                delimiter=header.delimiter,
                quote_char='"' if self.has_quotes else False,
                invalid_row_handler=on_invalid,
            ),
            convert_options=pa_csv.ConvertOptions(
                include_columns=list(wanted),
                column_types=wanted,
                decimal_point=mark,
                null_values=MISSING,
                check_utf8=False,
            ),
        )

    def cells(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """The number of each row, as Arrow counts, and its wanted cells, without spaces around them.

        Raises ReadingsError at the first line that is no row.
        """
        import pyarrow as pa

        skipped: set[int] = set()
        ragged: list[Any] = []

        def skip(row: Any) -> str:
            skipped.add(row.number)
            if not is_blank(row):
                ragged.append(row)
            return "skip"

        try:
            parsed = self.read(pa.string(), ".", skip)
        except pa.ArrowInvalid as error:
            reason = shown(str(error).partition("\n")[0], 60)
            raise ReadingsError(f"{self.header.source}: cannot be split into cells ({reason}); is it CSV?") from None
        number = 0
        for start in range(0, parsed.num_rows, _ROWS_AT_ONCE):
            for cells in zip(*(it.to_pylist() for it in parsed.slice(start, _ROWS_AT_ONCE).columns), strict=True):
                number = next(k for k in count(number + 1) if k not in skipped)
                if ragged and ragged[0].number < number:
                    self._refuse_ragged(ragged[0])
                yield number, tuple(cell.strip() for cell in cells)
        if ragged:
            self._refuse_ragged(ragged[0])
        if self.fault is not None:
            raise ReadingsError(self.fault)

    def line_of(self, number: int) -> int:
        """The line of the row with this number: lines that are empty are no rows."""
        row = next(islice(_LINE.finditer(self.text), number - 1, None))
        return self.line + self.text.count(b"\n", 0, row.start()) + 1

    def lines(self) -> NDArray[np.int64]:
        """The line of each row, as `line_of`: of all rows."""
        text = np.frombuffer(self.text, np.uint8)
        ends = np.append(np.flatnonzero(text == ord("\n")), len(text))
        lengths = np.diff(ends, prepend=-1) - 1
        return self.line + 1 + np.flatnonzero(lengths > 0)

    def _refuse_ragged(self, row: Any) -> NoReturn:
        n = row.actual_columns
        counts = f"{n} {'cell' if n == 1 else 'cells'} where the header has {row.expected_columns}"
        line = f"{self.header.source}: line {self.line_of(row.number)}"
        raise ReadingsError(f"{line} has {counts}; check for missing or surplus separators")


def is_blank(row: Any) -> bool:
    """Of a row that has not as many cells as the header: whether it has nothing in it."""
    cell = row.text.strip()
    cell = cell[1:-1] if cell.startswith('"') else cell
    return row.actual_columns == 1 and not cell.strip()


def open_rows(text: bytes, n_lines: int, source: str, config: ReadingsConfig, wanted: Sequence[Wanted]) -> Rows:
    """The rows of text that begins with a header, after so many lines. Raises ReadingsError."""
    header, rows = split_header(text, n_lines, source, config, wanted)
    return make_rows(header, rows, header.line)


def split_header(
    text: bytes, n_lines: int, source: str, config: ReadingsConfig, wanted: Sequence[Wanted]
) -> tuple[Header, bytes]:
    """What the header says that text begins with, after so many lines, and the text below it. Raises ReadingsError."""
    first = _FIRST_LINE.search(text)
    if first is None:
        raise ReadingsError(f"{source}: the file is empty; expected a header with the columns' names, then rows")
    line = n_lines + text.count(b"\n", 0, first.start()) + 1
    told = text[text.rfind(b"\n", 0, first.start()) + 1 : first.end()].decode()
    delimiter, names = _split_names(told, f"{source}: line {line}", config, wanted)
    return Header(source, delimiter, names, line, {}, ()).looking_for(wanted), text[first.end() + 1 :]


def make_rows(header: Header, text: bytes, n_lines: int) -> Rows:
    """The rows in text below the header, after so many lines.

    Quotation marks are checked here, as Arrow takes them to be right, and lines with them to be followed by others.
    Spaces before one are left out, as they would hide it.
    """
    if b'"' not in text:
        return Rows(header, text, n_lines)
    cells = _Cells(header.delimiter)
    broken = cells.broken.search(text)
    rows = text[: broken.start()] if broken else text
    rows = cells.spaces.sub(rb"\1", rows)
    if broken is None:
        return Rows(header, rows, n_lines)
    before = rows.count(b"\n")
    wrong = _LINE.match(text, broken.start())
    assert wrong is not None
    opened = cells.opened.match(wrong[0])
    line = f"{header.source}: line {n_lines + before + 1}"
    if opened is not None and opened.end() < len(wrong[0]):
        why = printable(f"""'{header.delimiter}' expected after '"'""")
        return Rows(header, rows, n_lines, f"{line} cannot be split into cells ({why}); check its quotation marks")
    fault = f"{line} has a quotation mark that is not closed on it; close or remove it"
    return Rows(header, rows, n_lines, fault)


def without_broken(header: Header, text: bytes) -> tuple[bytes, list[int]]:
    """The text with nothing on the lines whose quotation marks are wrong, and how many lines are before each."""
    if b'"' not in text:
        return text, []
    found = [match.start() for match in _Cells(header.delimiter).broken.finditer(text)]
    kept: list[bytes] = []
    n_before: list[int] = []
    start = 0
    for place in found:
        n_before.append((n_before[-1] if n_before else 0) + text.count(b"\n", start, place))
        kept.append(text[start:place])
        end = text.find(b"\n", place)
        start = end if end >= 0 else len(text)
    return b"".join([*kept, text[start:]]), n_before


class _Cells:
    """What quotation marks may do in the cells of a line. broken: the start of a line where they do something else.
    opened: its cells up to the one that is wrong, with that. spaces: those that hide a mark."""

    def __init__(self, delimiter: str):
        between = re.escape(delimiter).encode()
        quoted, plain = rb' *+"(?:[^"\n]|"")*+', rb'(?! *")[^%b\n]*+' % between
        cell = rb'(?:%b"(?=[%b\n]|\Z)|%b)' % (quoted, between, plain)
        self.broken = re.compile(rb"(?m)^(?!%b(?:%b%b)*+(?=\n|\Z))" % (cell, between, cell))
        self.opened = re.compile(rb"(?:%b%b)*+%b" % (cell, between, quoted))
        self.spaces = re.compile(rb'(?m)(^|%b) +(?=")' % between)


def _split_names(header: str, place: str, config: ReadingsConfig, wanted: Sequence[Wanted]) -> tuple[str, list[str]]:
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
