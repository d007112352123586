"""From readings to temperatures and back, by a calibration curve: the columns of a table of predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempfit.errors import SettingsError
from tempfit.exact.curve import Curve

FORWARD = ("u_mean", "u_prediction", "lower", "upper", "extrapolated")
INVERSE = ("u", "lower", "upper", "extrapolated")


@dataclass(frozen=True, eq=False)
class Predictor:
    """Turns a column of readings (`inverse`: of temperatures) into the columns of its table of predictions.

    curve: a line or a polynomial; only a line has an inverse. x, y: names of the columns of readings and temperatures.
    Raises SettingsError where two columns would have one name, and for the inverse of a polynomial.
    """

    curve: Curve
    x: str
    y: str
    inverse: bool = False

    def __post_init__(self) -> None:
        refuse_names({"x": self.x, "y": self.y}, INVERSE if self.inverse else FORWARD)
        self.empty()

    @property
    def given(self) -> str:
        """Name of the column that is predicted from."""
        return self.y if self.inverse else self.x

    def empty(self) -> dict[str, NDArray[Any]]:
        """The table without rows."""
        return self(np.empty(0))

    def __call__(self, values: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
        """(rows,), in the unit of the column given → the table's columns by name, in their order, (rows,) each.

        Of readings: x, y, `u_mean` and `u_prediction` (standard uncertainties of the curve, and of a single new
        observation), `lower` and `upper` (where that observation lies with the curve's coverage), `extrapolated` (bool:
        the reading is outside of those calibrated). Of temperatures: y, x, `u` (standard uncertainty of the reading),
        `lower` and `upper` (as `Curve.invert` says), `extrapolated` (of the reading found).
        NaN where nothing tells the uncertainty; not finite where float64 cannot say.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # high powers of readings far out
            return self._readings(values) if self.inverse else temperatures(self.curve, values, self.x, self.y)

    def _readings(self, t_c: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
        found = self.curve.invert(t_c)
        columns = (t_c, found.t_u, found.u, found.low, found.high, self.curve.is_extrapolated(found.t_u))
        return dict(zip((self.y, self.x, *INVERSE), columns, strict=True))


def temperatures(curve: Curve, t_u: NDArray[np.float64], x: str, y: str) -> dict[str, NDArray[Any]]:
    """The columns of `Predictor` for readings t_u; of several members' curves, (members, rows) each."""
    t_c, u = curve.predict(t_u), curve.u_prediction(t_u)
    half = curve.coverage_factor(u) * u
    columns = (t_u, t_c, curve.u_mean(t_u), u, t_c - half, t_c + half, curve.is_extrapolated(t_u))
    return dict(zip((x, y, *FORWARD), columns, strict=True))


def refuse_names(names: Mapping[str, str], added: Sequence[str]) -> None:
    """Raise SettingsError where a column that a setting names would have the name of one that is added."""
    for setting, name in names.items():
        if name in added:
            raise SettingsError(f"`{setting}`: the predictions have a column {name!r} of their own; rename yours")
