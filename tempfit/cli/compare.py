"""`tempfit compare`: what differs between runs, and what came of it."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.cells import cell_len
from rich.console import Console

from tempfit.cli.shared import DEFAULT_MLRUNS, Mlruns, app, browse_command, say, stderr, stdout
from tempfit.config import TrackingConfig
from tempfit.errors import SettingsError

if TYPE_CHECKING:
    from rich.table import Table

    from tempfit.compare import Comparison, RecordedLoss, RecordedRun, Row
    from tempfit.tracking.store import Store

DEFAULT_LAST, DEFAULT_ROWS = 5, 20
MOST = 10_000  # runs of one comparison
DIGITS = {"loss": 6, "rmse": 4, "w": 4, "b": 5, "validation_loss": 6}  # as in a calibration's summary
HEADINGS = {"n_epochs": "epochs", "close_at": "close at", "validation_loss": "validation loss"}
NAME_WIDTH, GAP = 24, 2  # characters: what a name may be folded to; what is between columns


@app.command()
def compare(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Ids of runs, the first 4 digits of them or more, or exact names."),
    ] = None,
    last: Annotated[
        int | None,
        typer.Option(
            help="The N newest runs that finished.", min=2, max=MOST, metavar="N", show_default=str(DEFAULT_LAST)
        ),
    ] = None,
    best: Annotated[
        int | None,
        typer.Option(
            help="The N runs with the lowest loss on the data of the newest one.", min=2, max=MOST, metavar="N"
        ),
    ] = None,
    sweep: Annotated[str | None, typer.Option(help="The runs of a sweep, by its id or name.", metavar="ID")] = None,
    rows: Annotated[
        int | None,
        typer.Option(
            help="Show the best N runs of the sweep.", min=1, max=MOST, metavar="N", show_default=str(DEFAULT_ROWS)
        ),
    ] = None,
    experiment: Annotated[
        str | None,
        typer.Option(
            help="MLflow experiment to look in.",
            show_default=f"{TrackingConfig().experiment}; all for runs and sweeps named",
        ),
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw loss curves and lines over each other.", metavar="FILE.png")
    ] = None,
    mlruns: Mlruns = DEFAULT_MLRUNS,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")] = False,
) -> None:
    """Show what differs between runs, and what came of it, the best first."""
    if bool(runs) + (last is not None) + (best is not None) + (sweep is not None) > 1:
        raise SettingsError("choose the runs in one way: by RUN, --last, --best or --sweep")
    if rows is not None and sweep is None:
        raise SettingsError("--rows is for --sweep; --last and --best say themselves how many runs to show")
    if figure is not None:
        _check_figure(figure)
    with stderr.status("reading the runs …"), redirect_stdout(sys.stderr):  # what libraries print is no result
        from tempfit.compare import compare
        from tempfit.tracking.queries import load_loss_curves
        from tempfit.tracking.store import open_existing_store
        from tempfit.tracking.ui import compare_page, ui_address

        store = open_existing_store(Path(mlruns))
        found = _choose(store, runs, last, best, sweep, experiment)
        comparison = compare(found, (rows or DEFAULT_ROWS) if sweep is not None else None)
        run_ids = [row.run.run_id for row in comparison.rows]
        url = compare_page(ui_address(store), run_ids, comparison.experiment_ids)
        if figure is not None:
            _write_figure(figure, comparison, load_loss_curves(store, comparison.runs))
    if as_json:
        print(json.dumps(_as_dict(comparison, url), ensure_ascii=False, allow_nan=False))
    else:
        _show(comparison)
        is_server = store.is_server
        say(f"browse  {url}" if is_server else f"browse  {browse_command(mlruns)}  →  {url}")
    if figure is not None:
        where = stderr if as_json else stdout
        where.print(f"figure  {figure}", soft_wrap=True, highlight=False, markup=False)


def _choose(
    store: Store, runs: list[str] | None, last: int | None, best: int | None, sweep: str | None, experiment: str | None
) -> list[RecordedRun]:
    from tempfit.tracking.queries import best_runs, find_runs, last_runs, sweep_runs

    if runs:
        return find_runs(store, runs, experiment)
    if sweep is not None:
        return sweep_runs(store, sweep, experiment)
    experiment = experiment if experiment is not None else TrackingConfig().experiment
    if best is not None:
        return best_runs(store, best, experiment)
    return last_runs(store, last if last is not None else DEFAULT_LAST, experiment)


def _check_figure(path: Path) -> None:
    """What can be told before anything is loaded. Raises SettingsError."""
    if path.suffix.lower() != ".png":
        raise SettingsError(f"--figure: {path} should end in .png, the format that is written")
    if not path.parent.is_dir():
        raise SettingsError(f"--figure: there is no folder {path.parent}; make it, or choose another")


def _write_figure(path: Path, comparison: Comparison, curves: dict[str, RecordedLoss]) -> None:
    from tempfit.plots.canvas import to_png
    from tempfit.plots.runs import draw_runs

    png = to_png(draw_runs(comparison, curves))
    try:
        path.write_bytes(png)
    except OSError as error:
        raise SettingsError(f"--figure: cannot write {path}: {error.strerror}; choose another place") from None


def _show(comparison: Comparison) -> None:
    """The table, and what has to be said about it.

    A table that is cut off cannot be read. Where a terminal is too narrow, the settings and the results are two tables;
    a file takes any width.
    """
    first, settings, results = _columns(comparison)
    whole = [*first, *settings, *results]
    fits = not stdout.is_terminal or _widths(whole)[0] <= stdout.width
    for columns in [whole] if fits else [[*first, *settings], [*first[:1], *results]]:
        least, most = _widths(columns)
        width = max(least, min(most, stdout.width)) if stdout.is_terminal else most
        Console(width=width).print(_table(columns), crop=False)
    if not comparison.differing:
        say("The settings and the data of all runs are the same.")
    if comparison.measure != "loss":
        say("Their losses are of different kinds, so the runs are in the order of their RMSE.")
    if comparison.n_left_out:
        n = len(comparison.runs)
        say(f"{comparison.n_left_out:,} of {n:,} runs left out; --rows {n} shows them all.")


@dataclass(frozen=True)
class Column:
    """A column of the table: its heading, its cells, and how they are shown."""

    heading: str
    cells: list[str]
    justify: Literal["left", "right"] = "left"
    style: str = ""
    least: int | None = None  # the width to which it may be folded; None: it is not

    @property
    def width(self) -> int:
        return max(cell_len(text) for text in [self.heading, *self.cells])


def _columns(comparison: Comparison) -> tuple[list[Column], list[Column], list[Column]]:
    """Which run it is, what differs, what came of it."""
    rows = comparison.rows
    written = [comparison.written(row.run) for row in rows]
    first = [
        Column("run", [comparison.short_id(row.run) for row in rows], style="dim"),
        Column("name", [row.run.name for row in rows], least=NAME_WIDTH),
    ]
    settings = [Column(name, [settings[name] for settings in written], style="cyan") for name in comparison.differing]
    results = [Column("status", [_cell(row, "status") for row in rows])]
    results += [
        Column(HEADINGS.get(name, name), [_cell(row, name) for row in rows], justify="right")
        for name in rows[0].results
        if name not in ("status", "diverged_at")  # the latter is told with the former
    ]
    return first, settings, results


def _widths(columns: list[Column]) -> tuple[int, int]:
    """Of a table: the least that shows every cell whole, and the most that it needs."""
    gaps = GAP * len(columns)
    least = sum(column.width if column.least is None else min(column.width, column.least) for column in columns)
    return least + gaps, sum(column.width for column in columns) + gaps


def _table(columns: list[Column]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(
            column.heading,
            justify=column.justify,
            style=column.style,
            no_wrap=column.least is None,
            min_width=column.width if column.least is None else min(column.width, column.least),
        )
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*(escape(cell) for cell in cells))
    return table


def _cell(row: Row, name: str) -> str:
    value = row.results[name]
    if name == "status":
        at = row.results.get("diverged_at")
        return f"{value} at {at:,}" if at is not None else str(value)
    if value is None or (row.run.diverged and name in DIGITS):  # the last finite numbers of what overflowed say nothing
        return "–"
    return format_number(float(value), DIGITS[name]) if name in DIGITS else f"{value:,}"


def format_number(value: float, digits: int) -> str:
    """A result with `digits` significant digits: 2.92765, 0.5368, 1.9e34."""
    mantissa, e, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def _as_dict(comparison: Comparison, url: str) -> dict[str, object]:
    return {
        "runs": [
            {
                "run_id": row.run.run_id,
                "name": row.run.name,
                "experiment_id": row.run.experiment_id,
                "settings": row.settings,
                "results": row.results,
            }
            for row in comparison.rows
        ],
        "ordered_by": comparison.measure,
        "n_left_out": comparison.n_left_out,
        "url": url,
    }
