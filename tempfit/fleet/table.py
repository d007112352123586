"""The table of a fleet's calibrations: a row a sensor, written block by block as they are calibrated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from tempfit.calibration.record_arrays import same
from tempfit.calibration.table_file import TableWriter
from tempfit.fleet.calibrating import with_gaps
from tempfit.fleet.ingesting import Ingested
from tempfit.fleet.judging import FleetJudgement
from tempfit.system.files import whole_path


def write_fleet(path: Path, ingested: Ingested, trained: Iterable[pa.Table], judgement: FleetJudgement) -> None:
    """Write the table, whole or not at all, sorted by thermometer.

    trained: its rows, some at a time, as `train_by_evidence` yields them. Its columns are those of a table of Records,
    null where a sensor is not calibrated; `fleet_not_calibrated` says why, and the other `fleet_…` how the sensor
    stands beside the others. The columns `data_…` are of the fleet's readings, but for the number of rows that were
    dropped. Raises SettingsError where it cannot be written.
    """
    with whole_path(path) as part, TableWriter(part) as writer:
        for rows in _completed(ingested, trained, judgement):
            writer.write(rows)


def _completed(ingested: Ingested, trained: Iterable[pa.Table], judgement: FleetJudgement) -> Iterator[pa.Table]:
    """The rows, with what the fleet says of each."""
    roster, judged = ingested.roster, pa.table(judgement.columns())
    first = n_before = 0
    for rows in trained:
        sensors = slice(first, first + rows.num_rows)
        is_there = roster.is_calibrated[sensors]
        some = with_gaps(judged.slice(n_before, int(is_there.sum())), is_there)
        first, n_before = sensors.stop, n_before + int(is_there.sum())
        added = {
            "thermometer": roster.names[sensors],
            "data_source": same(ingested.source, rows.num_rows),
            "data_sha256": same(ingested.sha256, rows.num_rows),
            "data_n_dropped": pa.array(roster.n_left_out[sensors]),
            "fleet_not_calibrated": roster.reasons(sensors),
            **dict(zip(some.column_names, some.columns, strict=True)),
        }
        if "data_sha256" in rows.column_names:  # of each by itself
            del added["data_sha256"]
        yield pa.table(dict(zip(rows.column_names, rows.columns, strict=True)) | added)
