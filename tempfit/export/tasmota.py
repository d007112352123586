"""A rule of Tasmota."""

from __future__ import annotations

import re

import numpy as np

from tempfit.errors import SettingsError
from tempfit.export.fragment import Fragment
from tempfit.export.text import one_line, with_comments

NAME = "DS18B20"
TRIGGER = re.compile(r"[A-Za-z0-9_\-]+(#[A-Za-z0-9_\-\[\]]+)*", re.ASCII)
DECIMALS = 8  # that it reads; with more, older versions overflow
LARGEST = 2**31 - 1
CLOSEST = 1e-6  # two readings whose difference its 8 decimals still tell
CALC_RES = 3, 7  # decimals that Tasmota keeps: by default, and at most


def check_name(name: str) -> None:
    """Raise SettingsError where no rule of Tasmota can be triggered by it."""
    if not TRIGGER.fullmatch(name):
        raise SettingsError(
            f"`name`: {one_line(name)!r} is no sensor of Tasmota; take its name from the output of `Status 10`, such "
            "as DS18B20, or name all that triggers the rule: ANALOG#Temperature1"
        )


def write(fragment: Fragment) -> str:
    """A rule that leaves the temperature in Var1.

    `Scale1` maps two readings to two temperatures in one step; `Mult1` and `Add1` would round in between, and w to 8
    decimals. Tasmota reads digits and a decimal point, no exponent, whole parts of 31 bits and 8 decimals, computes in
    single precision and keeps CalcRes decimals. (Tasmota: docs Rules and Commands; CharToFloat and CmndScale in its
    source.) Expressions, which a polynomial would take, are not in its precompiled builds.
    Raises SettingsError for a polynomial, and for readings that 8 decimals cannot tell apart.
    """
    curve = fragment.curve
    if not curve.is_line:
        raise SettingsError(
            f"{fragment.origin.name}: a rule of Tasmota carries lines only, this is a polynomial: calibrate with "
            '`model="line"`, or export for esphome, home-assistant or c-header'
        )
    low, high = curve.t_u_range
    readings = [float(decimal(value)) for value in (low, high)]
    ends = [*readings, *(float(value) for value in curve.predict(np.array(readings)))]
    if readings[1] - readings[0] < CLOSEST or max(abs(value) for value in ends) >= LARGEST:
        raise SettingsError(
            f"{fragment.origin.name}: Tasmota reads numbers with {DECIMALS} decimals and below 2147483647, which "
            f"readings from {low:g} to {high:g} do not fit: calibrate with readings in another unit"
        )
    trigger = fragment.name if "#" in fragment.name else f"{fragment.name}#Temperature"
    how = (
        "The temperature is in Var1 (%var1%), and Var1#State triggers what is to follow from it.",
        "Lines that begin with ; are comments of a command file; in the console, enter the others one by one.",
    )
    commands = [
        f"CalcRes {fragment.decimals(*CALC_RES)}",
        f"Rule1 ON {trigger} DO Scale1 %value%,{','.join(decimal(value) for value in ends)} ENDON",
        "Rule1 1",
    ]
    return with_comments([*fragment.comments, *how], ";", "\n".join(commands) + "\n")


def decimal(value: float) -> str:
    """A number as Tasmota reads it: without exponent, with 8 decimals at most."""
    text = f"{value:.{DECIMALS}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
