"""The stages of a fleet as Prefect tasks: each calls one pure function; a handful for all sensors, none for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prefect import task

from flows.tasks import RETRIED, artifact_key, is_again, publish_page, watcher
from tempfit.config import CalibrationConfig, FleetConfig
from tempfit.fleet import fleet, ingesting, judging
from tempfit.fleet.calibrating import Findings
from tempfit.fleet.engine import Engine, engine
from tempfit.fleet.fleet import Fleet
from tempfit.fleet.ingesting import Ingested
from tempfit.fleet.judging import FleetJudgement
from tempfit.fleet.kept import Kept, kept
from tempfit.fleet.lookup import FLEET_FILE
from tempfit.fleet.worst import look_at_worst
from tempfit.plots.canvas import to_small_png
from tempfit.plots.fleet import SPREAD, draw_fleet
from tempfit.report.fleet import fleet_summary
from tempfit.report.summary import to_page, to_table
from tempfit.system.files import temporary_folder
from tempfit.tracking import fleets, runs, store
from tempfit.tracking.ui import ui_address


@dataclass(frozen=True)
class Workers:
    """Who does the work of a fleet, and where what is done of it is kept."""

    engine: Engine
    kept: Kept


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder for what waits to be recorded."""
    with temporary_folder("tempfit-fleet-") as folder:
        yield folder


@contextmanager
def workers(source: str, settings: FleetConfig, config: CalibrationConfig) -> Iterator[Workers]:
    """Who does the work, and where evidence is kept until the fleet is recorded."""
    with engine(settings) as them, kept(store.unfinished(Path(config.mlruns)), source) as evidence:
        yield Workers(them, evidence)


@task(task_run_name="ingest and compress", persist_result=False)
def ingest(source: str, settings: FleetConfig, config: CalibrationConfig, workers: Workers) -> Ingested:
    """Read all readings to the evidence of every sensor."""
    return ingesting.ingest_fleet(source, settings, config, workers.engine, watcher().on_rows, workers.kept)


@task(task_run_name="start the fleet's run in MLflow", persist_result=False, **RETRIED)
def start_run(ingested: Ingested, settings: FleetConfig, config: CalibrationConfig, tags: dict[str, str]) -> runs.Run:
    """Open the MLflow run."""
    opened = store.open_store(Path(config.mlruns))
    return fleets.start_fleet(opened, ingested, settings, config, tags, again=is_again())


@task(task_run_name="solve exactly", persist_result=False)
def solve(ingested: Ingested, settings: FleetConfig, config: CalibrationConfig, workers: Workers) -> Findings:
    """Find what every sensor is judged by."""
    return fleet.solve_fleet(ingested, settings, config, workers.engine, watcher().on_sensors)


@task(task_run_name="judge: false discoveries, siblings", persist_result=False)
def judge(findings: Findings, settings: FleetConfig) -> FleetJudgement:
    """Say which sensors are odd."""
    return judging.judge_fleet(findings.figures, settings.fdr)


@task(task_run_name="train all with {config.optimizer}", persist_result=False)
def train(
    ingested: Ingested,
    findings: Findings,
    judgement: FleetJudgement,
    settings: FleetConfig,
    config: CalibrationConfig,
    workers: Workers,
    folder: Path,
) -> Fleet:
    """Fit every sensor, in one loop for thousands of them, and write the table."""
    engine, on_sensors = workers.engine, watcher().on_sensors
    return fleet.train_fleet(ingested, findings, judgement, settings, config, engine, folder, on_sensors)


@task(task_run_name="visualize: the fleet, the worst, uncertainties", persist_result=False)
def visualize(trained: Fleet, workers: Workers) -> dict[str, bytes]:
    """Draw the figures; the rows of the worst are read again for that."""
    return draw_fleet(trained, *look_at_worst(trained, workers.engine))


@task(task_run_name="track the fleet in MLflow", persist_result=False, **RETRIED)
def track(run: runs.Run, trained: Fleet, figures: dict[str, bytes]) -> dict[str, str]:
    """Write the fleet into its MLflow run."""
    return fleets.log_fleet(run, trained, figures, _page(trained), again=is_again())


def _page(trained: Fleet) -> str:
    """What came of it, in Markdown."""
    return f"**{trained.summary.headline()}**\n\n{_table(trained)}"


def _table(trained: Fleet) -> str:
    """The summary below its headline."""
    _, *lines = fleet_summary(trained.summary)
    return to_table(lines)


def publish(trained: Fleet, figures: dict[str, bytes], run: runs.Run) -> None:
    """The fleet as an artifact on Prefect's page of the flow run."""
    ui = ui_address(run.store)
    links = {"the run in MLflow": run.url(ui), "the table": run.url(ui, FLEET_FILE)}
    headline, what = trained.summary.headline(), "w, b and s of all sensors, with the odd ones"
    page = to_page(headline, to_small_png(figures[SPREAD]), what, _table(trained), links)
    publish_page(page, artifact_key("fleet", trained.ingested.source), headline)
