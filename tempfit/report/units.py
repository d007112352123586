"""The units of a calibration, as they are written beside its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from tempfit.calibration.filed import Record
from tempfit.config import ReadingsConfig
from tempfit.report.text import short
from tempfit.rounding import NO_BREAK, SUPERSCRIPTS


@dataclass(frozen=True)
class Units:
    """Of the readings and of the reference, short enough for a heading; empty where there is none."""

    x: str
    y: str

    @classmethod
    def of(cls, record: Record) -> Self:
        return cls(short(unit_of(record, "x")), short(unit_of(record, "y")))

    def per(self, power: int) -> str:
        """Of a coefficient: °C/mV, °C/mV²."""
        if not power:
            return self.y
        return f"{self.y}/{self.x or 'unit'}{str(power).translate(SUPERSCRIPTS) if power > 1 else ''}"


def unit_of(record: Record, axis: str) -> str:
    """The unit of x or y as it was given; empty where nobody named one."""
    unit = str(record.setting(f"{axis}_unit"))
    return "" if axis == "x" and unit == ReadingsConfig().x_unit else unit


def with_unit(text: str, unit: str) -> str:
    return f"{text}{NO_BREAK}{unit}" if unit else text
