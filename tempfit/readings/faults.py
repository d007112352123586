"""Rows that cannot be used: why, and how they are counted against their sensors, with the first place of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempfit.readings.columns import LARGEST_VALUE, Wanted, are_usable
from tempfit.wording import shown

NO_NAME = "no name of a thermometer"
LATEST = 1e12  # seconds: microseconds of it are whole numbers of 64 bits
UNSTEADY = "unsteady"
NO_TIME = "not a time"
NO_READING = "no reading in its column"
NO_NUMBER = "no number in column {}; if it is no sensor, leave it out by `without`"
BROKEN = "cannot be split into as many cells as the header has"

_MISSING, _TEXT, _BEYOND, _LOW = _KINDS = range(4)


def reasons_of(columns: Sequence[Wanted]) -> list[str]:
    """What is wrong with a row, by the codes of `find_faults`; the first stands for nothing."""
    reasons = [""]
    for column in columns:
        least = "above" if column.least else "at least"
        text, most = (NO_TIME, LATEST) if column.is_time else ("not a number", LARGEST_VALUE)
        kinds = ("missing", text, f"infinite or beyond ±{most:g}", f"not {least} 0")
        reasons += [f"column {shown(column.name)}: {kind}" for kind in kinds]
    return reasons


def find_faults(
    columns: Sequence[Wanted],
    values: Mapping[str, NDArray[np.float64]],
    texts: Mapping[str, NDArray[np.bool_]],
) -> NDArray[np.int16] | None:
    """(rows,) codes, 0 where the row can be used, else what is wrong with its first column that cannot be used, among
    `reasons_of`; None where every row can be used.

    values: of each column, (rows,) float64, NaN where there is no number. texts: of those where it may be because
    something else is written there, in which rows.
    """
    codes = None
    for place, column in enumerate(columns):
        numbers, most = values[column.name], LATEST if column.is_time else LARGEST_VALUE
        if len(numbers) == 0 or (numbers.min() >= max(column.least, -most) and numbers.max() <= most):
            continue  # NaN is neither
        are_bad = ~are_usable(numbers, column.least) | (np.abs(numbers) > most)
        is_text = texts.get(column.name)
        if column.gaps:
            are_bad &= ~np.isnan(numbers) if is_text is None else ~np.isnan(numbers) | is_text
        bad = np.flatnonzero(are_bad)
        culprits = numbers[bad]
        kinds = np.full(len(bad), _LOW)
        kinds[np.abs(culprits) > most] = _BEYOND
        kinds[np.isnan(culprits)] = _MISSING
        if is_text is not None:
            kinds[is_text[bad]] = _TEXT
        if codes is None and len(bad):
            codes = np.zeros(len(numbers), dtype=np.int16)
        if codes is not None:
            codes[bad] = np.where(codes[bad] == 0, 1 + len(_KINDS) * place + kinds, codes[bad])
    return codes


def fault_schema() -> Any:
    """The columns of a table of faults: a row for each sensor and reason, with the number of rows and the first.

    thermometer: empty for rows of nobody. n: 0 of a wide table's sensor without any number. unit: of `row`, "row" (of
    Parquet, from 1) or "line" (of CSV).
    """
    import pyarrow as pa

    texts = dict.fromkeys(("thermometer", "why", "file", "unit"), pa.string())
    kinds = {**texts, "n": pa.int64(), "row": pa.int64()}
    return pa.schema([(name, kinds[name]) for name in ("thermometer", "why", "n", "file", "row", "unit")])


def count_faults(
    names: Any,
    sensors: NDArray[np.integer[Any]],
    why: NDArray[np.integer[Any]],
    rows: NDArray[np.int64],
    reasons: Sequence[str],
    *,
    file: str,
    unit: str,
) -> Any:
    """The table of faults, as `fault_schema` says, of faulty rows in any order.

    names: Arrow's strings, sorted. sensors: (faulty rows,) their places among `names`, -1 for nobody. why: (faulty
    rows,) their places among `reasons`. rows: (faulty rows,) their numbers.
    """
    import pyarrow as pa

    order = np.argsort(rows, kind="stable")
    rows, kinds = rows[order], (sensors.astype(np.int64) * len(reasons) + why)[order]
    found, first, n = np.unique(kinds, return_index=True, return_counts=True)
    whose, which = np.divmod(found, len(reasons))
    texts = pa.array(["", *reasons], pa.string())
    at = pa.concat_arrays([pa.array([""], pa.string()), names]).take(pa.array(whose + 1))
    same = pa.array(np.zeros(len(found), dtype=np.int64))
    columns = [at, texts.take(pa.array(which + 1)), n, pa.array([file]).take(same), rows[first]]
    return pa.table([*columns, pa.array([unit]).take(same)], schema=fault_schema())
