"""Which runs repeat each other: one thermometer's, from one source, by the same settings and the same tempfit."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException

from tempfit.config import CalibrationConfig
from tempfit.errors import ServiceError
from tempfit.exact.large import AnyReadings
from tempfit.tracking.store import Store

REPEAT_TAG = "tempfit.repeat_key"  # shared by runs that differ in nothing but what the source held when they were made


def repeat_key(readings: AnyReadings, config: CalibrationConfig) -> str:
    """Digest of where the readings are from, whose they are, the settings that decide the result, tempfit's version.

    Not of the readings themselves: the newest run of a key tells what the source held last.
    """
    parts = (str(Path(readings.source).resolve()), readings.thermometer, config.sha256, version("tempfit"))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def last_repeat(store: Store, readings: AnyReadings, config: CalibrationConfig) -> MlflowRun | None:
    """The newest finished run of the same source and settings, if it was of these very readings; else None.

    Raises ServiceError when the tracking store cannot be read.
    """
    matching = f"attributes.status = 'FINISHED' AND tags.`{REPEAT_TAG}` = '{repeat_key(readings, config)}'"
    try:
        experiment = store.client.get_experiment_by_name(config.experiment)
        if experiment is None or experiment.lifecycle_stage == "deleted":
            return None
        found = store.client.search_runs(
            [experiment.experiment_id], matching, max_results=1, order_by=["attributes.start_time DESC"]
        )
    except MlflowException as error:
        raise ServiceError(f"cannot read the runs at {store.uri}: {error}") from error
    newest = found[0] if found else None
    return newest if newest is not None and newest.data.tags.get("data_sha256") == readings.sha256 else None
