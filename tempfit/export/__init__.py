"""A recorded calibration as text that a device or another program understands: a module for each format.

It stands on the Record of `calibration`, and needs nothing that made it.

Every fragment carries as comments which run and which data it is from, where it holds and how uncertain it is there.
Devices know no reference point: their coefficients are about 0, or of the scaled reading where raw powers would lose
digits. Numbers are written so that they are read back to the last bit, in notations that the target has a parser for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

import numpy as np

from tempfit.calibration.filed import Filed
from tempfit.errors import RunsError, SettingsError
from tempfit.exact.curve import Curve
from tempfit.export import c_header, esphome, home_assistant, json_object, tasmota
from tempfit.export.fragment import Fragment, Origin
from tempfit.export.text import one_line

__all__ = ["ENTRIES", "NAMES", "WRITERS", "Format", "Origin", "check_name", "export", "one_line", "write"]

Format = Literal["esphome", "home-assistant", "tasmota", "c-header", "json"]

WRITERS: dict[Format, Callable[[Fragment], str]] = {
    "esphome": esphome.write,
    "home-assistant": home_assistant.write,
    "tasmota": tasmota.write,
    "c-header": c_header.write,
    "json": json_object.write,
}
ENTRIES: dict[Format, tuple[str, Callable[[Fragment], str]]] = {  # formats that have many in one document: its head
    "esphome": (esphome.HEAD, esphome.write_entry),
    "home-assistant": (home_assistant.HEAD, home_assistant.write_entry),
    "json": (json_object.HEAD, json_object.write_entry),
}
NAMES: dict[Format, str] = {  # of a sensor that is given none
    "esphome": esphome.NAME,
    "home-assistant": home_assistant.NAME,
    "tasmota": tasmota.NAME,
    "c-header": c_header.NAME,
    "json": json_object.NAME,
}
NAME_CHECKS: dict[Format, Callable[[str], None]] = {  # where not any name will do
    "esphome": esphome.check_name,
    "tasmota": tasmota.check_name,
    "c-header": c_header.check_name,
}


def check_name(target: Format, name: str) -> None:
    """Raise SettingsError where the name cannot be used there."""
    if not name.strip():
        raise SettingsError("`name`: is empty; give the sensor a name, or leave the option out")
    if target in NAME_CHECKS:
        NAME_CHECKS[target](name)


def export(filed: Filed, target: Format, name: str | None = None) -> str:
    """The calibration as text for `target`, which ends in a newline.

    name: of the sensor, for c-header the prefix of everything; None takes one of NAMES, or that of a fleet's sensor.
    Raises RunsError where there is no curve, SettingsError for a name, or a curve, that the target cannot have.
    """
    return write(Origin.of(filed), filed.curve, target, WRITERS[target], name)


def write(
    origin: Origin, curve: Curve, target: Format, writer: Callable[[Fragment], str], name: str | None = None
) -> str:
    """The curve by a writer of `target`, as `export`."""
    name = default_name(target, origin.sensor) if name is None else name
    check_name(target, name)
    curve = curve.about(0.0)
    numbers = curve.coefficients if curve.is_line else curve.basis.to_powers(curve.params)
    if not np.isfinite(numbers).all():
        raise RunsError(f"{origin.name}: its coefficients are beyond float64; calibrate with readings in another unit")
    return writer(Fragment(origin, curve, name))


def default_name(target: Format, sensor: str | None) -> str:
    """What is not named otherwise: as the sensor of a fleet, or one of NAMES."""
    if sensor is None or target == "tasmota":  # where the name is that of the driver
        return NAMES[target]
    if target != "c-header":
        return sensor
    name = re.sub(r"[^A-Za-z0-9]", "_", sensor)
    return name if name[0].isalpha() else f"{NAMES[target]}_{name}"
