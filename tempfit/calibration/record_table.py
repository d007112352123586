"""A table of Records: a row a calibration, in Parquet.

A scalar is a column, named by its place (`curve.u_common` is `curve_u_common`), so that any engine asks for it by name;
vectors, matrices, checks and scales are Arrow's own lists, which arrays fill without an object for each row. The
settings are one column of JSON text, in a dictionary: those of a table are few, and a setting that is added changes no
column. Types follow from the Record's fields, so that nothing is declared twice. Its pages carry checksums, as a file's
digest would take an object for each row.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from tempfit.calibration.contradictions import contradiction
from tempfit.calibration.filed import damaged, describe_fault
from tempfit.calibration.parts import Part
from tempfit.calibration.record import Record
from tempfit.calibration.table_file import TableWriter
from tempfit.config import CalibrationConfig
from tempfit.errors import RunsError
from tempfit.system.files import whole_path

SCALARS = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
TEXT = pa.dictionary(pa.int32(), pa.string())


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    """Name, as JSON has it, and annotation of each field."""
    for name, field in model.model_fields.items():
        yield field.serialization_alias or name, field.annotation


def _bare(annotation: Any) -> tuple[Any, bool]:
    """The annotation without its bounds, and whether it may be None."""
    origin, kinds = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _bare(kinds[0])
    if origin in (Union, types.UnionType):
        (kind,) = [kind for kind in kinds if kind is not type(None)]
        return _bare(kind)[0], True
    return annotation, False


def _arrow_type(annotation: Any) -> pa.DataType:
    kind, _ = _bare(annotation)
    if get_origin(kind) is tuple:
        return pa.list_(_arrow_type(get_args(kind)[0]))
    if get_origin(kind) is Literal:
        return SCALARS[type(get_args(kind)[0])]
    if kind is CalibrationConfig:
        return TEXT
    if issubclass(kind, Part):
        return pa.struct([_arrow_field(name, item) for name, item in _fields(kind)])
    return SCALARS[str if issubclass(kind, Enum) else kind]


def _arrow_field(name: str, annotation: Any, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, _arrow_type(annotation), nullable or _bare(annotation)[1])


def _columns(model: type[BaseModel], place: str = "", *, nullable: bool = False) -> Iterator[pa.Field]:
    for name, annotation in _fields(model):
        kind, may_be_none = _bare(annotation)
        if isinstance(kind, type) and issubclass(kind, Part):
            yield from _columns(kind, f"{place}{name}_", nullable=nullable or may_be_none)
        else:
            yield _arrow_field(f"{place}{name}", annotation, nullable=nullable)


COLUMNS = pa.schema(_columns(Record))


def make_table(records: Sequence[Record]) -> pa.Table:
    """A row for each record, in their order, of the columns COLUMNS."""
    rows = [_flat(record.model_dump(mode="json", by_alias=True), Record) for record in records]
    return pa.Table.from_pylist([dict(row) for row in rows], COLUMNS)


def _flat(values: dict[str, Any] | None, model: type[BaseModel], place: str = "") -> Iterator[tuple[str, Any]]:
    for name, annotation in _fields(model):
        kind, value = _bare(annotation)[0], None if values is None else values[name]
        if isinstance(kind, type) and issubclass(kind, Part):
            yield from _flat(value, kind, f"{place}{name}_")
        else:
            yield f"{place}{name}", json.dumps(value) if kind is CalibrationConfig else value


def write_records(path: Path, records: Sequence[Record]) -> None:
    """Write the table, whole or not at all. Raises SettingsError where it cannot be written."""
    with whole_path(path) as part, TableWriter(part) as writer:
        writer.write(make_table(records))


def read_records(path: Path) -> list[Record]:
    """The records of a table, in its order.

    Raises RunsError, in a line that names the row and the field, where it is none, or damaged.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        names = table.column_names  # which may be no Unicode
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise RunsError(f"{path}: cannot be read as a table of calibrations ({reason}); calibrate again") from None
    for column in COLUMNS:
        if column.name not in names:
            raise damaged(str(path), f"column {column.name} is missing")
    types = dict(zip(COLUMNS.names, COLUMNS.types, strict=True))
    others = [found.name for found in table.schema if types.get(found.name) != found.type]
    if others:
        raise damaged(str(path), f"column {', '.join(others)} is none of a calibration, or of another type")
    return [as_row_record(row, f"{path}, row {k}") for k, row in enumerate(table.to_pylist(), start=1)]


def as_row_record(row: dict[str, Any], name: str) -> Record:
    """A row of `make_table`, as Python values, as a Record. Raises RunsError as `read_records` does."""
    try:
        record = Record.model_validate_json(json.dumps(_nested(row, Record)))
    except ValidationError as error:
        raise damaged(name, describe_fault(error)) from None
    if found := contradiction(record):
        raise damaged(name, found)
    return record


def _nested(row: dict[str, Any], model: type[BaseModel], place: str = "") -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, annotation in _fields(model):
        kind, may_be_none = _bare(annotation)
        if isinstance(kind, type) and issubclass(kind, Part):
            part = _nested(row, kind, f"{place}{name}_")
            is_none = may_be_none and all(value is None for value in part.values())
            values[name] = None if is_none else part
        else:
            value = row[f"{place}{name}"]
            values[name] = json.loads(value) if kind is CalibrationConfig else value
    return values
