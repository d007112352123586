"""`tempfit …`: the command line. Thin, and quick to start: heavy imports happen in the command that needs them."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from tempfit.config import CalibrationConfig
from tempfit.errors import InputError, TempfitError
from tempfit.options import takes_settings

if TYPE_CHECKING:
    from flows.server import EmbeddedServer

    from flows.calibrate import Outcome
    from tempfit.terminal import Terminal

EXIT_FAILURE, EXIT_INPUT, EXIT_DIVERGED = 1, 2, 3

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Calibrate thermometers: a line fitted by gradient descent, tracked in MLflow, run and scheduled by Prefect.",
)
stdout, stderr = Console(), Console(stderr=True)


def main(arguments: list[str] | None = None) -> None:
    """Run a command; errors become one line on stderr and an exit code (README: exit codes)."""
    try:
        app(arguments)
    except InputError as error:
        _fail(error, EXIT_INPUT)
    except TempfitError as error:
        _fail(error, EXIT_FAILURE)
    except KeyboardInterrupt:
        stderr.print("interrupted")
        sys.exit(130)


def _fail(error: Exception, code: int) -> None:
    stderr.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
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
    server = _start_prefect()
    from tempfit.terminal import Terminal

    with Terminal(stdout, stderr, print_every) as terminal:
        outcome = _run_flow(file, config, terminal, server)
    if as_json:
        result = {**outcome.calibration.as_dict(), "run_id": outcome.run.run_id, "artifacts": outcome.artifacts}
        print(json.dumps(result, ensure_ascii=False, allow_nan=False))
    else:
        figure = outcome.artifacts["figures/line.png"]
        terminal.show(outcome.calibration, outcome.run.run_id, figure, f"tempfit ui  →  {outcome.url}")
    if outcome.calibration.fit.diverged_at is not None:
        sys.exit(EXIT_DIVERGED)


def _run_flow(file: str, config: CalibrationConfig, terminal: Terminal, server: EmbeddedServer | None) -> Outcome:
    """The calibrate flow with the terminal looking on; imported while the Prefect server starts on the other core."""
    from flows.calibrate import calibrate as flow
    from flows.tasks import WATCHER, Watcher

    if server is not None:
        server.wait()
    token = WATCHER.set(Watcher(terminal.on_forecast, terminal.on_epochs))
    try:
        return flow(file, config)
    finally:
        WATCHER.reset(token)


def _start_prefect() -> EmbeddedServer | None:
    """Prepare Prefect's environment before it is imported; the server that was started or joined, if one is needed."""
    from flows.server import start_embedded_server

    server = start_embedded_server()
    if server is not None:
        os.environ["PREFECT_API_URL"] = server.api_url
    # Flow logs stay on Prefect's run page; a terminal that has a summary and one-line errors needs no second voice.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    return server
