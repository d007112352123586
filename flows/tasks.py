"""The stages as Prefect tasks: each calls one pure function.

None keeps its result, whatever the user's settings of Prefect are (`persist_result=False`), and so do the flows: a kept
result is a pickle, and whoever can write into the folder of results would run code in the next flow. (Prefect writes
the exception of a failed flow all the same; nothing here reads it.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.tasks import exponential_backoff

from tempfit import batches, plots, problem, readings, summary, sweep, sweep_table
from tempfit.batches import Trained
from tempfit.calibration import Calibration
from tempfit.config import CalibrationConfig
from tempfit.errors import ServiceError
from tempfit.forecast import Forecast
from tempfit.grid import Grid
from tempfit.plots.sweep import draw_figures as draw_sweep
from tempfit.problem import Problem
from tempfit.readings import Readings
from tempfit.sweep import Plan, Sweep
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


@task(task_run_name="ingest {source}", persist_result=False)
def ingest(source: str, config: CalibrationConfig) -> Readings:
    """Load and check the paired readings."""
    return readings.load_readings(source, config)


@task(task_run_name="normalize by {config.scaling}", persist_result=False)
def normalize(data: Readings, config: CalibrationConfig) -> Problem:
    """Scale the readings and compress them."""
    return problem.normalize(data, config)


@task(task_run_name="train with {config.optimizer}, learning rate {config.learning_rate}", persist_result=False)
def train(data: Problem, config: CalibrationConfig) -> Trained:
    """Fit w and b by gradient descent."""
    watcher = WATCHER.get()
    (trained,) = batches.fit_problems([data], [config], watcher.on_epochs if watcher else None)
    return trained


@task(task_run_name="visualize: line, loss, path, residuals", persist_result=False)
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


@task(task_run_name="start_run in MLflow", persist_result=False, **RETRIED)
def start_run(data: Readings, config: CalibrationConfig, tags: dict[str, str]) -> runs.Run:
    """Open the MLflow run."""
    return runs.start_run(store.open_store(Path(config.mlruns)), data, config, tags)


@task(task_run_name="track in MLflow", persist_result=False, **RETRIED)
def track(run: runs.Run, result: Calibration, figures: dict[str, bytes]) -> dict[str, str]:
    """Write the calibration into its MLflow run."""
    return runs.log_calibration(run, result, figures)


@task(task_run_name="normalize for all", persist_result=False)
def normalize_all(data: Readings, grid: Grid) -> Plan:
    """Scale the readings as the trials ask for, and leave out what cannot be tried."""
    return sweep.plan_sweep(data, grid)


@task(task_run_name="start the sweep's run in MLflow", persist_result=False, **RETRIED)
def start_sweep(plan: Plan, config: CalibrationConfig, title: str, tags: dict[str, str]) -> runs.Run:
    """Open the parent run."""
    return sweeps.start_sweep(store.open_store(Path(config.mlruns)), plan, config, title, tags)


@task(task_run_name="train all", persist_result=False)
def train_all(plan: Plan) -> Sweep:
    """Fit every configuration of the grid, in as few loops as can be."""
    watcher = WATCHER.get()
    if watcher is not None:
        watcher.on_plan(plan)
    return sweep.run_sweep(plan, watcher.on_epochs if watcher else None)


@task(task_run_name="visualize: loss curves, map", persist_result=False)
def visualize_sweep(result: Sweep) -> dict[str, bytes]:
    """Draw the figures."""
    return draw_sweep(result)


@task(task_run_name="track all in MLflow", persist_result=False, **RETRIED)
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
