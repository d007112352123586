"""Load and check paired readings; fingerprint of their content."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from decimal import Decimal
from functools import cached_property
from io import SEEK_END, BufferedIOBase
from itertools import chain
from numbers import Real
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from tempfit.config import NO_COLUMN, ReadingsConfig
from tempfit.csv_text import (
    LARGEST,
    SMALL,
    Columns,
    Wanted,
    find_columns,
    parse_blocks,
    parse_csv,
    printable,
    shown,
    value_error,
)
from tempfit.errors import ReadingsError

if TYPE_CHECKING:
    import pandas as pd

MIN_ROWS = 3
"""A line has two parameters; the third reading is the first that says anything about its uncertainty."""

SMALLEST = 1e-100
"""Smallest standard uncertainty of a reference; the sum of squares of its inverse is still finite in float64."""

BLOCK_BYTES, BLOCK_ROWS = 1024 * 1024, 65_536  # of CSV text, of Parquet: what is read at once of a large file

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

    Raises
    ------
    ReadingsError
        When values are missing, not finite or beyond ±1e100, when there are fewer than 3 rows, when a u_c is not above
        0, a u_u is below 0 or there is one without the other, or when all t_u are the same. They count as the same when
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

    def __post_init__(self) -> None:
        place = printable(self.source)
        columns = {"t_u": self.x, "t_c": self.y, "u_c": "u_c", "u_u": "u_u"}
        columns = {field: name for field, name in columns.items() if getattr(self, field) is not None}
        for field, name in columns.items():
            values = _frozen(_as_float64(getattr(self, field), f"{place}: column {shown(name)}"))
            object.__setattr__(self, field, values)
            if len(values) != self.n:
                raise ReadingsError(
                    f"{place}: {self.n} values of {shown(self.x)} but {len(values)} of {shown(name)}; "
                    "readings come in pairs"
                )
        _refuse_values({name: getattr(self, field) for field, name in columns.items()}, place, drop_missing=False)
        self._refuse_uncertainties(place)
        self._refuse_too_few(place)
        self._refuse_identical(place)

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickled by its fields alone: a cached digest would change the key of a task's cache, and an array
        # restored without __post_init__ would be writable.
        return Readings, tuple(getattr(self, field.name) for field in fields(self))

    @property
    def n(self) -> int:
        """How many readings there are."""
        return len(self.t_u)

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the values, t_u then t_c as little-endian float64, then u_c and u_u, each behind its name, if
        stated: equal for CSV and Parquet of equal values.

        -0.0 counts as 0.0; names and source do not count.
        """
        digest = hashlib.sha256()
        for name, values in (("", self.t_u), ("", self.t_c), ("u_c", self.u_c), ("u_u", self.u_u)):
            if values is not None:
                digest.update(name.encode())
                digest.update((values + 0.0).astype("<f8", copy=False).data)  # -0.0 + 0.0 is 0.0
        return digest.hexdigest()

    @property
    def x_label(self) -> str:
        """Quantity, column and unit of the readings, for an axis."""
        return axis_label(self.x_quantity, self.x, self.x_unit)

    @property
    def y_label(self) -> str:
        """Quantity, column and unit of the reference, for an axis."""
        return axis_label(self.y_quantity, self.y, self.y_unit)

    def to_frame(self) -> pd.DataFrame:
        """The readings as a DataFrame (a copy) with the columns `x` and `y`, and u_c and u_u where they are stated."""
        import pandas as pd

        columns = {self.x: self.t_u, self.y: self.t_c, "u_c": self.u_c, "u_u": self.u_u}
        return pd.DataFrame({name: values.copy() for name, values in columns.items() if values is not None})

    def _refuse_uncertainties(self, place: str) -> None:
        if self.u_u is not None and self.u_c is None:
            raise ReadingsError(
                f"{place}: the readings' uncertainties (u_u) are there without the references' (u_c): "
                "give both, or ignore them by --u-u none"
            )
        for name, values, least in (("u_c", self.u_c, SMALLEST), ("u_u", self.u_u, 0.0)):
            if values is not None and (values < least).any():
                row = int((values < least).argmax())
                raise ReadingsError(
                    f"{place}: row {row + 1}, column '{name}': {values[row]:g} is no standard uncertainty; "
                    f"it has to be {'above' if least else 'at least'} 0"
                )

    def _refuse_too_few(self, place: str) -> None:
        if self.n >= MIN_ROWS:
            return
        dropped = f" ({self.n_dropped} dropped for a missing value)" if self.n_dropped else ""
        held = f"{self.n} usable {'row' if self.n == 1 else 'rows'}" if self.n else "no usable rows"
        raise ReadingsError(
            f"{place}: {held}{dropped}; a line and its uncertainty need at least {MIN_ROWS}: add readings"
        )

    def _refuse_identical(self, place: str) -> None:
        largest = float(np.abs(self.t_u).max())
        spread = float((self.t_u / largest).std()) * largest if largest else 0.0  # squares of raw values may underflow
        if spread <= max(1e-14 * largest, 1 / LARGEST):
            raise ReadingsError(
                f"{place}: column {shown(self.x)}: all {self.n} values are (nearly) the same, {self.t_u[0]:g}; "
                "a line needs readings at different temperatures"
            )


def load_readings(source: str | Path, config: ReadingsConfig = DEFAULTS) -> Readings:
    """Read paired readings from a CSV or Parquet file; `-` reads standard input.

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
    if str(source) == "-":
        name, data = "<stdin>", _read_stdin()
    else:
        name, data = str(source), _read_file(Path(source))
    place = printable(name)
    if not data:
        raise ReadingsError(f"{place}: the file is empty (0 bytes); expected columns {config.x} and {config.y}")
    if data.startswith(b"PAR1"):
        columns = _parse_parquet(data, place, config)
    elif name.lower().endswith(".parquet"):
        raise _not_parquet(place)
    else:
        columns = parse_csv(data, place, config, wanted_columns(config))
    return _named(columns, name, config)


def peek(source: str, config: ReadingsConfig = DEFAULTS) -> None:
    """Refuse at once what a quick look can tell is wrong with a file of readings; `load_readings` checks the rest.

    A small file is read whole; a large one and standard input are left to it. Raises as `load_readings`.
    """
    if source == "-":
        return
    try:
        small = Path(source).stat().st_size <= SMALL
    except (OSError, ValueError):
        small = True
    if small:
        load_readings(source, config)


@contextmanager
def open_table(source: str) -> Iterator[BufferedIOBase]:
    """A file for `read_blocks`, to be read from its start; `-` is standard input. Raises ReadingsError."""
    if source == "-":
        if sys.stdin is None:
            raise _no_stdin()
        yield cast(BufferedIOBase, sys.stdin.buffer)
    else:
        try:
            file = open(source, "rb")  # noqa: SIM115
        except (OSError, ValueError) as error:
            raise _unreadable(source, error) from None
        with file:
            yield file


def read_blocks(
    file: BufferedIOBase,
    source: str,
    config: ReadingsConfig,
    wanted: Sequence[Wanted],
    on_bytes: Callable[[int], None],
) -> Iterator[Columns]:
    """The wanted columns of a table of any size, in blocks of any number of rows: as `load_readings` reads them.

    file: as `open_table` gives it. on_bytes: called with the number of bytes read so far.
    Raises ReadingsError, as `load_readings`, where a block is reached that cannot be used.
    """
    name = "<stdin>" if source == "-" else source
    place = printable(name)
    pieces = _pieces(file, source, on_bytes)
    first = next(pieces, b"")
    if first.startswith(b"PAR1"):
        if file.seekable():
            yield from _parquet_blocks(file, place, config, wanted, on_bytes)
        else:  # a pipe: Parquet is read from its end
            with TemporaryFile() as copy:
                copy.writelines(chain([first], pieces))
                yield from _parquet_blocks(copy, place, config, wanted, on_bytes)
    elif name.lower().endswith(".parquet"):
        raise _not_parquet(place)
    else:
        yield from parse_blocks(chain([first], pieces), place, config, wanted)


def _pieces(file: BufferedIOBase, source: str, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    """A pipe hands out little at a time: what makes a block of it is waited for here, where Ctrl-C is heard."""
    n_bytes, block, ended = 0, bytearray(), False
    while not ended:
        try:
            read = file.read1(BLOCK_BYTES)
        except (OSError, ValueError) as error:
            raise _no_stdin() if source == "-" else _unreadable(source, error) from None
        ended = not read
        block += read
        if ended or len(block) >= BLOCK_BYTES:
            n_bytes += len(block)
            on_bytes(n_bytes)
            yield bytes(block)
            block.clear()


def as_readings(data: Any, config: ReadingsConfig = DEFAULTS) -> Readings:
    """Readings from whatever a library user has at hand.

    Parameters
    ----------
    data
        A `Readings` (returned as it is), a DataFrame with the columns `config.x` and `config.y`, a path (see
        `load_readings`), or a pair `(t_u, t_c)` of numeric sequences, arrays or Series, paired by position.
    config
        The columns' names and labels, and whether rows with a missing value (NaN, None, NA) are dropped.

    Raises
    ------
    ReadingsError
        As `load_readings`; rows count from 1.
    """
    if isinstance(data, Readings):
        return data
    if isinstance(data, (str, Path)):
        return load_readings(data, config)
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
    values = {name: _as_float64(column, f"<memory>: column {shown(name)}") for name, column in given.items()}
    return _named(_without_missing(values, "<memory>", config), "<memory>", config)


def wanted_columns(config: ReadingsConfig) -> list[Wanted]:
    """The columns of a table of readings: x and y, and the uncertainties where the table has them.

    Uncertainties under another name than the usual are asked for, so they are required.
    """
    uncertainties = [
        Wanted(name, required=name != default, options=option)
        for name, default, option in ((config.u_c, DEFAULTS.u_c, "--u-c"), (config.u_u, DEFAULTS.u_u, "--u-u"))
        if name != NO_COLUMN
    ]
    return [Wanted(config.x), Wanted(config.y), *uncertainties]


def _named(columns: Columns, source: str, config: ReadingsConfig) -> Readings:
    return Readings(
        t_u=columns.values[config.x],
        t_c=columns.values[config.y],
        u_c=columns.values.get(config.u_c),
        u_u=columns.values.get(config.u_u),
        source=source,
        n_dropped=columns.n_dropped,
        **config.model_dump(include={"x", "y", "x_quantity", "x_unit", "y_quantity", "y_unit"}),
    )


def _read_stdin() -> bytes:
    try:
        return sys.stdin.buffer.read()
    except (OSError, ValueError, AttributeError):  # closed, or there is none
        raise _no_stdin() from None


def _no_stdin() -> ReadingsError:
    return ReadingsError("<stdin>: nothing can be read from standard input; pipe a file into it")


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: str | Path, error: OSError | ValueError) -> ReadingsError:
    """ValueError: a NUL in the path."""
    place = printable(str(path))
    if isinstance(error, FileNotFoundError):
        return ReadingsError(f"{place}: no such file; check the path")
    if isinstance(error, IsADirectoryError):
        return ReadingsError(f"{place}: this is a directory; name a CSV or Parquet file")
    reason = error.strerror if isinstance(error, OSError) else error
    return ReadingsError(f"{place}: cannot be read ({reason}); check the path and its permissions")


def _not_parquet(place: str) -> ReadingsError:
    return ReadingsError(f"{place}: not a Parquet file, whatever its name says; rename it to .csv if it is CSV")


def _parse_parquet(data: bytes, place: str, config: ReadingsConfig) -> Columns:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _refusing_damage(place):
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        columns = _parquet_columns(file, place, wanted_columns(config))
        table = file.read(columns=list(columns.values()))
        values = {name: _parquet_values(table.column(column)) for name, column in columns.items()}
    return _without_missing(values, place, config)


def _parquet_blocks(
    file: BufferedIOBase | BinaryIO,
    place: str,
    config: ReadingsConfig,
    wanted: Sequence[Wanted],
    on_bytes: Callable[[int], None],
) -> Iterator[Columns]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    n_bytes, n_rows = file.seek(0, SEEK_END), 0
    with _refusing_damage(place):
        parquet = pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False, buffer_size=BLOCK_BYTES)
        columns = _parquet_columns(parquet, place, wanted)
        for batch in parquet.iter_batches(BLOCK_ROWS, columns=list(columns.values())):
            table = pa.Table.from_batches([batch])
            values = {name: _parquet_values(table.column(column)) for name, column in columns.items()}
            _refuse_values(values, place, drop_missing=config.drop_missing, n_rows=n_rows)
            yield _without_missing(values, place, config)
            n_rows += batch.num_rows
            on_bytes(n_bytes * n_rows // parquet.metadata.num_rows)


@contextmanager
def _refusing_damage(place: str) -> Iterator[None]:
    """Arrow's errors as ReadingsError."""
    import pyarrow as pa

    try:
        yield
    except ReadingsError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = shown(str(error).partition("\n")[0], 60)
        raise ReadingsError(f"{place}: damaged or incomplete Parquet file ({reason}); write or copy it again") from None


def _parquet_columns(file: Any, place: str, wanted: Sequence[Wanted]) -> dict[str, str]:
    """Name → name in the file, which may have spaces around it, of the wanted columns. Raises ReadingsError."""
    schema = file.schema_arrow
    positions = find_columns([name.strip() for name in schema.names], wanted, place)
    for position in positions.values():
        _refuse_type(schema.field(position), place)
    return {name: schema.names[position] for name, position in positions.items()}


def _refuse_type(field: Any, place: str) -> None:
    import pyarrow as pa

    kind = field.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise ReadingsError(
            f"{place}: column {shown(field.name)} holds {shown(str(kind))}, not numbers; store it as a numeric type"
        )


def _parquet_values(column: Any) -> NDArray[np.float64]:
    """A numeric column as float64, NaN where it is null."""
    import pyarrow as pa

    if pa.types.is_decimal(column.type):
        column = column.cast(pa.string())  # by way of its digits: the nearest float64, as from CSV
    values: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy()
    return values


def _as_float64(values: Any, place: str) -> NDArray[np.float64]:
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


def _frozen(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values, contiguous and read-only, in an array that no one else can write to."""
    if values.flags.writeable or not values.flags.owndata or not values.flags.c_contiguous:
        values = np.array(values, order="C")
        values.flags.writeable = False
    return values


def _without_missing(values: Mapping[str, NDArray[np.float64]], place: str, config: ReadingsConfig) -> Columns:
    """Refuse unusable values by their row before rows are dropped, which would shift the numbers."""
    if len({len(column) for column in values.values()}) > 1 or not config.drop_missing:
        return Columns(values, 0)  # Readings refuses what is left to refuse
    _refuse_values(values, place, drop_missing=True)
    present = ~np.logical_or.reduce([np.isnan(column) for column in values.values()])
    return Columns({name: column[present] for name, column in values.items()}, int(len(present) - present.sum()))


def _refuse_values(
    values: Mapping[str, NDArray[np.float64]], place: str, *, drop_missing: bool, n_rows: int = 0
) -> None:
    """Raise ReadingsError at the first row, and in it the first column, with a value that is not usable.

    n_rows: what of the table comes before `values`.
    """
    usable = {name: (np.abs(column) <= LARGEST) | (np.isnan(column) & drop_missing) for name, column in values.items()}
    all_usable = np.logical_and.reduce(list(usable.values()))
    if all_usable.all():
        return
    row = int(all_usable.argmin())
    name = next(name for name in usable if not usable[name][row])
    raise value_error(f"{place}: row {n_rows + row + 1}, column {shown(name)}", float(values[name][row]))


def axis_label(quantity: str, name: str, unit: str) -> str:
    """`Temperature t_c (°C)`; without the brackets where the unit is empty."""
    return f"{quantity} {name} ({unit})" if unit else f"{quantity} {name}"
