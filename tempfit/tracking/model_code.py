"""What a logged model runs: MLflow keeps this file with the model ("models from code"), so loading unpickles nothing.

It stands alone, without tempfit, so that a model loads wherever mlflow, pandas and scipy are installed.
"""

from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import ModelConfig, set_model
from mlflow.pyfunc.model import PythonModel
from scipy.special import stdtrit

LEAK = 0.01
ACTIVATIONS: dict[str, Any] = {
    "tanh": lambda units, slope: np.tanh(units),
    "sigmoid": lambda units, slope: np.exp(-np.logaddexp(0, -units)),  # as 1 / (1 + exp(-units)), and never overflows
    "relu": lambda units, slope: np.maximum(units, 0),
    "leaky_relu": lambda units, slope: np.where(units > 0, units, LEAK * units),
    "prelu": lambda units, slope: np.where(units > 0, units, slope * units),
}


class Thermometer(PythonModel):
    """Readings in the thermometer's unit to temperatures, by a line, a polynomial or a small network.

    All take `t_un = factor * (t_u - center)`. A line or polynomial is a curve with its uncertainty, in the values that
    tempfit.exact.curve writes; a network is its layers and their activation.
    """

    def __init__(self, x: str, y: str, factor: float, center: float, t_u_range: list[float], **model: Any):
        self.x, self.y, self.factor, self.center, self.t_u_range, self.model = x, y, factor, center, t_u_range, model

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """A row for each reading: the temperature; of a curve `u_mean`, `u_prediction` (standard uncertainties of the
        curve, and of a single new observation), `lower` and `upper` (where that lies); and whether the reading is
        `extrapolated` beyond those calibrated. None where there is no finite number, which JSON has no other word for.
        """
        t_u = model_input[self.x].to_numpy(dtype=np.float64)
        t_un = self.factor * (t_u - self.center)
        low, high = self.t_u_range
        with np.errstate(over="ignore", invalid="ignore"):  # high powers of readings far out
            t_c, columns = (self._network(t_un), {}) if "layers" in self.model else self._curve(t_un)
        columns["extrapolated"] = (t_u < low) | (t_u > high)
        columns = {self.y: t_c, **columns, self.y: t_c}  # the first, whatever it is called
        return pd.DataFrame({name: _finite(values) for name, values in columns.items()}, index=model_input.index)

    def _curve(self, t_un: Any) -> tuple[Any, dict[str, Any]]:
        """As tempfit.exact.curve says, after JCGM 100:2008 (GUM)."""
        curve = self.model
        params, matrix, cofactor = (np.array(curve[name]) for name in ("params", "matrix", "cofactor"))
        sd = np.nan if curve["observation_sd"] is None else curve["observation_sd"]
        freedom = np.inf if curve["degrees_of_freedom"] is None else curve["degrees_of_freedom"]
        common = curve["u_common"]
        terms = np.vander(t_un, len(params)) @ matrix
        u_mean = np.sqrt(np.einsum("ij,ij->i", terms @ (sd**2 * cofactor), terms) + common**2)
        u = np.hypot(u_mean, sd)
        if common and np.isfinite(freedom):
            with np.errstate(divide="ignore", invalid="ignore"):
                freedom = np.where(u > 0, freedom / (1 - (common / u) ** 2) ** 2, freedom)
        half = stdtrit(freedom, (1 + curve["coverage"]) / 2) * u
        t_c = terms @ params
        return t_c, {"u_mean": u_mean, "u_prediction": u, "lower": t_c - half, "upper": t_c + half}

    def _network(self, t_un: Any) -> Any:
        units = t_un[:, None]
        for layer in self.model["layers"]:
            units = units @ np.array(layer["weight"]) + np.array(layer["bias"])
            if layer["name"] != "output":
                units = ACTIVATIONS[self.model["activation"]](units, layer.get("slope"))
        return units[:, 0]


def _finite(values: Any) -> Any:
    finite = np.isfinite(values)
    return values if finite.all() else np.where(finite, values.astype(object), None)


EXAMPLE = {
    "x": "t_u",
    "y": "t_c",
    "factor": 1.0,
    "center": 0.0,
    "t_u_range": [0.0, 100.0],
    "params": [1.0, 0.0],
    "matrix": [[1.0, 0.0], [0.0, 1.0]],
    "cofactor": [[0.0, 0.0], [0.0, 0.0]],
    "observation_sd": 0.1,
    "degrees_of_freedom": None,
    "u_common": 0.0,
    "coverage": 0.95,
}
set_model(Thermometer(**ModelConfig(development_config=EXAMPLE).to_dict()))  # type: ignore[no-untyped-call]
