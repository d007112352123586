"""The fit as a model that MLflow loads and serves: code and numbers, no pickle."""

from __future__ import annotations

import json
import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import yaml
from mlflow.entities import LoggedModelOutput, LoggedModelStatus

from tempfit.calibration.calibration import Calibration
from tempfit.calibration.recording import record_curve
from tempfit.descent.model import MLP
from tempfit.tracking.runs import Run

CODE_FILE = "model_code.py"
REQUIRES = ("mlflow", "pandas", "scipy")  # what the code imports


def log_model(run: Run, calibration: Calibration, again: bool) -> None:
    """The fit as a pyfunc model; none of one that exploded, which is of no use."""
    if calibration.exploded:
        return
    client = run.store.client
    with TemporaryDirectory(prefix="tempfit-") as folder:
        of_this_run = f"source_run_id = '{run.run_id}'"
        begun = client.search_logged_models([run.experiment_id], of_this_run) if again else []
        logged = begun[0] if begun else client.create_logged_model(run.experiment_id, "model", source_run_id=run.run_id)
        told = {"artifact_path": logged.artifact_location, "run_id": run.run_id, "model_id": logged.model_id}
        save_model(Path(folder), calibration, **told)
        client.log_model_artifacts(logged.model_id, folder)
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    client.log_outputs(run.run_id, models=[LoggedModelOutput(logged.model_id, step=calibration.fit.n_epochs)])


def save_model(folder: Path, calibration: Calibration, **told: Any) -> None:
    """Write the model's files into `folder`; told: what its MLmodel says of where it belongs.

    Not by `mlflow.pyfunc.save_model`: that checks the requirements against the environment that they were just read
    from, for which it reads the file lists of all installed distributions (longer than all that is logged takes
    together), and writes down where tempfit is installed. (MLflow: "MLmodel file", `mlflow.pyfunc.add_to_model`.)
    """
    import mlflow.pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.pyfunc.loaders import code_model
    from mlflow.types import ColSpec, DataType, Schema

    readings = calibration.readings
    columns = ("u_mean", "u_prediction", "lower", "upper") if calibration.is_linear else ()
    outputs = {readings.y: DataType.double, **dict.fromkeys(columns, DataType.double)}
    outputs.setdefault("extrapolated", DataType.boolean)
    example = pd.DataFrame({readings.x: readings.t_u[:3]}).to_dict("split", index=False)
    requirements = [f"{library}=={version(library)}" for library in REQUIRES]
    python = platform.python_version()
    packages = [f"python={python}", "pip", {"pip": requirements}]
    texts = {
        "input_example.json": json.dumps(example),
        "serving_input_example.json": json.dumps({"dataframe_split": example}),
        "requirements.txt": "\n".join(requirements),
        "python_env.yaml": yaml.safe_dump({"python": python, "dependencies": ["-r requirements.txt"]}),
        "conda.yaml": yaml.safe_dump({"name": "tempfit", "channels": ["conda-forge"], "dependencies": packages}),
    }
    for name, text in texts.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")
    shutil.copyfile(Path(__file__).with_name(CODE_FILE), folder / CODE_FILE)
    model = Model(
        signature=ModelSignature(
            inputs=Schema([ColSpec(DataType.double, readings.x)]),
            outputs=Schema([ColSpec(kind, name) for name, kind in outputs.items()]),
        ),
        saved_input_example_info={
            "type": "dataframe",
            "pandas_orient": "split",
            "artifact_path": "input_example.json",
            "serving_input_path": "serving_input_example.json",
        },
        **told,
    )
    mlflow.pyfunc.add_to_model(
        model,
        code_model.__name__,
        conda_env="conda.yaml",
        python_env="python_env.yaml",
        model_config={**model_config(calibration), "x": readings.x, "y": readings.y},
        model_code_path=CODE_FILE,
        streamable=False,
    )
    model.model_size_bytes = sum(file.stat().st_size for file in folder.iterdir())
    model.save(str(folder / "MLmodel"))


def model_config(calibration: Calibration) -> dict[str, Any]:
    """What `model_code` predicts from: the curve, or an mlp's layers."""
    if calibration.curve is not None:
        return record_curve(calibration.curve).model_dump(mode="json")
    scaling = calibration.problem.basis.scaling
    return {
        "factor": scaling.factor,
        "center": scaling.center,
        "t_u_range": list(calibration.problem.t_u_range),
        "layers": MLP(calibration.config).unpack(calibration.fit.params),
        "activation": calibration.config.activation,
    }
