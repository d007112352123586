"""The flow that a schedule runs: calibrate a file, or every file in a folder, as they are at that moment."""

# Annotations stay objects here (no __future__ import): a served flow is pickled by value, and their names would be
# looked up among the globals that its body happens to use.

import asyncio
import signal
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.schedules import CronSchedule
from prefect.runner import Runner
from prefect.runtime import flow_run
from prefect.types.entrypoint import EntrypointType

from flows.calibrate import calibrate
from tempfit.config import CalibrationConfig
from tempfit.errors import ReadingsError, SettingsError, TempfitError

SUFFIXES = {".csv", ".tsv", ".txt", ".parquet"}


def files_of_readings(data: Path) -> list[Path]:
    """The file itself, or the files of readings in the folder, by name. Raises ReadingsError when there are none."""
    if not data.is_dir():
        if data.exists():
            return [data]
        raise ReadingsError(f"{data}: no such file or folder; check the path")
    files = sorted(path for path in data.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise ReadingsError(f"{data}: the folder has no file of readings ({', '.join(sorted(SUFFIXES))})")
    return files


def _flow_run_name() -> str:
    return f"retrain {Path(flow_run.parameters['data']).name}"


@flow(name="retrain", flow_run_name=_flow_run_name)
def retrain(data: str = "data", config: CalibrationConfig = CalibrationConfig()) -> dict[str, str]:  # noqa: B008
    """Calibrate `data`, a file or a folder of files; file name → MLflow run id.

    A file that cannot be calibrated does not stop the others; the flow run fails at the end and names it.
    """
    logger = get_run_logger()
    run_ids, failures = {}, []
    for file in files_of_readings(Path(data)):
        try:
            run_ids[file.name] = calibrate(str(file), config).run.run_id
        except Exception as error:  # whatever stops one sensor must not stop the fleet
            failures.append(f"{file.name}: {error}")
            logger.error(failures[-1])
    if failures:
        raise TempfitError(f"{len(failures)} of {len(failures) + len(run_ids)} not calibrated: {'; '.join(failures)}")
    return run_ids


def serve(data: Path, config: CalibrationConfig, name: str, cron: str | None, interval: timedelta | None) -> None:
    """Run `retrain` on a schedule against the Prefect server in use, until Ctrl-C or SIGTERM.

    The deployment is paused while nothing serves it, so no backlog of late runs grows.
    Raises ReadingsError when there is nothing at `data`, SettingsError when `cron` is no cron expression.
    """
    files_of_readings(data)
    if cron is not None:
        try:
            CronSchedule(cron=cron)
        except ValueError:
            raise SettingsError(f"`cron`: {cron!r} is not a cron expression; daily at six is '0 6 * * *'") from None
    absolute = config.model_copy(update={"mlruns": str(Path(config.mlruns).resolve())})
    runner = _Runner(name=name, pause_on_shutdown=True)
    runner.add_flow(
        retrain,
        name=name,
        cron=cron,
        interval=interval,
        parameters={"data": str(data.resolve()), "config": absolute.model_dump(mode="json")},
        entrypoint_type=EntrypointType.MODULE_PATH,  # found wherever tempfit is installed
    )
    with suppress(KeyboardInterrupt):
        asyncio.run(runner.start())


class _Runner(Runner):
    def handle_sigterm(self, *_: Any) -> None:
        """End as by Ctrl-C, which is orderly; Prefect's own way leaves the event loop in the middle of its work."""
        signal.raise_signal(signal.SIGINT)
