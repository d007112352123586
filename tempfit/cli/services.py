"""`tempfit ui`, `up` and `serve`: what runs until it is stopped."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from tempfit.cli.help import Command
from tempfit.cli.options import takes_settings
from tempfit.cli.shared import DEFAULT_MLRUNS, Mlruns, app, say, stderr
from tempfit.config import CalibrationConfig
from tempfit.errors import ServiceError, SettingsError
from tempfit.grid import refuse_idle


@app.command(cls=Command)
def ui(
    mlruns: Mlruns = DEFAULT_MLRUNS,
    port: Annotated[int, typer.Option(help="Port of the MLflow UI.", min=1, max=65535, metavar="N")] = 5000,
) -> None:
    """Browse the runs in MLflow's UI, on 127.0.0.1, until Ctrl-C."""
    from flows.services import mlflow_service, run_services
    from tempfit.tracking.ui import forget_ui, remember_ui, runs_page

    with stderr.status("starting MLflow's UI …") as status, ExitStack() as cleanup:
        service = mlflow_service(Path(mlruns), port, "`port`")

        def on_ready() -> None:
            status.stop()
            remember_ui(Path(mlruns), service.address)
            cleanup.callback(forget_ui, Path(mlruns))
            say(f"MLflow UI       {runs_page(service.address)}", "Ctrl-C stops it.")

        run_services([service], on_ready)


@app.command(cls=Command)
def up(
    mlruns: Mlruns = DEFAULT_MLRUNS,
    prefect_port: Annotated[
        int, typer.Option(help="Port of the Prefect server.", min=1, max=65535, metavar="N")
    ] = 4200,
    mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow UI.", min=1, max=65535, metavar="N")] = 5000,
) -> None:
    """Start Prefect's server and MLflow's UI on 127.0.0.1, say where they are, stop both on Ctrl-C."""
    from flows.server import Announcement
    from flows.services import mlflow_service, prefect_service, run_services
    from tempfit.tracking.ui import forget_ui, remember_ui, runs_page

    with stderr.status("starting Prefect's server and MLflow's UI …") as status, ExitStack() as cleanup:
        prefect, mlflow = prefect_service(prefect_port), mlflow_service(Path(mlruns), mlflow_port, "`mlflow_port`")
        announcement = Announcement(prefect_port, prefect.log)

        def on_ready() -> None:
            status.stop()
            remember_ui(Path(mlruns), mlflow.address)
            cleanup.callback(forget_ui, Path(mlruns))
            cleanup.callback(announcement.withdraw)
            announcement.make()
            say(
                f"Prefect server  {prefect.address}",
                f"MLflow UI       {runs_page(mlflow.address)}",
                "Other tempfit commands use this server now; for Prefect's own:",
                f"  export PREFECT_API_URL={prefect.address}/api",
                "Ctrl-C stops both.",
            )

        run_services([prefect, mlflow], on_ready)


@app.command(cls=Command)
@takes_settings
def serve(
    data: Annotated[Path, typer.Argument(metavar="FILE_OR_FOLDER", help="Readings, or a folder of files of readings.")],
    *,
    config: CalibrationConfig,
    cron: Annotated[str | None, typer.Option(help="When, as a cron expression: '0 6 * * *'.", metavar="CRON")] = None,
    interval: Annotated[str | None, typer.Option(help="How often: 30s, 15m, 6h, 1d.", metavar="TIME")] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the deployment; the file's name if not given.", metavar="NAME")
    ] = None,
) -> None:
    """Calibrate on a schedule, with the data as they are then, until Ctrl-C; needs a Prefect server (tempfit up)."""
    if (cron is None) == (interval is None):
        raise SettingsError("say when to calibrate: exactly one of --cron and --interval")
    refuse_idle(config)
    period = parse_interval(interval) if interval is not None else None
    from flows.server import announced, is_configured

    if not is_configured():
        server = announced()
        if server is None or not server.lasting:  # one that ends with the last command schedules nothing
            raise ServiceError(
                "no Prefect server to schedule with: start one with `tempfit up`, or set PREFECT_API_URL"
            )
        os.environ["PREFECT_API_URL"] = server.api_url
    from flows.retrain import serve as serve_flow

    when = f"by cron {cron!r}" if cron else f"every {interval}"
    say(f"calibrating {data} {when}; Ctrl-C stops it and pauses the schedule")
    serve_flow(data, config, name or data.name, cron, period)


def parse_interval(text: str) -> timedelta:
    """`30s`, `15m`, `6h`, `1d` or plain seconds as a timedelta. Raises SettingsError."""
    match = re.fullmatch(r"([0-9]+)\s*([smhd]?)", text.strip())
    seconds = int(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]] if match else 0
    if not 1 <= seconds <= 366 * 86400:
        raise SettingsError(f"--interval: {text!r} is not a time between 1s and 366d; write 30s, 15m, 6h or 1d")
    return timedelta(seconds=seconds)
