"""A table of Records in Parquet: what is written is read back equal, by tempfit and by what else reads Parquet."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tempfit.calibration.pipeline import calibrate
from tempfit.calibration.record import Record
from tempfit.calibration.record_table import COLUMNS, make_table, read_records, write_records
from tempfit.calibration.recording import record_of
from tempfit.errors import RunsError
from tests.calibration.test_record import KINDS
from tests.records import changed


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [record_of(calibrate(data, **settings)) for data, settings in KINDS.values()]


@pytest.fixture
def path(records: list[Record], tmp_path: Path) -> Path:
    write_records(tmp_path / "records.parquet", records)
    return tmp_path / "records.parquet"


def test_records_are_read_back_equal(records, path):
    again = read_records(path)
    assert again == records
    assert [record.as_text() for record in again] == [record.as_text() for record in records]


def test_scalars_are_columns_of_their_name_and_type(records, path):
    assert len(set(COLUMNS.names)) == len(COLUMNS) > 80
    frame = pd.read_parquet(path)
    first, values = frame.iloc[0], records[0]
    assert first["thermometer"] == values.thermometer
    assert (first["w"], first["uncertainty_w"], first["curve_center"]) == (
        values.w,
        values.uncertainty.w,
        values.curve.center,
    )
    assert frame["usable"].tolist() == [record.usable for record in records]
    assert [check["name"] for check in first["checks"]] == [check.name for check in values.checks]
    assert json.loads(first["config"]) == values.config.model_dump(mode="json")
    for name, kind in {"n": pa.int64(), "usable": pa.bool_(), "rmse": pa.float64(), "status": pa.string()}.items():
        assert COLUMNS.field(name).type == kind
    assert COLUMNS.field("curve_cofactor").type == pa.list_(pa.list_(pa.float64()))
    assert (COLUMNS.field("n").nullable, COLUMNS.field("curve_factor").nullable) == (False, True)


def test_a_table_without_rows_is_one(tmp_path):
    write_records(tmp_path / "none.parquet", [])
    assert read_records(tmp_path / "none.parquet") == []


def test_what_is_damaged_is_refused_by_row_and_field(records, path):
    good, names = path.read_bytes(), pq.ParquetFile(path).metadata.row_group(0).column(1)
    flipped = bytearray(good)
    flipped[names.data_page_offset + names.total_compressed_size - 1] ^= 0xFF  # a letter of the last one's thermometer
    for content in (bytes(flipped), good[: len(good) // 2], b"no table"):
        path.write_bytes(content)
        with pytest.raises(RunsError, match="cannot be read as a table of calibrations"):
            read_records(path)
    write_records(path, [records[0], changed(records[0], curve={"coverage": 0.5})])
    with pytest.raises(RunsError, match=r"row 2: curve\.coverage is 0\.5, the setting is 0\.95"):
        read_records(path)
    table = make_table(records[:1])
    pq.write_table(table.drop_columns("rmse"), path)
    with pytest.raises(RunsError, match="column rmse is missing"):
        read_records(path)
    pq.write_table(table.set_column(table.column_names.index("n"), "n", pa.array(["11"])), path)
    with pytest.raises(RunsError, match="column n is none of a calibration, or of another type"):
        read_records(path)
    schema = table.set_column(0, COLUMNS.field("schema"), pa.array([2]))
    pq.write_table(schema, path)
    with pytest.raises(RunsError, match="row 1: schema should be 1, got 2"):
        read_records(path)
