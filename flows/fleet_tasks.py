"""The stages of a fleet as Prefect tasks: each calls one pure function; a handful for all sensors, none for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect import task
from tempfit.plots.fleet import draw_fleet

from flows.tasks import RETRIED, is_again, watcher
from tempfit.config import CalibrationConfig, FleetConfig
from tempfit.fleet import fleet, ingesting
from tempfit.fleet.calibrating import Trained
from tempfit.fleet.engine import Threads
from tempfit.fleet.fleet import Fleet
from tempfit.fleet.ingesting import Ingested
from tempfit.tracking import fleets, runs, store


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder for what waits to be recorded."""
    with TemporaryDirectory(prefix="tempfit-fleet-") as folder:
        yield Path(folder)


@task(task_run_name="ingest and compress {source}", persist_result=False)
def ingest(source: str, settings: FleetConfig, config: CalibrationConfig) -> Ingested:
    """Read all readings to the evidence of every sensor."""
    return ingesting.ingest_fleet(source, settings, config, Threads(), watcher().on_rows)


@task(task_run_name="start the fleet's run in MLflow", persist_result=False, **RETRIED)
def start_run(ingested: Ingested, settings: FleetConfig, config: CalibrationConfig, tags: dict[str, str]) -> runs.Run:
    """Open the MLflow run."""
    opened = store.open_store(Path(config.mlruns))
    return fleets.start_fleet(opened, ingested, settings, config, tags, again=is_again())


@task(task_run_name="train all with {config.optimizer}", persist_result=False)
def train(ingested: Ingested, settings: FleetConfig, config: CalibrationConfig, folder: Path) -> Trained:
    """Fit every sensor, in one loop for thousands of them."""
    on_sensors = watcher().on_sensors
    return fleet.train_fleet(ingested, settings, config, Threads(), folder, on_sensors)


@task(task_run_name="judge: false discoveries, siblings", persist_result=False)
def judge(
    ingested: Ingested, trained: Trained, settings: FleetConfig, config: CalibrationConfig, folder: Path
) -> Fleet:
    """Say which sensors are odd, and write the table."""
    return fleet.judge_and_file(ingested, trained, settings, config, folder)


@task(task_run_name="visualize: the fleet, the worst, uncertainties", persist_result=False)
def visualize(judged: Fleet) -> dict[str, bytes]:
    """Draw the figures."""
    return draw_fleet(judged)


@task(task_run_name="track the fleet in MLflow", persist_result=False, **RETRIED)
def track(run: runs.Run, judged: Fleet, figures: dict[str, bytes]) -> dict[str, str]:
    """Write the fleet into its MLflow run."""
    return fleets.log_fleet(run, judged, figures, again=is_again())
