"""What a logged model runs: MLflow keeps this file with the model ("models from code"), so loading unpickles nothing.

It stands alone, without tempfit, so that a model loads wherever mlflow and pandas are installed.
"""

from typing import Any

import pandas as pd
from mlflow.models import ModelConfig, set_model
from mlflow.pyfunc.model import PythonModel


class Line(PythonModel):
    """Readings in the thermometer's unit to temperatures: `w * t_u + b`."""

    def __init__(self, w: float, b: float, x: str, y: str):
        self.w, self.b, self.x, self.y = w, b, x, y

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        return pd.DataFrame({self.y: self.w * model_input[self.x] + self.b}, index=model_input.index)


config = ModelConfig(development_config={"w": 1.0, "b": 0.0, "x": "t_u", "y": "t_c"})
set_model(Line(**config.to_dict()))  # type: ignore[no-untyped-call]
