"""The flow that tries many configurations: ingest, normalize, train, visualize; a run in MLflow for each."""

# Annotations stay objects here (no __future__ import): a served flow is pickled by value, and their names would be
# looked up among the globals that its body happens to use.

from dataclasses import dataclass
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.runtime import flow_run

from flows import tasks
from flows.marks import MARKED
from tempfit.config import CalibrationConfig
from tempfit.studies.grid import make_grid
from tempfit.studies.presets import Preset, preset_grid
from tempfit.studies.sweep import Sweep
from tempfit.tracking.runs import Run, ended
from tempfit.tracking.ui import ui_address


@dataclass(frozen=True)
class SweepResult:
    """What a sweep flow leaves: the sweep, its parent run in MLflow, its artifacts (name → URI), the run's page."""

    sweep: Sweep
    run: Run
    artifacts: dict[str, str]
    url: str


def _flow_run_name() -> str:
    parameters = flow_run.parameters
    what = parameters["preset"] or ", ".join(axis.partition("=")[0] for axis in parameters["grid"])
    return f"sweep {Path(parameters['data']).name}, {what}"


@flow(name="sweep", flow_run_name=_flow_run_name, **MARKED)
def sweep(
    data: str = "data/thermometer.csv",
    grid: list[str] = [],  # noqa: B006
    preset: Preset | None = None,
    config: CalibrationConfig = CalibrationConfig(),  # noqa: B008
    many: bool = False,
) -> SweepResult:
    """Try every combination of the grid's axes ("learning_rate=1e-5..1e-1:25") over the settings in config.

    many: more than 1,000 of them are wanted.
    """
    logger = get_run_logger()
    trials = preset_grid(preset, config) if preset else make_grid(config, grid, agreed=many)
    readings = tasks.ingest_whole(data, config)
    title = f"sweep of {preset or ', '.join(axis.name for axis in trials.axes)}"
    plan = tasks.normalize_all(readings, trials)
    run = tasks.start_sweep(plan, config, title, tags={"prefect.flow_run_id": str(flow_run.id)})
    with ended(run):
        trained = tasks.train_all(plan)
        tasks.watcher().on_computed(trained)
        figures = tasks.visualize_sweep(trained)
        artifacts = tasks.track_sweep(run, trained, figures)
        result = SweepResult(trained, run, artifacts, run.url(ui_address(run.store)))
        tasks.watcher().on_tracked(result)
    tasks.publish_sweep(trained, figures["losses.png"], links={"the sweep in MLflow": result.url})
    logger.info(trained.headline())
    return result
