"""Every sensor of a fleet is what it is alone, however its readings are stored and parted."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempfit.calibration.checks import NEED_ROWS
from tempfit.calibration.pipeline import calibrate
from tempfit.calibration.record import Record
from tempfit.calibration.recording import record_of
from tempfit.config import CalibrationConfig, FleetConfig
from tempfit.errors import ReadingsError
from tempfit.fleet.engine import Threads
from tempfit.fleet.fleet import Fleet, judge_and_file, train_fleet
from tempfit.fleet.ingesting import ingest_fleet
from tempfit.fleet.lookup import FleetTable
from tempfit.fleet.rows import read_row
from tempfit.readings.paired import Readings

SETTINGS = [
    {},
    {"scaling": "factor", "factor": 0.01, "n_epochs": 40, "learning_rate": 0.1},
    {"model": "polynomial", "degree": 2},
    {"scaling": "none", "learning_rate": 1e-2, "n_epochs": 300},
]


def calibrate_fleet(source: Path, folder: Path, config: CalibrationConfig, **fleet: object) -> Fleet:
    told, engine = FleetConfig.model_validate(fleet), Threads(2)
    ingested = ingest_fleet(str(source), told, config, engine)
    folder.mkdir(exist_ok=True)
    trained = train_fleet(ingested, told, config, engine, folder)
    return judge_and_file(ingested, trained, told, config, folder)


def readings_of(rng: np.random.Generator, n_sensors: int, weighted: bool) -> pd.DataFrame:
    """A row a reading; some sensors bent, all of them with another number of readings."""
    parts = []
    for k in range(n_sensors):
        t_u = rng.uniform(0, 100, int(rng.integers(3, 40)))
        bend = 1e-3 * (t_u - 50) ** 2 if k % 3 == 2 else 0.0
        t_c = rng.uniform(0.9, 1.1) * t_u + rng.normal(0, 2) + bend + rng.normal(0, 0.1, len(t_u))
        parts.append(pd.DataFrame({"sensor": f"s{k}", "t_u": t_u, "t_c": t_c}))
    table = pd.concat(parts, ignore_index=True)
    if weighted:
        table["u_c"] = rng.uniform(0.05, 0.2, len(table))
    return table


def store(table: pd.DataFrame, form: str, folder: Path, rows: int) -> tuple[Path, dict[str, object]]:
    """The table as files of a form, and how they are to be read. rows: of a row group."""
    if form == "parquet":
        pq.write_table(pa.Table.from_pandas(table, preserve_index=False), folder / "t.parquet", row_group_size=rows)
        return folder / "t.parquet", {"by": "sensor"}
    if form == "csv":
        table.to_csv(folder / "t.csv", index=False)
        return folder / "t.csv", {"by": "sensor"}
    place = folder / form
    place.mkdir()
    for name, some in table.groupby("sensor"):
        if form == "files":
            some.drop(columns="sensor").to_csv(place / f"{name}.csv", index=False)
        else:
            (place / f"sensor={name}").mkdir()
            some.drop(columns="sensor").to_parquet(place / f"sensor={name}" / "part-0.parquet", index=False)
    return place, {} if form == "files" else {"by": "sensor"}


def assert_alone(found: Record, table: pd.DataFrame, config: CalibrationConfig) -> None:
    """Figures to 1e-9, verdicts and words as they are, but for checks that look at single rows."""
    u_c = table["u_c"].to_numpy() if "u_c" in table else None
    readings = Readings(table["t_u"].to_numpy(), table["t_c"].to_numpy(), u_c=u_c, thermometer=found.thermometer)
    alone = record_of(calibrate(readings, config))
    assert (found.status, found.outcome, found.n, found.n_epochs) == (
        *(alone.status, alone.outcome, alone.n, alone.n_epochs),
    )
    largest = float(np.abs(readings.t_c).max())
    for name in ("w", "b", "loss", "rmse", "coefficients"):
        one, other = getattr(found, name), getattr(alone, name)
        assert (one is None) == (other is None), name
        if one is not None:
            assert one == pytest.approx(other, rel=1e-9, abs=1e-11 * largest if name == "b" else None), name
    assert (found.uncertainty is None) == (alone.uncertainty is None)
    if found.uncertainty is not None and alone.uncertainty is not None:
        assert found.uncertainty.coefficients == pytest.approx(alone.uncertainty.coefficients, rel=1e-9)
    others = {check.name: check for check in alone.checks}
    for check in found.checks:
        if check.name not in NEED_ROWS and check.name != "curvature":
            assert check.verdict == others[check.name].verdict, check.sentence
    curvature = {check.name: check for check in found.checks}["curvature"]
    if others["autocorrelation"].verdict in ("passes", "not checked"):  # else it makes curvature fail sooner
        assert curvature.verdict == others["curvature"].verdict


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["parquet", "csv", "files", "hive"]),
    st.sampled_from(SETTINGS),
    st.booleans(),
    st.integers(5, 60),
)
def test_every_sensor_is_what_it_is_alone(
    tmp_path_factory, seed: int, form: str, told: dict[str, object], weighted: bool, rows: int
):
    folder = tmp_path_factory.mktemp("fleet")
    rng, config = np.random.default_rng(seed), CalibrationConfig.model_validate(told)
    table = readings_of(rng, int(rng.integers(2, 8)), weighted)
    shuffled = table.sample(frac=1, random_state=seed % 2**31)
    source, how = store(shuffled, form, folder, rows)
    with patch.multiple("tempfit.readings.partitions", PARTITION_ROWS=3 * rows, PARTITION_BYTES=2_000):
        fleet = calibrate_fleet(source, folder / "done", config, **how)
    found = FleetTable(fleet.table)
    rows = pq.read_table(fleet.table, columns=["thermometer", "fleet_not_calibrated"])
    refused = rows.filter(pc.is_valid(rows["fleet_not_calibrated"]))["thermometer"]
    assert len(found) == table["sensor"].nunique()
    for name, some in table.groupby("sensor"):
        if pc.index(refused, str(name)).as_py() < 0:
            assert_alone(read_row(found, str(name)).record, some, config)
            continue
        with pytest.raises(ReadingsError):  # alone, it is not calibrated either
            calibrate((some["t_u"].to_numpy(), some["t_c"].to_numpy()), config)


@pytest.mark.parametrize("told", [{"loss": "huber"}, {"folds": 3}])
def test_what_needs_rows_is_calibrated_sensor_by_sensor(told: dict[str, object], tmp_path: Path):
    config = CalibrationConfig.model_validate(told)
    table = readings_of(np.random.default_rng(5), 4, weighted=False)
    source, how = store(table, "parquet", tmp_path, rows=17)
    fleet = calibrate_fleet(source, tmp_path / "done", config, **how)
    for name, some in table.groupby("sensor"):
        record = read_row(FleetTable(fleet.table), str(name)).record
        readings = Readings(some["t_u"].to_numpy(), some["t_c"].to_numpy(), str(source), thermometer=str(name))
        assert record == record_of(calibrate(readings, config))


def test_rows_that_are_not_together_are_refused_where_they_have_to_be(tmp_path: Path):
    table = readings_of(np.random.default_rng(6), 3, weighted=False)
    table.index = table.groupby("sensor").cumcount()
    apart = pd.concat([table.iloc[3:], table.iloc[:3]])
    source, how = store(apart.reset_index(drop=True), "parquet", tmp_path, rows=4)
    with (
        patch("tempfit.readings.many_parquet.BLOCK_ROWS", 4),
        patch("tempfit.readings.many.FEW_ROWS", 1),
        pytest.raises(ReadingsError, match=r"rows of sensor 's0' are not together.*sort"),
    ):
        calibrate_fleet(source, tmp_path / "done", CalibrationConfig(loss="huber"), **how)
