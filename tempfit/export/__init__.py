"""A recorded calibration as text that a device or another program understands: a module for each format.

It stands on the Record of `calibration`, and needs nothing that made it.

Every fragment carries as comments which run and which data it is from, where it holds and how uncertain it is there.
Devices know no reference point: their coefficients are about 0, or of the scaled reading where raw powers would lose
digits. Numbers are written so that they are read back to the last bit, in notations that the target has a parser for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from tempfit.calibration.filed import Filed
from tempfit.errors import RunsError, SettingsError
from tempfit.export import c_header, esphome, home_assistant, json_object, tasmota
from tempfit.export.fragment import Fragment
from tempfit.export.text import one_line

__all__ = ["NAMES", "WRITERS", "Format", "check_name", "export", "one_line"]

Format = Literal["esphome", "home-assistant", "tasmota", "c-header", "json"]

WRITERS: dict[Format, Callable[[Fragment], str]] = {
    "esphome": esphome.write,
    "home-assistant": home_assistant.write,
    "tasmota": tasmota.write,
    "c-header": c_header.write,
    "json": json_object.write,
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

    name: of the sensor, for c-header the prefix of everything; None takes one of NAMES.
    Raises RunsError where there is no curve, SettingsError for a name, or a curve, that the target cannot have.
    """
    name = NAMES[target] if name is None else name
    check_name(target, name)
    curve = filed.curve.about(0.0)
    numbers = curve.coefficients if curve.is_line else curve.basis.to_powers(curve.params)
    if not np.isfinite(numbers).all():
        raise RunsError(f"{filed.name}: its coefficients are beyond float64; calibrate with readings in another unit")
    return WRITERS[target](Fragment(filed, curve, name))
