"""What every format starts from: the curve about 0, which run and data it is from, where it holds and how well."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.filed import Filed
from tempfit.config import CalibrationConfig
from tempfit.exact.curve import Curve
from tempfit.export.expressions import horner, plus
from tempfit.export.text import one_line

SOURCE = "thermometer"  # what stands for the user's own sensor, to be replaced


@dataclass(frozen=True)
class Origin:
    """Where a curve is from.

    name, run_id: of the run; of a file alone, its path and None. source, sha256: of the data. sensor: which of a fleet;
    None of a single thermometer. reasons: why it should not be used; empty where nothing is against it.
    """

    name: str
    run_id: str | None
    source: str
    sha256: str
    config: CalibrationConfig
    sensor: str | None = None
    reasons: tuple[str, ...] = ()

    @classmethod
    def of(cls, filed: Filed) -> Self:
        record = filed.record
        data, reasons = record.data, tuple(record.warnings)
        return cls(filed.name, filed.run_id, data.source, data.sha256, record.config, filed.sensor, reasons)

    @property
    def key(self) -> str:
        """Another for every calibration."""
        key = self.run_id or self.sha256
        return key if self.sensor is None else sha256(f"{key} {self.sensor}".encode()).hexdigest()

    @property
    def slug(self) -> str:
        """What programs that take identifiers call the user's own sensor."""
        if self.sensor is None:
            return SOURCE
        slug = re.sub(r"[^a-z0-9]+", "_", self.sensor.lower()).strip("_")
        return slug if slug[:1].isalpha() else f"{SOURCE}_{slug}".rstrip("_")


@dataclass(frozen=True, eq=False)
class Fragment:
    """What the writers start from. curve: with its coefficients about 0. name: as the target may have it."""

    origin: Origin
    curve: Curve
    name: str

    @property
    def config(self) -> CalibrationConfig:
        return self.origin.config

    @property
    def warnings(self) -> list[str]:
        """Why it should not be used; empty where nothing is against it."""
        return [one_line(reason) for reason in self.origin.reasons]

    @property
    def run(self) -> str:
        """The run's name and id; of a file alone, its path."""
        origin = self.origin
        return origin.name if origin.run_id is None else f"{origin.name} ({origin.run_id})"

    @cached_property
    def powers(self) -> list[float]:
        """Coefficients of the powers of the scaled reading, the highest first."""
        return [float(value) for value in self.curve.basis.to_powers(self.curve.params)]

    @property
    def equation(self) -> str:
        x, y = self.config.x, self.config.y
        if self.curve.is_line:
            return f"{y} = {plus(f'{self.curve.w!r} * {x}', self.curve.b)}"
        return f"{y} = {horner(self.powers, 'z')}, z = {self.scaled(x)}"

    def scaled(self, reading: str) -> str:
        """The scaled reading as an expression of C, C++ and Jinja."""
        scaling = self.curve.basis.scaling
        return f"({plus(reading, -scaling.center)}) * {scaling.factor!r}"

    def formula(self, reading: str) -> str:
        """A line as an expression of C++ and Jinja."""
        return plus(f"{self.curve.w!r} * {reading}", self.curve.b)

    @property
    def middle(self) -> float:
        """The middle of the calibrated range."""
        low, high = self.curve.t_u_range
        return low + (high - low) / 2

    def decimals(self, least: int, most: int) -> int:
        """How many decimals show two digits of the curve's standard uncertainty in the middle."""
        u = float(self.curve.u_mean(self.middle))
        return min(most, max(least, 1 - math.floor(math.log10(u)))) if 0 < u < math.inf else max(least, 3)

    @property
    def comments(self) -> list[str]:
        """Lines about where it is from and how good it is, with nothing in them that ends a line."""
        curve, middle = self.curve, self.middle
        low, high = curve.t_u_range
        x, x_unit = self.config.x, self.config.x_unit
        of_curve, of_reading = curve.u_mean(middle), curve.u_prediction(middle)
        model = "line" if curve.is_line else "polynomial"
        lines = [
            f"Calibration by tempfit: {self.equation}",
            f"run: {self.run}",
            f"data: {self.origin.source}, sha256 {self.origin.sha256}",
            f"calibrated range: {x} from {low:g} to {high:g} ({x_unit})",
            f"U at {x} = {middle:g}: {self._expanded(of_curve)} of the {model}, {self._expanded(of_reading)} of a "
            f"single reading (coverage {curve.coverage:.4g})",
            *(f"WARNING: {reason}" for reason in self.warnings),
        ]
        return [one_line(line) for line in lines]

    def _expanded(self, u: NDArray[np.float64]) -> str:
        """The expanded uncertainty U of the standard uncertainty u, with its unit."""
        expanded = float(self.curve.coverage_factor(u) * u)
        return f"unknown {self.config.y_unit}" if math.isnan(expanded) else f"{expanded:.2g} {self.config.y_unit}"
