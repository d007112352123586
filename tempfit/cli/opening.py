"""What `predict`, `report`, `export` and `compare` start from: a recorded calibration, or a fleet's table of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tempfit.errors import RunsError
from tempfit.wording import count

if TYPE_CHECKING:
    from tempfit.calibration.filed import Filed
    from tempfit.fleet.curves import FleetCurves
    from tempfit.fleet.lookup import FleetTable
    from tempfit.tracking.store import Store

MOST = 10_000  # runs, or sensors of a fleet, that one comparison shows
RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Id of a run, the first 4 digits of it or more, its exact name, models:/NAME/VERSION, or a "
        "calibration.json or fleet.parquet.",
    ),
]
SensorKey = Annotated[
    str | None, typer.Option(help="Which sensor of a fleet.", show_default="not of a fleet", metavar="KEY")
]


def open_record(name: str, mlruns: str, sensor: str | None = None, instead: str = "") -> tuple[Filed, Store | None]:
    """The calibration of a run, of a model's run, in a calibration.json, or of a sensor of a fleet; and the store that
    a run is in.

    instead: what may be said instead of naming a sensor. Raises RunsError where there is no such thing.
    """
    table, store = open_fleet(name, mlruns)
    if table is not None:
        if sensor is None:
            sensors = count(len(table), "sensor")
            raise RunsError(f"{table}: these are the calibrations of {sensors}: name one by `sensor=KEY`{instead}")
        from tempfit.fleet.rows import read_row

        return read_row(table, sensor), store
    if sensor is not None:
        raise RunsError(f"{name}: this is the calibration of one thermometer: leave `sensor` out")
    if store is None:
        from tempfit.calibration.filed import read_file

        return read_file(Path(name)), None
    from tempfit.tracking.queries import load_record

    return load_record(store, name), store


def open_fleet(name: str, mlruns: str, experiment: str | None = None) -> tuple[FleetTable | None, Store | None]:
    """The table of a fleet's run, or in a file; None of what is no fleet. Raises RunsError where there is no such
    run.

    experiment: where to look for the run; None for everywhere.
    """
    if name.endswith(".json"):
        return None, None
    if name.endswith(".parquet"):
        from tempfit.fleet.lookup import FleetTable

        return FleetTable(Path(name)), None
    from tempfit.tracking.queries import find_fleet
    from tempfit.tracking.store import open_existing_store

    store = open_existing_store(Path(mlruns))
    return find_fleet(store, name, experiment), store


def open_curves(name: str, mlruns: str, option: str) -> FleetCurves:
    """All curves of a fleet's run, or of the table in a file, for an option that takes no less.

    Raises RunsError where it is none.
    """
    table, _ = open_fleet(name, mlruns)
    if table is None:
        raise RunsError(f"{name}: the calibration of one thermometer; `{option}` takes a fleet's run, or its table")
    from tempfit.fleet.curves import load_curves

    return load_curves(table)
