"""Times in columns to seconds, as arrays: text in ISO 8601 or a format that is told, Arrow's timestamps, or numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempfit.config.fleet import TIME_UNITS
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


def times_of(column: Any, time_format: str | None) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A column of Parquet as `read_times` does it: of numbers, the format says what they count, or how their digits
    are to be read (20140210 by %Y%m%d); timestamps need none."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        seconds = seconds_of(column)
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return read_times(column, time_format=time_format)
    elif time_format is None or time_format in TIME_UNITS:
        seconds = seconds_of(column) * TIME_UNITS[time_format or "seconds"]
    else:
        return read_times(column.cast(pa.string()), time_format=time_format)
    return seconds, np.zeros(len(seconds), dtype=bool)


def read_times(
    cells: Any, mark: str = ".", time_format: str | None = None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Arrow's strings as seconds, (rows,) float64, NaN where there is no time; and where that is because something else
    is written there.

    A time is written as `2014-02-10 17:39`, `2014-02-10T17:39:00.5Z` or `2014-02-10T17:39+01:00` (without a zone: of
    UTC), or as a number of seconds with this decimal mark; or else as `FleetConfig.time_format` tells.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    told = pc.utf8_trim_whitespace(cells)
    is_missing = pc.fill_null(pc.is_in(told, pa.array(MISSING)), True).to_numpy(zero_copy_only=False)
    if time_format is not None:
        seconds = _told_by(told, mark, time_format)
        return seconds, np.isnan(seconds) & ~is_missing
    kinds = (pa.float64(), pa.timestamp("us"), pa.timestamp("us", "UTC"))
    for kind in kinds:
        try:
            seconds = seconds_of(told.cast(kind))
        except pa.ArrowInvalid:
            continue
        if np.isfinite(seconds).all() and told.null_count == 0:
            return seconds, np.zeros(len(seconds), dtype=bool)
    seconds = _numbers(told, mark)
    for pattern, kind in zip((_LOCAL, _ZONED), kinds[1:], strict=True):
        fits = pc.and_(pc.match_substring_regex(told, pattern), pc.invert(_is_no_day(told)))
        seconds = np.fmax(seconds, seconds_of(pc.if_else(fits, told, None).cast(kind)))
    return seconds, np.isnan(seconds) & ~is_missing


def _numbers(told: Any, mark: str) -> NDArray[np.float64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    written = pc.if_else(pc.match_substring_regex(told, NUMBER_RE2[mark]), told, None)
    return as_numpy(pc.replace_substring(written, mark, ".").cast(pa.float64()))


def _told_by(told: Any, mark: str, time_format: str) -> NDArray[np.float64]:
    """Seconds, NaN for what is not written so."""
    if time_format in TIME_UNITS:
        return _numbers(told, mark) * TIME_UNITS[time_format]
    import pandas as pd

    times = pd.to_datetime(pd.Series(told.to_pylist(), dtype=object), format=time_format, errors="coerce", utc=True)
    microseconds = times.dt.tz_localize(None).to_numpy("datetime64[us]")
    return np.where(np.isnat(microseconds), np.nan, microseconds.astype(np.int64) / 1e6)


def _is_no_day(told: Any) -> Any:
    """Of each text, whether it begins with the 29th or so of a February that has none."""
    import pyarrow.compute as pc

    late = pc.match_substring_regex(told, "^[0-9]{4}-02-29")
    years = pc.if_else(late, pc.utf8_slice_codeunits(told, 0, 4), "2000").cast("int64")
    years = years.to_numpy(zero_copy_only=False)
    has_one = (years % 4 == 0) & ((years % 100 != 0) | (years % 400 == 0))
    return pc.and_(late, [not it for it in has_one])
