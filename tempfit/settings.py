"""How settings are declared, read from text and refused: their bounds, units, titles, and what is said of a fault."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

FRACTIONS = {"coverage", "holdout"}  # that people also write as a percentage


UNITS = {"x_unit": "in the readings' unit", "y_unit": "in the references' unit"}  # of settings whose unit is a setting


BOUNDS = {"gt": "above {}", "ge": "{} or more", "lt": "below {}", "le": "at most {}"}  # in the order of a title


def setting(default: Any, description: str, *, unit: str | None = None, title: str | None = None, **bounds: Any) -> Any:
    """A pydantic field with a description, its unit (None: dimensionless) and its bounds.

    title: its name in words, for people who see a form and no command; None where its name is made of words.
    """
    return Field(
        default, description=description, title=title, json_schema_extra={"unit": unit} if unit else None, **bounds
    )


def title_of(name: str, field: FieldInfo) -> str:
    """What a form shows above a setting, its name in words, unit and bounds: `Learning rate (above 0, at most 1e6)`."""
    extra = field.json_schema_extra
    unit = extra.get("unit") if isinstance(extra, dict) else None
    found = {kind: getattr(bound, kind) for kind in BOUNDS for bound in field.metadata if hasattr(bound, kind)}
    bounds = [words.format(_write_bound(found[kind])) for kind, words in BOUNDS.items() if kind in found]
    details = [UNITS.get(str(unit), str(unit))] if unit else []
    details += [", ".join(bounds)] if bounds else []
    return (field.title or name.replace("_", " ").capitalize()) + (f" ({'; '.join(details)})" if details else "")


def _write_bound(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}".replace("e+", "e").replace("e0", "e")


class Settings(BaseModel):
    """Frozen and strict: an unknown name or a value out of bounds is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """With a title for every setting, which Prefect's form shows."""
        described = handler.resolve_ref_schema(handler(schema))
        for name, field in cls.model_fields.items():
            described["properties"][name]["title"] = title_of(name, field)
        return described

    @model_validator(mode="before")
    @classmethod
    def _values_are_as_people_write_them(cls, values: Any) -> Any:
        """none, where there may be no value, and 1e4, where an integer is wanted."""
        if not isinstance(values, Mapping):
            return values
        fields = cls.model_fields
        return {name: _read(value, fields[name]) if name in fields else value for name, value in values.items()}


def _read(value: Any, field: FieldInfo) -> Any:
    """A text as the value that it stands for; what it does not tell is left to pydantic."""
    if not isinstance(value, str):
        return value
    if value.strip().lower() == "none" and takes(field, type(None)):
        return None
    if takes(field, int) and not takes(field, float):
        try:
            number = Decimal(value)
        except InvalidOperation:
            return value
        if abs(number.adjusted()) < 20 and number == number.to_integral_value():  # (NaN has no digits, and is unequal)
            return int(number)
    return value


def takes(field: FieldInfo, kind: type) -> bool:
    """Whether the field's annotation is this type, or a union with it."""
    return field.annotation is kind or kind in get_args(field.annotation)


def describe(error: ValidationError, fields: Mapping[str, FieldInfo], named: Callable[[str], str] = str) -> str:
    """A pydantic error as one line: `learning_rate: should be greater than 0, got -1.0; …`.

    fields: all that there are. named: how the settings at fault are called where they come from.
    """
    clauses = []
    for item in error.errors(include_url=False):
        name = ".".join(str(part) for part in item["loc"])
        if not name:
            clauses.append(item["msg"].removeprefix("Value error, "))
        elif item["type"] == "extra_forbidden":
            clauses.append(f"{named(name)}: no such setting{did_you_mean(name, fields)}")
        else:
            clauses.append(f"{named(name)}: {_fault(item['type'], item['msg'], item['input'], name, fields[name])}")
    return "; ".join(clauses)


def _fault(kind: str, message: str, given: Any, name: str, field: FieldInfo) -> str:
    """What is wrong with the value of a setting, and what may have been meant."""
    if kind == "literal_error":
        choices = get_args(field.annotation)
        return f"{given!r} is not one of {', '.join(choices)}{did_you_mean(str(given), choices)}"
    if kind == "string_pattern_mismatch":
        return f"{given!r} is not written as it should be ({field.description})"
    if kind in ("float_parsing", "int_parsing", "int_from_float", "float_type", "int_type"):
        what = "number" if kind.startswith("float") else "whole number"
        comma = isinstance(given, str) and re.fullmatch(r"\s*([+-]?[0-9]*),([0-9]+(?:[eE][+-]?[0-9]+)?)\s*", given)
        return f"{given!r} is no {what}" + (f"; decimals have a point: {comma[1]}.{comma[2]}" if comma else "")
    is_number = kind.startswith(("greater_than", "less_than"))
    fault = f"{message.removeprefix('Value error, ').removeprefix('Input ')}, got {given if is_number else repr(given)}"
    if kind == "less_than" and name in FRACTIONS and 1 < float(given) <= 100:
        fault += f"; did you mean {float(given) / 100:g}?"
    return fault


def did_you_mean(text: str, choices: Iterable[str]) -> str:
    """`; did you mean scaling?`, where one of the choices is near; an abbreviation is near, too. Else empty."""
    by_initials = {"".join(word[:1] for word in choice.split("_")): choice for choice in choices if "_" in choice}
    near = difflib.get_close_matches(text, list(choices), n=1) or [
        by_initials[text] for _ in range(text in by_initials)
    ]
    return f"; did you mean {near[0]}?" if near else ""
