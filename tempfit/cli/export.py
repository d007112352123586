"""`tempfit export`: a recorded calibration for a device or another program."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Literal

import typer

from tempfit.cli.help import Command
from tempfit.cli.opening import RunName, SensorKey, open_record
from tempfit.cli.shared import DEFAULT_MLRUNS, Mlruns, app, check_folder, show_warnings, stderr
from tempfit.errors import SettingsError


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
        Path | None,
        typer.Option(
            help="Write into this file; with --all, into this folder.", metavar="FILE", show_default="standard output"
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the sensor; of tasmota, that which is read; of c-header, what all names begin with.",
            show_default="one for each format",
            metavar="NAME",
        ),
    ] = None,
    sensor: SensorKey = None,
    every: Annotated[
        bool, typer.Option("--all", help="All sensors of a fleet: a file each in a folder, or one document.")
    ] = False,
    unusable: Annotated[
        bool, typer.Option("--unusable", help="With --all, those too that their own checks say not to use.")
    ] = False,
    mlruns: Mlruns = DEFAULT_MLRUNS,
) -> None:
    """Write a calibration for ESPHome, Home Assistant, Tasmota, C or as JSON."""
    from tempfit import export as exports
    from tempfit.system.files import whole_file

    if every and (sensor is not None or name is not None):
        raise SettingsError(f"--all: {'--name' if sensor is None else '--sensor'} is of one sensor; leave it out")
    if unusable and not every:
        raise SettingsError("--unusable: plays a part only with --all; one sensor is written in any case")
    if output is not None:
        check_folder("--output", output)
    if name is not None:
        exports.check_name(target, name)
    if every:
        from tempfit.cli.export_fleet import export_fleet

        export_fleet(run, target, output, mlruns, with_unusable=unusable)
        return
    with stderr.status("reading the run …"), redirect_stdout(sys.stderr):  # what libraries print is no result
        filed, _ = open_record(run, mlruns, sensor, ", or take all by `all`")
    text = exports.export(filed, target, name)
    if output is None:
        print(text, end="")
    else:
        with whole_file(output) as file:
            file.write(text.encode())
    show_warnings(filed.record)
