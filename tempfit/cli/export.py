"""`tempfit export`: a recorded calibration for a device or another program."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Literal

import typer

from tempfit.cli.help import Command
from tempfit.cli.shared import DEFAULT_MLRUNS, Mlruns, RunName, app, check_folder, open_record, show_warnings, stderr


@app.command(cls=Command)
def export(
    run: RunName,
    *,
    target: Annotated[
        Literal["esphome", "home-assistant", "tasmota", "c-header", "json"],
        typer.Option(
            "--format",
            help="esphome, home-assistant, tasmota, c-header or json.",
            metavar="WORD",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(help="Write into this file.", metavar="FILE", show_default="standard output")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the sensor; of tasmota, that which is read; of c-header, what all names begin with.",
            show_default="one for each format",
            metavar="NAME",
        ),
    ] = None,
    mlruns: Mlruns = DEFAULT_MLRUNS,
) -> None:
    """Write a calibration for ESPHome, Home Assistant, Tasmota, C or as JSON."""
    from tempfit import export as exports
    from tempfit.system.files import whole_file

    if output is not None:
        check_folder("--output", output)
    if name is not None:
        exports.check_name(target, name)
    with stderr.status("reading the run …"), redirect_stdout(sys.stderr):  # what libraries print is no result
        filed, _ = open_record(run, mlruns)
    text = exports.export(filed, target, name)
    if output is None:
        print(text, end="")
    else:
        with whole_file(output) as file:
            file.write(text.encode())
    show_warnings(filed.record)
