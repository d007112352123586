"""`tempfit fleet`: all sensors of a fleet at once, recorded as one run."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import Annotated

import typer

from tempfit.choices import refuse_idle_of_fleet
from tempfit.cli.help import Command
from tempfit.cli.options import takes_settings
from tempfit.cli.shared import EXIT_DIVERGED, app, load_flow, recorded, say_json, stderr, stdout, warn
from tempfit.config import CalibrationConfig, FleetConfig
from tempfit.wording import without_secrets


@app.command(cls=Command)
@takes_settings
def fleet(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE_OR_FOLDER", help="Readings of many sensors, CSV or Parquet; a folder of them; a URL."
        ),
    ],
    *,
    fleet: FleetConfig,
    config: CalibrationConfig,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")] = False,
) -> None:
    """Calibrate every sensor of a fleet in one loop, record the run in MLflow, say which sensors are odd."""
    from tempfit.fleet.scheduler import refuse_engine, refuse_silence, warning_of
    from tempfit.readings.many import peek_many
    from tempfit.readings.partitions import find_partitions

    refuse_idle_of_fleet(config)
    warning = warning_of(fleet)
    if warning:
        warn(warning)
    refuse_engine(fleet)  # what can be told at once is, before anything heavy is loaded
    peek_many(find_partitions(source, fleet, config), config, fleet)
    refuse_silence(fleet)
    load_flow("flows.fleet", config.mlruns)
    from flows.delivery import run_flow
    from flows.fleet import fleet as flow
    from flows.tasks import Watcher
    from tempfit.cli.fleet_terminal import FleetTerminal

    with FleetTerminal(stdout, stderr) as terminal, redirect_stdout(sys.stderr):
        watcher = Watcher(source=source, on_rows=terminal.on_rows, on_sensors=terminal.on_sensors)
        delivery = run_flow(flow, watcher, without_secrets(source), fleet, config)
    if as_json:
        say_json({**delivery.computed.as_dict(), **recorded(delivery)})
    else:
        terminal.show(delivery, config.mlruns)
    if delivery.failure is not None:
        raise delivery.failure
    if delivery.computed.exploded:
        sys.exit(EXIT_DIVERGED)
