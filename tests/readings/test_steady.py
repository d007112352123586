"""Readings taken while the reference was changing are left out, however tables are cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempfit.config import FleetConfig
from tempfit.errors import ReadingsError
from tempfit.readings.times import read_times
from tests.readings.fleets import by_sensor, faults_of, read, read_text

MINUTES = np.arange(0.0, 120.0)


def kept(tmp_path: Path, minutes: np.ndarray, t_c: np.ndarray, rate: float) -> list[float]:
    """The minutes at which readings are steady; the reading is the minute."""
    table = pa.table({"s": ["a"] * len(t_c), "t_u": minutes, "t_c": t_c, "time": minutes * 60})
    pq.write_table(table, tmp_path / "x.parquet")
    blocks = read(tmp_path / "x.parquet", FleetConfig(by="s", time="time", steady=rate))
    steady = [minute for minute, _ in by_sensor(blocks).get("a", [])]
    n_faults = {key: n for key, (n, _) in faults_of(blocks).items()}
    assert n_faults == ({("a", "unsteady"): len(t_c) - len(steady)} if len(steady) < len(t_c) else {})
    return steady


def test_a_ramp_is_left_out_and_what_is_within_five_minutes_of_it(tmp_path: Path) -> None:
    """From minute 50 to 60 the reference rises by 0.1 per minute. At both ends, its means over five minutes before and
    after are 0.25 apart, which is 0.05 per minute, and in between it is more; five minutes on both sides are too near.
    """
    t_c = np.clip(MINUTES - 50, 0, 10) * 0.1
    assert kept(tmp_path, MINUTES, t_c, 0.05) == [*range(46), *range(65, 120)]
    assert kept(tmp_path, MINUTES, t_c, 0.0499) == [*range(45), *range(66, 120)]
    assert kept(tmp_path, MINUTES, t_c, 0.1) == MINUTES.tolist()  # the rate itself is not above it
    assert kept(tmp_path, MINUTES, 0.1 * MINUTES, 0.1) == MINUTES.tolist()
    assert kept(tmp_path, MINUTES, 0.1 * MINUTES, 0.0999) == []
    assert kept(tmp_path, MINUTES, -0.1 * MINUTES, 0.0999) == []


def test_a_short_ramp_does_not_pass_and_noise_does(tmp_path: Path) -> None:
    """Three minutes at 0.2 per minute; and steps of the last digit, 0.01 each minute, which are 0 on the whole."""
    ramp = np.clip(MINUTES - 60, 0, 3) * 0.2
    assert not {*range(55, 69)} & {*kept(tmp_path, MINUTES, ramp, 0.05)}
    digit = 0.01 * (np.arange(120) % 2)
    assert kept(tmp_path, MINUTES, digit, 0.002) == MINUTES.tolist()
    noise = np.random.default_rng(1).normal(0, 0.005, 120)
    assert kept(tmp_path, MINUTES, noise, 0.005) == MINUTES.tolist()
    spike = np.where(MINUTES == 60, 0.1, 0)
    assert kept(tmp_path, MINUTES, spike, 0.05) == MINUTES.tolist()


def test_the_top_of_a_hill_is_not_steady(tmp_path: Path) -> None:
    """The reference's rate is none there, but a thermometer lags."""
    assert kept(tmp_path, MINUTES, -0.1 * np.abs(MINUTES - 60), 0.05) == []


def test_where_readings_are_rare_the_next_one_tells(tmp_path: Path) -> None:
    hours = np.arange(6.0) * 60
    t_c = np.array([0, 0, 6, 6, 6, 7.0])
    assert kept(tmp_path, hours, t_c, 0.06) == hours.tolist()
    # Over two hours, the rate at minute 60 is 6 / 120: means are of a reading with the one before, or after, it.
    assert kept(tmp_path, hours, t_c, 0.04) == [0, 180, 240, 300]
    assert kept(tmp_path, hours[:1], t_c[:1], 1e-9) == [0]
    assert kept(tmp_path, np.zeros(3), np.array([1.0, 2.0, 1.0]), 1e-9) == [0, 0, 0]


walks = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 20), st.integers(-3, 3)),
    min_size=1,
    max_size=60,
)


@settings(max_examples=40, deadline=None)
@given(walk=walks, n_rows=st.integers(1, 30), is_sorted=st.booleans(), rate=st.sampled_from([0.1, 0.3, 1]))
def test_tables_cut_anywhere_and_sensors_in_any_order_give_the_same(
    tmp_path_factory, walk: list[tuple[str, int, int]], n_rows: int, is_sorted: bool, rate: float
) -> None:
    """Of each sensor alone, by the definition in plain Python."""
    folder = tmp_path_factory.mktemp("fleet")
    minute, rows = 0, []
    for name, step, change in walk:
        minute += step
        last = next((t_c for other, _, t_c in reversed(rows) if other == name), 0.0)
        rows.append((name, minute, last + change))
    rows = sorted(rows, key=lambda row: row[0]) if is_sorted else rows
    names, minutes, t_c = (list(column) for column in zip(*rows, strict=True))
    table = pa.table({"s": names, "t_u": np.array(minutes, float), "t_c": t_c, "time": np.array(minutes) * 60})
    pq.write_table(table, folder / "x.parquet", row_group_size=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfit.readings.many_parquet.BLOCK_ROWS", n_rows)
        patch.setattr("tempfit.readings.many.FEW_ROWS", n_rows)
        blocks = read(folder / "x.parquet", FleetConfig(by="s", time="time", steady=rate))
    expected = {
        name: steady
        for name in sorted({*names})
        if (steady := steady_rows([(m, c) for other, m, c in rows if other == name], rate))
    }
    assert by_sensor(blocks) == expected
    n_left_out = sum(n for n, _ in faults_of(blocks).values())
    assert n_left_out == len(rows) - sum(map(len, expected.values()))


def steady_rows(rows: list[tuple[int, float]], rate: float) -> list[tuple[int, float]]:
    def mean(some: list[tuple[int, float]]) -> np.ndarray:
        return np.mean(np.array(some, dtype=float), axis=0)

    is_fast = []
    for minute, _ in rows:
        now = [row for row in rows if row[0] == minute]
        earlier, later = [row for row in rows if row[0] < minute], [row for row in rows if row[0] > minute]
        before = [row for row in earlier if row[0] >= minute - 5] or earlier[-1:]
        after = [row for row in later if row[0] <= minute + 5] or later[:1]
        early, late = mean([*before, *now]), mean([*now, *after])
        is_fast.append(abs(late[1] - early[1]) > rate * (1 + 1e-9) * (late[0] - early[0]))
    near = [[j for j in range(len(rows)) if abs(rows[j][0] - minute) <= 5] for minute, _ in rows]
    return [row for row, some in zip(rows, near, strict=True) if not any(is_fast[j] for j in some)]


TIMED = "time,s,t_u,t_c\n2024-05-01 12:00,a,1,1\n2024-05-01 12:01,b,2,1\n2024-05-01 12:02,a,3,1\n"


def test_rows_without_a_time_are_faults(tmp_path: Path) -> None:
    fleet = FleetConfig(by="s", time="time", steady=1)
    assert by_sensor(read_text(tmp_path, TIMED, fleet)) == {"a": [(1, 1), (3, 1)], "b": [(2, 1)]}
    table = TIMED.replace("2024-05-01 12:01", "noon").replace("2024-05-01 12:02", "")
    blocks = read_text(tmp_path, table, fleet)
    assert by_sensor(blocks) == {"a": [(1, 1)]}
    assert faults_of(blocks) == {
        ("b", "column 'time': not a time"): (1, 3),
        ("a", "column 'time': missing"): (1, 4),
    }
    strict = FleetConfig(by="s", time="time", steady=1, strict=True)
    with pytest.raises(ReadingsError, match="line 4, column 'time': missing; write it as"):
        read_text(tmp_path, TIMED.replace("2024-05-01 12:02", ""), strict)
    with pytest.raises(ReadingsError, match="line 3, column 'time': not a time; write it as 2024-05-31 12:30 or as a"):
        read_text(tmp_path, table, strict)


def test_times_that_go_back_are_refused(tmp_path: Path) -> None:
    fleet = FleetConfig(by="s", time="time", steady=1)
    with pytest.raises(ReadingsError, match=r"line 4, column 'time': the time of 'a' goes back, .*; sort the table by"):
        read_text(tmp_path, TIMED.replace("12:02", "11:59"), fleet)
    with pytest.raises(ReadingsError, match="line 4, column 'time': the time of 't_c' goes back"):
        read_text(
            tmp_path, TIMED.replace("12:02", "11:59").replace(",s", ",x"), FleetConfig(wide=True, time="time", steady=1)
        )


def test_in_a_wide_table_the_reference_is_one_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is known at every minute; a sensor that was read at both ends of a ramp alone is not taken to be steady."""
    t_c = np.clip(MINUTES - 50, 0, 10) * 0.1
    rare = [float(minute) if minute in (20, 60, 90) else None for minute in MINUTES]
    table = pa.table({"a": MINUTES, "rare": pa.array(rare, pa.float64()), "t_c": t_c, "time": MINUTES * 60})
    pq.write_table(table, tmp_path / "x.parquet")
    for n_rows in (1000, 7, 1):
        monkeypatch.setattr("tempfit.readings.many_parquet.BLOCK_ROWS", n_rows)
        blocks = read(tmp_path / "x.parquet", FleetConfig(wide=True, time="time", steady=0.05))
        found = {name: [minute for minute, _ in pairs] for name, pairs in by_sensor(blocks).items()}
        assert found == {"a": [*range(46), *range(65, 120)], "rare": [20, 90]}
        assert faults_of(blocks) == {("a", "unsteady"): (19, 47), ("rare", "unsteady"): (1, 61)}


def test_times_as_people_write_them() -> None:
    day = 1_714_521_600.0  # 2024-05-01, by `date -ud 2024-05-01 +%s`
    texts = {
        "2024-05-01": day,
        "2024-05-01 00:01": day + 60,
        "2024-05-01T00:01:30.25": day + 90.25,
        " 2024-05-01T02:00+02:00 ": day,
        "2024-05-01 00:00:00Z": day,
        "1714521600.5": day + 0.5,
        "2024-02-29": day - 62 * 86_400,
        "": None,
        "NaN": None,
        "2023-02-29": ...,
        "2024-04-31": ...,
        "2024-05-01 25:00": ...,
        "01/05/2024 12:00": ...,
        "12:00": ...,
    }
    cells = pa.array(list(texts))
    seconds, is_text = read_times(cells)
    wanted = [value if isinstance(value, float) else np.nan for value in texts.values()]
    np.testing.assert_array_equal(seconds, wanted)
    assert is_text.tolist() == [value is ... for value in texts.values()]
    for one, value in texts.items():  # alone, too, where Arrow reads a whole column at once
        seconds, is_text = read_times(pa.array([one]))
        np.testing.assert_array_equal(seconds, [value if isinstance(value, float) else np.nan])
        assert is_text.tolist() == [value is ...]
    seconds, _ = read_times(pa.array(["1,5", "2"]), mark=",")
    assert seconds.tolist() == [1.5, 2]


@pytest.mark.parametrize("kind", [pa.timestamp("ns"), pa.timestamp("ms", "UTC"), pa.date32(), pa.string(), pa.int64()])
def test_times_in_parquet(tmp_path: Path, kind: pa.DataType) -> None:
    days = pa.array([0, 1, 2, None], pa.int32()).cast(pa.date32())
    times = pa.array([0, 86_400, 172_800, None]) if kind == pa.int64() else days.cast(kind)
    table = pa.table({"s": ["a"] * 4, "t_u": [1.0, 2.0, 3.0, 4.0], "t_c": [0.0, 0.0, 1440.0, 0.0], "day": times})
    pq.write_table(table, tmp_path / "x.parquet")
    # From the first day to the third, 1 per minute: at the second, half of it; at the third, all of it.
    for rate, steady in ((1.1, [1, 2, 3]), (0.6, [1, 2]), (0.4, [1])):
        blocks = read(tmp_path / "x.parquet", FleetConfig(by="s", time="day", steady=rate))
        assert [t_u for t_u, _ in by_sensor(blocks)["a"]] == steady
    pq.write_table(table.set_column(3, "day", pa.array([True] * 4)), tmp_path / "x.parquet")
    with pytest.raises(ReadingsError, match="column 'day' holds 'bool', not times; store it as timestamps, ISO 8601"):
        read(tmp_path / "x.parquet", FleetConfig(by="s", time="day", steady=1))


def test_times_in_a_format_that_is_told(tmp_path: Path) -> None:
    day = 1_391_990_400.0  # 2014-02-10, by `date -ud 2014-02-10 +%s`
    texts = {
        "10/02/2014 17:39": day + 63_540,
        " 10/02/2014 00:00 ": day,
        "": None,
        "30/02/2014 00:00": ...,
        "2014-02-10 17:39": ...,
        "02/10/2014 17:39:00": ...,
    }
    wanted = [value if isinstance(value, float) else np.nan for value in texts.values()]
    seconds, is_text = read_times(pa.array(list(texts)), time_format="%d/%m/%Y %H:%M")
    np.testing.assert_array_equal(seconds, wanted)
    assert is_text.tolist() == [value is ... for value in texts.values()]
    seconds, is_text = read_times(pa.array(["10.02.14 01:30:00.25 +0100"]), time_format="%d.%m.%y %H:%M:%S.%f %z")
    assert (seconds.tolist(), is_text.tolist()) == ([day + 1800.25], [False])
    seconds, is_text = read_times(pa.array(["1,5", "noon"]), mark=",", time_format="minutes")
    np.testing.assert_array_equal(seconds, [90, np.nan])
    assert is_text.tolist() == [False, True]

    strict = FleetConfig(by="s", time="time", steady=1, strict=True, time_format="%d/%m/%Y %H:%M")
    with pytest.raises(ReadingsError, match=r'line 2, column .time.: not a time; write it as `time_format="%d/%m/%Y'):
        read_text(tmp_path, TIMED, strict)


@pytest.mark.parametrize(
    ("times", "time_format", "minutes"),
    [
        (pa.array([0, 1, 2]), "minutes", 1),
        (pa.array([0.0, 0.5, 1.0]), "hours", 30),
        (pa.array([20140210, 20140211, 20140212]), "%Y%m%d", 1440),
        (pa.array(["01.05.24", "02.05.24", "03.05.24"]), "%d.%m.%y", 1440),
        (pa.array([0, 1, 2], pa.timestamp("s")), "%d.%m.%y", 1 / 60),
    ],
)
def test_formats_of_times_in_parquet(tmp_path: Path, times: pa.Array, time_format: str, minutes: float) -> None:
    """Steady where the limit is just above the rate of the reference, 1 a row, and not where it is just below."""
    table = pa.table({"s": ["a"] * 3, "t_u": [1.0, 2.0, 3.0], "t_c": [0.0, 1.0, 2.0], "time": times})
    pq.write_table(table, tmp_path / "x.parquet")
    for rate, n in ((1.01 / minutes, 3), (0.99 / minutes, 0)):
        fleet = FleetConfig(by="s", time="time", steady=rate, time_format=time_format)
        assert len(by_sensor(read(tmp_path / "x.parquet", fleet)).get("a", [])) == n
