"""A fleet's table of calibrations: opened, and one sensor's row found in it without reading the others.

Its rows stand in the order of their thermometers, so that the statistics of a row group tell whether a sensor is in it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tempfit.calibration.filed import damaged
from tempfit.calibration.spread import SPREAD, join
from tempfit.errors import RunsError
from tempfit.wording import count, printable, shown

FLEET_FILE = "fleet.parquet"  # the artifact of a run that holds it
ENDING = ".parquet"  # of the name of a file that is a fleet's table
NOT_CALIBRATED = "fleet_not_calibrated"  # why; null where it was
NEIGHBOURS = 200  # names on either side of where one would stand, among which similar ones are looked for
MOST_SIMILAR = 3


class FleetTable:
    """The table in a file. Raises RunsError, in one line, where there is none, or it is damaged.

    name: what messages call it: the run's. run_id, made_at, tags: of the run, as in `Filed`.
    """

    def __init__(
        self,
        path: Path,
        name: str | None = None,
        *,
        run_id: str | None = None,
        made_at: datetime | None = None,
        tags: Mapping[str, str] | None = None,
    ):
        self.path, self.name = path, str(path) if name is None else name
        self.run_id, self.made_at, self.tags = run_id, made_at, tags or {}
        with self._told():
            self._file = pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False)
            self.columns: list[str] = self._file.schema_arrow.names
        if not {"thermometer", NOT_CALIBRATED} <= set(self.columns):
            raise RunsError(f"{self}: holds no fleet's calibrations; name a run of one, or its {FLEET_FILE}")

    def __str__(self) -> str:
        return printable(self.name)

    def __len__(self) -> int:
        """Sensors that were seen, calibrated or not."""
        return int(self._file.metadata.num_rows)

    def blocks(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """The columns of all rows in their order, a row group at a time."""
        found = [part for name in columns for part in self.parts(name)]
        for group in range(self._file.metadata.num_row_groups):
            yield self._read(group, found)

    def parts(self, name: str) -> list[str]:
        """The columns that hold a value of a Record: itself, or those that it is spread over.

        Raises RunsError where there are none.
        """
        parts = [name] if name in self.columns else []
        if not parts and name in SPREAD:
            parts = [column for column in self.columns if column.startswith(f"{name}_")]
        if not parts:
            raise damaged(str(self), f"column {name} is missing")
        return parts

    def row(self, thermometer: str, columns: Sequence[str]) -> dict[str, Any]:
        """What a Record has of this name, of one sensor's row, as Python values.

        Raises RunsError for a sensor that is not in the table, with those of similar names, and for one that was not
        calibrated, with the reason.
        """
        found = [part for name in columns for part in self.parts(name)]
        for group in self._groups(thermometer):
            place = pc.index(self._read(group, ["thermometer"])["thermometer"], thermometer).as_py()
            if place >= 0:
                (row,) = self._read(group, [*found, NOT_CALIBRATED]).slice(place, 1).to_pylist()
                if row[NOT_CALIBRATED] is not None:
                    raise RunsError(
                        f"{self}: sensor {shown(thermometer)} was not calibrated: {printable(row[NOT_CALIBRATED])}"
                    )
                return join(row)
        similar = ", ".join(shown(name) for name in self._similar(thermometer))
        hint = f"; did you mean {similar}?" if similar else ""
        raise RunsError(f"{self}: no sensor {shown(thermometer)} among {count(len(self), 'sensor')}{hint}")

    def _groups(self, thermometer: str) -> list[int]:
        """The row groups that a sensor may be in."""
        return [k for k, (low, high) in enumerate(self._ranges()) if low is None or low <= thermometer <= high]

    def _ranges(self) -> Iterator[tuple[Any, Any]]:
        """First and last sensor of each row group; None where nothing tells."""
        metadata, column = self._file.metadata, self._file.schema_arrow.names.index("thermometer")
        for group in range(metadata.num_row_groups):
            # A leaf's position is its column's, since no column before it has several.
            statistics = metadata.row_group(group).column(column).statistics
            has_range = statistics is not None and statistics.has_min_max
            yield (statistics.min, statistics.max) if has_range else (None, None)

    def _similar(self, thermometer: str) -> list[str]:
        """Names like one that is not there, from around the place where it would stand."""
        groups = [k for k, (_, high) in enumerate(self._ranges()) if high is None or thermometer <= high]
        last = self._file.metadata.num_row_groups - 1
        if last < 0:
            return []
        names = self._read(groups[0] if groups else last, ["thermometer"])["thermometer"]
        place = pc.sum(pc.less(names, thermometer)).as_py() or 0
        near = names.slice(max(0, place - NEIGHBOURS), 2 * NEIGHBOURS).to_pylist()
        return difflib.get_close_matches(thermometer, near, MOST_SIMILAR)

    def _read(self, group: int, columns: Sequence[str]) -> pa.Table:
        with self._told():
            return self._file.read_row_group(group, columns=list(columns))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What the system and Arrow say as RunsError."""
        try:
            yield
        except FileNotFoundError:
            raise RunsError(f"{self}: no such file; name a run, or its {FLEET_FILE}") from None
        except (OSError, ValueError, pa.ArrowException) as error:
            reason = printable(str(error).partition("\n")[0])
            raise RunsError(
                f"{self}: cannot be read as a fleet's table ({reason}); name another, or calibrate again"
            ) from None
