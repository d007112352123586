"""Temperatures of the readings of any number of sensors, by a fleet's table: block by block, all sensors at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tempfit.exact.prediction import FORWARD, refuse_names, temperatures
from tempfit.fleet.curves import FleetCurves


@dataclass(frozen=True, eq=False)
class FleetBlock:
    """The table of predictions of a block of rows: columns by name.

    places: (rows,), of the sensors in the table, -1 of those that are not there. is_predicted: (rows,).
    n_extrapolated: of those predicted.
    """

    columns: Mapping[str, Any]
    places: NDArray[np.int64]
    is_predicted: NDArray[np.bool_]
    n_extrapolated: int


@dataclass(frozen=True, eq=False)
class FleetPredictor:
    """Turns the names of sensors and a column of their readings into the columns of a table of predictions.

    The columns are `by`, and those of `Predictor`. A row of a sensor without a curve is kept, and has none of them:
    null. coverage: of the intervals. Raises SettingsError where two columns would have one name.
    """

    curves: FleetCurves
    by: str
    x: str
    y: str
    coverage: float

    def __post_init__(self) -> None:
        refuse_names({"x": self.x, "y": self.y}, FORWARD)
        refuse_names({"by": self.by}, (self.x, self.y, *FORWARD))

    def empty(self) -> Mapping[str, Any]:
        """The table without rows."""
        return self(pa.array([], pa.string()), np.empty(0)).columns

    def __call__(self, names: pa.StringArray, t_u: NDArray[np.float64]) -> FleetBlock:
        """(rows,) each."""
        curves = self.curves
        places = curves.find(names)
        is_predicted = (places >= 0) & curves.has_curve[places]
        curve = replace(curves.take(np.maximum(places, 0)), coverage=self.coverage)
        with np.errstate(over="ignore", invalid="ignore"):  # high powers of readings far out
            told = temperatures(curve, t_u[:, None], self.x, self.y)
        columns: dict[str, Any] = {name: values[:, 0] for name, values in told.items()}
        n_extrapolated = int((columns["extrapolated"] & is_predicted).sum())
        if not is_predicted.all():
            missing = ~is_predicted
            columns |= {name: pa.array(columns[name], mask=missing) for name in columns if name != self.x}
        return FleetBlock({self.by: names, **columns}, places, is_predicted, n_extrapolated)
