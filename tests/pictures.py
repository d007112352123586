"""`make pictures`: the pictures of README.md and docs/, drawn anew from the data that they show, into data/.

Those of the fifteen loggers need their file, which is not a part of this repository: `make pictures LOGGERS=FILE`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tempfit.calibration.pipeline import calibrate
from tempfit.config import CalibrationConfig, FleetConfig
from tempfit.fleet.engine import engine
from tempfit.fleet.ingesting import ingest_fleet
from tempfit.fleet.worst import look_at_worst
from tempfit.plots.calibration import draw_line, draw_path
from tempfit.plots.canvas import to_png, to_small_png
from tempfit.plots.fleet import SPREAD, draw_fleet
from tempfit.plots.sweep import draw_figures
from tempfit.readings.paired import load_readings
from tempfit.studies.grid import make_grid
from tempfit.studies.sweep import plan_sweep, run_sweep
from tests.conftest import ROOT, THERMOMETER
from tests.fleet.tables import calibrate_ingested

MAP = ["learning_rate=1e-5..1e-1:64", "scaling=none,factor,minmax,standardize"]  # README.md's sweep
ALL = {"without": "minute_index,time_local,ref*"}  # docs/fleets.md's commands
STEADY = {"without": "minute_index,ref*", "time": "time_local", "time_format": "%d/%m/%Y %H:%M", "steady": 0.004}
LARGEST = 80_000  # bytes of a picture


def of_thermometer() -> dict[str, bytes]:
    """The tutorial's thermometer: its line, its explosion, the map of learning rates and scalings."""
    swept = run_sweep(plan_sweep(load_readings(THERMOMETER), make_grid(CalibrationConfig(), MAP)))
    exploded = calibrate(THERMOMETER, scaling="none", learning_rate=1e-2)
    return {
        "thermometer.png": to_png(draw_line(calibrate(THERMOMETER))),
        "explosion.png": to_png(draw_path(exploded)),
        "map.png": draw_figures(swept)["map.png"],
    }


def of_loggers(source: str, **settings: object) -> dict[str, bytes]:
    """The figures of their fleet's run."""
    fleet, config = FleetConfig(wide=True, **settings), CalibrationConfig(y="ref_true_degC")
    with TemporaryDirectory() as folder, engine(fleet) as them:
        ingested = ingest_fleet(source, fleet, config, them)
        calibrated = calibrate_ingested(ingested, fleet, config, them, Path(folder))
        return draw_fleet(calibrated, *look_at_worst(calibrated, them))


def main(loggers: str | None = None) -> None:
    pictures = of_thermometer()
    if loggers:
        pictures["fleet.png"] = of_loggers(loggers, **STEADY)[SPREAD]
        pictures["loggers.png"] = of_loggers(loggers, **ALL)["worst.png"]
    for name, picture in pictures.items():
        (ROOT / "data" / name).write_bytes(to_small_png(picture, LARGEST))
        print(f"data/{name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
