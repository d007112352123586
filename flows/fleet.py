"""The flow that calibrates a fleet: ingest, solve, judge, train, visualize, track; one run in MLflow for all."""

# Annotations stay objects here (no __future__ import): a served flow is pickled by value, and their names would be
# looked up among the globals that its body happens to use.

from dataclasses import dataclass
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.runtime import flow_run

from flows import fleet_tasks, tasks
from flows.marks import MARKED
from tempfit.choices import refuse_idle_of_fleet
from tempfit.config import CalibrationConfig, FleetConfig
from tempfit.fleet.fleet import Fleet
from tempfit.fleet.scheduler import warning_of
from tempfit.tracking.runs import Run, ended
from tempfit.tracking.ui import ui_address
from tempfit.wording import without_secrets


@dataclass(frozen=True)
class FleetResult:
    """What a fleet's flow leaves: the fleet, its run in MLflow, its artifacts (name → URI), the run's page."""

    fleet: Fleet
    run: Run
    artifacts: dict[str, str]
    url: str


def _flow_run_name() -> str:
    parameters = flow_run.parameters
    return f"fleet {Path(without_secrets(parameters['data'])).name}, {parameters['config'].label}"


@flow(name="fleet", flow_run_name=_flow_run_name, **MARKED)
def fleet(
    data: str,
    settings: FleetConfig = FleetConfig(),  # noqa: B008
    config: CalibrationConfig = CalibrationConfig(),  # noqa: B008
) -> FleetResult:
    """Calibrate every sensor whose readings are in `data`, a table or a folder of tables."""
    logger = get_run_logger()
    refuse_idle_of_fleet(config)
    warning = warning_of(settings)
    if warning:
        logger.warning(warning)
    source = tasks.watcher().source or data
    with fleet_tasks.workers(source, settings, config) as workers:
        ingested = fleet_tasks.ingest(source, settings, config, workers)
        run = fleet_tasks.start_run(ingested, settings, config, tags={"prefect.flow_run_id": str(flow_run.id)})
        with ended(run), fleet_tasks.workplace() as folder:
            findings = fleet_tasks.solve(ingested, settings, config, workers)
            judgement = fleet_tasks.judge(findings, settings)
            trained = fleet_tasks.train(ingested, findings, judgement, settings, config, workers, folder)
            tasks.watcher().on_computed(trained)
            figures = fleet_tasks.visualize(trained, workers)
            artifacts = fleet_tasks.track(run, trained, figures)
            result = FleetResult(trained, run, artifacts, run.url(ui_address(run.store)))
            tasks.watcher().on_tracked(result)
    if figures:  # else every sensor diverged
        fleet_tasks.publish(trained, figures, run)
    logger.info(trained.summary.headline())
    return result


if __name__ == "__main__":
    import os
    import sys

    os.execv(sys.executable, [sys.executable, "-m", "tempfit", "fleet", *sys.argv[1:]])
