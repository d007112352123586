"""`tempfit predict`: readings to temperatures by a recorded calibration, or back; of any number, in little memory."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import typer

from tempfit.cli.help import Command
from tempfit.cli.opening import SensorKey, open_curves, open_record
from tempfit.cli.options import parse_options
from tempfit.cli.shared import (
    DEFAULT_MLRUNS,
    Mlruns,
    app,
    check_folder,
    show_text,
    show_warnings,
    stderr,
    warn,
)
from tempfit.config import NO_COLUMN, CalibrationConfig, ReadingsConfig
from tempfit.errors import SettingsError
from tempfit.wording import count

if TYPE_CHECKING:
    from tempfit.exact.prediction import Predictor
    from tempfit.readings.columns import Columns, Wanted
    from tempfit.readings.writers import TableBlock, TableWriter

HELP = {name: field.description for name, field in ReadingsConfig.model_fields.items()}


@app.command(cls=Command)
def predict(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL_OR_RUN",
            help="A run by its id (4 digits are enough) or name, a model as models:/…, or a calibration.json or "
            "fleet.parquet.",
        ),
    ],
    file: Annotated[str, typer.Argument(metavar="FILE", help="Readings, CSV or Parquet; - reads stdin.")],
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write the table into this file, .csv or .parquet.", metavar="FILE", show_default="CSV on stdout"
        ),
    ] = None,
    inverse: Annotated[
        bool, typer.Option("--inverse", help="The readings that belong to temperatures, by a line.")
    ] = False,
    x: Annotated[
        str | None, typer.Option(help="Column of the readings.", show_default="the calibration's", metavar="NAME")
    ] = None,
    y: Annotated[
        str | None, typer.Option(help="Column of the temperatures.", show_default="the calibration's", metavar="NAME")
    ] = None,
    coverage: Annotated[
        float | None,
        typer.Option(help="Coverage probability of the intervals.", show_default="the calibration's", metavar="P"),
    ] = None,
    delimiter: Annotated[
        Literal["auto", "comma", "semicolon", "tab"], typer.Option(help=HELP["delimiter"], metavar="WORD")
    ] = "auto",
    decimal: Annotated[Literal["auto", "point", "comma"], typer.Option(help=HELP["decimal"], metavar="WORD")] = "auto",
    drop_missing: Annotated[bool, typer.Option("--drop-missing", help=HELP["drop_missing"])] = False,
    sensor: SensorKey = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="Column that names the sensor of each reading, of a fleet.", metavar="NAME", show_default="one sensor"
        ),
    ] = None,
    mlruns: Mlruns = DEFAULT_MLRUNS,
) -> None:
    """Say the temperatures of readings, with their uncertainty, by a calibration that was recorded."""
    from tempfit.readings.tables import open_table
    from tempfit.readings.writers import check_output

    if by is not None and (inverse or sensor is not None):
        raise SettingsError(f"--by is of all sensors, {'--inverse' if inverse else '--sensor'} of one: choose")
    if output is not None:
        check_output(output, file)
        check_folder("--output", output)
    wanted = {"x": x, "y": y, "coverage": coverage}
    form = {"delimiter": delimiter, "decimal": decimal, "drop_missing": drop_missing}

    def settle(told: CalibrationConfig) -> CalibrationConfig:
        """As it was calibrated, unless it is said otherwise."""
        recorded: dict[str, str | float | None] = {"x": told.x, "y": told.y, "coverage": told.coverage}
        chosen = recorded | {name: value for name, value in wanted.items() if value is not None}
        return parse_options({**chosen, **form, "u_c": NO_COLUMN, "u_u": NO_COLUMN})

    with open_table(file) as table:  # a wrong file is told at once, before anything heavy is loaded
        with stderr.status("reading the calibration …"), redirect_stdout(sys.stderr):
            prediction: Prediction
            if by is None:
                filed, _ = open_record(model, mlruns, sensor, ", or the column of all by `by=NAME`")
                curve, config = filed.curve, settle(filed.record.config)
            else:
                from tempfit.cli.predict_fleet import AllSensors

                curves = open_curves(model, mlruns, "by")
                config = settle(curves.config)
        if by is None:
            from tempfit.exact.prediction import Predictor

            predictor = Predictor(replace(curve, coverage=config.coverage), config.x, config.y, inverse)
            prediction = OneSensor(predictor)
            show_warnings(filed.record)
        else:
            prediction = AllSensors(curves, by, config)
        _predict(prediction, table, file, output, config)


class Prediction(Protocol):
    """Readings to temperatures, block by block, and what is said of them at the end.

    wanted: the columns that it takes.
    """

    wanted: list[Wanted]

    def empty(self) -> TableBlock:
        """The table without rows."""

    def predict(self, columns: Columns) -> tuple[TableBlock, Any]:
        """A block of the table, which other threads may make; and what `count` wants of it."""

    def count(self, told: Any) -> None: ...

    def describe(self, rows: str) -> list[str]:
        """Sentences about all of it; the first begins with `rows`: how many there were."""


class OneSensor:
    """By a single calibration."""

    def __init__(self, predictor: Predictor):
        from tempfit.readings.columns import Wanted

        self.predictor, self.wanted, self.n_extrapolated = predictor, [Wanted(predictor.given)], 0

    def empty(self) -> TableBlock:
        return self.predictor.empty()

    def predict(self, columns: Columns) -> tuple[TableBlock, int]:
        block = self.predictor(columns.values[self.predictor.given])
        return block, int(block["extrapolated"].sum())

    def count(self, told: int) -> None:
        self.n_extrapolated += told

    def describe(self, rows: str) -> list[str]:
        low, high = self.predictor.curve.t_u_range
        how_many = f"{self.n_extrapolated:,}" if self.n_extrapolated else "none"
        return [f"{rows}, {how_many} extrapolated (calibrated: {self.predictor.x} from {low:g} to {high:g})"]


def _predict(
    prediction: Prediction, table: BufferedIOBase, source: str, output: Path | None, config: CalibrationConfig
) -> None:
    """Read, predict and write block by block; a summary on stderr."""
    from tempfit.readings.tables import read_blocks
    from tempfit.system.interrupts import raise_if_stopped, stoppable
    from tempfit.system.threads import ahead

    n_rows = n_dropped = 0
    start = time.perf_counter()
    with stoppable(), _writer(output, prediction.empty()) as writer, _progress(table, output) as on_bytes:

        def prepare(columns: Columns) -> tuple[int, int, Any, Any]:
            block, told = prediction.predict(columns)
            return len(next(iter(block.values()))), columns.n_dropped, told, writer.prepare(block)

        blocks = read_blocks(table, source, config, prediction.wanted, on_bytes)
        for n, left_out, told, prepared in ahead(prepare, blocks):  # writing numbers takes most of the time
            raise_if_stopped()
            writer.write(prepared)
            prediction.count(told)
            n_rows, n_dropped = n_rows + n, n_dropped + left_out
    rate = n_rows / (time.perf_counter() - start)
    dropped = f" ({n_dropped:,} dropped for a missing value)" if n_dropped else ""
    first, *others = prediction.describe(f"{count(n_rows, 'row')}{dropped}")
    show_text(stderr, "", f"{first}, {rate:,.0f} rows/s", "")
    for sentence in others:
        warn(sentence)


@contextmanager
def _writer(output: Path | None, empty: TableBlock) -> Iterator[TableWriter]:
    """Into the file, or onto stdout."""
    from tempfit.readings.writers import CsvWriter, open_output

    if output is not None:
        with open_output(output, empty) as file:
            yield file
        return
    writer = CsvWriter(sys.stdout.buffer, empty)
    yield writer
    writer.close()


@contextmanager
def _progress(table: BufferedIOBase, output: Path | None) -> Iterator[Callable[[int], None]]:
    """A bar on the terminal, unless the table may go there, too: what to call with the number of bytes read."""
    if output is None or not stderr.is_terminal:
        yield lambda n_bytes: None
        return
    from rich.progress import Progress

    with Progress(console=stderr, transient=True) as progress:
        size = os.fstat(table.fileno()).st_size or None  # a pipe has none
        task = progress.add_task("predict", total=size)
        yield lambda n_bytes: progress.update(task, completed=n_bytes)
