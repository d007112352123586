"""What only the user knows of a calibration: who, where, with what; read from a TOML file."""

from __future__ import annotations

import difflib
import tomllib
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tempfit.errors import SettingsError
from tempfit.wording import shown


def _as_text(value: Any) -> Any:
    """Text, and what is written as it without quotes: numbers and dates."""
    if isinstance(value, (int, float, date, datetime, time)) and not isinstance(value, bool):
        return str(value)
    return value


Text = Annotated[str, BeforeValidator(_as_text)]


class Section(BaseModel):
    """One table of the file; a key that it does not have is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def rows(self) -> list[tuple[str, str]]:
        """(label, text) of what is given, in the order of declaration."""
        given = [(name, field, getattr(self, name)) for name, field in type(self).model_fields.items()]
        return [(field.title or name.replace("_", " ").capitalize(), text) for name, field, text in given if text]


class About(Section):
    """[report]: the report itself."""

    number: Text = ""
    date: Text = ""
    recalibration_due: Text = ""
    remarks: Text = ""


class Laboratory(Section):
    """[laboratory]: who issues the report."""

    name: Text = ""
    address: Text = ""
    accreditation: Text = ""


class Client(Section):
    """[client]: for whom."""

    name: Text = ""
    address: Text = ""
    order: Text = ""


class Thermometer(Section):
    """[thermometer]: what was calibrated."""

    identity: Text = ""
    manufacturer: Text = ""
    type: Text = ""
    serial: Text = Field(default="", title="Serial number")
    channel: Text = ""
    description: Text = ""


class Reference(Section):
    """[reference]: what it was compared with."""

    identity: Text = ""
    serial: Text = Field(default="", title="Serial number")
    calibration: Text = ""
    traceability: Text = ""
    uncertainty: Text = ""


class Conditions(Section):
    """[conditions]: where and how it was kept during the measurement."""

    place: Text = ""
    date: Text = Field(default="", title="Date of the measurements")
    ambient_temperature: Text = ""
    humidity: Text = Field(default="", title="Relative humidity")
    pressure: Text = ""
    medium: Text = ""
    immersion_depth: Text = ""
    settling_time: Text = ""


class People(Section):
    """[people]: who answers for it."""

    calibrated_by: Text = ""
    approved_by: Text = ""


class Fields(Section):
    """The whole file. Texts may be of any length and in any script; `extra` holds rows of the user's own."""

    report: About = About()
    laboratory: Laboratory = Laboratory()
    client: Client = Client()
    thermometer: Thermometer = Thermometer()
    reference: Reference = Reference()
    conditions: Conditions = Conditions()
    procedure: Text = ""
    people: People = People()
    extra: dict[str, Text] = {}

    def missing_for_certificate(self) -> list[str]:
        """What a certificate cannot be without, by the names in the file."""
        needed = {
            "reference.identity": self.reference.identity,
            "reference.uncertainty": self.reference.uncertainty,
        }
        return [name for name, text in needed.items() if not text.strip()]


def read_fields(path: Path) -> Fields:
    """The fields in a TOML file. Raises SettingsError, in one line, where it is none or has what is not a field."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"{path}: not a readable TOML file of fields: {reason}") from None
    try:
        return Fields.model_validate(values)
    except ValidationError as error:
        raise SettingsError(f"{path}: {'; '.join(_clauses(error))}") from None


def _clauses(error: ValidationError) -> list[str]:
    clauses = []
    for item in error.errors(include_url=False):
        *tables, name = (str(part) for part in item["loc"])
        where = ".".join([*tables, name])
        if item["type"] == "extra_forbidden":
            near = difflib.get_close_matches(name, _names(tables), n=1)
            hint = f"did you mean {'.'.join([*tables, near[0]])}?" if near else "rows of your own belong in [extra]"
            clauses.append(f"{shown(where)}: no such field; {hint}")
        elif item["type"] == "model_type":
            clauses.append(f"{shown(where)}: should be a table, [{where}]")
        else:
            clauses.append(f"{shown(where)}: should be text, a number or a date, got {shown(repr(item['input']))}")
    return clauses


def _names(tables: list[str]) -> list[str]:
    """The fields that a table of the file has."""
    model: type[BaseModel] = Fields
    for table in tables:
        annotation = model.model_fields[table].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return list(model.model_fields)
