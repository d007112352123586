"""Every sensor of a fleet is what it is alone, however its readings are stored and parted."""

from __future__ import annotations

import subprocess
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
from tempfit.errors import ReadingsError, RunsError, SettingsError
from tempfit.fleet.curves import load_curves
from tempfit.fleet.engine import Threads
from tempfit.fleet.fleet import Fleet
from tempfit.fleet.ingesting import ingest_fleet
from tempfit.fleet.lookup import FleetTable
from tempfit.fleet.rows import read_row
from tempfit.fleet.sorting import command_that_sorts
from tempfit.readings.paired import Readings
from tempfit.readings.partitions import find_partitions
from tests.fleet.tables import calibrate_ingested, random_fleet

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
    return calibrate_ingested(ingested, told, config, engine, folder)


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


def test_a_sensor_that_is_refused_or_without_scatter_stops_nobody(tmp_path: Path):
    names, t_u, t_c = random_fleet(2, 12, 10)
    table = pd.DataFrame({"sensor": np.repeat(names, 10), "t_u": t_u.ravel(), "t_c": t_c.ravel()})
    table.loc[table["sensor"] == names[1], "t_c"] = 20.0
    source, how = store(table.iloc[4:], "csv", tmp_path, rows=10)
    fleet = calibrate_fleet(source, tmp_path / "done", CalibrationConfig(folds=8), **how)
    why = "folds: 6 readings cannot be dealt into 8 folds"
    assert fleet.summary.not_calibrated == {why: 1}
    assert (fleet.summary.n_calibrated, len(fleet.judgement.q)) == (11, 11)
    assert [(it["thermometer"], it["fleet_accused_by"]) for it in fleet.summary.worst] == [(names[1], ["w"])]
    with pytest.raises(RunsError, match=f"sensor '{names[0]}' was not calibrated: {why}"):
        read_row(FleetTable(fleet.table), names[0])
    with pytest.raises(SettingsError, match=r"^folds: \d+ readings cannot be dealt into 11 folds"):
        calibrate_fleet(source, tmp_path / "done", CalibrationConfig(folds=11), **how)


def test_networks_of_a_fleet_are_not_to_predict_by(tmp_path: Path):
    source, how = store(readings_of(np.random.default_rng(7), 2, weighted=False), "csv", tmp_path, rows=9)
    table = FleetTable(
        calibrate_fleet(source, tmp_path / "done", CalibrationConfig(model="mlp", n_epochs=2), **how).table
    )
    with pytest.raises(RunsError, match="of networks, a fleet keeps how they ended"):
        load_curves(table)
    with pytest.raises(RunsError, match="sensor s0: a network has no uncertainty; a fleet does not keep what"):
        read_row(table, "s0").curve  # noqa: B018 (a property)


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_rows_that_are_not_together_are_refused_with_the_command_that_sorts_them(form: str, tmp_path: Path):
    config = CalibrationConfig(loss="huber")
    table = readings_of(np.random.default_rng(6), 3, weighted=False)
    apart = pd.concat([table.iloc[3:], table.iloc[:3]], ignore_index=True)
    source, how = store(apart, form, tmp_path, rows=4)
    with (
        patch("tempfit.readings.many_parquet.BLOCK_ROWS", 4),
        patch("tempfit.readings.many.CSV_BYTES", 100),
        patch("tempfit.readings.many.FEW_ROWS", 1),
    ):
        with (
            patch("tempfit.fleet.by_rows.TOGETHER", 1),
            patch("tempfit.fleet.by_rows.calibrate") as calibrated,
            pytest.raises(ReadingsError, match=r"rows of sensor 's0' are not together.*: sort") as refused,
        ):
            calibrate_fleet(source, tmp_path / "done", config, **how)
        calibrated.assert_not_called()
        subprocess.run(str(refused.value).split("`")[1], shell=True, check=True, cwd=tmp_path)
        sorted_ones = source.with_name(f"t-sorted.{form}")
        found = FleetTable(calibrate_fleet(sorted_ones, tmp_path / "done", config, **how).table)
    some = apart[apart["sensor"] == "s0"]
    readings = Readings(some["t_u"].to_numpy(), some["t_c"].to_numpy(), str(sorted_ones), thermometer="s0")
    assert read_row(found, "s0").record == record_of(calibrate(readings, config))  # each sensor's rows in their order


@pytest.mark.parametrize(("form", "can_be_sorted"), [("parquet", True), ("csv", False), ("hive", False)])
def test_which_folders_have_a_command_that_sorts_them(form: str, can_be_sorted: bool, tmp_path: Path):
    table = readings_of(np.random.default_rng(6), 3, weighted=False)
    _, how = store(table, form, tmp_path, rows=4)
    files = [file for part in find_partitions(tmp_path, FleetConfig(**how), CalibrationConfig()) for file in part.files]
    command = command_that_sorts(str(tmp_path), files, "sensor", CalibrationConfig())
    assert (command is not None) == can_be_sorted


def test_a_sensor_whose_descent_diverged_is_judged_by_its_readings(tmp_path):
    names, t_u, t_c = random_fleet(5, 40, 24)
    t_u[7] *= 1000  # another unit, with which the learning rate is too large
    readings = {"sensor": np.repeat(names, 24), "t_u": t_u.ravel(), "t_c": t_c.ravel()}
    pd.DataFrame(readings).to_csv(tmp_path / "fleet.csv", index=False)
    config = CalibrationConfig(scaling="none", learning_rate=1e-5, n_epochs=50)
    fleet = calibrate_fleet(tmp_path / "fleet.csv", tmp_path / "out", config, by="sensor")
    assert fleet.summary.n_diverged == 1
    row = pq.read_table(fleet.table).to_pylist()[7]
    assert (row["status"], row["w"], row["fleet_accused_by"]) == ("diverged", None, ["w"])
    (told,) = [worst for worst in fleet.summary.worst if worst["thermometer"] == names[7]]
    assert told["fleet_w_z"] < -5
