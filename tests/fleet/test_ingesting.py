"""What is said where nobody in a fleet can be calibrated."""

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
