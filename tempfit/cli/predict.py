"""`tempfit predict`: readings to temperatures by a recorded calibration, or back; of any number, in little memory."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tempfit.cli.help import Command
from tempfit.cli.options import parse_options
from tempfit.cli.shared import (
    DEFAULT_MLRUNS,
    Mlruns,
    app,
    check_folder,
    open_record,
    show_text,
    show_warnings,
    stderr,
)
from tempfit.config import NO_COLUMN, CalibrationConfig, ReadingsConfig
from tempfit.wording import count

if TYPE_CHECKING:
    from tempfit.exact.prediction import Predictor
    from tempfit.readings.columns import Columns
    from tempfit.readings.writers import TableWriter

WORKERS = min(4, os.cpu_count() or 1)  # writing numbers takes most of the time, and other threads can do it
HELP = {name: field.description for name, field in ReadingsConfig.model_fields.items()}


@app.command(cls=Command)
def predict(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL_OR_RUN",
            help="A run by its id (4 digits are enough) or name, a model as models:/…, or a calibration.json.",
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
    mlruns: Mlruns = DEFAULT_MLRUNS,
) -> None:
    """Say the temperatures of readings, with their uncertainty, by a calibration that was recorded."""
    from tempfit.readings.tables import open_table
    from tempfit.readings.writers import check_output

    if output is not None:
        check_output(output, file)
        check_folder("--output", output)
    with open_table(file) as table:  # a wrong file is told at once, before anything heavy is loaded
        with stderr.status("reading the calibration …"), redirect_stdout(sys.stderr):
            filed, _ = open_record(model, mlruns)
            curve, told = filed.curve, filed.record.config
        recorded: dict[str, str | float | None] = {"x": told.x, "y": told.y, "coverage": curve.coverage}
        wanted = {"x": x, "y": y, "coverage": coverage}
        wanted = {**recorded, **{name: value for name, value in wanted.items() if value is not None}}
        form = {"delimiter": delimiter, "decimal": decimal, "drop_missing": drop_missing}
        config = parse_options({**wanted, **form, "u_c": NO_COLUMN, "u_u": NO_COLUMN})
        from tempfit.exact.prediction import Predictor

        predictor = Predictor(replace(curve, coverage=config.coverage), config.x, config.y, inverse)
        show_warnings(filed.record)
        _predict(predictor, table, file, output, config)


def _predict(
    predictor: Predictor, table: BufferedIOBase, source: str, output: Path | None, config: CalibrationConfig
) -> None:
    """Read, predict and write block by block; a summary on stderr."""
    from concurrent.futures import ThreadPoolExecutor

    from tempfit.readings.columns import Wanted
    from tempfit.readings.tables import read_blocks
    from tempfit.system.interrupts import raise_if_stopped, stoppable

    n_rows = n_dropped = n_extrapolated = 0
    start = time.perf_counter()
    with stoppable(), _writer(output, predictor) as writer, _progress(table, output) as on_bytes:

        def prepare(columns: Columns) -> tuple[int, int, int, Any]:
            block = predictor(columns.values[predictor.given])
            return len(block["extrapolated"]), columns.n_dropped, block["extrapolated"].sum(), writer.prepare(block)

        blocks = read_blocks(table, source, config, [Wanted(predictor.given)], on_bytes)
        with ThreadPoolExecutor(WORKERS) as pool:
            for n, dropped, extrapolated, prepared in _ahead(pool.submit, prepare, blocks):
                raise_if_stopped()
                writer.write(prepared)
                n_rows, n_dropped, n_extrapolated = n_rows + n, n_dropped + dropped, n_extrapolated + extrapolated
    rate = n_rows / (time.perf_counter() - start)
    low, high = predictor.curve.t_u_range
    dropped = f" ({n_dropped:,} dropped for a missing value)" if n_dropped else ""
    show_text(
        stderr,
        "",
        f"{count(n_rows, 'row')}{dropped}, {f'{n_extrapolated:,}' if n_extrapolated else 'none'} extrapolated "
        f"(calibrated: {predictor.x} from {low:g} to {high:g}), {rate:,.0f} rows/s",
        "",
    )


def _ahead(submit: Callable[..., Any], function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """The function's results in the items' order, a few of them under way at any time."""
    under_way: deque[Any] = deque()
    for item in items:
        under_way.append(submit(function, item))
        if len(under_way) > WORKERS:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


@contextmanager
def _writer(output: Path | None, predictor: Predictor) -> Iterator[TableWriter]:
    """Into the file, or onto stdout."""
    from tempfit.readings.writers import CsvWriter, open_output

    if output is not None:
        with open_output(output, predictor.empty()) as file:
            yield file
        return
    writer = CsvWriter(sys.stdout.buffer, predictor.empty())
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
