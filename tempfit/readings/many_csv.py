"""Blocks of many sensors' rows from CSV: what can be read is, and the lines that cannot are told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempfit.config import ReadingsConfig
from tempfit.readings.cells import Rows, is_blank, make_rows, open_rows
from tempfit.readings.columns import MISSING, Wanted, are_missing, as_names, as_numpy
from tempfit.readings.csv_text import MARKS, parse_slowly, told_mark
from tempfit.readings.faults import find_faults, reasons_of
from tempfit.readings.lines import whole_lines
from tempfit.readings.sensors import Block

_NUMBER = {mark: rf"^[+-]?([0-9]+([{mark}][0-9]*)?|[{mark}][0-9]+)([eE][+-]?[0-9]+)?$" for mark in ".,"}
_INFINITE = "(?i)^[+-]?inf(inity)?$"


def csv_blocks(
    pieces: Iterable[bytes], place: str, config: ReadingsConfig, wanted: Sequence[Wanted], *, strict: bool
) -> Iterator[Block]:
    """The rows of CSV text, one block of each of the pieces; whose they are is in the first of the wanted columns.

    Raises ReadingsError, naming `place`, for what is no such table, and, where `strict`, at the first line that cannot
    be used.
    """
    header, mark = None, None
    for text, n_lines in whole_lines(pieces, place):
        if header is None:
            rows = open_rows(text, n_lines, place, config, wanted)
            header = rows.header
        else:
            rows = make_rows(header, text, n_lines)
        mark = mark or (told_mark(rows) if config.decimal == "auto" else MARKS[config.decimal])
        yield _block(rows, mark or ".", config, strict=strict)


def _block(rows: Rows, mark: str, config: ReadingsConfig, *, strict: bool) -> Block:
    import pyarrow as pa

    by, *numeric = rows.header.wanted
    skipped: list[Any] = []

    def skip(row: Any) -> str:
        skipped.append(row)
        return "skip"

    texts: dict[str, NDArray[np.bool_]] = {}
    try:
        keys, *columns = rows.read(pa.float64(), mark, skip).columns
        values = {it.name: as_numpy(column) for it, column in zip(numeric, columns, strict=True)}
    except pa.ArrowInvalid:
        skipped.clear()
        keys, *columns = rows.read(pa.string(), mark, skip).columns
        values = {}
        for it, column in zip(numeric, columns, strict=True):
            values[it.name], texts[it.name] = _numbers(column, mark)
    faults = find_faults(numeric, values, texts)
    ragged = [row for row in skipped if not is_blank(row)]
    if strict and (faults is not None or ragged or rows.fault or are_missing(as_names(keys)).any()):
        parse_slowly(rows, mark, config)

    def lines(places: NDArray[np.int64]) -> NDArray[np.int64]:
        if len(places) == 0:
            return places
        numbers = np.setdiff1d(np.arange(1, len(keys) + len(skipped) + 1), [row.number for row in skipped])
        return rows.lines()[numbers[places] - 1]

    return Block(
        keys=keys.combine_chunks(),
        values=values,
        faults=faults,
        reasons=reasons_of(numeric),
        number=lines,
        broken=rows.lines()[[row.number - 1 for row in ragged]] if ragged else np.empty(0, dtype=np.int64),
        unit="line",
        file=rows.header.source,
    )


def _numbers(cells: Any, mark: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The numbers that are written in cells, NaN where there is none; and where it is because there is other text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    told = pc.utf8_trim_whitespace(cells)
    is_number = pc.or_(pc.match_substring_regex(told, _NUMBER[mark]), pc.match_substring_regex(told, _INFINITE))
    is_missing = pc.is_in(told, pa.array(MISSING))
    written = pc.if_else(is_number, told, None)
    written = written if mark == "." else pc.replace_substring(written, mark, ".")
    is_text = pc.invert(pc.or_(is_number, is_missing))
    return as_numpy(written.cast(pa.float64())), is_text.to_numpy(zero_copy_only=False)
