"""Runs looked for in a store: by id, by name, by a filter. Deleted runs are not there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlflow.entities import Run as MlflowRun
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from tempfit.errors import RunsError
from tempfit.tracking.store import FLEET, KIND_TAG, SWEEP, Store

NEWEST_FIRST, OLDEST_FIRST = "attributes.start_time DESC", "attributes.start_time ASC"
PAGE = 1000  # runs in one answer
MOST_NAMED = 5  # candidates that a message lists


def find_run(store: Store, name: str, experiments: list[str]) -> MlflowRun:
    """The one run that has this id, start of an id, or name. Raises RunsError when there is none, or several."""
    if re.fullmatch(r"[0-9a-f]{32}", name):
        found = [run for run in [get_run(store, name)] if run is not None and run.info.experiment_id in experiments]
    else:
        pattern = name.replace("'", "_")  # MLflow's filters have no escape: any one character there, then look closer
        found = [
            run
            for run in search_runs(store, experiments, f"attributes.run_name LIKE '{pattern}'", NEWEST_FIRST)
            if run.info.run_name == name
        ]
        if re.fullmatch(r"[0-9a-f]{4,31}", name):
            found += search_runs(store, experiments, f"attributes.run_id LIKE '{name}%'", NEWEST_FIRST)
    if not found:
        raise RunsError(
            f"{place_of(store)}: no run {name!r}: give an id, the first 4 digits of it or more, or the exact name "
            "(`tempfit compare` shows the last 5)"
        )
    if len(found) > 1:
        ids = ", ".join(run.info.run_id for run in found[:MOST_NAMED])
        more = ", …" if len(found) > MOST_NAMED else ""
        raise RunsError(f"{name!r} may be any of {len(found)} runs: say which by its id ({ids}{more})")
    return found[0]


def get_run(store: Store, run_id: str) -> MlflowRun | None:
    """The run of this id; None where there is none."""
    try:
        run = store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            return None
        raise
    return run if run.info.lifecycle_stage == "active" else None


def search_runs(store: Store, experiment_ids: list[str], matching: str, order: str) -> Iterator[MlflowRun]:
    """All runs that match, page by page, in this order."""
    token: str | None = None
    while True:
        page = store.client.search_runs(experiment_ids, matching, ViewType.ACTIVE_ONLY, PAGE, [order], token)
        yield from page
        token = page.token
        if not token:
            return


def experiment_ids(store: Store, name: str | None) -> list[str]:
    """Of the experiment named, or of all (None)."""
    experiments = {experiment.name: experiment.experiment_id for experiment in store.client.search_experiments()}
    if name is None:
        return list(experiments.values())
    if name not in experiments:
        there = ", ".join(repr(known) for known in sorted(experiments)[:MOST_NAMED])
        raise RunsError(f"{place_of(store)}: no experiment {name!r}: choose another with `experiment` (there: {there})")
    return [experiments[name]]


def is_sweep(run: MlflowRun) -> bool:
    """Whether the run holds a sweep together, and is no calibration itself."""
    return run.data.tags.get(KIND_TAG) == SWEEP


def is_fleet(run: MlflowRun) -> bool:
    """Whether the run is of a fleet: the calibrations of many thermometers, and no single one."""
    return run.data.tags.get(KIND_TAG) == FLEET


def place_of(store: Store) -> str:
    """Where the store is, for messages."""
    return store.uri if store.is_server else str(store.folder)
