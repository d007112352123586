"""`tempfit report`: a calibration as a report or certificate for a person, HTML or PDF."""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tempfit.cli.help import Command
from tempfit.cli.opening import RunName, SensorKey, open_record
from tempfit.cli.shared import (
    DEFAULT_MLRUNS,
    Mlruns,
    Whole,
    app,
    check_folder,
    show_lines,
    show_warnings,
    stderr,
    stdout,
)
from tempfit.errors import SettingsError

if TYPE_CHECKING:
    from tempfit.calibration.filed import Filed
    from tempfit.report.fields import Fields

MOST_READINGS = 1000  # of --at
ID_DIGITS, MOST_NAME = 8, 60  # of a run's id, of a sensor's name, in the name of a file


@app.command(cls=Command)
def report(
    run: RunName,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            help="File to write, .html or .pdf; may be given for both.",
            metavar="FILE",
            show_default="report-ID.html, of a sensor report-KEY.html",
        ),
    ] = None,
    fields: Annotated[
        Path | None,
        typer.Option(help="What only you know: thermometer, reference, client, conditions, …", metavar="FILE.toml"),
    ] = None,
    certificate: Annotated[
        bool,
        typer.Option("--certificate", help="Call it a certificate; --fields has to name reference and uncertainty."),
    ] = False,
    at: Annotated[
        str | None,
        typer.Option(
            help="Readings to tabulate the temperature at: 0,25,50.",
            metavar="READINGS",
            show_default="round ones over the calibrated range",
        ),
    ] = None,
    paper: Annotated[Literal["a4", "letter"], typer.Option(help="a4 or letter.", metavar="WORD")] = "a4",
    sensor: SensorKey = None,
    mlruns: Mlruns = DEFAULT_MLRUNS,
) -> None:
    """Write the report of a recorded calibration, for a person: what to use, how uncertain it is, and why."""
    for path in output or ():
        _check_output(path)
    readings = None if at is None else parse_readings(at)
    told = _read_fields(fields, certificate)
    with stderr.status("reading the run …") as status, redirect_stdout(sys.stderr):  # what libraries print is no result
        filed, observed = _open(run, mlruns, sensor)
        status.update("drawing …")
        from tempfit.report import gather, read_observed, to_page
        from tempfit.system.files import whole_file

        if certificate and not filed.record.usable:
            raise SettingsError(
                f"--certificate: by its own checks, {filed.name} should not be used: leave --certificate out for a "
                "report that says why"
            )
        content = gather(
            filed,
            told,
            None if observed is None else read_observed(observed, _short_name(filed)),
            at=readings,
            certificate=certificate,
        )
        page = to_page(content, paper)
        outputs = output or [Path(f"report-{_short_name(filed)}.html")]
        written = {path: _render(path, page) for path in outputs}
    for path, rendered in written.items():
        with whole_file(path) as file:
            file.write(rendered)
    show_lines(stdout, [("report", Whole(path)) for path in written])
    show_warnings(filed.record)


def parse_readings(text: str) -> list[float]:
    """`0,25,50` as numbers. Raises SettingsError where they are none."""
    from tempfit.readings.columns import LARGEST_VALUE  # brings numpy
    from tempfit.wording import shown

    try:
        values = [float(item) for item in text.split(",")]
    except ValueError:
        raise SettingsError(
            f"--at: {shown(text)} is no list of readings; separate numbers by commas: 0,25,50"
        ) from None
    if not all(abs(value) <= LARGEST_VALUE for value in values):
        raise SettingsError(f"--at: {shown(text)}: readings are finite numbers, at most {LARGEST_VALUE:g}")
    if len(values) > MOST_READINGS:
        raise SettingsError(f"--at: {len(values):,} readings; a table takes {MOST_READINGS:,} at most")
    return values


def _check_output(path: Path) -> None:
    """What can be told before anything is read. Raises SettingsError."""
    if path.suffix.lower() not in (".html", ".pdf"):
        raise SettingsError(f"--output: {path}: a report is HTML or PDF; name a file that ends in .html or .pdf")
    check_folder("--output", path)
    if path.exists() and not path.is_file():
        raise SettingsError(f"--output: {path}: this is no file; name another")


def _read_fields(path: Path | None, certificate: bool) -> Fields:
    """The user's fields. Raises SettingsError where a certificate is wanted and they do not allow it."""
    from tempfit.report.fields import Fields, read_fields

    fields = Fields() if path is None else read_fields(path)
    if certificate and (missing := fields.missing_for_certificate()):
        raise SettingsError(
            f"--certificate: {'--fields FILE.toml' if path is None else path}: a certificate says what the thermometer "
            f"was compared with: give {' and '.join(missing)}, or leave --certificate out for a report"
        )
    return fields


def _open(run: str, mlruns: str, sensor: str | None) -> tuple[Filed, bytes | None]:
    """The record, and the table of its readings where the run keeps one."""
    filed, store = open_record(run, mlruns, sensor)
    if store is None or filed.run_id is None or sensor is not None:
        return filed, None
    from tempfit.calibration.filed import RESIDUALS_FILE
    from tempfit.tracking.queries import load_artifact

    return filed, load_artifact(store, filed.run_id, RESIDUALS_FILE)


def _short_name(filed: Filed) -> str:
    if filed.sensor is not None:
        return re.sub(r"[^\w.-]", "_", filed.sensor)[:MOST_NAME]
    return filed.run_id[:ID_DIGITS] if filed.run_id else Path(filed.name).stem


def _render(path: Path, page: str) -> bytes:
    if path.suffix.lower() == ".html":
        return page.encode("utf-8")
    from tempfit.report.pdf import to_pdf

    return to_pdf(page)
