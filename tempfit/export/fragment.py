"""What every format starts from: the curve about 0, which run and data it is from, where it holds and how well."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.filed import Record
from tempfit.exact.curve import Curve
from tempfit.export.expressions import horner, plus
from tempfit.export.text import one_line


@dataclass(frozen=True, eq=False)
class Fragment:
    """What the writers start from. curve: with its coefficients about 0. name: as the target may have it."""

    record: Record
    curve: Curve
    name: str

    @property
    def y_unit(self) -> str:
        return str(self.record.setting("y_unit"))

    @property
    def sha256(self) -> str:
        return str(self.record.values["data"].get("sha256"))

    @property
    def warnings(self) -> list[str]:
        """Why it should not be used; empty where nothing is against it."""
        return [one_line(reason) for reason in self.record.warnings]

    @property
    def run(self) -> str:
        """The run's name and id; of a file alone, its path."""
        return self.record.name if self.record.run_id is None else f"{self.record.name} ({self.record.run_id})"

    @cached_property
    def powers(self) -> list[float]:
        """Coefficients of the powers of the scaled reading, the highest first."""
        return [float(value) for value in self.curve.basis.to_powers(self.curve.params)]

    @property
    def equation(self) -> str:
        x, y = self.record.setting("x"), self.record.setting("y")
        if self.curve.is_line:
            return f"{y} = {plus(f'{self.curve.w!r} * {x}', self.curve.b)}"
        return f"{y} = {horner(self.powers, 'z')}, z = {self.scaled(str(x))}"

    def scaled(self, reading: str) -> str:
        """The scaled reading as an expression of C, C++ and Jinja."""
        scaling = self.curve.basis.scaling
        return f"({plus(reading, -scaling.center)}) * {scaling.factor!r}"

    def formula(self, reading: str) -> str:
        """A line as an expression of C++ and Jinja."""
        return plus(f"{self.curve.w!r} * {reading}", self.curve.b)

    @property
    def middle(self) -> float:
        """The middle of the calibrated range; where that is unknown, the center of the scaling."""
        low, high = self.curve.t_u_range
        return low + (high - low) / 2 if math.isfinite(high - low) else self.curve.basis.scaling.center

    def decimals(self, least: int, most: int) -> int:
        """How many decimals show two digits of the curve's standard uncertainty in the middle."""
        u = float(self.curve.u_mean(self.middle))
        return min(most, max(least, 1 - math.floor(math.log10(u)))) if 0 < u < math.inf else max(least, 3)

    @property
    def comments(self) -> list[str]:
        """Lines about where it is from and how good it is, with nothing in them that ends a line."""
        record, curve, middle = self.record, self.curve, self.middle
        low, high = curve.t_u_range
        x, x_unit = record.setting("x"), record.setting("x_unit")
        of_curve, of_reading = curve.u_mean(middle), curve.u_prediction(middle)
        model = "line" if curve.is_line else "polynomial"
        lines = [
            f"Calibration by tempfit: {self.equation}",
            f"run: {self.run}",
            f"data: {record.values['data'].get('source')}, sha256 {self.sha256}",
            f"calibrated range: {x} from {low:g} to {high:g} ({x_unit})",
            f"U at {x} = {middle:g}: {self._expanded(of_curve)} of the {model}, {self._expanded(of_reading)} of a "
            f"single reading (coverage {curve.coverage:.4g})",
            *(f"WARNING: {reason}" for reason in self.warnings),
        ]
        return [one_line(line) for line in lines]

    def _expanded(self, u: NDArray[np.float64]) -> str:
        """The expanded uncertainty U of the standard uncertainty u, with its unit."""
        expanded = float(self.curve.coverage_factor(u) * u)
        return f"unknown {self.y_unit}" if math.isnan(expanded) else f"{expanded:.2g} {self.y_unit}"
