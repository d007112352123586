"""Runs read back from MLflow: found by id, name, age, loss or sweep.

Deleted runs are not there. Raises RunsError where what was asked for cannot be compared, ServiceError where MLflow
fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException

from tempfit.calibration.filed import CALIBRATION_FILE, Filed, as_record
from tempfit.errors import RunsError
from tempfit.fleet.lookup import FLEET_FILE, FleetTable
from tempfit.studies.compare import FAILED_TAG, SHORT_ID, RecordedData, RecordedLoss, RecordedRun, RecordedSweep
from tempfit.tracking.failures import told_as
from tempfit.tracking.search import (
    NEWEST_FIRST,
    OLDEST_FIRST,
    experiment_ids,
    find_run,
    get_run,
    is_fleet,
    is_sweep,
    place_of,
    search_runs,
)
from tempfit.tracking.store import AXIS_PARAM, BEST_TAG, FLEET, KIND_TAG, PARENT_TAG, Store
from tempfit.words import Status

OF_NO_SWEEP = f"tags.`{PARENT_TAG}` IS NULL"
CALIBRATIONS = "attributes.status = 'FINISHED' AND tags.data_sha256 != ''"


def find_runs(store: Store, names: Sequence[str], experiment: str | None) -> list[RecordedRun]:
    """The runs named, each by its id, the start of it (4 digits or more) or its exact name; in this order, once each.

    experiment: where to look; None for everywhere.
    """
    with _service(store):
        experiments = experiment_ids(store, experiment)
        found = {run.info.run_id: run for run in (find_run(store, name, experiments) for name in names)}
        for run in found.values():
            if is_sweep(run):
                start = run.info.run_id[:SHORT_ID]
                raise RunsError(f"run {start} is a sweep: `tempfit compare --sweep {start}` compares what it tried")
            if is_fleet(run):
                start = run.info.run_id[:SHORT_ID]
                raise RunsError(f"run {start} is a fleet: it compares with one other fleet, and with nothing else")
        if len(found) < 2:
            raise RunsError("one run has nothing to be compared with: name another, or leave it out for the last 5")
        return _recorded_runs(store, list(found.values()))


def last_runs(store: Store, n: int, experiment: str) -> list[RecordedRun]:
    """The `n` calibrations and sweeps of the experiment that finished and started last, the newest first.

    A sweep is one of them, by its best; what else it tried is not there, and no fleet is.
    """
    with _service(store):
        matching = f"{CALIBRATIONS} AND {OF_NO_SWEEP}"
        runs = search_runs(store, experiment_ids(store, experiment), matching, NEWEST_FIRST)
        found = list(islice((run for run in runs if not is_fleet(run)), n))
        if len(found) < 2:
            raise _too_few(len(found), f"experiment {experiment!r}")
        recorded = zip(found, _recorded_runs(store, found), strict=True)
        return [_stand_for_sweep(store, run, it) if is_sweep(run) else it for run, it in recorded]


def _stand_for_sweep(store: Store, sweep: MlflowRun, recorded: RecordedRun) -> RecordedRun:
    """The best of what the sweep tried; the sweep's own run, as failed, where there is none."""
    metrics, run_id = sweep.data.metrics, sweep.data.tags.get(BEST_TAG)
    what = RecordedSweep(
        sweep.info.run_id, sweep.info.run_name, int(metrics.get("n_members", 0)), int(metrics.get("n_failed", 0))
    )
    best = get_run(store, run_id) if run_id is not None else None
    if best is not None:
        return replace(_recorded_run(best, recorded.data), sweep=what)
    varied = {name.removeprefix(AXIS_PARAM): value for name, value in recorded.params.items()}
    return replace(recorded, params=varied, tags={**recorded.tags, FAILED_TAG: "true"}, sweep=what)


def runs_on_newest_data(store: Store, experiment: str) -> list[RecordedRun]:
    """The calibrations of the experiment on the data of the newest, the oldest first, none that left nothing to use."""
    with _service(store):
        newest = next(_calibrations(store, experiment, CALIBRATIONS, NEWEST_FIRST), None)
        if newest is None:
            raise _too_few(0, f"experiment {experiment!r}")
        sha256 = newest.data.tags["data_sha256"]
        same_data = f"{CALIBRATIONS} AND tags.data_sha256 = '{sha256}' AND tags.status != '{Status.DIVERGED}'"
        recorded = _recorded_runs(store, list(_calibrations(store, experiment, same_data, OLDEST_FIRST)))
        # Not asked of MLflow, whose filters find no run without the tag `outcome` that they compare.
        found = [run for run in recorded if not run.diverged and run.metric("rmse") is not None]
        if len(found) < 2:
            place = f"experiment {experiment!r} that did not diverge, on the data of the newest"
            raise _too_few(len(found), f"{place} (sha256 {sha256[:SHORT_ID]})")
        return found


def sweep_runs(store: Store, name: str, experiment: str | None) -> list[RecordedRun]:
    """What the sweep tried whose run is named as in `find_runs`, in the order tried."""
    with _service(store):
        sweep = find_run(store, name, experiment_ids(store, experiment))
        if not is_sweep(sweep):
            raise RunsError(f"run {sweep.info.run_id[:SHORT_ID]} is not a sweep: name it without `sweep`")
        children = f"tags.`{PARENT_TAG}` = '{sweep.info.run_id}'"
        found = list(search_runs(store, [sweep.info.experiment_id], children, OLDEST_FIRST))
        if len(found) < 2:
            raise RunsError(f"sweep {name}: {len(found) or 'no'} {_plural(len(found))} recorded, nothing to compare")
        return _recorded_runs(store, found)


def load_loss_curves(store: Store, runs: Sequence[RecordedRun]) -> dict[str, RecordedLoss]:
    """Run id → the loss against the number of updates, as sampled for MLflow's charts."""
    with _service(store):
        curves = {}
        for run in runs:
            points = sorted((p.step, p.value) for p in store.client.get_metric_history(run.run_id, "loss"))
            steps, values = [step for step, _ in points], [value for _, value in points]
            curves[run.run_id] = RecordedLoss(np.array(steps, dtype=np.int64), np.array(values, dtype=np.float64))
        return curves


def load_record(store: Store, name: str) -> Filed:
    """The calibration of the run named as in `find_runs`, or of the run that a model (`models:/…`) came from."""
    with _service(store):
        if name.startswith("models:/"):
            run = _run_of_model(store, name)
        else:
            run = find_run(store, name, experiment_ids(store, None))
        if is_sweep(run):
            start = run.info.run_id[:SHORT_ID]
            raise RunsError(f"run {start} is a sweep; `tempfit compare --sweep {start}` names its runs")
        if is_fleet(run):
            start = run.info.run_id[:SHORT_ID]
            raise RunsError(f"run {start} is a fleet: name one of its sensors by `sensor`")
        content = _artifact(store, run.info.run_id, CALIBRATION_FILE)
        if content is None:
            raise RunsError(
                f"run {run.info.run_id[:SHORT_ID]} ({run.info.status.lower()}) keeps no {CALIBRATION_FILE}; those of "
                "`tempfit calibrate` do"
            )
        start = run.info.run_id[:SHORT_ID]
        try:
            values = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise RunsError(f"run {start}: its {CALIBRATION_FILE} is damaged ({error}); calibrate again") from None
        return Filed(
            as_record(values, f"run {start}: its {CALIBRATION_FILE}"),
            run.info.run_name,
            run_id=run.info.run_id,
            made_at=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
            tags=run.data.tags,
        )


def find_fleet(store: Store, name: str, experiment: str | None = None) -> FleetTable | None:
    """The table of the fleet whose run is named as in `find_runs`; None where that is no fleet's run."""
    with _service(store):
        if name.startswith("models:/"):
            return None
        run = find_run(store, name, experiment_ids(store, experiment))
        if run.data.tags.get(KIND_TAG) != FLEET:
            return None
        if not any(file.path == FLEET_FILE for file in store.client.list_artifacts(run.info.run_id)):
            start = run.info.run_id[:SHORT_ID]
            raise RunsError(f"run {start} ({run.info.status.lower()}) keeps no {FLEET_FILE}; calibrate the fleet again")
        return FleetTable(
            Path(store.client.download_artifacts(run.info.run_id, FLEET_FILE)),
            run.info.run_name,
            run_id=run.info.run_id,
            made_at=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
            tags=run.data.tags,
        )


def load_artifact(store: Store, run_id: str, name: str) -> bytes | None:
    """The content of one of the run's artifacts, by its name as in `log_calibration`; None where there is none."""
    with _service(store):
        return _artifact(store, run_id, name)


def _artifact(store: Store, run_id: str, name: str) -> bytes | None:
    folder, _, _ = name.rpartition("/")
    if not any(file.path == name for file in store.client.list_artifacts(run_id, folder or None)):
        return None
    with TemporaryDirectory(prefix="tempfit-") as target:
        return Path(store.client.download_artifacts(run_id, name, target)).read_bytes()


def _run_of_model(store: Store, uri: str) -> MlflowRun:
    """`models:/NAME/VERSION`, `models:/NAME@ALIAS` or `models:/ID` of a logged model → the run that made it."""
    name = uri.removeprefix("models:/")
    try:
        if "@" in name:
            run_id = store.client.get_model_version_by_alias(*name.split("@", 1)).run_id
        elif "/" in name:
            run_id = store.client.get_model_version(*name.split("/", 1)).run_id
        else:
            run_id = store.client.get_logged_model(name).source_run_id
    except MlflowException as error:
        raise RunsError(f"{place_of(store)}: no model {uri!r}: {str(error).partition(chr(10))[0]}") from None
    run = get_run(store, run_id) if run_id else None
    if run is None:
        raise RunsError(f"{place_of(store)}: the run that model {uri!r} came from is not here; name a run")
    return run


def _calibrations(store: Store, experiment: str, matching: str, order: str) -> Iterator[MlflowRun]:
    """Runs of calibrations, without the runs that hold a sweep together, and those of fleets."""
    found = search_runs(store, experiment_ids(store, experiment), matching, order)
    return (run for run in found if not is_sweep(run) and not is_fleet(run))


def _too_few(n: int, place: str) -> RunsError:
    return RunsError(
        f"{n or 'no'} finished {_plural(n)} in {place}; a comparison takes 2: `tempfit calibrate FILE` makes them, "
        "`experiment` looks elsewhere"
    )


def _plural(n: int) -> str:
    return "run" if n == 1 else "runs"


def _recorded_runs(store: Store, runs: Sequence[MlflowRun]) -> list[RecordedRun]:
    of_parents: dict[str, RecordedData | None] = {}
    recorded = []
    for run in runs:
        tags, data = run.data.tags, data_of(run)
        if data is None and PARENT_TAG in tags:  # what a sweep tries has the data of the sweep
            if tags[PARENT_TAG] not in of_parents:
                of_parents[tags[PARENT_TAG]] = data_of(get_run(store, tags[PARENT_TAG]))
            data = of_parents[tags[PARENT_TAG]]
        recorded.append(_recorded_run(run, data))
    return recorded


def _recorded_run(run: MlflowRun, data: RecordedData | None) -> RecordedRun:
    state = run.info.status.lower()
    return RecordedRun(
        run_id=run.info.run_id,
        name=run.info.run_name,
        experiment_id=run.info.experiment_id,
        status=run.data.tags.get("status", state) if state == "finished" else state,
        params=run.data.params,
        metrics=run.data.metrics,
        tags=run.data.tags,
        data=data,
    )


def data_of(run: MlflowRun | None) -> RecordedData | None:
    """What data the run is of; None where it was recorded without any."""
    if run is None or run.inputs is None or not run.inputs.dataset_inputs:
        return None
    dataset = run.inputs.dataset_inputs[0].dataset
    profile = json.loads(dataset.profile or "{}")
    t_u, t_c = profile.get("t_u"), profile.get("t_c")
    return RecordedData(dataset.name, tuple(t_u) if t_u else None, tuple(t_c) if t_c else None)


def _service(store: Store) -> AbstractContextManager[None]:
    return told_as(f"cannot read the runs at {store.uri}")
