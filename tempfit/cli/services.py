"""`tempfit ui`, `up` and `serve`: what runs until it is stopped."""

from __future__ import annotations

import difflib
import os
import re
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import typer

from tempfit.choices import refuse_idle
from tempfit.cli.help import Command
from tempfit.cli.options import takes_settings
from tempfit.cli.shared import DEFAULT_MLRUNS, Mlruns, app, say, stderr
from tempfit.config import CalibrationConfig
from tempfit.errors import ServiceError, SettingsError


@app.command(cls=Command)
def ui(
    mlruns: Mlruns = DEFAULT_MLRUNS,
    port: Annotated[int, typer.Option(help="Port of the MLflow UI.", min=1, max=65535, metavar="N")] = 5000,
) -> None:
    """Browse the runs in MLflow's UI, on 127.0.0.1, until Ctrl-C."""
    from flows.services.supervise import mlflow_service, run_services
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
    """Start Prefect's server and MLflow's UI on 127.0.0.1, say where they are, stop both on Ctrl-C.

    What you keep elsewhere (MLFLOW_TRACKING_URI, PREFECT_API_URL) is not started.
    """
    from flows.services.prefect_server import Announcement
    from flows.services.supervise import mlflow_service, prefect_is_elsewhere, prefect_service, run_services
    from tempfit.tracking.ui import forget_ui, is_tracked_elsewhere, remember_ui, runs_page

    with stderr.status("starting Prefect's server and MLflow's UI …") as status, ExitStack() as cleanup:
        prefect = None if prefect_is_elsewhere(prefect_port) else prefect_service(prefect_port)
        mlflow = None if is_tracked_elsewhere() else mlflow_service(Path(mlruns), mlflow_port, "`mlflow_port`")
        services = [service for service in (prefect, mlflow) if service]
        if prefect is None:
            say("Prefect server  the one that PREFECT_API_URL or your Prefect profile names; none is started")
        if mlflow is None:
            say("MLflow UI       runs are on the server that MLFLOW_TRACKING_URI names: browse them there")
        if not services:
            say("There is nothing to start.")
            return

        def on_ready() -> None:
            status.stop()
            if prefect:
                announcement = Announcement(prefect.port, prefect.log)
                cleanup.callback(announcement.withdraw)
                announcement.make()
                say(f"Prefect server  {prefect.address}")
            if mlflow:
                remember_ui(Path(mlruns), mlflow.address)
                cleanup.callback(forget_ui, Path(mlruns))
                say(f"MLflow UI       {runs_page(mlflow.address)}")
            if prefect:
                say(
                    "Other tempfit commands use this server now; for Prefect's own:",
                    f"  export PREFECT_API_URL={prefect.address}/api",
                )
            say(f"Ctrl-C stops {'both' if len(services) == 2 else 'it'}.")

        run_services(services, on_ready)


@app.command(cls=Command)
@takes_settings
def serve(
    data: Annotated[Path, typer.Argument(metavar="FILE_OR_FOLDER", help="Readings, or a folder of files of readings.")],
    *,
    config: CalibrationConfig,
    cron: Annotated[str | None, typer.Option(help="When, as a cron expression: '0 6 * * *'.", metavar="CRON")] = None,
    timezone: Annotated[
        str | None,
        typer.Option(help="Timezone of --cron: Europe/Berlin, UTC. This machine's if not given.", metavar="ZONE"),
    ] = None,
    interval: Annotated[str | None, typer.Option(help="How often: 30s, 15m, 6h, 1d.", metavar="TIME")] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the deployment; the whole path if not given.", metavar="NAME")
    ] = None,
) -> None:
    """Calibrate what has changed on a schedule until Ctrl-C, a line each time; needs a Prefect server (tempfit up)."""
    if (cron is None) == (interval is None):
        raise SettingsError("say when to calibrate: exactly one of --cron and --interval")
    if timezone is not None and cron is None:
        raise SettingsError("--timezone: for --cron only; an --interval is the same everywhere")
    refuse_idle(config)
    zone = check_timezone(timezone) if timezone is not None else local_timezone()
    rhythm = cron if cron is not None else parse_interval(interval or "")
    from flows.services.prefect_server import announced
    from flows.services.prefect_settings import is_configured

    if not is_configured():
        server = announced()
        if server is None or not server.lasting:  # one that ends with the last command schedules nothing
            raise ServiceError(
                "no Prefect server to schedule with: start one with `tempfit up`, or set PREFECT_API_URL"
            )
        os.environ["PREFECT_API_URL"] = server.api_url
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "WARNING")  # goes to a log, not to the terminal
    with stderr.status("loading torch, MLflow and Prefect …"):
        from flows.schedule import make_schedule
        from flows.schedule import serve as serve_flow
    when = f"by cron {cron!r} in {zone}" if cron is not None else f"every {interval}"
    serve_flow(data, config, name, make_schedule(rhythm, zone), when)


def check_timezone(name: str) -> str:
    """The name, if there is such a zone. Raises SettingsError."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = difflib.get_close_matches(name, available_timezones(), n=1)
        hint = f"did you mean {near[0]}?" if near else "write it like Europe/Berlin, or UTC"
        raise SettingsError(f"--timezone: {name!r} is no timezone of the IANA database; {hint}") from None
    return name


def local_timezone() -> str:
    """The IANA name of this machine's timezone: by TZ, /etc/timezone or /etc/localtime; UTC where none says."""
    told = [os.environ.get("TZ", "").lstrip(":")]
    with suppress(OSError, UnicodeDecodeError):
        told.append(Path("/etc/timezone").read_text(encoding="utf-8").strip())
    told.append(str(Path("/etc/localtime").resolve()).partition("zoneinfo/")[2])
    for name in filter(None, told):
        with suppress(SettingsError):
            return check_timezone(name)
    return "UTC"


def parse_interval(text: str) -> timedelta:
    """`30s`, `15m`, `6h`, `1d` or plain seconds as a timedelta. Raises SettingsError."""
    match = re.fullmatch(r"([0-9]+)\s*([smhd]?)", text.strip())
    seconds = int(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]] if match else 0
    if not 1 <= seconds <= 366 * 86400:
        raise SettingsError(f"--interval: {text!r} is not a time between 1s and 366d; write 30s, 15m, 6h or 1d")
    return timedelta(seconds=seconds)
