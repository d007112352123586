"""The flow that a schedule runs: calibrate a file, or every file in a folder, as they are at that moment."""

# Annotations stay objects here (no __future__ import): a served flow is pickled by value, and their names would be
# looked up among the globals that its body happens to use.

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from prefect import Flow, flow
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from flows import tasks
from flows.marks import MARKED
from flows.tick import files_of_readings, run_tick
from tempfit.calibration.calibration import Calibration
from tempfit.config import CalibrationConfig, FitConfig, TrackingConfig
from tempfit.errors import InputError, ServiceError
from tempfit.tracking.runs import Run
from tempfit.tracking.store import open_store

FLOW = "retrain"
ORPHAN_LIMIT = 10  # seconds that a tick whose `serve` is gone has for an orderly end


def _flow_run_name() -> str:
    return f"{FLOW} {Path(flow_run.parameters['data']).name}"


@flow(name=FLOW, flow_run_name=_flow_run_name, **MARKED)
def retrain(
    data: str = "data",
    experiment: str = "calibrate",
    config: FitConfig = FitConfig(),  # noqa: B008
) -> State[Any]:
    """Calibrate `data`, a file or a folder of files, where it has changed; runs go to mlruns/ in the working folder.

    A file that cannot be calibrated, or not be used, stops no other; the flow run fails at the end and names it.
    """
    return calibrate_all(Path(data), TrackingConfig(experiment=experiment), config)


def bind(data: Path, where: TrackingConfig) -> Flow[..., State[Any]]:
    """`retrain` of these data into these runs.

    Neither is a parameter: whoever can ask Prefect's API for a run chooses settings, and no place to read or write.
    """

    @flow(name=FLOW, flow_run_name=f"{FLOW} {data.name}".replace("{", "{{").replace("}", "}}"), **MARKED)
    def retrain(config: FitConfig = FitConfig()) -> State[Any]:  # noqa: B008
        """Calibrate what this deployment serves, where it has changed.

        A file that cannot be calibrated, or not be used, stops no other; the flow run fails at the end and names it.
        """
        _end_with_the_parent()
        return calibrate_all(data, where, config)

    return retrain


def _end_with_the_parent() -> None:
    """Where `tempfit serve` started this process and is gone, however it ended, nobody waits for the result."""

    def watch(parent: Any) -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)  # the run that is open is told so
        time.sleep(ORPHAN_LIMIT)
        os._exit(1)

    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=watch, args=[parent], daemon=True).start()


def calibrate_all(data: Path, where: TrackingConfig, config: FitConfig) -> State[Any]:
    """The body of both flows: a tick, its table on the flow run's page, and the state that tells what came of it."""
    settings = CalibrationConfig.model_validate({**config.model_dump(exclude_unset=True), **where.model_dump()})
    try:
        files = files_of_readings(data)
        store = open_store(Path(where.mlruns))
    except (InputError, ServiceError) as error:
        return Failed(message=str(error).partition("\n")[0])
    tick = run_tick(store, files, settings, {"prefect.flow_run_id": str(flow_run.id)}, _publish)
    rows = [entry.row() for entry in tick.entries]
    create_table_artifact(rows, key=tasks.artifact_key(FLOW, str(data)), description=tick.headline())
    return (Failed if tick.bad else Completed)(message=tick.describe())


def _publish(calibration: Calibration, line: bytes, run: Run) -> None:
    tasks.publish(calibration, line, run)
