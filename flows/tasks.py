"""The stages as Prefect tasks: each calls one pure function."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.context import TaskRunContext
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.tasks import exponential_backoff

from tempfit import batches, plots, problem, readings, summary, sweep_table
from tempfit.batches import Trained
from tempfit.calibration import Calibration
from tempfit.config import CalibrationConfig, ReadingsConfig
from tempfit.errors import ServiceError
from tempfit.forecast import Forecast
from tempfit.grid import Grid
from tempfit.plots.sweep import draw_figures as draw_sweep
from tempfit.problem import Problem
from tempfit.readings import Readings
from tempfit.sweep import Plan, Sweep, plan_sweep, run_sweep
from tempfit.tracking import runs, store, sweeps
from tempfit.training import OnEpochs


@dataclass(frozen=True)
class Watcher:
    """Somebody who looks on while a flow runs, such as the command line's progress bar."""

    on_forecast: Callable[[CalibrationConfig, Forecast], None] = lambda config, forecast: None
    on_plan: Callable[[Plan], None] = lambda plan: None
    on_epochs: OnEpochs = lambda block: None
    on_recorded: Callable[[int], None] = lambda n_recorded: None


WATCHER: ContextVar[Watcher | None] = ContextVar("watcher", default=None)  # a flow's own parameters are data


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Run a flow with somebody looking on, who needs no heartbeats to know whether it lives.

    (Prefect ends their thread in steps of a second, which would be a tenth of a whole calibration.)
    """
    token = WATCHER.set(watcher)
    try:
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            yield
    finally:
        WATCHER.reset(token)


def _ingest_key(context: TaskRunContext, parameters: dict[str, Any]) -> str | None:
    """The file's bytes and what of the config ingest reads; None (no cache) where there is no file to hash."""
    try:
        with open(parameters["source"], "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
    part = parameters["config"].model_dump_json(include=set(ReadingsConfig.model_fields))
    return _key("ingest", parameters["source"], content, part)


def _normalize_key(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    """The readings' content and what of the config normalize reads."""
    return _key("normalize", parameters["data"].sha256, problem.problem_key(parameters["config"]))


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join([_code_digest(), *parts]).encode()).hexdigest()


@cache
def _code_digest() -> str:
    """Of tempfit's source, so that a changed program never meets the results of an old one."""
    sources = sorted(Path(problem.__file__).parent.glob("*.py"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()


@task(
    task_run_name="ingest {source}",
    cache_key_fn=_ingest_key,
    persist_result=True,
    cache_expiration=timedelta(days=30),
)
def ingest(source: str, config: CalibrationConfig) -> Readings:
    """Load and check the paired readings."""
    return readings.load_readings(source, config)


@task(
    task_run_name="normalize by {config.scaling}",
    cache_key_fn=_normalize_key,
    persist_result=True,
    cache_expiration=timedelta(days=30),
)
def normalize(data: Readings, config: CalibrationConfig) -> Problem:
    """Scale the readings and compress them."""
    return problem.normalize(data, config)


@task(task_run_name="train with {config.optimizer}, learning rate {config.learning_rate}", cache_policy=NO_CACHE)
def train(data: Problem, config: CalibrationConfig) -> Trained:
    """Fit w and b by gradient descent."""
    watcher = WATCHER.get()
    (trained,) = batches.fit_problems([data], [config], watcher.on_epochs if watcher else None)
    return trained


@task(task_run_name="visualize: line, loss, path, residuals", cache_policy=NO_CACHE)
def visualize(result: Calibration) -> dict[str, bytes]:
    """Draw the figures."""
    return plots.draw_figures(result)


def _is_service_failure(task: Any, task_run: Any, state: State[Any]) -> bool:
    """Whether trying again may help: not where the settings are wrong."""
    return isinstance(state.result(raise_on_failure=False), ServiceError)


RETRIED: dict[str, Any] = {
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(2),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": _is_service_failure,
}


@task(task_run_name="start_run in MLflow", cache_policy=NO_CACHE, **RETRIED)
def start_run(data: Readings, config: CalibrationConfig, tags: dict[str, str]) -> runs.Run:
    """Open the MLflow run."""
    return runs.start_run(store.open_store(Path(config.mlruns)), data, config, tags)


@task(task_run_name="track in MLflow", cache_policy=NO_CACHE, **RETRIED)
def track(run: runs.Run, result: Calibration, figures: dict[str, bytes]) -> dict[str, str]:
    """Write the calibration into its MLflow run."""
    return runs.log_calibration(run, result, figures)


@task(task_run_name="normalize for all", cache_policy=NO_CACHE)
def normalize_all(data: Readings, grid: Grid) -> Plan:
    """Scale the readings as the trials ask for, and leave out what cannot be tried."""
    return plan_sweep(data, grid)


@task(task_run_name="start the sweep's run in MLflow", cache_policy=NO_CACHE, **RETRIED)
def start_sweep(plan: Plan, config: CalibrationConfig, title: str, tags: dict[str, str]) -> runs.Run:
    """Open the parent run."""
    return sweeps.start_sweep(store.open_store(Path(config.mlruns)), plan, config, title, tags)


@task(task_run_name="train all", cache_policy=NO_CACHE)
def train_all(plan: Plan) -> Sweep:
    """Fit every configuration of the grid, in as few loops as can be."""
    watcher = WATCHER.get()
    if watcher is not None:
        watcher.on_plan(plan)
    return run_sweep(plan, watcher.on_epochs if watcher else None)


@task(task_run_name="visualize: loss curves, map", cache_policy=NO_CACHE)
def visualize_sweep(result: Sweep) -> dict[str, bytes]:
    """Draw the figures."""
    return draw_sweep(result)


@task(task_run_name="track all in MLflow", cache_policy=NO_CACHE, **RETRIED)
def track_sweep(run: runs.Run, result: Sweep, figures: dict[str, bytes]) -> dict[str, str]:
    """Write the sweep into its run, and a run for every member."""
    watcher = WATCHER.get()
    return sweeps.log_sweep(run, result, figures, watcher.on_recorded if watcher else None)


def publish_sweep(result: Sweep, picture: bytes, links: dict[str, str]) -> None:
    """The sweep's table as an artifact on Prefect's page of the flow run."""
    table = sweep_table.to_markdown(result, most=20)
    page = summary.to_page(result.headline(), picture, "the loss of all configurations", table, links)
    create_markdown_artifact(page, key="sweep", description=result.headline())


def publish(result: Calibration, picture: bytes, links: dict[str, str]) -> None:
    """The calibration as an artifact on Prefect's page of the flow run."""
    create_markdown_artifact(
        summary.to_markdown(result, picture, links), key="calibration", description=summary.describe_status(result)
    )
