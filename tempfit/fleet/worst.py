"""The sensors that are most certainly odd, looked at one by one."""

from __future__ import annotations

from tempfit.errors import RunsError
from tempfit.exact.curve import Curve
from tempfit.fleet.again import SomeRows, read_again
from tempfit.fleet.engine import Engine
from tempfit.fleet.fleet import Fleet
from tempfit.fleet.lookup import FleetTable
from tempfit.fleet.rows import read_row


def look_at_worst(fleet: Fleet, engine: Engine) -> tuple[dict[str, SomeRows], dict[str, Curve]]:
    """Rows and curves of the worst sensors, by name; none of one that has no curve. Raises ReadingsError."""
    table, curves = FleetTable(fleet.table), {}
    for row in fleet.summary.worst:
        try:
            curves[row["thermometer"]] = read_row(table, row["thermometer"]).curve
        except RunsError:  # its fit diverged
            continue
    rows = read_again(fleet.ingested.partitions, list(curves), fleet.settings, fleet.config, engine) if curves else {}
    return rows, curves
