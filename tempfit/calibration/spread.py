"""A Record's vectors, matrices and checks in columns of one number or word each, as a fleet's table has them.

In a fleet they are of the same size for every sensor, and whatever reads Parquet takes such columns at once, while it
makes an object of every list. They are written in half the time, too.

The columns are numbered from 0: `coefficients_0`, and `curve_cofactor_0_1` for row 0, column 1. A range has its `low`
and `high`. Of a triangular factor there is nothing below the diagonal. A check has a column for each of its fields:
`checks_slope_p`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tempfit.calibration.record_table import COLUMNS

CHECKS = "checks"
TRIANGULAR = "evidence_factor"
_NUMBERS = (pa.list_(pa.float64()), pa.list_(pa.list_(pa.float64())))
SPREAD = {field.name for field in COLUMNS if field.type in _NUMBERS} | {CHECKS}


def parts_of(name: str, shape: Sequence[int]) -> dict[tuple[int, ...], str]:
    """The columns of a vector or matrix of this shape, by the place of each."""
    if name.endswith("_range"):
        return {(0,): f"{name}_low", (1,): f"{name}_high"}
    places = product(*map(range, shape))
    return {at: "_".join([name, *map(str, at)]) for at in places if name != TRIANGULAR or at[0] <= at[1]}


def spread_values(name: str, values: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """The columns of vectors or matrices (members, …)."""
    by_place = np.moveaxis(values, 0, -1)
    return {part: by_place[at] for at, part in parts_of(name, values.shape[1:]).items()}


def spread_table(table: pa.Table) -> pa.Table:
    """A table of Records of the same settings, whose lists become columns; those that nobody has stay."""
    columns: dict[str, Any] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name not in SPREAD or not any(column.to_pylist()):
            columns[name] = column
        elif name == CHECKS:
            columns |= _spread_checks(column.to_pylist())
        else:
            columns |= {part: pa.array(values, pa.float64()) for part, values in _spread_lists(name, column).items()}
    return pa.table(columns)


def _spread_lists(name: str, column: pa.ChunkedArray) -> dict[str, list[float | None]]:
    rows = column.to_pylist()
    first = next(row for row in rows if row is not None)
    shape = (len(first), len(first[0])) if isinstance(first[0], list) else (len(first),)

    def value(row: Any, at: tuple[int, ...]) -> Any:
        for place in at:
            row = None if row is None else row[place]
        return row

    return {part: [value(row, at) for row in rows] for at, part in parts_of(name, shape).items()}


def _spread_checks(rows: Sequence[Sequence[Mapping[str, Any]] | None]) -> dict[str, pa.Array]:
    by_name = [{check["name"]: check for check in row or ()} for row in rows]
    names = dict.fromkeys(name for row in by_name for name in row)
    fields = COLUMNS.field(CHECKS).type.value_type
    return {
        f"{CHECKS}_{name}_{field.name}": pa.array([row.get(name, {}).get(field.name) for row in by_name], field.type)
        for name in names
        for field in fields
        if field.name != "name"
    }


def join(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of columns, as Python values, with vectors, matrices and checks as a Record has them.

    None stands where all numbers of one are null, and the Record may have none.
    """
    joined: dict[str, Any] = {}
    for column, value in row.items():
        name = next((name for name in SPREAD if column.startswith(f"{name}_")), None)
        if name is None:
            joined[column] = value
        elif name == CHECKS:
            check, _, field = column.removeprefix(f"{name}_").rpartition("_")
            joined.setdefault(name, {}).setdefault(check, {})[field] = value
        else:
            joined.setdefault(name, {})[column.removeprefix(f"{name}_")] = value
    for name in SPREAD & joined.keys():
        if isinstance(joined[name], dict):
            joined[name] = list(_checks(joined[name])) if name == CHECKS else _numbers(name, joined[name])
    return joined


def _checks(fields: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for name, told in fields.items():
        if told.get("verdict") is not None:
            yield {"name": name, **told}


def _numbers(name: str, values: Mapping[str, float | None]) -> list[Any] | None:
    if COLUMNS.field(name).nullable and all(value is None for value in values.values()):
        return None
    places = [place.split("_") for place in values]
    if len(places[0]) == 1:
        return list(values.values())
    size = 1 + max(int(number) for place in places for number in place)
    matrix: list[list[float | None]] = [[0.0] * size for _ in range(size)]
    for (row, column), value in zip(places, values.values(), strict=True):
        matrix[int(row)][int(column)] = value
    return matrix
