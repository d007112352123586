"""`tempfit compare`: what differs between runs, and what came of it."""

from __future__ import annotations

import shlex
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tempfit.cli.help import Command
from tempfit.cli.opening import MOST
from tempfit.cli.shared import (
    DEFAULT_MLRUNS,
    Mlruns,
    Whole,
    app,
    browse,
    check_figure,
    say_json,
    show_lines,
    stderr,
    stdout,
    write_figure,
)
from tempfit.cli.tables import NAME_WIDTH, Column, fits, show_table
from tempfit.config import FleetConfig, TrackingConfig
from tempfit.errors import SettingsError
from tempfit.wording import count

if TYPE_CHECKING:
    from tempfit.studies.compare import ComparedRun, Comparison, RecordedRun
    from tempfit.tracking.store import Store

DEFAULT_LAST, DEFAULT_ROWS = 5, 20
DIGITS = {"loss": 6, "rmse": 4, "w": 4, "b": 5, "validation_loss": 6}  # as in a calibration's summary
HEADINGS = {  # of results; `loss` alone is the setting
    "loss": "final loss",
    "n_epochs": "epochs",
    "close_at": "close at",
    "validation_loss": "validation loss",
}
ORDERED_BY = {  # where it is not the loss: what, and why
    "validation_loss": "validation loss, which all runs have",
    "rmse": "rmse, since their losses are of different kinds",
}


@app.command(cls=Command)
def compare(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="Ids of runs, the first 4 digits of them or more, or exact names; of two fleets, or their tables.",
        ),
    ] = None,
    last: Annotated[
        int | None,
        typer.Option(
            help="The N newest runs that finished; a sweep is one of them.",
            min=2,
            max=MOST,
            metavar="N",
            show_default=str(DEFAULT_LAST),
        ),
    ] = None,
    best: Annotated[
        int | None,
        typer.Option(help="The N best runs on the data of the newest one.", min=2, max=MOST, metavar="N"),
    ] = None,
    sweep: Annotated[str | None, typer.Option(help="The runs of a sweep, by its id or name.", metavar="ID")] = None,
    rows: Annotated[
        int | None,
        typer.Option(
            help="Show the best N runs of the sweep, or N sensors of a fleet.",
            min=1,
            max=MOST,
            metavar="N",
            show_default=str(DEFAULT_ROWS),
        ),
    ] = None,
    experiment: Annotated[
        str | None,
        typer.Option(
            help="MLflow experiment to look in.",
            metavar="NAME",
            show_default=f"{TrackingConfig().experiment}; all for runs and sweeps named",
        ),
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw loss curves and lines over each other.", metavar="FILE.png")
    ] = None,
    fdr: Annotated[
        float | None,
        typer.Option(
            help="Of two fleets: share of unchanged sensors among those changed that is expected at most.",
            min=0,
            max=1,
            metavar="NUMBER",
            show_default=str(FleetConfig().fdr),
        ),
    ] = None,
    mlruns: Mlruns = DEFAULT_MLRUNS,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")] = False,
) -> None:
    """Show what differs between runs, and what came of it, the best first; of two fleets, which sensors changed."""
    if bool(runs) + (last is not None) + (best is not None) + (sweep is not None) > 1:
        raise SettingsError("choose the runs in one way: by RUN, --last, --best or --sweep")
    if figure is not None:
        check_figure(figure)
    if runs is not None:
        from tempfit.cli.compare_fleets import compare_fleets, find_fleets

        fleets = find_fleets(runs, mlruns, experiment)
        if fleets is not None:
            if figure is not None:
                raise SettingsError("--figure: draws runs of one thermometer; leave it out for fleets")
            compare_fleets(*fleets, fdr, rows or DEFAULT_ROWS, as_json=as_json)
            return
    if fdr is not None:
        raise SettingsError("--fdr is for two fleets: name their runs, or their tables")
    if rows is not None and sweep is None:
        raise SettingsError("--rows is for --sweep; --last and --best say themselves how many runs to show")
    with stderr.status("reading the runs …"), redirect_stdout(sys.stderr):  # what libraries print is no result
        from tempfit.tracking.queries import load_loss_curves
        from tempfit.tracking.store import open_existing_store
        from tempfit.tracking.ui import compare_page, ui_address

        store = open_existing_store(Path(mlruns))
        comparison = _choose(store, runs, last, best, sweep, rows or DEFAULT_ROWS, experiment)
        run_ids = [row.run.run_id for row in comparison.rows]
        url = compare_page(ui_address(store), run_ids, comparison.experiment_ids)
        if figure is not None:
            from tempfit.plots.canvas import to_png
            from tempfit.plots.runs import draw_runs

            write_figure(figure, to_png(draw_runs(comparison, load_loss_curves(store, comparison.runs))))
    if as_json:
        say_json(as_dict(comparison, url, figure))
    else:
        show(comparison, browse(store, mlruns, url), figure, mlruns)


def _choose(
    store: Store,
    runs: list[str] | None,
    last: int | None,
    best: int | None,
    sweep: str | None,
    rows: int,
    experiment: str | None,
) -> Comparison:
    from tempfit.studies.compare import compare, compare_best
    from tempfit.tracking.queries import find_runs, last_runs, runs_on_newest_data, sweep_runs

    if runs:
        return compare(find_runs(store, runs, experiment))
    if sweep is not None:
        return compare(sweep_runs(store, sweep, experiment), rows)
    experiment = experiment if experiment is not None else TrackingConfig().experiment
    if best is not None:
        return compare_best(runs_on_newest_data(store, experiment), best)
    return compare(last_runs(store, last if last is not None else DEFAULT_LAST, experiment))


def show(comparison: Comparison, where: Whole, figure: Path | None, mlruns: str = DEFAULT_MLRUNS) -> None:
    """The table, and what has to be said about it.

    Where a terminal is too narrow, the settings and the results are two tables.
    """
    first, settings, results = _columns(comparison)
    whole = [*first, *settings, *results]
    for columns in [whole] if fits(stdout, whole) else [[*first, *settings], [*first[:1], *results]]:
        show_table(stdout, columns)
    lines = [("sweep", _describe_sweep(comparison, row.run, mlruns)) for row in comparison.rows if row.run.sweep]
    if not comparison.differing:
        lines.append(("alike", "the settings and the data of all runs are the same"))
    if comparison.measure != "loss":
        lines.append(("ordered by", ORDERED_BY[comparison.measure]))
    if comparison.n_left_out:
        n = len(comparison.runs)
        lines.append(("left out", f"{comparison.n_left_out:,} of {n:,} runs; --rows {n} shows them all"))
    lines.append(("browse", where))
    if figure is not None:
        lines.append(("figure", Whole(figure)))
    stdout.print()
    show_lines(stdout, lines)


def _describe_sweep(comparison: Comparison, run: RecordedRun, mlruns: str) -> str:
    """Which line stands for what, and how to see the rest of it."""
    assert run.sweep is not None
    sweep, short_id = run.sweep, comparison.short_id(run)
    left = f"the best of {count(sweep.n_members, 'configuration')}"
    if run.run_id == sweep.run_id:
        left = f"{count(sweep.n_members, 'configuration')}, none of which left anything to use"
    elif sweep.n_failed:
        left += f", {sweep.n_failed:,} of which exploded"
    where = "" if mlruns == DEFAULT_MLRUNS else f" --mlruns {shlex.quote(mlruns)}"
    return f"{short_id} is {left}: tempfit compare --sweep {short_id}{where}"


def _columns(comparison: Comparison) -> tuple[list[Column], list[Column], list[Column]]:
    """Which run it is, what differs, what came of it."""
    rows = comparison.rows
    written = [comparison.written(row.run) for row in rows]
    first = [
        Column("run", [comparison.short_id(row.run) for row in rows], style="dim"),
        Column("name", [row.run.shown_name for row in rows], least=NAME_WIDTH),
    ]
    settings = [Column(name, [settings[name] for settings in written], style="cyan") for name in comparison.differing]
    results = [
        Column(
            HEADINGS.get(name, name),
            [cell(row, name) for row in rows],
            justify="left" if name in ("status", "outcome") else "right",
        )
        for name in rows[0].results
        if name != "diverged_at"  # it is told with the status
    ]
    return first, settings, results


def cell(row: ComparedRun, name: str) -> str:
    """What the table shows of a result."""
    value = row.results[name]
    if name == "status":
        at = row.results.get("diverged_at")
        on_its_way = " (explodes)" if row.run.diverged and not row.run.overflowed else ""
        return f"{value} at {at:,}" if at is not None else f"{value}{on_its_way}"
    if value is None or (row.run.overflowed and name in DIGITS):  # the last finite numbers before it say nothing
        return "–"
    if name == "outcome":
        return str(value)
    return format_number(float(value), DIGITS[name]) if name in DIGITS else f"{value:,}"


def format_number(value: float, digits: int) -> str:
    """A result with `digits` significant digits: 2.92765, 0.5368, 1.9e34."""
    mantissa, e, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def as_dict(comparison: Comparison, url: str, figure: Path | None) -> dict[str, object]:
    """What `--json` prints."""
    return {
        "runs": [
            {
                "run_id": row.run.run_id,
                "name": row.run.name,
                "sweep": None if row.run.sweep is None else asdict(row.run.sweep),
                "experiment_id": row.run.experiment_id,
                "settings": row.settings,
                "results": row.results,
            }
            for row in comparison.rows
        ],
        "ordered_by": comparison.measure,
        "n_left_out": comparison.n_left_out,
        "url": url,
        "figure": None if figure is None else str(figure),
    }
