"""The fit as a model that MLflow loads and serves: code and numbers, no pickle."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.types import DataType

from tempfit.calibration.calibration import Calibration
from tempfit.calibration.parts import CurveRecord
from tempfit.descent.model import MLP
from tempfit.tracking.model_files import log_files, write_files
from tempfit.tracking.runs import Run

CODE = Path(__file__).with_name("model_code.py")
UNCERTAINTIES = ("u_mean", "u_prediction", "lower", "upper")


def log_model(run: Run, calibration: Calibration, again: bool) -> None:
    """The fit as a pyfunc model; none of one that exploded, which is of no use."""
    if not calibration.exploded:
        log_files(run, partial(save_model, calibration=calibration), calibration.fit.n_epochs, again=again)


def save_model(folder: Path, calibration: Calibration, **told: Any) -> None:
    """Write the model's files into `folder`; told: what its MLmodel says of where it belongs."""
    readings = calibration.readings
    write_files(
        folder,
        CODE,
        inputs={readings.x: DataType.double},
        outputs=output_columns(readings.y, UNCERTAINTIES if calibration.is_linear else ()),
        example=pd.DataFrame({readings.x: readings.thinned.t_u[:3]}),
        config={**model_config(calibration), "x": readings.x, "y": readings.y},
        **told,
    )


def output_columns(y: str, uncertainties: tuple[str, ...] = UNCERTAINTIES) -> dict[str, DataType]:
    """Names of what a model answers: the temperature first, whatever it is called."""
    columns = {y: DataType.double, **dict.fromkeys(uncertainties, DataType.double)}
    return {**columns, "extrapolated": columns.get("extrapolated", DataType.boolean)}


def model_config(calibration: Calibration) -> dict[str, Any]:
    """What `model_code` predicts from: the curve, or an mlp's layers."""
    if calibration.curve is not None:
        return CurveRecord.of(calibration.curve).model_dump(mode="json")
    scaling = calibration.problem.basis.scaling
    return {
        "factor": scaling.factor,
        "center": scaling.center,
        "t_u_range": list(calibration.problem.t_u_range),
        "layers": MLP(calibration.config).unpack(calibration.fit.params),
        "activation": calibration.config.activation,
    }
