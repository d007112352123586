"""Times in columns to seconds, as arrays: ISO 8601 text, Arrow's timestamps, or numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempfit.readings.columns import MISSING, NUMBER_RE2, as_numpy

_DAY = "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|[12][0-9]))"
_CLOCK = r"(?:[ T](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?)"
_LOCAL = f"^[0-9]{{4}}-{_DAY}{_CLOCK}?$"
_ZONED = f"^[0-9]{{4}}-{_DAY}{_CLOCK}(?:Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])$"


def seconds_of(column: Any) -> NDArray[np.float64]:
    """A column of Arrow's timestamps, dates or numbers (of seconds) as (rows,) float64, NaN where it is null."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
        unit = column.type.unit if pa.types.is_timestamp(column.type) else "ms"
        whole = column if pa.types.is_timestamp(column.type) else column.cast(pa.timestamp("ms"))
        return as_numpy(whole.cast(pa.int64()).cast(pa.float64(), safe=False)) / per_second[unit]
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.string())
    return as_numpy(column.cast(pa.float64(), safe=False))


def read_times(cells: Any, mark: str = ".") -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Arrow's strings as seconds, (rows,) float64, NaN where there is no time; and where that is because something else
    is written there.

    A time is written as `2014-02-10 17:39`, `2014-02-10T17:39:00.5Z` or `2014-02-10T17:39+01:00` (without a zone: of
    UTC), or as a number of seconds with this decimal mark.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    told = pc.utf8_trim_whitespace(cells)
    kinds = (pa.float64(), pa.timestamp("us"), pa.timestamp("us", "UTC"))
    for kind in kinds:
        try:
            seconds = seconds_of(told.cast(kind))
        except pa.ArrowInvalid:
            continue
        if np.isfinite(seconds).all() and told.null_count == 0:
            return seconds, np.zeros(len(seconds), dtype=bool)
    seconds = np.full(len(told), np.nan)
    for pattern, kind in zip((NUMBER_RE2[mark], _LOCAL, _ZONED), kinds, strict=True):
        fits = pc.and_(pc.match_substring_regex(told, pattern), pc.invert(_is_no_day(told)))
        written = pc.if_else(fits, told, None)
        if pattern == NUMBER_RE2[","]:
            written = pc.replace_substring(written, ",", ".")
        seconds = np.fmax(seconds, seconds_of(written.cast(kind)))
    is_missing = pc.fill_null(pc.is_in(told, pa.array(MISSING)), True).to_numpy(zero_copy_only=False)
    return seconds, np.isnan(seconds) & ~is_missing


def _is_no_day(told: Any) -> Any:
    """Of each text, whether it begins with the 29th or so of a February that has none."""
    import pyarrow.compute as pc

    late = pc.match_substring_regex(told, "^[0-9]{4}-02-29")
    years = pc.if_else(late, pc.utf8_slice_codeunits(told, 0, 4), "2000").cast("int64")
    years = years.to_numpy(zero_copy_only=False)
    has_one = (years % 4 == 0) & ((years % 100 != 0) | (years % 400 == 0))
    return pc.and_(late, [not it for it in has_one])
