"""What `tempfit serve` settles before it serves: names, leases, schedules."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.schedule import deployment_name, make_schedule, serve
from tempfit.config import CalibrationConfig
from tempfit.errors import ReadingsError, SettingsError
from tests.conftest import THERMOMETER

HOURLY = make_schedule(timedelta(hours=1))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))


def test_a_deployment_has_the_name_of_the_whole_path() -> None:
    assert deployment_name(Path("/srv/lab/sensors")) == "srv:lab:sensors"
    assert deployment_name(Path("/srv/shop/sensors")) == "srv:shop:sensors"
    assert deployment_name(Path("/a & b/100%")) == "a - b:100-"  # Prefect takes no / % & < >


def test_a_name_is_served_once_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.csv"
    other.write_bytes(THERMOMETER.read_bytes())
    served: list[str] = []

    def while_it_is_served(coroutine: Coroutine[Any, Any, None]) -> None:
        coroutine.close()
        served.append("once")
        with pytest.raises(SettingsError, match=r"'kitchen' is served already, for .*thermometer\.csv \(process \d+\)"):
            serve(other, CalibrationConfig(), "kitchen", HOURLY, "every 1h")

    monkeypatch.setattr("flows.schedule.asyncio.run", while_it_is_served)
    for _ in range(2):  # its end frees the name
        serve(THERMOMETER, CalibrationConfig(), "kitchen", HOURLY, "every 1h")
    assert served == ["once", "once"]


def test_what_cannot_be_served_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'a/b' cannot name a deployment: leave out / % & < >"):
        serve(THERMOMETER, CalibrationConfig(), "a/b", HOURLY, "every 1h")
    with pytest.raises(ReadingsError, match="no such file or folder"):
        serve(tmp_path / "missing", CalibrationConfig(), None, HOURLY, "every 1h")
    with pytest.raises(SettingsError, match=r"`thermometer`: .* is a folder, and each file a thermometer of its own"):
        serve(THERMOMETER.parent, CalibrationConfig(thermometer="boiler"), None, HOURLY, "every 1h")
    with pytest.raises(SettingsError, match="'daily' is not a cron expression; daily at six is '0 6"):
        make_schedule("daily")


def test_a_cron_expression_is_of_its_timezone() -> None:
    schedule = make_schedule("0 6 * * *", "Europe/Berlin")
    assert (schedule.cron, schedule.timezone) == ("0 6 * * *", "Europe/Berlin")
