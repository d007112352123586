"""`tempfit compare` of two fleets: which sensors changed by more than their uncertainties."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

from tempfit.cli.opening import MOST, open_fleet
from tempfit.cli.shared import say_json, show_lines, stderr, stdout
from tempfit.cli.tables import NAME_WIDTH, Column, show_table
from tempfit.config import FleetConfig
from tempfit.errors import RunsError
from tempfit.wording import count, format_rate

if TYPE_CHECKING:
    from tempfit.fleet.comparing import FleetComparison
    from tempfit.fleet.lookup import FleetTable

NUMBERS = ("dw", "u_dw", "db", "u_db", "off", "e_n", "p", "q")  # of a sensor
HEADINGS = {"dw": "Δw", "u_dw": "u(Δw)", "db": "Δb", "u_db": "u(Δb)", "off": "largest ΔT", "e_n": "E_n"}
MOST_NAMED = 5  # sensors in a sentence


def find_fleets(runs: Sequence[str], mlruns: str, experiment: str | None) -> tuple[FleetTable, FleetTable] | None:
    """The tables of two fleets; None where none of the runs is a fleet's. Raises RunsError for anything between."""
    with stderr.status("reading the runs …"), redirect_stdout(sys.stderr):
        tables = [open_fleet(name, mlruns, experiment)[0] for name in runs]
    found = [table for table in tables if table is not None]
    if not found:
        return None
    if len(found) != len(tables):
        raise RunsError(f"{found[0]} is a fleet, others are not: compare fleets with fleets")
    if len(found) != 2:
        raise RunsError(f"{count(len(found), 'fleet')}: name two, the earlier one first")
    return found[0], found[1]


def compare_fleets(before: FleetTable, after: FleetTable, fdr: float | None, rows: int, *, as_json: bool) -> None:
    """Print how many changed, and the surest `rows` of them. Raises RunsError where they are not alike."""
    with stderr.status("comparing the sensors …"):
        from tempfit.fleet import comparing
        from tempfit.fleet.curves import load_curves

        chosen = FleetConfig().fdr if fdr is None else fdr
        comparison = comparing.compare_fleets(load_curves(before), load_curves(after), chosen)
    if as_json:
        say_json(as_dict(comparison, rows))
    else:
        show(comparison, rows)


def show(comparison: FleetComparison, rows: int) -> None:
    """The sensors that changed, the surest first, and how many did not, came or went."""
    n_changed = int(comparison.has_changed.sum())
    sensors = _worst(comparison, min(rows, n_changed))
    if sensors:
        columns = [Column("sensor", [sensor["sensor"] for sensor in sensors], least=NAME_WIDTH)]
        for name in NUMBERS:
            cells = [_cell(name, sensor[name]) for sensor in sensors]
            columns.append(Column(HEADINGS.get(name, name), cells, justify="right"))
        show_table(stdout, columns)
        stdout.print()
    n, n_told = len(comparison), len(comparison.worst)
    share = f"{comparison.fdr:.3g} of these would be there by chance, at most, on average"
    lines = [
        ("compared", f"{count(n_told, 'sensor')} of {comparison.before.table} and {comparison.after.table}"),
        ("changed", f"{n_changed:,} by more than the uncertainties of both; a share of {share}"),
    ]
    if n_changed > len(sensors):
        more = f"--rows {n_changed} shows them all" if n_changed <= MOST else f"--rows {MOST} shows the first"
        lines.append(("left out", f"{n_changed - len(sensors):,} of them; {more}"))
    for name in ("appeared", "disappeared"):
        names = getattr(comparison, name)
        if len(names):
            some = ", ".join(names[:MOST_NAMED].to_pylist()) + (", …" if len(names) > MOST_NAMED else "")
            lines.append((name, f"{len(names):,} ({some})"))
    if n > n_told:
        lines.append(("not compared", f"{n - n_told:,} of which nothing tells the uncertainty"))
    show_lines(stdout, lines)


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    if name in ("p", "q"):
        return format_rate(value) if value else "0"
    return f"{value:+.3g}" if name in ("dw", "db", "off") else f"{value:.3g}"


def _worst(comparison: FleetComparison, n: int) -> list[dict[str, Any]]:
    """The first n, as JSON values."""
    names, first = comparison.names, comparison.worst[:n].tolist()
    numbers = {name: getattr(comparison, name)[first].tolist() for name in NUMBERS}
    return [
        {
            "sensor": names[place].as_py(),
            **{name: value if math.isfinite(value := numbers[name][k]) else None for name in NUMBERS},
            "changed": bool(comparison.has_changed[place]),
        }
        for k, place in enumerate(first)
    ]


def as_dict(comparison: FleetComparison, rows: int) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "before": str(comparison.before.table),
        "after": str(comparison.after.table),
        "fdr": comparison.fdr,
        "n_compared": len(comparison.worst),
        "n_changed": int(comparison.has_changed.sum()),
        "n_not_compared": len(comparison) - len(comparison.worst),
        "n_appeared": len(comparison.appeared),
        "n_disappeared": len(comparison.disappeared),
        "appeared": comparison.appeared[:rows].to_pylist(),
        "disappeared": comparison.disappeared[:rows].to_pylist(),
        "sensors": _worst(comparison, rows),
    }
