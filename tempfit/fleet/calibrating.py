"""All sensors of a fleet, chunk by chunk: their exact solutions, by which they are judged; then through one loop.

In this order, each chunk's rows of the table can be written as soon as they are trained, and are not held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tempfit.calibration.members import calibrate_members, solve_members
from tempfit.calibration.record_arrays import tabulate
from tempfit.config import CalibrationConfig
from tempfit.descent.loop import one_thread
from tempfit.exact.evidence import Evidence
from tempfit.fleet.engine import Engine
from tempfit.fleet.gathered import Gathered
from tempfit.fleet.ingesting import Ingested
from tempfit.fleet.judging import Figures, concatenate, figures_of
from tempfit.fleet.roster import Roster
from tempfit.system.threads import ahead

CHUNK = 50_000  # sensors at a time: of fewer, threads wait for Python and each other; of more, memory takes its share

OnSensors = Callable[[int, int], None]  # is told how many sensors are calibrated, of how many


@dataclass(frozen=True, eq=False)
class Chunk:
    """Sensors that are calibrated together. sensors: their places in the roster. evidence: of those that can be."""

    sensors: slice
    names: pa.StringArray
    evidence: Evidence


@dataclass(frozen=True, eq=False)
class Findings:
    """What the sensors of a fleet are judged by.

    figures: (calibrated,). roster: with those who were refused only when they were solved. rows: where that needed all
    of their rows and so found everything else as well, tables as `train_by_evidence` yields them.
    """

    figures: Figures
    roster: Roster
    rows: Sequence[pa.Table] | None = None


def solve_by_evidence(ingested: Ingested, config: CalibrationConfig) -> Findings:
    """The exact solution of every sensor that can be calibrated, by this process: that takes less than to ask others.

    Raises SettingsError as `solve_members` does.
    """
    chunks = _chunks(ingested.gathered, ingested.roster)
    figures = list(ahead(lambda chunk: figures_of(solve_members(chunk.evidence, config)), chunks))
    return Findings(concatenate(figures), ingested.roster)


def train_by_evidence(
    ingested: Ingested,
    config: CalibrationConfig,
    engine: Engine,
    on_sensors: OnSensors | None = None,
) -> Iterator[pa.Table]:
    """Calibrate every sensor that can be, thousands at a time.

    Yields tables, one behind the other, with a row for each sensor of the roster, null where it is not calibrated.
    Raises SettingsError as `calibrate_members` does.
    """
    roster = ingested.roster
    chunks = list(_chunks(ingested.gathered, roster))
    with one_thread():  # for each of those that the engine starts
        for chunk, rows in zip(chunks, engine.map(partial(_calibrate, config), chunks), strict=True):
            yield with_gaps(rows, roster.is_calibrated[chunk.sensors])
            if on_sensors is not None:
                on_sensors(chunk.sensors.stop, len(roster))


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


def _calibrate(config: CalibrationConfig, chunk: Chunk) -> pa.Table:
    return tabulate(calibrate_members(chunk.evidence, config), chunk.names)


def with_gaps(rows: pa.Table, is_there: NDArray[np.bool_]) -> pa.Table:
    """The rows where they are there, and null rows between them."""
    if is_there.all():
        return rows
    return rows.take(pa.array(np.cumsum(is_there) - 1, mask=~is_there))
