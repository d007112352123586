"""A sensor's Record, made from its row of a fleet's table: held to the sensor calibrated alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tempfit.calibration.checks import NEED_ROWS
from tempfit.calibration.pipeline import calibrate
from tempfit.calibration.record import Record
from tempfit.calibration.recording import record_of
from tempfit.config import CalibrationConfig
from tempfit.errors import RunsError
from tempfit.fleet.lookup import FleetTable
from tempfit.fleet.rows import read_row
from tempfit.readings.paired import Readings
from tempfit.words import Verdict
from tests.calibration.test_members import random_sensors
from tests.fleet.tables import SHA256, WHY, random_fleet, write_fleet


def values_of(record: Record) -> dict[str, Any]:
    """As JSON values, without what a fleet does not keep: checks that need rows, and what follows from them."""
    values = record.model_dump(mode="json", by_alias=True)
    values["checks"] = [check for check in values["checks"] if check["name"] not in NEED_ROWS]
    values["data"] = {**values["data"], "sha256": None, "t_c_range": None, "source": None}
    return {**values, "usable": None}


def hold(found: Any, expected: Any, size: float, place: str = "") -> None:
    """Numbers to 1e-9, relative or of the size of the temperatures, where they are made of rounding; all else equal."""
    if isinstance(expected, dict):
        assert list(found) == list(expected), place
        for key, value in expected.items():
            hold(found[key], value, size, f"{place}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), place
        for k, value in enumerate(expected):
            hold(found[k], value, size, f"{place}.{k}")
    elif isinstance(expected, float) and isinstance(found, (int, float)):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12 * size), place
    else:
        assert found == expected, place


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"scaling": "none", "learning_rate": 1e-4, "n_epochs": 60},  # some crawl, some explode
        {"scaling": "factor", "factor": 0.01, "l2": 0.01, "n_epochs": 300},
        {"model": "polynomial", "degree": 2, "t0": 20.0, "coverage": 0.99},
        {"momentum": 0.5, "scaling": "minmax", "n_epochs": 200, "clip_norm": 5.0},
        {"u_common": 0.2, "weighted": True},
    ],
    ids=str,
)
def test_a_row_is_the_thermometer_alone(settings, tmp_path):
    settings, u_c = dict(settings), None
    t_u, t_c = random_sensors(8, 18, 12)
    if settings.pop("weighted", False):
        u_c = np.random.default_rng(8).uniform(0.1, 2, t_u.shape)
    names, config = [f"s{k:02}" for k in range(18)], CalibrationConfig(**settings)
    table = FleetTable(write_fleet(tmp_path / "fleet.parquet", names, t_u, t_c, u_c, rows=7, **settings))
    outcomes = set()
    for k, name in enumerate(names):
        u = None if u_c is None else u_c[k]
        alone = record_of(calibrate(Readings(t_u[k], t_c[k], u_c=u, thermometer=name), config))
        found = read_row(table, name).record
        outcomes.add(found.outcome)
        named = [check.name for check in found.checks]
        assert named == [check.name for check in alone.checks]
        assert all(check.verdict is Verdict.NOT_CHECKED for check in found.checks if check.name in NEED_ROWS)
        assert found.data.sha256 == SHA256
        expected, told = values_of(alone), values_of(found)
        drop_what_rows_tell(expected, told, alone)
        hold(told, expected, abs(t_c[k]).max())
    assert len(outcomes) > 1 or settings.get("scaling") != "none"


def drop_what_rows_tell(expected: dict[str, Any], told: dict[str, Any], alone: Record) -> None:
    """Curvature is judged more strictly where residuals are like their neighbours'."""
    p = {check.name: check.p for check in alone.checks}.get("autocorrelation")
    for values in (expected, told):
        for check in values["checks"]:
            if p is not None and p < 0.05 and check["name"] == "curvature":
                check["verdict"] = check["sentence"] = None


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    names, t_u, t_c = random_fleet(1, 300, 8, bend=1e-3)
    folder = tmp_path_factory.mktemp("fleet")
    return write_fleet(folder / "fleet.parquet", names, t_u, t_c, failed={"s00123x": WHY, "zz": WHY}, rows=64)


def test_a_sensor_that_is_not_there_or_was_not_calibrated_is_told_in_a_line(path):
    table = FleetTable(path)
    assert len(table) == 302
    with pytest.raises(RunsError, match=rf"sensor 's00123x' was not calibrated: {WHY}$"):
        read_row(table, "s00123x")
    with pytest.raises(RunsError, match=r"no sensor 's0012' among 302 sensors; did you mean 's0012\d', "):
        read_row(table, "s0012")
    for name in ("", "a", "zzz"):  # before all, between, behind all
        with pytest.raises(RunsError, match=rf"no sensor '{name}' among 302 sensors"):
            read_row(table, name)


def test_a_table_without_sensors_has_none(tmp_path):
    empty = {"thermometer": pa.array([], pa.string()), "fleet_not_calibrated": pa.array([], pa.string())}
    pq.write_table(pa.table(empty), tmp_path / "none.parquet")
    with pytest.raises(RunsError, match=r"no sensor 'a' among 0 sensors$"):
        FleetTable(tmp_path / "none.parquet").row("a", [])


def test_what_is_no_table_of_a_fleet_is_refused(path, tmp_path):
    with pytest.raises(RunsError, match="no such file"):
        FleetTable(tmp_path / "gone.parquet")
    (tmp_path / "text.parquet").write_text("t_u,t_c\n")
    with pytest.raises(RunsError, match="cannot be read as a fleet's table"):
        FleetTable(tmp_path / "text.parquet")
    pq.write_table(pa.table({"t_u": [1.0]}), tmp_path / "readings.parquet")
    with pytest.raises(RunsError, match="holds no fleet's calibrations"):
        FleetTable(tmp_path / "readings.parquet")
    whole = pq.read_table(path)
    factor = [name for name in whole.column_names if name.startswith("evidence_factor")]
    pq.write_table(whole.drop_columns(factor), tmp_path / "less.parquet")
    with pytest.raises(RunsError, match="column evidence_factor is missing"):
        read_row(FleetTable(tmp_path / "less.parquet"), "s00000")


def changed(table: pa.Table, name: str, change: Any) -> pa.Table:
    """The first row's value of the column, changed."""
    values = table[name].to_pylist()
    values[0] = change(values[0])
    kind = table.schema.field(name).type
    column = pa.array(values, kind.value_type).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(values)
    return table.set_column(table.column_names.index(name), name, column)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("w", lambda w: w * (1 + 1e-6), "w is 1.0"),
        ("b", lambda b: -b, "b is"),
        ("n", lambda n: n + 1, "n is 9, its evidence says 8"),
        ("usable", lambda usable: not usable, "usable is False, its evidence says True"),
        ("uncertainty_coefficients_1", lambda u: 2 * u, "uncertainty_coefficients is"),
        ("curve_cofactor_0_1", lambda value: value + 1.0, "curve_cofactor is"),
        ("exact_loss", lambda loss: loss * 1.001, "exact_loss is"),
        ("scaled_params_0", lambda param: param * 1.001, "w is"),
        ("evidence_factor_1_3", lambda value: value + 1.0, "rmse is"),
        ("evidence_factor_0_0", lambda value: None, "its evidence leads to no calibration"),
        ("evidence_n", lambda n: 2, "n is 8, its evidence says 2"),
        (
            "checks_slope_verdict",
            lambda verdict: None,
            "checks are curvature, descent, its evidence carries slope, curvature",
        ),
        ("checks_slope_p", lambda p: 0.5, "p of slope is 0.5"),
        ("checks_slope_verdict", lambda verdict: "fails", "slope fails, by its evidence it p"),
        ("outcome", lambda word: "fine", "its evidence leads to no calibration"),
        ("outcome", lambda word: "explodes", "w is"),
        ("n_epochs", lambda n: 10_000, "n_epochs is 10000, of 5000 at most"),
        ("config", lambda text: text[:-1], "config"),
        ("config", lambda text: text.replace('"coverage":0.95', '"coverage":0.9'), "uncertainty_coverage_factor is"),
        ("data_sha256", lambda text: "no digest", "sha256"),
    ],
)
def test_a_row_that_contradicts_itself_is_damaged(name, change, words, path, tmp_path):
    table = pq.read_table(path)
    assert table.column(name)[0].is_valid
    pq.write_table(changed(table, name, change), tmp_path / "damaged.parquet")
    with pytest.raises(RunsError) as told:
        read_row(FleetTable(tmp_path / "damaged.parquet"), "s00000")
    message = str(told.value)
    assert message.startswith(f"{tmp_path}/damaged.parquet, sensor s00000: ")
    assert words in message
    assert message.endswith("it is damaged: calibrate again")
    assert message.isprintable()
    read_row(FleetTable(tmp_path / "damaged.parquet"), "s00002")


def test_a_flipped_bit_is_noticed(path, tmp_path):
    content = bytearray(path.read_bytes())
    content[content.index(b"readings.parquet")] ^= 1
    (tmp_path / "flipped.parquet").write_bytes(content)
    with pytest.raises(RunsError, match="cannot be read as a fleet's table"):
        read_row(FleetTable(tmp_path / "flipped.parquet"), "s00000")
