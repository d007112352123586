"""The stages as Prefect tasks: each calls one pure function.

None keeps its result, whatever the user's settings of Prefect are (`persist_result=False`), and so do the flows: a kept
result is a pickle, and whoever can write into the folder of results would run code in the next flow. (Prefect writes
the exception of a failed flow all the same; nothing here reads it.)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import task_run
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from tempfit import plots
from tempfit.calibration.calibration import Calibration
from tempfit.calibration.recording import record_of
from tempfit.config import CalibrationConfig
from tempfit.descent import batches, setup
from tempfit.descent.batches import Trained
from tempfit.descent.forecast import Forecast
from tempfit.descent.history import OnEpochs
from tempfit.descent.setup import Setup
from tempfit.errors import ServiceError
from tempfit.exact import opening
from tempfit.exact.large import AnyReadings
from tempfit.plots.canvas import to_small_png
from tempfit.plots.sweep import draw_figures as draw_sweep
from tempfit.readings import paired
from tempfit.readings.paired import Readings
from tempfit.report import summary
from tempfit.studies import sweep_table
from tempfit.studies.grid import Grid
from tempfit.studies.sweep import Plan, Sweep, plan_sweep, run_sweep
from tempfit.tracking import results, runs, store, sweeps
from tempfit.tracking.ui import ui_address


@dataclass(frozen=True)
class Watcher:
    """Somebody who looks on while a flow runs, such as the command line's progress bar.

    on_computed is told the calibration or sweep before anything of it is recorded, on_tracked the flow's result once
    all of it is in MLflow. source: the URL of the readings, where there are secrets in it: Prefect keeps parameters.
    """

    source: str | None = None
    on_forecast: Callable[[CalibrationConfig, Forecast], None] = lambda config, forecast: None
    on_plan: Callable[[Plan], None] = lambda plan: None
    on_epochs: OnEpochs = lambda block: None
    on_computed: Callable[[Any], None] = lambda computed: None
    on_recorded: Callable[[int], None] = lambda n_recorded: None
    on_rows: Callable[[int, float], None] = lambda n_rows, share: None
    on_sensors: Callable[[int, int], None] = lambda n_sensors, n_all: None
    on_tracked: Callable[[Any], None] = lambda result: None


WATCHER: ContextVar[Watcher | None] = ContextVar("watcher", default=None)  # a flow's own parameters are data


def watcher() -> Watcher:
    """Whoever looks on; somebody who does not care where there is nobody."""
    return WATCHER.get() or Watcher()


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
def ingest(source: str, config: CalibrationConfig) -> AnyReadings:
    """Load and check the paired readings; of a large file, all but its rows."""
    return opening.open_readings(source, config, watcher().on_rows)


@task(task_run_name="ingest {source}", persist_result=False)
def ingest_whole(source: str, config: CalibrationConfig) -> Readings:
    """Load and check the paired readings, and hold them: configurations differ in what they need of them."""
    return paired.load_readings(source, config, thermometer=config.thermometer)


@task(task_run_name="normalize by {config.scaling}", persist_result=False)
def normalize(data: AnyReadings, config: CalibrationConfig) -> Setup:
    """Scale the readings and compress them."""
    return setup.normalize(data, config)


@task(task_run_name="train with {config.optimizer}, learning rate {config.learning_rate}", persist_result=False)
def train(data: Setup, config: CalibrationConfig) -> Trained:
    """Fit w and b by gradient descent."""
    (trained,) = batches.fit_setups([data], watcher().on_epochs)
    return trained


@task(task_run_name="visualize: line, loss, path, residuals", persist_result=False)
def visualize(result: Calibration) -> dict[str, bytes]:
    """Draw the figures."""
    return plots.draw_figures(result)


def _is_worth_retrying(task: Any, task_run: Any, state: State[Any]) -> bool:
    """Whether trying again may help: not where the settings are wrong, nor where the service kept silent for long."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, ServiceError) and not error.waited


RETRIED: dict[str, Any] = {  # 7 to 11 s in all for a server that is started anew
    "retries": 3,
    "retry_delay_seconds": [1, 2, 4],
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": _is_worth_retrying,
}


def is_again() -> bool:
    """Whether the task has been tried before."""
    return bool(task_run.run_count > 1)


@task(task_run_name="start_run in MLflow", persist_result=False, **RETRIED)
def start_run(data: AnyReadings, config: CalibrationConfig, tags: dict[str, str]) -> runs.Run:
    """Open the MLflow run."""
    return runs.start_run(store.open_store(Path(config.mlruns)), data, config, tags, again=is_again())


@task(task_run_name="track in MLflow", persist_result=False, **RETRIED)
def track(run: runs.Run, result: Calibration, figures: dict[str, bytes]) -> dict[str, str]:
    """Write the calibration into its MLflow run."""
    return results.log_calibration(run, result, figures, again=is_again())


@task(task_run_name="normalize for all", persist_result=False)
def normalize_all(data: Readings, grid: Grid) -> Plan:
    """Scale the readings as the trials ask for, and leave out what cannot be tried."""
    return plan_sweep(data, grid)


@task(task_run_name="start the sweep's run in MLflow", persist_result=False, **RETRIED)
def start_sweep(plan: Plan, config: CalibrationConfig, title: str, tags: dict[str, str]) -> runs.Run:
    """Open the parent run."""
    return sweeps.start_sweep(store.open_store(Path(config.mlruns)), plan, config, title, tags, again=is_again())


@task(task_run_name="train all", persist_result=False)
def train_all(plan: Plan) -> Sweep:
    """Fit every configuration of the grid, in as few loops as can be."""
    watcher().on_plan(plan)
    return run_sweep(plan, watcher().on_epochs)


@task(task_run_name="visualize: loss curves, map", persist_result=False)
def visualize_sweep(result: Sweep) -> dict[str, bytes]:
    """Draw the figures."""
    return draw_sweep(result)


@task(task_run_name="track all in MLflow", persist_result=False, **RETRIED)
def track_sweep(run: runs.Run, result: Sweep, figures: dict[str, bytes]) -> dict[str, str]:
    """Write the sweep into its run, and a run for every member."""
    return sweeps.log_sweep(run, result, figures, watcher().on_recorded)


def publish_sweep(result: Sweep, picture: bytes, links: dict[str, str]) -> None:
    """The sweep's table as an artifact on Prefect's page of the flow run."""
    table = sweep_table.to_markdown(result, most=20)
    page = summary.to_page(result.headline(), to_small_png(picture), "the loss of all configurations", table, links)
    publish_page(page, artifact_key("sweep", result.readings.source), result.headline())


def publish(result: Calibration, picture: bytes, run: runs.Run) -> None:
    """The calibration as an artifact on Prefect's page of the flow run."""
    ui = ui_address(run.store)
    links = {"the run in MLflow": run.url(ui), "the picture in full": run.url(ui, "figures/line.png")}
    record = record_of(result)
    page = summary.to_markdown(record, to_small_png(picture), links)  # Prefect keeps every version of every page
    publish_page(page, artifact_key("calibration", result.readings.source), summary.describe_status(record))


def artifact_key(kind: str, source: str) -> str:
    """A key of its own for each source of readings, so that Prefect keeps the history of each apart.

    Keys are lower-case letters, digits and dashes; the digits at the end tell alike names in other folders apart.
    """
    name = re.sub("[^a-z0-9]+", "-", Path(source).stem.lower()).strip("-")[:60]
    digest = hashlib.sha256(str(Path(source).resolve()).encode()).hexdigest()[:8]
    return "-".join(part for part in (kind, name, digest) if part)


def publish_page(page: str, key: str, description: str) -> None:
    """A page as an artifact of the flow run.

    Asked once less: where the server fails, the flow run's end cannot be told either, and that is tried again."""
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: max(0, PREFECT_CLIENT_MAX_RETRIES.value() - 1)}):
        create_markdown_artifact(page, key=key, description=description)
