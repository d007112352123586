"""What data a run is of, as MLflow shows it: a digest, the columns, and the range of the readings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.exceptions import MlflowException

from tempfit.exact.large import AnyReadings
from tempfit.tracking.store import Store


def log_data(store: Store, run_id: str, dataset: DatasetInput) -> None:
    """Tell the run what readings it is of."""
    try:
        store.client.log_inputs(run_id, datasets=[dataset])
    except MlflowException as error:  # two runs that bring the same new data set at once; it is there the second time
        if not any(word in str(error).lower() for word in ("unique", "duplicate")):
            raise
        store.client.log_inputs(run_id, datasets=[dataset])


def describe_data(readings: AnyReadings) -> DatasetInput:
    """The readings of one thermometer."""
    profile = {  # t_u and t_c from lowest to highest: the range that a line is drawn over when runs are compared
        "num_rows": readings.n,
        "num_elements": 2 * readings.n,
        "t_u": list(readings.t_u_range),
        "t_c": list(readings.t_c_range),
    }
    return describe(readings.source, readings.sha256, readings.x, readings.y, profile)


def describe(
    source: str, sha256: str, x: str, y: str, profile: Mapping[str, Any], sensor: str | None = None
) -> DatasetInput:
    """Readings of any number of thermometers, in columns x and y; profile: what MLflow shows of them; sensor: the
    column that says whose they are, if there is one."""
    columns = {**({sensor: "string"} if sensor else {}), x: "double", y: "double"}
    schema = {"mlflow_colspec": [{"type": kind, "name": name, "required": True} for name, kind in columns.items()]}
    dataset = Dataset(
        name=Path(source).name,
        digest=sha256[:36],  # what MLflow's column holds; the whole is in the tag data_sha256
        source_type="local",
        source=json.dumps({"uri": source}),
        schema=json.dumps(schema),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset=dataset, tags=[InputTag(key="mlflow.data.context", value="training")])
