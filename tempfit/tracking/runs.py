"""One run in MLflow, from its start to its end, by explicit run id (MLflow's active run is a thread's own)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from mlflow.entities import DatasetInput, Param, RunTag
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException

from tempfit.choices import settings_in_play
from tempfit.config import CalibrationConfig
from tempfit.errors import ServiceError, SettingsError
from tempfit.exact.large import AnyReadings
from tempfit.system import leases
from tempfit.system.interrupts import deaf, raise_if_stopped, stoppable, stopped_by
from tempfit.tracking.datasets import describe_data, log_data
from tempfit.tracking.failures import FAILURES, told_as
from tempfit.tracking.provenance import identity, provenance, versions
from tempfit.tracking.store import RunEnding, Store, end_run
from tempfit.tracking.ui import run_page

EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # the UI shows runs, not GenAI pages


@dataclass(frozen=True)
class Run:
    """A run that was started: where it is, and what holds its lease."""

    store: Store
    run_id: str
    experiment_id: str
    name: str
    start_time: int
    lease: leases.Lease

    def url(self, ui: str, artifact: str = "") -> str:
        """The run's page in an MLflow UI at the address `ui`; that of one of its artifacts, where it is named."""
        return run_page(ui, self.experiment_id, self.run_id, artifact)


def start_run(
    store: Store,
    readings: AnyReadings,
    config: CalibrationConfig,
    tags: Mapping[str, str],
    *,
    label: str | None = None,
    params: Mapping[str, Any] | None = None,
    again: bool = False,
) -> Run:
    """Open the run of a thermometer's readings, as `open_run` does.

    label, params: of the run where it is more than one configuration; the config's own when None.
    """
    name = f"{readings.thermometer}, {label or config.label}"
    told = settings_in_play(config) if params is None else params
    tags, dataset = {**identity(readings), **tags}, describe_data(readings)
    return open_run(store, config.experiment, name, told, tags, dataset, again=again)


def open_run(
    store: Store,
    experiment: str,
    name: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    dataset: DatasetInput,
    *,
    again: bool = False,
) -> Run:
    """Open a run with its parameters, data set and tags; it is RUNNING until `ended` ends it.

    again: an earlier attempt failed; a run with these tags that it may have begun is gone on with.
    Raises ServiceError when the tracking store cannot take it.
    """
    what = f"cannot start a run at {store.uri}"
    with told_as(what):
        experiment_id = _ensure_experiment(store, experiment)
        begun = _find_begun(store, experiment_id, tags) if again else None
        if begun is None:
            begun = store.client.create_run(experiment_id, run_name=name, tags={**provenance(), **tags})
        run_id = begun.info.run_id
        run = Run(store, run_id, experiment_id, name, begun.info.start_time, leases.hold(store.running, run_id))
    with _failed_unless_done(run), told_as(what), store.whole():
        store.client.log_batch(run_id, params=as_params(params))
        log_data(store, run_id, dataset)
    return run


def _find_begun(store: Store, experiment_id: str, tags: Mapping[str, str]) -> MlflowRun | None:
    """The run with these tags, running again."""
    matching = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    found = store.client.search_runs([experiment_id], matching, max_results=1) if matching else []
    for run in found:
        store.client.update_run(run.info.run_id, status="RUNNING")
        with suppress(MlflowException):  # it has none, if the store took no tag either
            store.client.delete_tag(run.info.run_id, "error")
    return found[0] if found else None


@contextmanager
def ended(run: Run) -> Iterator[None]:
    """End the run whatever happens inside: FINISHED, or FAILED or KILLED with the reason in the tag `error`.

    SIGTERM is turned into an exception meanwhile, which would otherwise leave the run RUNNING. Where the store cannot
    be told, the next command that finds it well tells it. Raises ServiceError where that is all that is missing.
    """
    with stoppable():
        with _failed_unless_done(run):
            yield
            raise_if_stopped()  # one that was lost on its way
        with told_as(f"run {run.run_id} is whole, but its end could not be told to {run.store.uri}"):
            _end(run, "FINISHED", None)


@contextmanager
def _failed_unless_done(run: Run) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        signal = stopped_by()
        killed = signal is not None or isinstance(error, (KeyboardInterrupt, SystemExit))
        reason = f"stopped by {signal}" if signal is not None else f"{type(error).__name__}: {error}"
        silent = isinstance(error, ServiceError) and error.waited
        with deaf(writing=not run.store.is_server), suppress(*FAILURES):
            _end(run, "KILLED" if killed else "FAILED", reason, ask=not silent)
        raise


def _end(run: Run, status: str, reason: str | None, *, ask: bool = True) -> None:
    """End the run in the store or, where that fails or is not worth asking, leave word in its lease."""
    ending = RunEnding(status, reason, time.time_ns() // 1_000_000)
    run.lease.note(ending.as_note())  # first: the process may be ended while it waits for an answer
    try:
        if ask:
            if reason is not None:  # a result's tags have them
                for key, value in versions().items():
                    run.store.client.set_tag(run.run_id, key, value)
            end_run(run.store, run.run_id, run.experiment_id, ending)
            run.lease.release()
    finally:
        run.lease.give_up()


def as_tags(values: Mapping[str, str]) -> list[RunTag]:
    """Tags as MLflow keeps them."""
    return [RunTag(key, value) for key, value in values.items()]


def as_params(values: Mapping[str, Any]) -> list[Param]:
    """Settings as MLflow keeps them."""
    return [Param(key, str(value)) for key, value in values.items()]


def _ensure_experiment(store: Store, name: str) -> str:
    experiment = store.client.get_experiment_by_name(name)
    if experiment is None:
        location = None if store.artifact_root is None else str(store.artifact_root)
        try:
            return str(store.client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_TAGS))
        except MlflowException as error:  # another process was faster
            experiment = store.client.get_experiment_by_name(name)
            if experiment is None:
                raise error
    if experiment.lifecycle_stage == "deleted":
        raise SettingsError(
            f"the MLflow experiment {name!r} is deleted: restore it in the UI, or choose another with `experiment`"
        )
    return str(experiment.experiment_id)
