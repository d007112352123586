"""What a fleet's logged model runs: MLflow keeps this file and a table beside the model; loading unpickles nothing.

It stands alone, without tempfit, so that a model loads wherever mlflow, pandas and scipy are installed.
"""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from mlflow.models import ModelConfig, set_model
from mlflow.pyfunc.model import PythonModel
from scipy.special import stdtrit

CURVES = "curves"  # the artifact: a row a sensor


class Fleet(PythonModel):
    """Readings of many thermometers, each in its own unit, to temperatures by their lines or polynomials.

    A sensor's curve takes `t_un = factor * (t_u - center)`, in the values that tempfit.exact.curve writes: its row of
    the table. What all have in common is here.
    """

    def __init__(self, sensor: str, x: str, y: str, u_common: float, coverage: float):
        self.sensor, self.x, self.y, self.u_common, self.coverage = sensor, x, y, u_common, coverage
        self.curves: dict[str, Any] = {}
        self.names: Any = pa.array([], pa.string())

    def load_context(self, context: Any) -> None:
        """Read the curves: numbers (sensors,), vectors (sensors, terms) and matrices (sensors, terms, terms)."""
        table = pq.read_table(context.artifacts[CURVES]).combine_chunks()
        self.names = table["thermometer"].combine_chunks()
        for name in table.column_names[1:]:
            column, shape = table[name].combine_chunks(), [len(table)]
            while pa.types.is_fixed_size_list(column.type):
                shape.append(column.type.list_size)
                column = column.flatten()
            self.curves[name] = column.to_numpy().reshape(shape)

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """A row for each reading: the temperature, `u_mean` and `u_prediction` (standard uncertainties of the curve,
        and of a single new observation), `lower` and `upper` (where that lies), and whether the reading is
        `extrapolated` beyond those calibrated. None where there is no finite number, which JSON has no other word for;
        all of them of a sensor that has no curve here.
        """
        asked = pc.utf8_trim_whitespace(pa.array(model_input[self.sensor], pa.string(), from_pandas=True))
        place = pc.index_in(asked, self.names)
        known = place.is_valid().to_numpy(zero_copy_only=False)
        t_u = model_input[self.x].to_numpy(dtype=np.float64)[known]
        with np.errstate(over="ignore", invalid="ignore"):  # high powers of readings far out
            columns = self._predict(t_u, place.drop_null().to_numpy())
        columns = {name: _spread(values, known) for name, values in columns.items()}
        return pd.DataFrame(columns, index=model_input.index)

    def _predict(self, t_u: Any, sensors: Any) -> dict[str, Any]:
        """As tempfit.exact.curve says, after JCGM 100:2008 (GUM); t_u, sensors: (rows,)."""
        own = {name: values[sensors] for name, values in self.curves.items()}
        params, sd, freedom = own["params"], own["observation_sd"], own["degrees_of_freedom"]
        t_un = own["factor"] * (t_u - own["center"])
        terms = np.vander(t_un, params.shape[1])
        if "matrix" in own:
            terms = np.einsum("ri,rij->rj", terms, own["matrix"])
        t_c = np.einsum("ri,ri->r", terms, params)
        weighted = np.einsum("ri,rij->rj", terms, np.square(sd)[:, None, None] * own["cofactor"])
        u_mean = np.sqrt(np.einsum("ri,ri->r", weighted, terms) + self.u_common**2)
        u = np.hypot(u_mean, sd)
        half = self._coverage_factor(u, freedom) * u
        is_far = (t_u < own["low"]) | (t_u > own["high"])
        columns = {"u_mean": u_mean, "u_prediction": u, "lower": t_c - half, "upper": t_c + half}
        return {self.y: t_c, **columns, "extrapolated": is_far, self.y: t_c}  # the first, whatever it is called

    def _coverage_factor(self, u: Any, freedom: Any) -> Any:
        probability = (1 + self.coverage) / 2
        if not self.u_common:
            distinct, places = np.unique(freedom, return_inverse=True)
            return stdtrit(distinct, probability)[places]
        with np.errstate(divide="ignore", invalid="ignore"):
            effective = freedom / (1 - (self.u_common / u) ** 2) ** 2
        return stdtrit(np.where((u > 0) & np.isfinite(freedom), effective, freedom), probability)


def _spread(values: Any, known: Any) -> Any:
    """The values of the rows that are known, None where they are not finite; and None in the others."""
    finite = np.isfinite(values)
    if known.all() and finite.all():
        return values
    spread = np.full(len(known), None, dtype=object)
    spread[np.flatnonzero(known)[finite]] = values[finite]
    return spread


EXAMPLE = {"sensor": "sensor", "x": "t_u", "y": "t_c", "u_common": 0.0, "coverage": 0.95}
set_model(Fleet(**ModelConfig(development_config=EXAMPLE).to_dict()))  # type: ignore[no-untyped-call]
