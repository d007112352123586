"""`tempfit …`: the command line. Thin, and quick to start: heavy imports happen in the command that needs them."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import redirect_stdout, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from tempfit.config import CalibrationConfig, TrackingConfig
from tempfit.errors import InputError, ServiceError, SettingsError
from tempfit.options import takes_settings

if TYPE_CHECKING:
    from flows.calibrate import Outcome
    from flows.server import PrefectServer
    from tempfit.terminal import Terminal

EXIT_FAILURE, EXIT_INPUT, EXIT_DIVERGED = 1, 2, 3

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    help="Calibrate thermometers: a line fitted by gradient descent, tracked in MLflow, run and scheduled by Prefect.",
)
stdout, stderr = Console(), Console(stderr=True)

QUIET = {  # unless the user says otherwise
    "DO_NOT_TRACK": "true",  # no usage statistics: what a laboratory measures, and when, is its own business
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

Mlruns = Annotated[str, typer.Option(help="Folder that keeps the runs.")]
DEFAULT_MLRUNS = TrackingConfig().mlruns


def main(arguments: list[str] | None = None) -> None:
    """Run a command; errors become one line on stderr and an exit code (README: exit codes).

    With TEMPFIT_TRACEBACK set, the traceback of an unexpected error is shown too.
    """
    for variable, value in QUIET.items():
        os.environ.setdefault(variable, value)
    spared = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = f"{spared},127.0.0.1" if spared else "127.0.0.1"
    try:
        app(arguments)
    except InputError as error:
        _fail(str(error), EXIT_INPUT)
    except ServiceError as error:
        _fail(str(error), EXIT_FAILURE)
    except Exception as error:
        if os.environ.get("TEMPFIT_TRACEBACK"):
            stderr.print_exception()
        _fail(f"{type(error).__name__} (TEMPFIT_TRACEBACK=1 shows where): {error}", EXIT_FAILURE)


def _fail(message: str, code: int) -> None:
    first_line = message.strip().partition("\n")[0]  # of a library's error, the rest is its stack or its SQL
    stderr.print(f"[bold red]error:[/] {escape(first_line)}", soft_wrap=True, highlight=False)
    sys.exit(code)


@app.command()
@takes_settings
def calibrate(
    file: Annotated[str, typer.Argument(help="Paired readings, CSV or Parquet; - reads stdin.")],
    *,
    config: CalibrationConfig,
    print_every: Annotated[
        int | None, typer.Option(help="Print epoch, loss, params and gradient every K epochs.", min=1, metavar="K")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")] = False,
) -> None:
    """Fit a line to paired readings, record the run in MLflow, say how good the line is."""
    from tempfit.readings import peek

    peek(file, config)  # a wrong file is told at once, before anything heavy is loaded
    with stderr.status("loading torch, MLflow and Prefect …"):
        server = _start_prefect()
        from tempfit.terminal import Terminal

        _wait_for_services(config, server)
    with Terminal(stdout, stderr, print_every) as terminal:
        outcome = _run_flow(file, config, terminal)
    if as_json:
        result = {**outcome.calibration.as_dict(), "run_id": outcome.run.run_id, "artifacts": outcome.artifacts}
        print(json.dumps(result, ensure_ascii=False, allow_nan=False))
    else:
        ui = "tempfit ui" if config.mlruns == DEFAULT_MLRUNS else f"tempfit ui --mlruns {config.mlruns}"
        terminal.show(outcome, browse=f"{ui}  →  {outcome.url}")
    if outcome.calibration.fit.diverged_at is not None:
        sys.exit(EXIT_DIVERGED)


@app.command()
def ui(
    mlruns: Mlruns = DEFAULT_MLRUNS,
    port: Annotated[int, typer.Option(help="Port of the MLflow UI.", min=1, max=65535)] = 5000,
) -> None:
    """Browse the runs in MLflow's UI, on 127.0.0.1, until Ctrl-C."""
    from flows.services import mlflow_service, run_services
    from tempfit.tracking.ui import remember_ui, runs_page

    with stderr.status("starting MLflow's UI …") as status:
        service = mlflow_service(Path(mlruns), port, "--port")

        def on_ready() -> None:
            status.stop()
            remember_ui(Path(mlruns), service.address)
            _say(f"MLflow UI       {runs_page(service.address)}", "Ctrl-C stops it.")

        run_services([service], on_ready)


@app.command()
def up(
    mlruns: Mlruns = DEFAULT_MLRUNS,
    prefect_port: Annotated[int, typer.Option(help="Port of the Prefect server.", min=1, max=65535)] = 4200,
    mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow UI.", min=1, max=65535)] = 5000,
) -> None:
    """Start Prefect's server and MLflow's UI on 127.0.0.1, say where they are, stop both on Ctrl-C."""
    from flows.server import Announcement
    from flows.services import mlflow_service, prefect_service, run_services
    from tempfit.tracking.ui import remember_ui, runs_page

    with stderr.status("starting Prefect's server and MLflow's UI …") as status:
        prefect, mlflow = prefect_service(prefect_port), mlflow_service(Path(mlruns), mlflow_port, "--mlflow-port")
        announcement = Announcement(prefect_port, prefect.log)

        def on_ready() -> None:
            status.stop()
            remember_ui(Path(mlruns), mlflow.address)
            announcement.make()
            _say(
                f"Prefect server  {prefect.address}",
                f"MLflow UI       {runs_page(mlflow.address)}",
                "Other tempfit commands use this server now; for Prefect's own:",
                f"  export PREFECT_API_URL={prefect.address}/api",
                "Ctrl-C stops both.",
            )

        try:
            run_services([prefect, mlflow], on_ready)
        finally:
            announcement.withdraw()


@app.command()
@takes_settings
def serve(
    data: Annotated[Path, typer.Argument(metavar="FILE_OR_FOLDER", help="Readings, or a folder of files of readings.")],
    *,
    config: CalibrationConfig,
    cron: Annotated[str | None, typer.Option(help="When, as a cron expression: '0 6 * * *'.")] = None,
    interval: Annotated[str | None, typer.Option(help="How often: 30s, 15m, 6h, 1d.", metavar="TIME")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the deployment; the file's name if not given.")] = None,
) -> None:
    """Calibrate on a schedule, with the data as they are then, until Ctrl-C; needs a Prefect server (tempfit up)."""
    if (cron is None) == (interval is None):
        raise SettingsError("say when to calibrate: exactly one of --cron and --interval")
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
    _say(f"calibrating {data} {when}; Ctrl-C stops it and pauses the schedule")
    serve_flow(data, config, name or data.name, cron, period)


def parse_interval(text: str) -> timedelta:
    """`30s`, `15m`, `6h`, `1d` or plain seconds as a timedelta. Raises SettingsError."""
    match = re.fullmatch(r"([0-9]+)\s*([smhd]?)", text.strip())
    seconds = int(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]] if match else 0
    if not 1 <= seconds <= 366 * 86400:
        raise SettingsError(f"--interval: {text!r} is not a time between 1s and 366d; write 30s, 15m, 6h or 1d")
    return timedelta(seconds=seconds)


def _say(*lines: str) -> None:
    for line in lines:
        stdout.print(line, soft_wrap=True, highlight=False, markup=False)


def _start_prefect() -> PrefectServer | None:
    """The Prefect server, started or joined if none is configured; before Prefect is imported, which reads its address.

    Flow logs stay on Prefect's run page: a terminal that has a summary and one-line errors needs no second voice.
    """
    from flows.server import start_server

    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    server = start_server()
    if server is not None:
        os.environ["PREFECT_API_URL"] = server.api_url
        os.environ["PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED"] = "false"  # it is of this very installation
    return server


def _wait_for_services(config: CalibrationConfig, server: PrefectServer | None) -> None:
    """Use the time in which the Prefect server starts on the other core: import the flow, open or make the store."""
    import flows.calibrate  # noqa: F401
    from tempfit.tracking.store import open_store

    if server is not None:
        with suppress(ServiceError):  # if it cannot be opened, the flow will try again, and tell
            open_store(Path(config.mlruns))
        server.wait()


def _run_flow(file: str, config: CalibrationConfig, terminal: Terminal) -> Outcome:
    """The calibrate flow with the terminal looking on."""
    from flows.calibrate import calibrate_watched
    from flows.tasks import Watcher

    with redirect_stdout(sys.stderr):  # what libraries print is no result
        return calibrate_watched(file, config, Watcher(terminal.on_forecast, terminal.on_epochs))
