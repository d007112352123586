"""The file of a table of calibrations, as other programs see it."""

from __future__ import annotations

import duckdb
import numpy as np
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tempfit.calibration import table_file
from tempfit.calibration.table_file import TableWriter


def block(first: int, n: int) -> pa.Table:
    numbers = np.arange(first, first + n, dtype=np.float64)
    verdicts = pa.DictionaryArray.from_arrays(np.zeros(n, np.int8), ["passes"])
    checks = pa.StructArray.from_arrays([pa.array(numbers), verdicts], names=["figure", "verdict"])
    return pa.table(
        {
            "thermometer": [f"sensor {k:04d}" for k in range(first, first + n)],
            "status": pa.DictionaryArray.from_arrays(np.zeros(n, np.int8), ["converged"]),
            "w": numbers,
            "checks": pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32), checks),
        }
    )


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(table_file, "ROW_GROUP", 250)
    path = tmp_path / "fleet.parquet"
    with TableWriter(path) as writer:
        for first in range(0, 600, 100):
            writer.write(block(first, 100))
    return path


def test_blocks_stand_one_behind_the_other_in_groups_worth_reading(path):
    metadata = pq.ParquetFile(path).metadata
    assert [metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)] == [300, 300]
    assert pq.read_table(path)["w"].to_pylist() == list(range(600))


def test_texts_but_the_names_have_dictionaries_and_the_names_alone_statistics(path):
    group = pq.ParquetFile(path).metadata.row_group(1)
    columns = {group.column(k).path_in_schema: group.column(k) for k in range(group.num_columns)}
    dictionaries = {name for name, column in columns.items() if column.has_dictionary_page}
    assert dictionaries == {"status", "checks.list.element.verdict"}
    assert {name for name, column in columns.items() if column.is_stats_set} == {"thermometer"}
    assert columns["thermometer"].statistics.min == "sensor 0300"


def test_other_programs_read_it(path):
    by_polars = polars.read_parquet(path)
    assert by_polars["checks"][599][0] == {"figure": 599.0, "verdict": "passes"}
    query = f"select w, checks[1].verdict, status from '{path}' where thermometer = 'sensor 0422'"
    assert duckdb.sql(query).fetchall() == [(422.0, "passes", "converged")]
    assert pq.read_table(path).to_pandas().status.unique().tolist() == ["converged"]


def test_columns_may_have_gaps_from_where_one_comes(tmp_path, monkeypatch):
    monkeypatch.setattr(table_file, "ROW_GROUP", 100)
    path = tmp_path / "fleet.parquet"
    with TableWriter(path) as writer:
        for first in range(0, 300, 100):
            writer.write(block(first, 100))
        assert not writer.writer.schema.field("w").nullable
        none = pa.array([None] * 100, pa.float64())
        writer.write(block(300, 100).set_column(2, "w", none))
        writer.write(block(400, 100))
    assert [file.name for file in tmp_path.iterdir()] == ["fleet.parquet"]
    table = pq.read_table(path)
    assert table["w"].to_pylist() == [*map(float, range(300)), *[None] * 100, *map(float, range(400, 500))]
    assert table["thermometer"].to_pylist() == [f"sensor {k:04d}" for k in range(500)]
    assert pq.ParquetFile(path).metadata.num_row_groups == 5
    assert table["status"].to_pylist() == ["converged"] * 500


def test_numbers_that_all_differ_are_not_compressed(tmp_path):
    path, same = tmp_path / "fleet.parquet", pa.array([0.5] * 2_000)
    with TableWriter(path) as writer:
        writer.write(block(0, 2_000).append_column("n", same))
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = {group.column(k).path_in_schema: group.column(k).compression for k in range(group.num_columns)}
    assert (columns["w"], columns["n"], columns["thermometer"]) == ("UNCOMPRESSED", "SNAPPY", "SNAPPY")
