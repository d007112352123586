"""`tempfit calibrate`: one calibration, recorded."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated

import typer

from tempfit.cli.help import Command
from tempfit.cli.options import takes_settings
from tempfit.cli.shared import EXIT_DIVERGED, app, browse, load_flow, stderr, stdout
from tempfit.config import CalibrationConfig
from tempfit.grid import refuse_idle

if TYPE_CHECKING:
    from flows.calibrate import CalibrateResult
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
    from tempfit.readings import peek

    refuse_idle(config)
    peek(file, config)  # a wrong file is told at once, before anything heavy is loaded
    load_flow("flows.calibrate", config.mlruns)
    from tempfit.cli.terminal import Terminal

    with Terminal(stdout, stderr, print_every) as terminal:
        result = _run_flow(file, config, terminal)
    if as_json:
        values = {**result.calibration.as_dict(), "run_id": result.run.run_id, "artifacts": result.artifacts}
        print(json.dumps(values, ensure_ascii=False, allow_nan=False))
    else:
        terminal.show(result, browse(result.run.store, config.mlruns, result.url))
    if result.calibration.fit.diverged_at is not None:
        sys.exit(EXIT_DIVERGED)


def _run_flow(file: str, config: CalibrationConfig, terminal: Terminal) -> CalibrateResult:
    """The calibrate flow with the terminal looking on."""
    from flows import calibrate as flow
    from flows.tasks import Watcher, watched

    with redirect_stdout(sys.stderr), watched(Watcher(on_forecast=terminal.on_forecast, on_epochs=terminal.on_epochs)):
        return flow.calibrate(file, config)  # what libraries print meanwhile is no result
