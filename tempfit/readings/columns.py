"""Columns of a table: which are looked for, what a number in them has to be, and what is said of one that is not."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import product
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempfit.errors import ReadingsError
from tempfit.wording import shown

LARGEST_VALUE = 1e100
"""Largest magnitude of a value; the square of a sum of ten million such is still finite in float64."""

MISSING = [
    "".join(letters)
    for word in ("", "na", "n/a", "#n/a", "nan", "null", "none")
    for letters in product(*({letter, letter.upper()} for letter in word))
]
"""What stands for a missing value, whatever its case."""

NUMBER = {  # possessive quantifiers: the grammar needs no backtracking, and without it matching takes half the time
    mark: re.compile(rf"[+-]?+(?:[0-9]++(?:[{mark}][0-9]*+)?+|[{mark}][0-9]++)(?:[eE][+-]?+[0-9]++)?+") for mark in ".,"
}
NUMBER_RE2 = {mark: rf"^[+-]?(?:[0-9]+(?:[{mark}][0-9]*)?|[{mark}][0-9]+)(?:[eE][+-]?[0-9]+)?$" for mark in ".,"}
"""The same for Arrow, whose search never goes back."""

THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:([,.'  ])[0-9]{3})(?:\1[0-9]{3})*(?:[,.][0-9]*)?")
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)


@dataclass(frozen=True)
class Wanted:
    """A column to read; one that is not required is read where the table has it.

    options: that choose another. least: of a standard uncertainty, the smallest value that can be used. is_text: it
    holds names, not numbers, or times if is_time. gaps: a missing value is nothing to refuse.
    """

    name: str
    required: bool = True
    options: str = "`x` and `y`"
    least: float = -np.inf
    is_text: bool = False
    is_time: bool = False
    gaps: bool = False


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns by name, without the `n_dropped` rows that had a missing value: numbers, (rows,) float64, and names, as
    Arrow's arrays of strings."""

    values: Mapping[str, NDArray[np.float64]]
    n_dropped: int = 0
    texts: Mapping[str, Any] = field(default_factory=dict)

    def are_present(self) -> NDArray[np.bool_]:
        """Of each row, whether neither a number nor a name is missing."""
        present = [~np.isnan(column) for column in self.values.values()]
        present += [~are_missing(text) for text in self.texts.values()]
        whole: NDArray[np.bool_] = np.logical_and.reduce(present)
        return whole

    def are_whole(self, wanted: Sequence[Wanted]) -> bool:
        """Whether every number can be used and nothing is missing, by the lowest and the highest: a quick look."""
        least = {column.name: column.least for column in wanted}
        for name, column in self.values.items():
            if len(column) and not max(least[name], -LARGEST_VALUE) <= column.min() <= column.max() <= LARGEST_VALUE:
                return False
        return not any(are_missing(text).any() for text in self.texts.values())

    def without_missing(self) -> Columns:
        """The rows of which nothing is missing."""
        present = self.are_present()
        if present.all():
            return self
        values = {name: column[present] for name, column in self.values.items()}
        texts = {name: text.take(np.flatnonzero(present)) for name, text in self.texts.items()}
        return Columns(values, int(len(present) - present.sum()), texts)


def find_columns(names: Sequence[str], wanted: Sequence[Wanted], place: str) -> dict[str, int]:
    """Name → position of the wanted columns among `names`; `place` opens the message.

    Raises ReadingsError when a required one is missing, or one is there more than once.
    """
    found, times = {}, Counter(names)
    places = {name: place for place, name in reversed(list(enumerate(names)))}
    for column in wanted:
        if column.name in places:
            found[column.name] = places[column.name]
        elif column.required:
            raise ReadingsError(f"{place}: no column {shown(column.name)}; {_what_there_is(column, names)}")
        if times[column.name] > 1:
            often = f"is there {times[column.name]} times"
            raise ReadingsError(f"{place}: column {shown(column.name)} {often}; rename or remove the others")
    return found


def _what_there_is(column: Wanted, names: Sequence[str]) -> str:
    """What to do about a missing column: what there is instead."""
    if all(NUMBER["."].fullmatch(item) or NUMBER[","].fullmatch(item) for item in names):
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


def read_number(cell: str, mark: str, least: float) -> float:
    """The float64 nearest to what is written, NaN for a missing value; mark: the decimal mark.

    Raises ValueError, which says what is wrong, where it is no number that can be used.
    """
    if NUMBER[mark].fullmatch(cell):
        value = float(cell.replace(mark, "."))
    elif cell in MISSING:
        return np.nan
    elif _INFINITE.fullmatch(cell):
        value = np.inf
    else:
        raise ValueError(f"{shown(cell)} is not a number{_why_not(cell, mark)}")
    if not least <= value <= LARGEST_VALUE or value < -LARGEST_VALUE:
        raise ValueError(why_unusable(value, least, cell))
    return value


def _why_not(cell: str, mark: str) -> str:
    """What to do about a cell that is not a number."""
    other, name, other_name = (",", "point", "comma") if mark == "." else (".", "comma", "point")
    if THOUSANDS.fullmatch(cell):
        return f' with a decimal {name}; remove separators of thousands, or say `decimal="{other_name}"` if it is one'
    if NUMBER[other].fullmatch(cell):
        return f' with a decimal {name}; use one mark throughout, or say `decimal="{other_name}"`'
    return "; correct or remove the row"


def why_unusable(value: float, least: float, cell: str | None = None) -> str:
    """What is wrong with a value that is missing (NaN), infinite, beyond ±`LARGEST_VALUE` or below `least`.

    cell: as it is written, where it is.
    """
    text = f"{value:g}" if cell is None else shown(cell)
    if np.isnan(value):
        written = f" ({text})" if cell else ""
        return f"the value is missing{written}; fill it in, or drop rows with a missing value by `drop_missing=True`"
    if "inf" in text.lower():
        return f"{text} is not finite; correct or remove the row"
    if abs(value) > LARGEST_VALUE:
        return f"{text} is beyond ±{LARGEST_VALUE:g}; correct or remove the row"
    return f"{text} is no standard uncertainty; it has to be {'above' if least else 'at least'} 0"


def as_float64(values: Any, place: str) -> NDArray[np.float64]:
    """One column as a (rows,) float64 array, NaN for what is missing."""
    if isinstance(values, np.ma.MaskedArray) and values.dtype.kind in "iuf":
        values = np.ma.filled(values.astype(np.float64), np.nan)
    elif hasattr(values, "isna") and values.isna().any():  # a Series, perhaps with pd.NA
        values = values.astype(object).where(values.notna(), None)
    raw = np.asarray(values)
    if raw.dtype == object and all(_is_number(item) for item in raw.flat):
        raw = raw.astype(np.float64)
    if raw.dtype.kind not in "iuf":
        kind = "text" if raw.dtype.kind in "SU" else f"{raw.dtype.name} values"
        raise ReadingsError(f"{place} holds {kind}, not numbers; convert it to a numeric type")
    if raw.ndim != 1:
        raise ReadingsError(f"{place} has {raw.ndim} dimensions; readings are one-dimensional")
    return raw.astype(np.float64, copy=False)


def _is_number(item: Any) -> bool:
    """None, which becomes NaN, counts: it is reported as a missing value later."""
    return item is None or (isinstance(item, (Real, Decimal)) and not isinstance(item, bool))


def as_numpy(column: Any) -> NDArray[np.float64]:
    """Arrow's column, or a part of one, of float64, NaN where it is null. (Its own `to_numpy` would import pandas.)"""
    parts = []
    for chunk in getattr(column, "chunks", [column]):
        valid, numbers = chunk.buffers()
        rows = slice(chunk.offset, chunk.offset + len(chunk))
        parts.append(np.frombuffer(numbers, np.float64)[rows])
        if chunk.null_count:
            bits = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")[rows]
            parts[-1] = np.where(bits, parts[-1], np.nan)
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0), *parts])


def as_names(column: Any) -> Any:
    """Arrow's column of names as strings, without spaces around them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.utf8_trim_whitespace(column.cast(pa.string()))


def are_missing(text: Any) -> NDArray[np.bool_]:
    """Of each of Arrow's strings, whether there is none."""
    import pyarrow.compute as pc

    missing: NDArray[np.bool_] = pc.equal(pc.fill_null(text, ""), "").to_numpy(zero_copy_only=False)
    return missing


def are_usable(values: NDArray[np.float64], least: float) -> NDArray[np.bool_]:
    """Of each value, whether it is a number that can be used; a missing one is none."""
    usable: NDArray[np.bool_] = (np.abs(values) <= LARGEST_VALUE) & (values >= least)
    return usable


def refuse_unusable(
    columns: Columns, place: str, wanted: Sequence[Wanted], *, drop_missing: bool = False, n_rows: int = 0
) -> None:
    """Raise ReadingsError at the first row, and in it the first column, with a value that is not usable.

    drop_missing: a missing value is none of them. n_rows: what of the table comes before.
    """
    least = {column.name: column.least for column in wanted}
    may_miss = {column.name: drop_missing or column.gaps for column in wanted}
    usable = {name: ~are_missing(text) | drop_missing for name, text in columns.texts.items()}
    for name, values in columns.values.items():
        usable[name] = are_usable(values, least[name]) | (np.isnan(values) & may_miss[name])
    all_usable = np.logical_and.reduce(list(usable.values()))
    if all_usable.all():
        return
    row = int(all_usable.argmin())
    name = next(name for name in usable if not usable[name][row])
    why = why_unusable(float(columns.values[name][row]) if name in columns.values else np.nan, least.get(name, -np.inf))
    raise ReadingsError(f"{place}: row {n_rows + row + 1}, column {shown(name)}: {why}")
