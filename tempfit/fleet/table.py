"""The table of a fleet's calibrations: a row a sensor, written block by block when all of them are judged."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa

from tempfit.calibration.record_arrays import same
from tempfit.calibration.table_file import TableWriter
from tempfit.fleet.calibrating import Trained, with_gaps
from tempfit.fleet.ingesting import Ingested
from tempfit.fleet.judging import FleetJudgement
from tempfit.system.files import whole_file


def write_fleet(path: Path, ingested: Ingested, trained: Trained, judgement: FleetJudgement) -> None:
    """Write the table, whole or not at all, sorted by thermometer.

    Its columns are those of a table of Records, null where a sensor is not calibrated; `fleet_not_calibrated` says why,
    and the other `fleet_…` how the sensor stands beside the others. The columns `data_…` are of the fleet's readings,
    but for the number of rows that were dropped. Raises SettingsError where it cannot be written.
    """
    blocks = partial(_blocks, ingested, trained, pa.table(judgement.columns()))
    gaps = {name for rows in blocks() for name in rows.column_names if rows[name].null_count}
    with whole_file(path) as file, TableWriter(file, gaps) as writer:
        for rows in blocks():
            writer.write(rows)


def _blocks(ingested: Ingested, trained: Trained, judged: pa.Table) -> Iterator[pa.Table]:
    """The table, some rows at a time."""
    roster = ingested.roster
    first = n_before = 0
    for rows in trained.rows:
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
