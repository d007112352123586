"""What every format starts from: the curve about 0, which run and data it is from, where it holds and how well."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.filed import Filed
from tempfit.config import CalibrationConfig
from tempfit.exact.curve import Curve
from tempfit.export.expressions import horner, plus
from tempfit.export.text import one_line


@dataclass(frozen=True, eq=False)
class Fragment:
    """What the writers start from. curve: with its coefficients about 0. name: as the target may have it."""

    filed: Filed
    curve: Curve
    name: str

    @property
    def config(self) -> CalibrationConfig:
        return self.filed.record.config

    @property
    def sha256(self) -> str:
        return self.filed.record.data.sha256

    @property
    def warnings(self) -> list[str]:
        """Why it should not be used; empty where nothing is against it."""
        return [one_line(reason) for reason in self.filed.record.warnings]

    @property
    def run(self) -> str:
        """The run's name and id; of a file alone, its path."""
        return self.filed.name if self.filed.run_id is None else f"{self.filed.name} ({self.filed.run_id})"

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
            f"data: {self.filed.record.data.source}, sha256 {self.sha256}",
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
