"""`tempfit calibrate`: one calibration, recorded."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated

import typer

from tempfit.choices import refuse_idle
from tempfit.cli.help import Command
from tempfit.cli.options import takes_settings
from tempfit.cli.shared import EXIT_DIVERGED, app, load_flow, recorded, say_json, stderr, stdout
from tempfit.config import CalibrationConfig

if TYPE_CHECKING:
    from flows.calibrate import CalibrateResult
    from flows.delivery import Delivery
    from tempfit.calibration.calibration import Calibration
    from tempfit.cli.terminal import Terminal


@app.command(cls=Command)
@takes_settings
def calibrate(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Paired readings, CSV or Parquet; - reads stdin.")],
    *,
    config: CalibrationConfig,
    print_every: Annotated[
        int | None, typer.Option(help="Print epoch, loss, params and gradient every K epochs.", min=1, metavar="K")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")] = False,
) -> None:
    """Fit a line to paired readings, record the run in MLflow, say how good the line is."""
    from tempfit.readings.paired import peek

    refuse_idle(config)
    peek(file, config)  # a wrong file is told at once, before anything heavy is loaded
    load_flow("flows.calibrate", config.mlruns)
    from tempfit.cli.terminal import Terminal

    with Terminal(stdout, stderr, print_every) as terminal:
        delivery = _run_flow(file, config, terminal)
    if as_json:
        from tempfit.calibration.recording import record_of

        say_json({**record_of(delivery.computed).as_dict(), **recorded(delivery)})
    else:
        terminal.show(delivery, config.mlruns)
    if delivery.failure is not None:
        raise delivery.failure
    if delivery.computed.exploded:
        sys.exit(EXIT_DIVERGED)


def _run_flow(file: str, config: CalibrationConfig, terminal: Terminal) -> Delivery[Calibration, CalibrateResult]:
    """The calibrate flow with the terminal looking on."""
    from flows import calibrate as flow
    from flows.delivery import run_flow
    from flows.tasks import Watcher

    with redirect_stdout(sys.stderr):  # what libraries print meanwhile is no result
        watcher = Watcher(on_rows=terminal.on_rows, on_forecast=terminal.on_forecast, on_epochs=terminal.on_epochs)
        return run_flow(flow.calibrate, watcher, file, config)
