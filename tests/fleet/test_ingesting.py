"""What is said of a fleet's readings while they are read, and where nobody can be calibrated."""

from __future__ import annotations

from pathlib import Path

import pytest

from tempfit.config import CalibrationConfig, FleetConfig
from tempfit.errors import ReadingsError
from tempfit.fleet.engine import engine
from tempfit.fleet.ingesting import ingest_fleet


@pytest.mark.parametrize(
    ("times", "told", "way"),
    [
        (("10/02/2014", "11/02/2014"), "2 rows (column 'time': not a time)", "say how times are written by `time_form"),
        (("2014-02-10", "2014-02-11"), "2 rows (unsteady)", "allow more by `steady`"),
        (("2014-02-10", ""), "1 row (column 'time': missing)", "add or correct readings"),
    ],
)
def test_why_all_rows_are_left_out(times: tuple[str, str], told: str, way: str, tmp_path: Path) -> None:
    path, settings = tmp_path / "fleet.csv", FleetConfig(by="s", time="time", steady=1e-3)
    rows = [f"a,{time},{k},{10 * k}\n" for k, time in enumerate(times)]
    path.write_text("s,time,t_u,t_c\n" + "".join(rows))
    with engine(settings) as one, pytest.raises(ReadingsError) as error:
        ingest_fleet(str(path), settings, CalibrationConfig(), one)
    line = 2 if times[1] else 3
    assert f"left out: {told}, first {path}, line {line}; {way}" in str(error.value)


@pytest.mark.parametrize(
    ("row", "told"), [("", "add readings"), (",1,2\n", "left out: 1 row (no name of a thermometer), first ")]
)
def test_a_table_of_nobody(row: str, told: str, tmp_path: Path) -> None:
    path, settings = tmp_path / "fleet.csv", FleetConfig(by="s")
    path.write_text("s,t_u,t_c\n" + row)
    with engine(settings) as one, pytest.raises(ReadingsError) as error:
        ingest_fleet(str(path), settings, CalibrationConfig(), one)
    assert str(error.value).startswith(f"{path}: no sensor in it; {told}")


def test_progress_within_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfit.readings.many.CSV_BYTES", 10_000)
    monkeypatch.setattr("tempfit.readings.many.FEW_ROWS", 1_000)
    path, told = tmp_path / "fleet.csv", list[tuple[int, float]]()
    path.write_text("s,t_u,t_c\n" + "".join(f"s{k % 7},{k},{2 * k % 991}\n" for k in range(10_000)))
    settings = FleetConfig(by="s")
    with engine(settings) as one:
        ingest_fleet(str(path), settings, CalibrationConfig(), one, lambda *now: told.append(now))
    assert len(told) > 5
    assert told == sorted(told)
    assert told[0][0] <= 2_000
    assert 0 < told[0][1] < 0.5
    assert told[-1] == (10_000, 1.0)
