"""All sensors of a fleet through one loop, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tempfit.calibration.members import calibrate_members
from tempfit.calibration.record_arrays import tabulate
from tempfit.config import CalibrationConfig
from tempfit.exact.evidence import Evidence
from tempfit.fleet.engine import Engine
from tempfit.fleet.gathered import Gathered
from tempfit.fleet.ingesting import Ingested
from tempfit.fleet.judging import Figures, concatenate, figures_of
from tempfit.fleet.roster import Roster

CHUNK = 20_000  # sensors at a time: of fewer, Python takes its share; of more, arrays leave the cores' caches

OnSensors = Callable[[int, int], None]  # is told how many sensors are calibrated, of how many


@dataclass(frozen=True, eq=False)
class Chunk:
    """Sensors that are calibrated together. sensors: their places in the roster. evidence: of those that can be."""

    sensors: slice
    names: pa.StringArray
    evidence: Evidence


@dataclass(frozen=True, eq=False)
class Trained:
    """What came of all of them.

    rows: tables, one behind the other, with a row for each sensor of the roster, null where it is not calibrated.
    figures: (calibrated,), what the fleet is judged by. roster: with those who were refused only then.
    """

    rows: Sequence[pa.Table]
    figures: Figures
    roster: Roster


def train_by_evidence(
    ingested: Ingested,
    config: CalibrationConfig,
    engine: Engine,
    on_sensors: OnSensors | None = None,
) -> Trained:
    """Calibrate every sensor that can be, thousands at a time.

    Raises SettingsError as `calibrate_members` does.
    """
    roster = ingested.roster
    figures, tables = [], []
    chunks = list(_chunks(ingested.gathered, roster))
    for chunk, (some, rows) in zip(chunks, engine.map(partial(_calibrate, config), chunks), strict=True):
        figures.append(some)
        tables.append(with_gaps(rows, roster.is_calibrated[chunk.sensors]))
        if on_sensors is not None:
            on_sensors(chunk.sensors.stop, len(roster))
    return Trained(tables, concatenate(figures), roster)


def _chunks(gathered: Gathered, roster: Roster) -> Iterator[Chunk]:
    """At least one sensor of each can be calibrated; those between them that cannot be are in it, too."""
    places = np.flatnonzero(roster.is_calibrated)
    start = 0
    for first in range(0, len(places), CHUNK):
        some = places[first : first + CHUNK]
        stop = int(some[-1]) + 1 if first + CHUNK < len(places) else len(roster)
        position = roster.position[some]
        follow_each_other = position[-1] - position[0] == len(position) - 1
        members = slice(position[0], position[-1] + 1) if follow_each_other else position
        yield Chunk(slice(start, stop), roster.names.take(pa.array(some)), gathered.evidence[members])
        start = stop


def _calibrate(config: CalibrationConfig, chunk: Chunk) -> tuple[Figures, pa.Table]:
    calibrations = calibrate_members(chunk.evidence, config)
    return figures_of(calibrations), tabulate(calibrations, chunk.names)


def with_gaps(rows: pa.Table, is_there: NDArray[np.bool_]) -> pa.Table:
    """The rows where they are there, and null rows between them."""
    if is_there.all():
        return rows
    return rows.take(pa.array(np.cumsum(is_there) - 1, mask=~is_there))
