"""What a logged model runs: MLflow keeps this file with the model ("models from code"), so loading unpickles nothing.

It stands alone, without tempfit, so that a model loads wherever mlflow and pandas are installed.
"""

from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import ModelConfig, set_model
from mlflow.pyfunc.model import PythonModel

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

    All take `t_un = factor * (t_u - center)`; coefficients belong to its powers, the highest first.
    """

    def __init__(self, x: str, y: str, factor: float, center: float, **model: Any):
        self.x, self.y, self.factor, self.center, self.model = x, y, factor, center, model

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        t_un = self.factor * (model_input[self.x].to_numpy(dtype=np.float64) - self.center)
        is_network = "layers" in self.model
        t_c = self._forward(t_un) if is_network else np.polyval(self.model["coefficients"], t_un)
        return pd.DataFrame({self.y: t_c}, index=model_input.index)

    def _forward(self, t_un: Any) -> Any:
        units = t_un[:, None]
        for layer in self.model["layers"]:
            units = units @ np.array(layer["weight"]) + np.array(layer["bias"])
            if layer["name"] != "output":
                units = ACTIVATIONS[self.model["activation"]](units, layer.get("slope"))
        return units[:, 0]


EXAMPLE = {"x": "t_u", "y": "t_c", "factor": 1.0, "center": 0.0, "coefficients": [1.0, 0.0]}
set_model(Thermometer(**ModelConfig(development_config=EXAMPLE).to_dict()))  # type: ignore[no-untyped-call]
