"""`tempfit predict --by`: the readings of all sensors of a fleet in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from tempfit.config import CalibrationConfig
from tempfit.fleet.curves import FleetCurves
from tempfit.fleet.predicting import FleetBlock, FleetPredictor
from tempfit.readings.columns import Columns, Wanted
from tempfit.readings.writers import TableBlock
from tempfit.wording import count, shown

MOST_NAMED = 5  # sensors in a sentence


class AllSensors:
    """By the calibration of each reading's own sensor."""

    def __init__(self, curves: FleetCurves, by: str, config: CalibrationConfig):
        self.curves, self.by = curves, by
        self.predictor = FleetPredictor(curves, by, config.x, config.y, config.coverage)
        self.wanted = [Wanted(by, options="`by`", is_text=True), Wanted(config.x)]
        self.n_extrapolated = self.n_unknown = self.n_without = 0
        self.unknown: list[str] = []
        self.seen = np.zeros(len(curves.names), dtype=bool)

    def empty(self) -> TableBlock:
        return self.predictor.empty()

    def predict(self, columns: Columns) -> tuple[TableBlock, FleetBlock]:
        names = columns.texts[self.by]
        block = self.predictor(pa.concat_arrays(names.chunks), columns.values[self.predictor.x])
        return block.columns, block

    def count(self, told: FleetBlock) -> None:
        is_there = told.places >= 0
        self.seen[told.places[is_there]] = True
        self.n_extrapolated += told.n_extrapolated
        self.n_without += int((is_there & ~told.is_predicted).sum())
        unknown = np.flatnonzero(~is_there)
        self.n_unknown += len(unknown)
        if len(unknown) and len(self.unknown) <= MOST_NAMED:
            some = told.columns[self.by].take(pa.array(unknown)).unique()[: MOST_NAMED + 1].to_pylist()
            self.unknown = list(dict.fromkeys([*self.unknown, *some]))

    def describe(self, rows: str) -> list[str]:
        curves, how_many = self.curves, f"{self.n_extrapolated:,}" if self.n_extrapolated else "none"
        sentences = [f"{rows} of {count(int(self.seen.sum()), 'sensor')} of the fleet, {how_many} extrapolated"]
        if self.n_unknown:
            n, told = count(self.n_unknown, "row"), _listed(self.unknown, len(self.unknown))
            sentences.append(f"{n} without temperature: no such sensor in the fleet ({told})")
        if self.n_without:
            n, told = count(self.n_without, "row"), self._named(self.seen & ~curves.has_curve)
            sentences.append(f"{n} without temperature: not calibrated, or diverged ({told})")
        doubted = self.seen & curves.has_curve & ~curves.usable
        if doubted.any():
            n, told = count(int(doubted.sum()), "sensor"), self._named(doubted)
            sentences.append(f"by their own checks, {n} should not be used ({told})")
        return sentences

    def _named(self, which: Any) -> str:
        places = np.flatnonzero(which)
        return _listed(self.curves.names.take(pa.array(places[:MOST_NAMED])).to_pylist(), len(places))


def _listed(names: list[str], n: int) -> str:
    """The first of them; n: how many there are."""
    return ", ".join(shown(name) for name in names[:MOST_NAMED]) + (", …" if n > MOST_NAMED else "")
