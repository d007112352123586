"""Who is in a fleet: every sensor that was seen, and why some of them cannot be calibrated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tempfit.exact.evidence import Evidence
from tempfit.fleet.gathered import Gathered
from tempfit.readings.columns import LARGEST_VALUE
from tempfit.readings.refusals import SAME

REASONS = (  # of codes from 1 on: as `Readings` refuses them
    "too few usable readings",
    "too few different readings",
    f"no reference is larger than {1 / LARGEST_VALUE:g}",
)


TOO_FEW_PLACES = 1e-13  # of a power of readings scaled to ±1: rounding


@dataclass(frozen=True, eq=False)
class Roster:
    """All sensors of a fleet, (sensors,) each, in the order of their names.

    names: Arrow's strings, distinct. position: where the sensor's evidence is; -1 where no reading of it can be used.
    why_not: codes: 0 where it can be calibrated, else one of `told`, from 1 on. n_left_out: rows that were not used.
    """

    names: pa.StringArray
    position: NDArray[np.int64]
    why_not: NDArray[np.integer]
    n_left_out: NDArray[np.int64]
    told: tuple[str, ...] = REASONS

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def is_calibrated(self) -> NDArray[np.bool_]:
        """(sensors,)."""
        return self.why_not == 0

    def reasons(self, sensors: slice) -> pa.DictionaryArray:
        """Why these sensors are not calibrated; null where they are."""
        codes = pa.array(self.why_not[sensors] - 1, mask=self.is_calibrated[sensors])
        return pa.DictionaryArray.from_arrays(codes, list(self.told))

    def without(self, refused: Mapping[str, str]) -> Roster:
        """The same, where these sensors cannot be calibrated, either, for these reasons."""
        told = (*self.told, *dict.fromkeys(refused.values()))
        why_not = self.why_not.astype(np.int32)
        places = pc.index_in(pa.array(refused.keys(), pa.string()), self.names).to_numpy()
        why_not[places] = [told.index(why) + 1 for why in refused.values()]
        return replace(self, why_not=why_not, told=told)


def call_roster(gathered: Gathered) -> Roster:
    """Everybody in what was gathered: rows without a name of a sensor are nobody's."""
    left_out = gathered.faults.group_by("thermometer").aggregate([("n", "sum")])
    left_out = left_out.filter(pc.not_equal(left_out["thermometer"], ""))
    blamed: pa.StringArray = left_out["thermometer"].combine_chunks()
    names, position = gathered.names, np.arange(len(gathered))
    others = blamed.filter(pc.invert(pc.is_in(blamed, names))) if len(blamed) else blamed
    if len(others):
        names = pa.concat_arrays([names, others])
        order = pc.sort_indices(names).to_numpy()
        names, position = names.take(pa.array(order)), order.astype(np.int64)
        position[position >= len(gathered)] = -1
    why_not = np.where(position < 0, np.int8(1), _why_not(gathered.evidence)[position] if len(gathered) else np.int8(1))
    n_left_out = np.zeros(len(names), dtype=np.int64)
    if len(blamed):  # else a million names would be sorted into a table for nobody
        n_left_out[pc.index_in(blamed, names).to_numpy()] = left_out["n_sum"].to_numpy()
    return Roster(names, position, why_not.astype(np.int8), n_left_out)


def _why_not(evidence: Evidence) -> NDArray[np.int8]:
    """(members,), codes as in `Roster`."""
    largest = np.maximum(np.abs(evidence.low), np.abs(evidence.high))
    spread = evidence.factor[:, 1, 1] / np.sqrt(evidence.n) * evidence.scale
    is_same = spread <= np.maximum(SAME * largest, 1 / LARGEST_VALUE)
    last = evidence.degree - 1  # the model's highest power; what lower ones leave of it
    is_same |= evidence.factor[:, last, last] <= TOO_FEW_PLACES * np.sqrt(evidence.n)
    vanishes = (evidence.largest > 0) & (evidence.largest < 1 / LARGEST_VALUE)
    return np.select([evidence.n <= evidence.degree, is_same, vanishes], [1, 2, 3], 0).astype(np.int8)
