"""The flow: ingest, normalize, train, visualize; every run in MLflow.

`python flows/calibrate.py FILE …` is `tempfit calibrate FILE …`.
"""

# Annotations stay objects here (no __future__ import): a served flow is pickled by value, and their names would be
# looked up among the globals that its body happens to use.

from dataclasses import dataclass
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.runtime import flow_run

from flows import tasks
from flows.marks import MARKED
from tempfit.calibration.calibration import Calibration
from tempfit.calibration.pipeline import judge
from tempfit.calibration.recording import record_of
from tempfit.choices import refuse_idle
from tempfit.config import CalibrationConfig
from tempfit.exact.settling import settle
from tempfit.report import summary
from tempfit.tracking.runs import Run, ended
from tempfit.tracking.ui import ui_address


@dataclass(frozen=True)
class CalibrateResult:
    """What a calibration flow leaves: the calibration, its MLflow run, its artifacts (name → URI), the run's page."""

    calibration: Calibration
    run: Run
    artifacts: dict[str, str]
    url: str


def _flow_run_name() -> str:
    parameters = flow_run.parameters
    return f"calibrate {Path(parameters['data']).name}, {parameters['config'].label}"


@flow(name="calibrate", flow_run_name=_flow_run_name, **MARKED)
def calibrate(data: str = "data/thermometer.csv", config: CalibrationConfig = CalibrationConfig()) -> CalibrateResult:  # noqa: B008
    """Calibrate the thermometer whose paired readings are in `data`, a CSV or Parquet file."""
    logger = get_run_logger()
    refuse_idle(config)
    readings = tasks.ingest(data, config)
    config = settle(readings, config)
    run = tasks.start_run(readings, config, tags={"prefect.flow_run_id": str(flow_run.id)})
    with ended(run):
        setup = tasks.normalize(readings, config)
        if setup.forecast.warns:
            logger.warning(setup.forecast.advice)
        tasks.watcher().on_forecast(config, setup.forecast)
        trained = tasks.train(setup, config)
        calibration = judge(readings, setup, trained)
        tasks.watcher().on_computed(calibration)
        figures = tasks.visualize(calibration)
        artifacts = tasks.track(run, calibration, figures)
        result = CalibrateResult(calibration, run, artifacts, run.url(ui_address(run.store)))
        tasks.watcher().on_tracked(result)
    tasks.publish(calibration, figures["line.png"], run)
    logger.info(summary.describe_status(record_of(calibration)))
    return result


if __name__ == "__main__":
    import os
    import sys

    os.execv(sys.executable, [sys.executable, "-m", "tempfit", "calibrate", *sys.argv[1:]])
