"""Rows of a few sensors read once more: all of them where they are few, wherever they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tempfit.config import CalibrationConfig, FleetConfig
from tempfit.fleet import again
from tempfit.fleet.again import read_again
from tempfit.fleet.engine import Threads
from tempfit.readings import partitions
from tempfit.readings.partitions import find_partitions

CONFIG = CalibrationConfig()


def readings(sensors: int, rows: int) -> pd.DataFrame:
    """Sensors one after the other, each reading a number of its own."""
    names = [f"s{k:02}" for k in range(sensors)]
    t_u = np.arange(sensors * rows, dtype=np.float64)
    return pd.DataFrame({"sensor": np.repeat(names, rows), "t_u": t_u, "t_c": 0.5 * t_u - 1})


def read(source: Path, sensors: list[str], **settings: object) -> dict[str, again.SomeRows]:
    settings = {"by": "sensor", **settings}
    fleet = FleetConfig(**settings)
    return read_again(find_partitions(source, fleet, CONFIG), sensors, fleet, CONFIG, Threads())


@pytest.mark.parametrize("form", ["parted", "csv", "folder", "wide"])
def test_the_rows_are_those_of_the_sensors_asked_for(form: str, tmp_path: Path, monkeypatch) -> None:
    frame = readings(20, 6)
    source, settings = tmp_path / "readings", {}
    match form:
        case "parted":
            monkeypatch.setattr(partitions, "PARTITION_BYTES", 1)
            monkeypatch.setattr(partitions, "PARTITION_ROWS", 40)
            frame = frame.sample(frac=1, random_state=1).sort_values("sensor", kind="stable")
            pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), source, row_group_size=10)
        case "csv":
            frame.sample(frac=1, random_state=1).to_csv(source, index=False)
        case "folder":
            source.mkdir()
            for name, own in frame.groupby("sensor"):
                own.drop(columns="sensor").to_csv(source / f"{name}.csv", index=False)
            settings = {"by": None}
        case "wide":
            wide = pd.DataFrame({name: own["t_u"].to_numpy() for name, own in frame.groupby("sensor")})
            wide.assign(t_c=0.5).to_csv(source, index=False)
            settings = {"by": None, "wide": True}
    found = read(source, ["s07", "s19", "nobody"], **settings)
    assert list(found) == ["s07", "s19"]
    for name, first in (("s07", 42), ("s19", 114)):
        assert sorted(found[name].t_u) == list(range(first, first + 6))
        assert found[name].t_c.tolist() == ([0.5] * 6 if form == "wide" else (0.5 * found[name].t_u - 1).tolist())


def test_of_many_rows_an_even_share_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "MOST_ROWS", 50)
    monkeypatch.setattr("tempfit.readings.many_parquet.BLOCK_ROWS", 300)
    monkeypatch.setattr("tempfit.readings.many.FEW_ROWS", 1)
    readings(2, 10_000).to_parquet(tmp_path / "long.parquet")
    kept = read(tmp_path / "long.parquet", ["s01"])["s01"].t_u
    assert 25 <= len(kept) <= 50
    assert len(set(np.diff(kept))) == 1
    assert (kept[0], kept[-1]) == (10_000, pytest.approx(20_000, abs=400))


def test_of_a_large_source_some_places_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole numbers name the sensors, which are everywhere, but for one, which is in one place."""
    frame = pd.DataFrame({"sensor": np.tile([1, 2], 100), "t_u": np.arange(200.0), "t_c": np.arange(200.0)})
    frame.loc[30, "sensor"] = 7
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), tmp_path / "a.parquet", row_group_size=20)
    monkeypatch.setattr(partitions, "PARTITION_BYTES", 1)
    (partition,) = find_partitions(tmp_path / "a.parquet", FleetConfig(by="sensor"), CONFIG)
    monkeypatch.setattr(again, "MOST_BYTES", partition.n_bytes // 4)
    found = read(tmp_path / "a.parquet", ["1", "2", "7"])
    assert found["7"].t_u.tolist() == [30.0]
    # a quarter of ten row groups holds the first and the last; and there is that of sensor 7
    assert {name: len(rows.t_u) for name, rows in found.items()} == {"1": 29, "2": 30, "7": 1}
    assert (found["2"].t_u[0], found["2"].t_u[-1]) == (1.0, 199.0)
