"""Load and check paired readings; whose they are, and the fingerprint of their content."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tempfit.config import MOST_NAME, NO_COLUMN, ReadingsConfig
from tempfit.errors import ReadingsError
from tempfit.readings.columns import Columns, Wanted, as_float64, find_columns, refuse_unusable
from tempfit.readings.digest import RowDigest
from tempfit.readings.refusals import refuse_identical, refuse_too_few, refuse_vanishing
from tempfit.readings.rows import Rows
from tempfit.readings.tables import Table, name_of
from tempfit.wording import printable, shown, without_secrets

SMALL_FILE = 64 * 1024  # bytes, of one that is read at once, before anything heavy is loaded

LEAST_UNCERTAINTIES = {"u_c": 1e-100, "u_u": 0.0}
"""Smallest standard uncertainties; the sum of squares of the inverse of a reference's is still finite in float64."""

Uncertainty = Literal["u_c", "u_u"]
DEFAULTS = ReadingsConfig()


@dataclass(frozen=True, eq=False)
class Readings:
    """Paired readings of one thermometer and of the reference beside it, checked: what exists can carry a line.

    Parameters
    ----------
    t_u
        (rows,) float64, the thermometer's readings, in `x_unit`. Copied unless nobody else can write to it.
    t_c
        (rows,) float64, the reference temperatures, in `y_unit`.
    source
        Where they are from: the path as it was given, `<stdin>` or `<memory>`.
    x, y, x_quantity, x_unit, y_quantity, y_unit
        What they are called, as in `ReadingsConfig`.
    n_dropped
        How many rows were dropped because a value was missing.
    u_c, u_u
        (rows,) float64, standard uncertainties of t_c and of t_u in their units; None where none are stated. u_c alone
        weights the fit, both make one with both axes uncertain.
    thermometer
        Its name, which is part of no number; as its source's file where it is empty: see `thermometer_of`.

    Raises
    ------
    ReadingsError
        When values are missing, not finite or beyond ±1e100, when there are fewer than 3 rows, when a u_c is not above
        0, a u_u is below 0 or there is one without the other, when the largest t_c is below 1e-100 and not 0 (squares
        of their residuals underflow), or when all t_u are the same. They count as the same when
        their standard deviation is at most 1e-14 of the largest magnitude (some 45 rounding steps: the mean's own
        rounding then reaches the spread) or at most 1e-100 (its square underflows). Rows in messages count from 1.
    """

    t_u: NDArray[np.float64]
    t_c: NDArray[np.float64]
    source: str = "<memory>"
    x: str = DEFAULTS.x
    y: str = DEFAULTS.y
    x_quantity: str = DEFAULTS.x_quantity
    x_unit: str = DEFAULTS.x_unit
    y_quantity: str = DEFAULTS.y_quantity
    y_unit: str = DEFAULTS.y_unit
    n_dropped: int = 0
    u_c: NDArray[np.float64] | None = None
    u_u: NDArray[np.float64] | None = None
    thermometer: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "thermometer", self.thermometer or thermometer_of(self.source))
        place = printable(self.source)
        columns = {"t_u": self.x, "t_c": self.y, "u_c": "u_c", "u_u": "u_u"}
        columns = {field: name for field, name in columns.items() if getattr(self, field) is not None}
        for field, name in columns.items():
            values = _frozen(as_float64(getattr(self, field), f"{place}: column {shown(name)}"))
            object.__setattr__(self, field, values)
            if len(values) != self.n:
                raise ReadingsError(
                    f"{place}: {self.n} values of {shown(self.x)} but {len(values)} of {shown(name)}; "
                    "readings come in pairs"
                )
        given = {name: getattr(self, field) for field, name in columns.items()}
        held = [Wanted(name, least=LEAST_UNCERTAINTIES.get(field, -np.inf)) for field, name in columns.items()]
        refuse_unusable(Columns(given), place, held)
        refuse_lone_uncertainties(place, self.u_c, self.u_u)
        refuse_too_few(place, self.n, self.n_dropped)
        largest = float(np.abs(self.t_u).max())
        spread = float((self.t_u / largest).std()) * largest if largest else 0.0  # squares of raw values may underflow
        refuse_identical(place, self.x, self.n, float(self.t_u[0]), largest, spread)
        refuse_vanishing(place, self.y, float(np.abs(self.t_c).max()))

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickled by its fields alone: an array restored without __post_init__ would be writable.
        return Readings, tuple(getattr(self, field.name) for field in fields(self))

    @property
    def n(self) -> int:
        """How many readings there are."""
        return len(self.t_u)

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the values, as `RowDigest` says: equal for CSV and Parquet of equal values.

        The columns are t_u and t_c, then u_c and u_u if stated, whatever the user calls them; source and thermometer do
        not count.
        """
        return self._digest(self.n)

    def begins_with(self, n: int, sha256: str) -> bool:
        """Whether the first `n` rows are the readings whose digest this is."""
        return 0 < n <= self.n and self._digest(n) == sha256

    def _digest(self, n: int) -> str:
        """Of the first n rows."""
        columns = {"t_u": self.t_u, "t_c": self.t_c, "u_c": self.u_c, "u_u": self.u_u}
        stated = {name: values[:n] for name, values in columns.items() if values is not None}
        digest = RowDigest(stated)
        digest.update(stated)
        return digest.hexdigest()

    @property
    def weighted_by(self) -> tuple[Uncertainty, ...]:
        """The uncertainties that are stated."""
        names: tuple[Uncertainty, ...] = ("u_c", "u_u")
        return tuple(name for name in names if getattr(self, name) is not None)

    @property
    def t_u_range(self) -> tuple[float, float]:
        """The lowest and the highest reading."""
        return float(self.t_u.min()), float(self.t_u.max())

    @property
    def t_c_range(self) -> tuple[float, float]:
        """The lowest and the highest reference."""
        return float(self.t_c.min()), float(self.t_c.max())

    @property
    def thinned(self) -> Rows:
        """The rows for a picture: all of them; of `tempfit.exact.large.LargeReadings`, some."""
        return Rows(self.t_u, self.t_c, self.u_c)

    @property
    def x_label(self) -> str:
        """Quantity, column and unit of the readings, for an axis."""
        return axis_label(self.x_quantity, self.x, self.x_unit)

    @property
    def y_label(self) -> str:
        """Quantity, column and unit of the reference, for an axis."""
        return axis_label(self.y_quantity, self.y, self.y_unit)


def refuse_lone_uncertainties(place: str, u_c: object | None, u_u: object | None) -> None:
    """Raise ReadingsError where the readings' uncertainties are stated without the references'."""
    if u_u is not None and u_c is None:
        raise ReadingsError(
            f"{place}: the readings' uncertainties (u_u) are there without the references' (u_c): "
            'give both, or ignore them by `u_u="none"`'
        )


def thermometer_of(source: str) -> str:
    """What a thermometer is called that nobody named: as the file without its ending, `stdin` or `memory`."""
    return printable(Path(without_secrets(source)).stem.strip("<>"))[:MOST_NAME].strip() or "memory"


def load_readings(
    source: str | Path | Table, config: ReadingsConfig = DEFAULTS, *, thermometer: str | None = None
) -> Readings:
    """Read paired readings from a CSV or Parquet file; `-` reads standard input.

    thermometer: its name; None for that of the file.
    CSV is UTF-8 with a header; the delimiter (comma, semicolon, tab) and the decimal mark are found or as `config`
    says; cells may be quoted, blank lines are skipped, other columns than the two wanted are ignored. Parquet is
    known by its content and may hold any numeric type but complex; rows in messages count from 1.

    Raises
    ------
    ReadingsError
        When the file cannot be read, is no such table, lacks a column, or holds a value that is not a finite number
        (a missing one is dropped where `config.drop_missing`), and as `Readings` does. The message is one line that
        names file, line, column and what to do.
    """
    table = source if isinstance(source, Table) else Table(source)
    return _named(table.read(config, wanted_columns(config)), name_of(table.source), config, thermometer)


def peek(source: str, config: ReadingsConfig = DEFAULTS) -> None:
    """Refuse at once what a quick look can tell is wrong with a file of readings; `load_readings` checks the rest.

    A small file is read whole; a large one and standard input are left to it. Raises as `load_readings`.
    """
    if source == "-":
        return
    try:
        small = Path(source).stat().st_size <= SMALL_FILE
    except (OSError, ValueError):
        small = True
    if small:
        load_readings(source, config)


def as_readings(data: Any, config: ReadingsConfig = DEFAULTS, *, thermometer: str | None = None) -> Readings:
    """Readings from whatever a library user has at hand.

    Parameters
    ----------
    data
        A `Readings` (returned as it is, but for its thermometer's name where one is given), a DataFrame with the
        columns `config.x` and `config.y`, a path (see `load_readings`), or a pair `(t_u, t_c)` of numeric sequences,
        arrays or Series, paired by position.
    config
        The columns' names and labels, and whether rows with a missing value (NaN, None, NA) are dropped.
    thermometer
        Its name; None for that of the file, or `memory`.

    Raises
    ------
    ReadingsError
        As `load_readings`; rows count from 1.
    """
    if isinstance(data, Readings):
        return data if thermometer in (None, data.thermometer) else replace(data, thermometer=thermometer)
    if isinstance(data, (str, Path)):
        return load_readings(data, config, thermometer=thermometer)
    if isinstance(data, (tuple, list)) and len(data) == 2:
        given = dict(zip((config.x, config.y), data, strict=True))
    else:
        import pandas as pd

        if not isinstance(data, pd.DataFrame):
            raise ReadingsError(
                f"<memory>: cannot take readings from {type(data).__name__}; "
                "give a DataFrame, a path, or a pair (t_u, t_c)"
            )
        positions = find_columns([str(name) for name in data.columns], wanted_columns(config), "<memory>")
        given = {name: data.iloc[:, position] for name, position in positions.items()}
    values = {name: as_float64(column, f"<memory>: column {shown(name)}") for name, column in given.items()}
    columns = Columns(values)
    if len({len(column) for column in values.values()}) == 1:  # else Readings refuses them
        refuse_unusable(columns, "<memory>", wanted_columns(config), drop_missing=config.drop_missing)
        columns = columns.without_missing()
    return _named(columns, "<memory>", config, thermometer)


def wanted_columns(config: ReadingsConfig) -> list[Wanted]:
    """The columns of a table of readings: x and y, and the uncertainties where the table has them.

    Uncertainties under another name than the usual are asked for, so they are required.
    """
    uncertainties = [
        Wanted(name, name != getattr(DEFAULTS, setting), f"`{setting}`", least)
        for setting, least in LEAST_UNCERTAINTIES.items()
        if (name := getattr(config, setting)) != NO_COLUMN
    ]
    return [Wanted(config.x), Wanted(config.y), *uncertainties]


def _named(columns: Columns, source: str, config: ReadingsConfig, thermometer: str | None) -> Readings:
    return Readings(
        t_u=columns.values[config.x],
        t_c=columns.values[config.y],
        u_c=columns.values.get(config.u_c),
        u_u=columns.values.get(config.u_u),
        source=source,
        n_dropped=columns.n_dropped,
        thermometer=thermometer or "",
        **config.model_dump(include={"x", "y", "x_quantity", "x_unit", "y_quantity", "y_unit"}),
    )


def _frozen(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values, contiguous and read-only, in an array that no one else can write to."""
    if values.flags.writeable or not values.flags.owndata or not values.flags.c_contiguous:
        values = np.array(values, order="C")
        values.flags.writeable = False
    return values


def axis_label(quantity: str, name: str, unit: str) -> str:
    """`Temperature t_c (°C)`; without the brackets where the unit is empty."""
    return f"{quantity} {name} ({unit})" if unit else f"{quantity} {name}"
