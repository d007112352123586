"""A model that MLflow loads and serves, as files of ours: code and numbers, no pickle."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import yaml
from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from mlflow.types import DataType

from tempfit.tracking.runs import Run

REQUIRES = ("mlflow", "pandas", "scipy")  # what the code imports


def log_files(run: Run, write: Callable[..., None], step: int, *, again: bool) -> None:
    """What `write` puts into a folder, as the model of the run: called with that, and what its MLmodel says of where it
    belongs.

    again: an earlier attempt failed; a model that it may have begun is gone on with.
    """
    client = run.store.client
    with TemporaryDirectory(prefix="tempfit-") as folder:
        of_this_run = f"source_run_id = '{run.run_id}'"
        begun = client.search_logged_models([run.experiment_id], of_this_run) if again else []
        logged = begun[0] if begun else client.create_logged_model(run.experiment_id, "model", source_run_id=run.run_id)
        told = {"artifact_path": logged.artifact_location, "run_id": run.run_id, "model_id": logged.model_id}
        write(Path(folder), **told)
        client.log_model_artifacts(logged.model_id, folder)
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    outputs = client.get_run(run.run_id).outputs if again else None
    if outputs is None or logged.model_id not in [
        output.model_id for output in outputs.model_outputs
    ]:  # MLflow fails on what it has already
        client.log_outputs(run.run_id, models=[LoggedModelOutput(logged.model_id, step=step)])


def write_files(
    folder: Path,
    code: Path,
    inputs: Mapping[str, DataType],
    outputs: Mapping[str, DataType],
    example: pd.DataFrame,
    config: Mapping[str, Any],
    artifacts: Mapping[str, Path] | None = None,
    **told: Any,
) -> None:
    """Write the model's files into `folder`; told: what its MLmodel says of where it belongs.

    code: what it runs; config: with what. inputs, outputs: names of its columns. artifacts: files in the folder that
    the code reads, by the names that it knows them by.

    Not by `mlflow.pyfunc.save_model`: that checks the requirements against the environment that they were just read
    from, for which it reads the file lists of all installed distributions (longer than all that is logged takes
    together), and writes down where tempfit is installed. (MLflow: "MLmodel file", `mlflow.pyfunc.add_to_model`.)
    """
    import mlflow.pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.pyfunc.loaders import code_model
    from mlflow.types import ColSpec, Schema

    split = example.to_dict("split", index=False)
    requirements = [f"{library}=={version(library)}" for library in REQUIRES]
    python = platform.python_version()
    packages = [f"python={python}", "pip", {"pip": requirements}]
    texts = {
        "input_example.json": json.dumps(split),
        "serving_input_example.json": json.dumps({"dataframe_split": split}),
        "requirements.txt": "\n".join(requirements),
        "python_env.yaml": yaml.safe_dump({"python": python, "dependencies": ["-r requirements.txt"]}),
        "conda.yaml": yaml.safe_dump({"name": "tempfit", "channels": ["conda-forge"], "dependencies": packages}),
    }
    for name, text in texts.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")
    shutil.copyfile(code, folder / code.name)
    model = Model(
        signature=ModelSignature(
            inputs=Schema([ColSpec(kind, name) for name, kind in inputs.items()]),
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
    places = {name: str(path.relative_to(folder)) for name, path in (artifacts or {}).items()}
    kept = {"artifacts": {name: {"path": place, "uri": place} for name, place in places.items()}} if places else {}
    mlflow.pyfunc.add_to_model(
        model,
        code_model.__name__,
        conda_env="conda.yaml",
        python_env="python_env.yaml",
        model_config=dict(config),
        model_code_path=code.name,
        streamable=False,
        **kept,
    )
    model.model_size_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    model.save(str(folder / "MLmodel"))
