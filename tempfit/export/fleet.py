"""All sensors of a fleet for a device or another program: one text each, in the order of their names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tempfit.export import ENTRIES, WRITERS, Format, write
from tempfit.export.fragment import Origin
from tempfit.fleet.curves import FleetCurves
from tempfit.fleet.rows import read_row

DATA = ("thermometer", "data_source", "data_sha256")


@dataclass(frozen=True, eq=False)
class FleetExport:
    """Every sensor that has a curve and may be used, by its own checks; with_unusable: the others, too, with a warning.

    in_one: as entries of one document, below its head, which some formats have.
    """

    curves: FleetCurves
    target: Format
    in_one: bool = False
    with_unusable: bool = False

    @cached_property
    def is_written(self) -> NDArray[np.bool_]:
        """(sensors,)."""
        return self.curves.has_curve & (self.curves.usable | self.with_unusable)

    @property
    def n_unusable(self) -> int:
        """Sensors with a curve that are left out."""
        return int((self.curves.has_curve & ~self.is_written).sum())

    @property
    def n_without(self) -> int:
        """Sensors without a curve."""
        return int((~self.curves.has_curve).sum())

    @property
    def head(self) -> str:
        """Of the document."""
        return ENTRIES[self.target][0]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Name of a sensor, and its text. Raises RunsError and SettingsError as `export` does."""
        writer = ENTRIES[self.target][1] if self.in_one else WRITERS[self.target]
        curves, first = self.curves, 0
        for block in curves.table.blocks(DATA):
            sensors, sources, digests = (block[name] for name in DATA)
            for k in np.flatnonzero(self.is_written[first : first + len(block)]).tolist():
                sensor, place = sensors[k].as_py(), first + k
                origin = Origin(
                    f"{curves.table}, sensor {sensor}",
                    curves.table.run_id,
                    sources[k].as_py(),
                    digests[k].as_py(),
                    curves.config,
                    sensor,
                )
                if not curves.usable[place]:
                    origin = Origin.of(read_row(curves.table, sensor))
                yield sensor, write(origin, curves.curve[place], self.target, writer)
            first += len(block)
