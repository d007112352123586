"""What `predict`, `report` and `export` do with a fleet's table."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tempfit.calibration.pipeline import calibrate
from tempfit.export import ENTRIES
from tempfit.fleet.curves import load_curves
from tempfit.fleet.lookup import FleetTable
from tempfit.fleet.predicting import FleetPredictor
from tempfit.tracking.store import FLEET, KIND_TAG, open_store
from tests.cli.test_commands import run
from tests.conftest import THERMOMETER
from tests.fleet.tables import WHY, random_fleet, write_fleet
from tests.records import filed

FORWARD = ["t_u", "t_c", "u_mean", "u_prediction", "lower", "upper", "extrapolated"]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """The table of 60 sensors, two of them flat, and one that was not calibrated; and their readings."""
    names, t_u, t_c = random_fleet(2, 60, 9)
    path = write_fleet(
        tmp_path_factory.mktemp("fleet") / "fleet.parquet", names, t_u, t_c, failed={"zz, odd": WHY}, rows=20
    )
    return path, names, t_u, t_c


@pytest.fixture
def here(fleet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return fleet


def readings(path: Path, names: list[str], t_u: list[float]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("sensor", "t_u"), *zip(names, t_u, strict=True)])


def test_the_temperatures_of_all_sensors_are_those_of_each(here, capsys):
    path, names, t_u, t_c = here
    rng = np.random.default_rng(3)
    asked = rng.integers(0, 60, 500)
    at = rng.uniform(-10, 110, 500)
    readings(Path("readings.csv"), [names[k] for k in asked], at.tolist())
    code, out, err = run(capsys, "predict", str(path), "readings.csv", "--by", "sensor", "--coverage", "0.9")
    told = pd.read_csv(io.StringIO(out))
    assert code == 0
    assert list(told) == ["sensor", *FORWARD]
    assert told["sensor"].tolist() == [names[k] for k in asked]
    assert (told["t_u"] == at).all()
    for sensor in np.unique(asked):
        curve, rows = calibrate((t_u[sensor], t_c[sensor]), coverage=0.9).curve, asked == sensor
        lower, upper = curve.prediction_band(at[rows])
        expected = (curve.predict(at[rows]), curve.u_mean(at[rows]), curve.u_prediction(at[rows]), lower, upper)
        for name, values in zip(FORWARD[1:-1], expected, strict=True):
            assert told.loc[rows, name].to_numpy() == pytest.approx(values, rel=1e-9, abs=1e-9)
        assert (told.loc[rows, "extrapolated"] == curve.is_extrapolated(at[rows])).all()
    n_extrapolated = int(told["extrapolated"].sum())
    assert err.startswith(f"500 rows of 60 sensors of the fleet, {n_extrapolated} extrapolated, ")
    assert "warning: by their own checks, 2 sensors should not be used ('s00001', 's00051')" in err


@pytest.mark.parametrize("kept", ["out.csv", "out.parquet"])
def test_rows_without_a_calibration_are_kept_and_counted(kept, here, capsys):
    path = here[0]
    readings(Path("readings.csv"), ["s00000", "nobody", "zz, odd", "x" * 300, "s00000"], [51, 2, 3, 4, 55])
    code, _, err = run(capsys, "predict", str(path), "readings.csv", "--by", "sensor", "--output", kept)
    told = pd.read_csv(kept) if kept.endswith("csv") else pd.read_parquet(kept)
    assert code == 0
    assert told["sensor"].tolist() == ["s00000", "nobody", "zz, odd", "x" * 300, "s00000"]
    assert told["t_u"].tolist() == [51, 2, 3, 4, 55]
    assert told[FORWARD[1:]].isna().all(axis=1).tolist() == [False, True, True, True, False]
    lines = err.splitlines()
    assert lines[0].startswith("5 rows of 2 sensors of the fleet, none extrapolated, ")
    assert lines[1].startswith("warning: 2 rows without temperature: no such sensor in the fleet ('nobody', 'xxx")
    assert lines[2] == "warning: 1 row without temperature: not calibrated, or diverged ('zz, odd')"


def test_readings_with_their_sensors_as_whole_numbers_in_parquet(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, t_u, t_c = random_fleet(4, 3, 9)
    write_fleet(Path("fleet.parquet"), ["10", "11", "9"], t_u, t_c, model="polynomial", degree=2, u_common=0.1)
    pq.write_table(pa.table({"id": [9, 11, 9], "t_u": [1.0, 2.0, 3.0]}), "readings.parquet")
    code, out, _ = run(capsys, "predict", "fleet.parquet", "readings.parquet", "--by", "id")
    told = pd.read_csv(io.StringIO(out))
    assert code == 0
    curve = calibrate((t_u[2], t_c[2]), model="polynomial", degree=2, u_common=0.1).curve
    lower, _ = curve.prediction_band([1.0, 3.0])
    assert told.loc[told["id"] == 9, "lower"].tolist() == pytest.approx(lower.tolist(), rel=1e-9)


def test_a_sensor_is_found_among_names_of_any_length(fleet):
    curves = load_curves(FleetTable(fleet[0]))
    asked = pa.array(["s00059", "s0005", "s000590", "", "zz, odd", "s00000", "ß", "zzz"])
    assert curves.find(asked).tolist() == [59, -1, -1, -1, 60, 0, -1, -1]
    predictor = FleetPredictor(curves, "sensor", "t_u", "t_c", 0.95)
    block = predictor(asked, np.zeros(len(asked)))
    assert block.is_predicted.tolist() == [True, False, False, False, False, True, False, False]


@pytest.mark.parametrize("command", [["predict"], ["report"], ["export", "--format", "json"]])
def test_a_fleet_wants_a_sensor_and_a_calibration_does_not(command, here, capsys):
    path = here[0]
    name, *options = command
    readings(Path("readings.csv"), ["s00000"], [1])
    file = ["readings.csv"] if name == "predict" else []
    instead = {"predict": ", or the column of all by --by NAME", "export": ", or take all by --all"}.get(name, "")
    for arguments, words in [
        ([str(path)], f"{path}: these are the calibrations of 61 sensors: name one by --sensor KEY{instead}"),
        ([str(path), "--sensor", "nobody"], f"{path}: no sensor 'nobody' among 61 sensors"),
        ([str(path), "--sensor", "zz, odd"], f"{path}: sensor 'zz, odd' was not calibrated: {WHY}"),
        (["one.json", "--sensor", "a"], "one.json: this is the calibration of one thermometer: leave --sensor out"),
    ]:
        code, out, err = run(capsys, name, arguments[0], *file, *arguments[1:], *options)
        assert (code, out, err) == (2, "", f"error: {words}\n")


def test_what_excludes_itself_is_refused(here, capsys):
    path = str(here[0])
    readings(Path("readings.csv"), ["s00000"], [1])
    Path("one.json").write_text(filed(THERMOMETER).record.as_text())
    for arguments, words in [
        (("predict", path, "readings.csv", "--by", "sensor", "--inverse"), "--by is of all sensors, --inverse of one"),
        (("predict", path, "readings.csv", "--by", "sensor", "--sensor", "a"), "--sensor of one: choose"),
        (("predict", path, "readings.csv", "--by", "t_u"), "--by: the predictions have a column 't_u' of their own"),
        (("predict", path, "readings.csv", "--by", "id"), "no column 'id'; the columns are"),
        (("predict", "one.json", "readings.csv", "--by", "sensor"), "--by takes a fleet's run, or its table"),
        (("export", "one.json", "--format", "json", "--all"), "--all takes a fleet's run, or its table"),
        (("export", path, "--format", "json", "--all", "--sensor", "a"), "--all: --sensor is of one sensor"),
        (("export", path, "--format", "json", "--unusable"), "--unusable: plays a part only with --all"),
        (("export", path, "--format", "tasmota", "--all"), "tasmota has a file for each sensor: name a folder"),
    ]:
        code, _, err = run(capsys, *arguments)
        assert code == 2
        assert words in err


def test_predict_and_report_of_one_sensor(here, capsys):
    path, names, t_u, t_c = here
    readings(Path("readings.csv"), ["x"], [50])
    code, out, err = run(capsys, "predict", str(path), "readings.csv", "--sensor", names[2])
    curve = calibrate((t_u[2], t_c[2])).curve
    assert code == 0
    assert float(out.splitlines()[1].split(",")[1]) == pytest.approx(float(curve.predict(50.0)), rel=1e-9)
    code, out, err = run(capsys, "report", str(path), "--sensor", names[1])
    page = Path("report-s00001.html").read_text()
    assert code == 0
    assert "by its own checks, this calibration should not be used" in err
    for words in ("Sensor", names[1], "SHA-256 of the values of all sensors", "and not the readings", "not checked"):
        assert words in page


@pytest.mark.parametrize("target", sorted(ENTRIES))
def test_all_sensors_in_one_document(target, here, capsys):
    path, names, t_u, t_c = here
    code, out, err = run(capsys, "export", str(path), "--format", target, "--all")
    assert code == 0
    left_out = "2 that should not be used, by their own checks (--unusable writes them), 1 without a calibration"
    assert err == f"58 sensors written; left out: {left_out}\n"
    good = [k for k in range(60) if k not in (1, 51)]
    if target == "json":
        found = [json.loads(line) for line in out.splitlines()]
        assert [it["w"] for it in found] == pytest.approx([calibrate((t_u[k], t_c[k])).w for k in good], rel=1e-9)
    else:
        (entries,) = yaml.safe_load(out).values()
        found = entries if target == "esphome" else entries[0]["sensor"]
        if target == "esphome":
            assert {it["source_id"] for it in found} == {names[k] for k in good}
        else:
            assert len({it["unique_id"] for it in found}) == len(good)
    assert [it["name"] for it in found] == [names[k] for k in good]
    code, out, _ = run(capsys, "export", str(path), "--format", target, "--all", "--unusable", "--output", "all.txt")
    assert (code, out) == (0, "")
    assert Path("all.txt").read_text().count("should not be used") == 2


def test_a_file_for_each_sensor(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, t_u, t_c = random_fleet(5, 4, 9)
    write_fleet(Path("fleet.parquet"), ["../a", "4.7", "A b", "a b"], t_u, t_c)
    code, _, err = run(capsys, "export", "fleet.parquet", "--format", "c-header", "--all", "--output", "headers")
    assert (code, err) == (0, "3 sensors written; left out: 1 that should not be used, by their own checks (--unusable "
                              "writes them)\n")  # fmt: skip
    run(capsys, "export", "fleet.parquet", "--format", "c-header", "--all", "--output", "headers", "--unusable")
    assert sorted(path.name for path in Path("headers").iterdir()) == ["4.7.h", "A_b.h", "_a.h", "a_b-2.h"]
    assert "static inline double thermometer_4_7_t_c(double t_u)" in Path("headers/4.7.h").read_text()
    code, out, _ = run(capsys, "export", "fleet.parquet", "--format", "c-header", "--sensor", "4.7")
    assert out.replace("\n", "") == Path("headers/4.7.h").read_text().replace("\n", "")


def test_who_changed_between_two_fleets(here, capsys):
    path, names, t_u, t_c = here
    moved = np.where(np.arange(60)[:, None] == 7, 1.5, 0.0)
    write_fleet(Path("after.parquet"), ["new", *names[1:]], t_u, t_c + moved)
    code, out, err = run(capsys, "compare", str(path), "after.parquet")
    assert (code, err) == (0, "")
    heading, worst, _, *lines = out.splitlines()
    assert heading.split() == ["sensor", "Δw", "u(Δw)", "Δb", "u(Δb)", "largest", "ΔT", "E_n", "p", "q"]
    assert worst.split()[0] == names[7]
    assert worst.split()[5] == "+1.5"
    assert lines == [
        f"compared     59 sensors of {path} and after.parquet",
        "changed      1 by more than the uncertainties of both; a share of 0.01 of these would be there by chance, at "
        "most, on average",
        "appeared     1 (new)",
        "disappeared  1 (s00000)",
    ]
    code, out, err = run(capsys, "compare", str(path), "after.parquet", "--json", "--rows", "2", "--fdr", "0.5")
    told = json.loads(out)
    assert (code, err) == (0, "")
    assert (told["n_compared"], told["n_changed"], told["n_not_compared"]) == (59, 1, 0)
    assert (told["appeared"], told["disappeared"], told["fdr"]) == (["new"], ["s00000"], 0.5)
    assert [sensor["changed"] for sensor in told["sensors"]] == [True, False]
    assert told["sensors"][0]["db"] == pytest.approx(1.5, abs=1e-9)


def test_fleets_are_compared_with_fleets(here, capsys, mlruns):
    path = str(here[0])
    for arguments, words in [
        ((path, path, path), "3 fleets: name two, the earlier one first"),
        ((path, "one.json"), "is a fleet, others are not"),
        ((path,), "1 fleet: name two"),
        ((path, path, "--figure", "a.png"), "--figure: draws runs of one thermometer"),
        (("--fdr", "0.1", "--mlruns", str(mlruns)), "--fdr is for two fleets"),
    ]:
        code, out, err = run(capsys, "compare", *arguments)
        assert (code, out) == (2, "")
        assert words in err


def test_a_fleet_is_named_by_its_run(here, capsys, mlruns):
    path = here[0]
    store = open_store(mlruns)
    run_id = store.client.create_run("0", tags={KIND_TAG: FLEET}, run_name="the fleet").info.run_id
    where = ["--mlruns", str(mlruns)]
    code, _, err = run(capsys, "report", run_id, "--sensor", "s00002", *where)
    assert (code, err.partition(" ")[0]) == (2, "error:")
    assert f"run {run_id[:8]} (running) keeps no fleet.parquet" in err
    store.client.log_artifact(run_id, str(path))
    code, out, _ = run(capsys, "export", run_id, "--format", "json", "--sensor", "s00002", *where)
    assert (code, json.loads(out)["run_id"], json.loads(out)["name"]) == (0, run_id, "s00002")
    code, _, err = run(capsys, "export", "the fleet", "--format", "json", *where)
    assert (code, "the fleet: these are the calibrations of 61 sensors" in err) == (2, True)
    code, out, _ = run(capsys, "compare", run_id[:8], str(path), *where)
    assert (code, out.startswith("compared  60 sensors of the fleet and ")) == (0, True)
    code, out, _ = run(capsys, "export", run_id, "--format", "home-assistant", "--all", *where)
    assert (code, out.count(f"# run: the fleet, sensor s00002 ({run_id})")) == (0, 1)
