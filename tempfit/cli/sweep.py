"""`tempfit sweep`: many configurations at once."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

import tempfit
from tempfit.cli.help import Command
from tempfit.cli.options import takes_settings
from tempfit.cli.shared import EXIT_DIVERGED, app, load_flow, recorded, say_json, stderr, stdout
from tempfit.config import CalibrationConfig
from tempfit.errors import SettingsError
from tempfit.studies.grid import make_grid
from tempfit.studies.presets import Preset, preset_grid

OWN_DATA: dict[Preset, str] = {"tutorial": "thermometer.csv"}  # what a preset is about, in the project's data/


@app.command(cls=Command)
@takes_settings
def sweep(
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="Paired readings; a preset's own data if not given.")
    ] = None,
    *,
    config: CalibrationConfig,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            help="A setting and its values: scaling=none,standardize or a range, learning_rate=1e-5..1e-1:25 "
            "(log-spaced where it spans a factor of 10; :lin or :log at the end says which). Repeat it for more "
            "settings: every combination is tried.",
            metavar="SETTING=VALUES",
        ),
    ] = None,
    preset: Annotated[
        Preset | None,
        typer.Option(
            metavar="WORD", help="tutorial: its experiments, and every remedy that it names for a loss that explodes."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Allow more than 1,000 configurations.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")] = False,
) -> None:
    """Try many configurations in one go, record each as a run, show which work and which fail."""
    _refuse_bad_grid(config, grid or [], preset, agreed=yes)
    source = _source(file, preset)
    from tempfit.readings.paired import peek

    peek(source, config)
    load_flow("flows.sweep", config.mlruns)
    from flows.delivery import run_flow
    from flows.sweep import sweep as flow
    from flows.tasks import Watcher
    from tempfit.cli.sweep_terminal import SweepTerminal

    with SweepTerminal(stdout, stderr) as terminal, redirect_stdout(sys.stderr):
        watcher = Watcher(on_plan=terminal.on_plan, on_epochs=terminal.on_epochs, on_recorded=terminal.on_recorded)
        delivery = run_flow(flow, watcher, source, grid or [], preset, config, yes)
    if as_json:
        say_json({**delivery.computed.as_dict(), **recorded(delivery)})
    else:
        terminal.show(delivery, config.mlruns)
    if delivery.failure is not None:
        raise delivery.failure
    if delivery.computed.best is None:
        sys.exit(EXIT_DIVERGED)


def _refuse_bad_grid(config: CalibrationConfig, grid: list[str], preset: Preset | None, *, agreed: bool) -> None:
    """Raises SettingsError where the flow would, before anything heavy is loaded."""
    if grid and preset is not None:
        raise SettingsError("--grid and --preset are two ways to say what to try; leave one out")
    if not grid and preset is None:
        raise SettingsError("say what to try: --grid SETTING=VALUES (once per setting), or --preset tutorial")
    if preset is not None:
        preset_grid(preset, config)
    else:
        make_grid(config, grid, agreed=agreed)


def _source(file: str | None, preset: Preset | None) -> str:
    if file is not None:
        return file
    if preset is None:
        raise SettingsError("which readings? Name a file, or - for standard input")
    return str(Path(tempfit.__file__).parents[1] / "data" / OWN_DATA[preset])
