"""A file of readings, held whole or read as a stream: as the settings and its size ask for."""

from __future__ import annotations

from pathlib import Path

from tempfit.config import CalibrationConfig
from tempfit.exact.large import AnyReadings, OnRows, read_large
from tempfit.exact.problem import evidence_degree, must_hold_rows
from tempfit.readings.paired import load_readings
from tempfit.readings.parquet import read_metadata
from tempfit.readings.tables import Table, name_of
from tempfit.wording import printable

LARGE_ROWS = 1_000_000
"""Rows of Parquet beyond which they are not held: 145 MB of arrays where all are looked at, in about two seconds."""

LARGE_BYTES = 32 * 1024 * 1024
"""Of CSV: about as many rows."""


def open_readings(
    source: str | Path, config: CalibrationConfig, on_rows: OnRows = lambda n_rows, share: None
) -> AnyReadings:
    """Paired readings from a CSV or Parquet file, or from standard input (`-`): of a large one, without its rows.

    A network, Huber's and York's loss, and readings held out need the rows: for these, every file is held whole.
    on_rows: called each time that a large file is read, after every block.
    Raises ReadingsError as `tempfit.readings.paired.load_readings`.
    """
    table = Table(source)
    if is_large(table) and not must_hold_rows(config):
        readings = read_large(table, config, evidence_degree(config), config.thermometer, on_rows)
        if readings is not None:
            return readings
    return load_readings(table, config, thermometer=config.thermometer)


def is_large(table: Table) -> bool:
    """Whether a table has too many rows to hold them. Raises ReadingsError where that cannot be told."""
    with table.open() as file:
        if file.read(4) != b"PAR1":
            return table.n_bytes > LARGE_BYTES
        return bool(read_metadata(file, printable(name_of(table.source))).num_rows > LARGE_ROWS)
