"""The fit as a model that MLflow loads and serves: code and numbers, no pickle."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pandas as pd
from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from mlflow.utils import environment

from tempfit.calibration.calibration import Calibration
from tempfit.calibration.parts import CurveRecord
from tempfit.descent.model import MLP
from tempfit.tracking.runs import Run


def log_model(run: Run, calibration: Calibration, again: bool) -> None:
    """The fit as a pyfunc model; none of one that exploded, which is of no use."""
    if calibration.exploded:
        return
    import mlflow.pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    client, readings = run.store.client, calibration.readings
    told = ("u_mean", "u_prediction", "lower", "upper") if calibration.is_linear else ()
    outputs = {readings.y: DataType.double, **dict.fromkeys(told, DataType.double)}
    outputs.setdefault("extrapolated", DataType.boolean)
    with TemporaryDirectory(prefix="tempfit-") as folder:
        of_this_run = f"source_run_id = '{run.run_id}'"
        begun = client.search_logged_models([run.experiment_id], of_this_run) if again else []
        logged = begun[0] if begun else client.create_logged_model(run.experiment_id, "model", source_run_id=run.run_id)
        example = pd.DataFrame({readings.x: readings.t_u[:3]})
        # MLflow would check the requirements against the environment that they were just read from, and for that read
        # the file lists of all installed distributions: as long as everything else that is logged takes together.
        with patch.object(environment, "warn_dependency_requirement_mismatches"):
            mlflow.pyfunc.save_model(
                f"{folder}/model",
                python_model=str(Path(__file__).with_name("model_code.py")),
                model_config={**model_config(calibration), "x": readings.x, "y": readings.y},
                mlflow_model=Model(artifact_path=logged.artifact_location, run_id=run.run_id, model_id=logged.model_id),
                signature=ModelSignature(
                    inputs=Schema([ColSpec(DataType.double, readings.x)]),
                    outputs=Schema([ColSpec(kind, name) for name, kind in outputs.items()]),
                ),
                input_example=example,
                pip_requirements=[f"{library}=={version(library)}" for library in ("mlflow", "pandas", "scipy")],
            )
        client.log_model_artifacts(logged.model_id, f"{folder}/model")
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    client.log_outputs(run.run_id, models=[LoggedModelOutput(logged.model_id, step=calibration.fit.n_epochs)])


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
