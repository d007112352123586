"""Blocks of many sensors' rows from CSV: what can be read is, and the lines that cannot are told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempfit.readings.cells import Rows, is_blank, make_rows, make_rows_of_good_lines, split_header
from tempfit.readings.columns import MISSING, NUMBER_RE2, are_missing, as_names, as_numpy
from tempfit.readings.csv_text import MARKS, parse_slowly, told_mark
from tempfit.readings.faults import find_faults
from tempfit.readings.layout import Layout
from tempfit.readings.lines import whole_lines
from tempfit.readings.sensors import Block, Places, refuse_wrong_times
from tempfit.readings.times import read_times

_INFINITE = "(?i)^[+-]?inf(inity)?$"


def csv_blocks(pieces: Iterable[bytes], keys: str | None, place: str, layout: Layout) -> Iterator[Block]:
    """The rows of CSV text, a block of each of its pieces.

    keys: whose all rows are; None where the table says it. Raises ReadingsError, naming `place`, for what is no such
    table, and, where rows that cannot be used are refused, at the first of them.
    """
    config, header, mark = layout.config, None, None
    for text, n_lines in whole_lines(pieces, place):
        if header is None:
            header, text = split_header(text, n_lines, place, config, layout.wanted)
            layout = layout.among(header.names, place)
            header = header.looking_for(layout.wanted)
            n_lines = header.line
        broken: list[int] = []
        if layout.strict:
            rows = make_rows(header, text, n_lines)
        else:
            rows, broken = make_rows_of_good_lines(header, text, n_lines)
        mark = mark or (told_mark(rows) if config.decimal == "auto" else MARKS[config.decimal])
        yield _block(rows, keys, layout, mark or ".", np.array(broken, dtype=np.int64))


def _block(rows: Rows, keys: str | None, layout: Layout, mark: str, broken: Places) -> Block:
    """broken: the lines whose quotation marks are wrong."""
    import pyarrow as pa

    skipped: list[Any] = []

    def skip(row: Any) -> str:
        skipped.append(row)
        return "skip"

    texts: dict[str, NDArray[np.bool_]] = {}
    try:
        columns = dict(zip(rows.header.wanted, rows.read(pa.float64(), mark, skip).columns, strict=True))
        values = {it.name: as_numpy(columns[it]) for it in layout.numbers}
    except pa.ArrowInvalid:
        skipped.clear()
        columns = dict(zip(rows.header.wanted, rows.read(pa.string(), mark, skip).columns, strict=True))
        values = {}
        for it in layout.numbers:
            values[it.name], texts[it.name] = _numbers(columns[it].combine_chunks(), mark)
    if layout.time is not None:
        cells = columns[layout.time].combine_chunks()
        values[layout.time.name], texts[layout.time.name] = read_times(cells, mark, layout.time_format)
    ragged = [row.number for row in skipped if not is_blank(row)]
    told = columns[layout.by].combine_chunks() if layout.by else keys
    return _checked(
        Block(
            layout=layout,
            keys=told,
            values=values,
            texts=texts,
            number=partial(_line, rows, [row.number for row in skipped]),
            broken=np.append(broken, rows.lines()[np.array(ragged) - 1]) if ragged else broken,
            unit="line",
            file=rows.header.source,
        ),
        rows,
        mark,
    )


def _line(rows: Rows, skipped: Sequence[int], places: Places) -> Places:
    """The lines of rows at these places, among which those with the skipped numbers are not."""
    if len(places) == 0:
        return places
    lines = rows.lines()
    return np.delete(lines, np.array(skipped, dtype=np.int64) - 1)[places]


def _checked(block: Block, rows: Rows, mark: str) -> Block:
    """The block; where rows that cannot be used are refused, ReadingsError is raised at the first."""
    layout = block.layout
    if not layout.strict:
        return block
    is_nameless = layout.by is not None and are_missing(as_names(block.keys)).any()
    if (
        is_nameless
        or len(block.broken)
        or rows.fault
        or find_faults(layout.numbers, block.values, block.texts) is not None
    ):
        parse_slowly(rows, mark, layout.config)
    refuse_wrong_times(block)
    return block


def _numbers(cells: Any, mark: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The numbers that are written in cells, NaN where there is none; and where it is because there is other text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    told = pc.utf8_trim_whitespace(cells)
    is_missing = pc.is_in(told, pa.array(MISSING))
    written = pc.if_else(is_missing, None, told)
    try:
        values = _as_floats(written, mark)
    except pa.ArrowInvalid:
        is_number = pc.or_(pc.match_substring_regex(told, NUMBER_RE2[mark]), pc.match_substring_regex(told, _INFINITE))
        values = _as_floats(pc.if_else(is_number, written, None), mark)
    return values, np.isnan(values) & ~is_missing.to_numpy(zero_copy_only=False)


def _as_floats(written: Any, mark: str) -> NDArray[np.float64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if mark != ".":  # a point is no mark then
        written = pc.replace_substring(pc.replace_substring(written, ".", "?"), mark, ".")
    return as_numpy(written.cast(pa.float64()))
