"""Many sensors in one table: which rows are whose, in any order, however the table is cut and written."""

from __future__ import annotations

import io
import itertools
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempfit.config import FleetConfig, ReadingsConfig
from tempfit.errors import ReadingsError
from tempfit.readings.many import read_partition
from tempfit.readings.paired import load_readings
from tempfit.readings.partitions import find_partitions
from tempfit.readings.sensors import SensorRows
from tests.broken_inputs import parquet

TABLE = "sensor_id,t_u,t_c\nb, 1,2\na,3,4\n b ,5,6\n7,7,8\na,9,10\n"
OF_EACH = {"7": [(7, 8)], "a": [(3, 4), (9, 10)], "b": [(1, 2), (5, 6)]}


def by_sensor(blocks: list[SensorRows]) -> dict[str, list[tuple[float, float]]]:
    found = defaultdict(list)
    for block in blocks:
        names = block.names.to_pylist()
        assert names == sorted(set(names))
        assert len(block.starts) == len(names) + 1
        assert block.starts[-1] == len(block.t_u) == len(block.t_c)
        pairs = list(zip(block.t_u.tolist(), block.t_c.tolist(), strict=True))
        for name, (start, stop) in zip(names, itertools.pairwise(block.starts), strict=True):
            found[name] += pairs[start:stop]
    return dict(found)


def faults(blocks: list[SensorRows]) -> list[tuple[str, str, int, int]]:
    return [
        (row["thermometer"], row["why"], row["n"], row["row"]) for block in blocks for row in block.faults.to_pylist()
    ]


def read(
    folder: Path, content: str | bytes, by: str = "sensor_id", strict: bool = False, **settings: object
) -> list[SensorRows]:
    path = folder / "fleet"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    config, fleet = ReadingsConfig(**settings), FleetConfig(by=by, strict=strict)
    partitions = find_partitions(path, fleet, config)
    return [rows for partition in partitions for rows in read_partition(partition, config, fleet, lambda n_bytes: None)]


def test_the_rows_of_each_sensor(tmp_path: Path) -> None:
    (block,) = read(tmp_path, TABLE)
    assert block.names.to_pylist() == ["7", "a", "b"]
    assert block.starts.tolist() == [0, 1, 3, 5]
    assert block.t_u.tolist() == [7, 3, 9, 1, 5]
    assert block.t_c.tolist() == [8, 4, 10, 2, 6]
    assert (block.u_c, block.u_u, block.n_rows, block.faults.num_rows) == (None, None, 5, 0)
    quoted = TABLE.replace("b", '"b"').replace(",7,", ",+7,")
    assert by_sensor(read(tmp_path, quoted.replace(' "b" ', ' "b"'))) == OF_EACH


def test_in_parquet_sensors_are_texts_integers_or_categories(tmp_path: Path) -> None:
    readings = {"t_u": [1.0, 2.0, 3.0], "t_c": [4.0, 5.0, 6.0]}
    expected = {"10": [(1, 4), (3, 6)], "9": [(2, 5)]}
    texts = pa.array([" 10", "9", "10 "])
    for names in (pa.array([10, 9, 10]), texts, texts.dictionary_encode(), texts.cast(pa.large_string())):
        assert by_sensor(read(tmp_path, parquet(serial=names, **readings), "serial")) == expected
    with pytest.raises(ReadingsError, match="column 'serial' holds 'double', not names; store it as text or integers"):
        read(tmp_path, parquet(serial=[1.5, 2.0, 3.0], **readings), "serial")


@settings(max_examples=60, deadline=None)
@given(
    sensors=st.lists(st.sampled_from(["1", "2", "10", "é", "a b", "none"]), min_size=1, max_size=60),
    n_bytes=st.integers(8, 300),
    n_rows=st.integers(1, 20),
)
def test_blocks_of_any_size_hold_the_same(tmp_path_factory, sensors: list[str], n_bytes: int, n_rows: int) -> None:
    folder = tmp_path_factory.mktemp("fleet")
    t_u = np.arange(len(sensors)) + 0.5
    expected: dict[str, list[tuple[float, float]]] = {name: [] for name in sensors}
    for name, reading in zip(sensors, t_u.tolist(), strict=True):
        expected[name].append((reading, -reading))
    table = pa.table({"sensor_id": sensors, "t_u": t_u, "t_c": -t_u})
    stored = io.BytesIO()
    pq.write_table(table, stored, row_group_size=7)
    text = "sensor_id,t_u,t_c\n" + "".join(f"{a},{b},{-b}\n" for a, b in zip(sensors, t_u.tolist(), strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfit.readings.many.CSV_BYTES", n_bytes)
        patch.setattr("tempfit.readings.partitions.PARTITION_ROWS", n_rows)
        patch.setattr("tempfit.readings.many_parquet.BLOCK_ROWS", n_rows)
        assert by_sensor(read(folder, text)) == expected
        assert by_sensor(read(folder, stored.getvalue())) == expected


def test_one_sensor_is_read_as_a_table_of_its_own(tmp_path: Path) -> None:
    """The weeks of a logger in minutes: u_c as stated, the name once in every row."""
    rng = np.random.default_rng(3)
    rows = rng.normal(20, 5, (2000, 2)).tolist()
    (tmp_path / "alone.csv").write_text("t_u,t_c,u_c\n" + "".join(f"{x!r},{y!r},0.1\n" for x, y in rows))
    alone = load_readings(tmp_path / "alone.csv")
    text = "logger,t_u,t_c,u_c\n" + "".join(f"640248,{x!r},{y!r},0.1\n640249,0,0,1\n" for x, y in rows)
    (block,) = read(tmp_path, text, "logger")
    assert block.names.to_pylist() == ["640248", "640249"]
    assert block.t_u[: block.starts[1]].tolist() == alone.t_u.tolist()
    assert block.t_c[: block.starts[1]].tolist() == alone.t_c.tolist()
    assert block.u_c is not None
    assert alone.u_c is not None
    assert block.u_c[: block.starts[1]].tolist() == alone.u_c.tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("t_u,t_c\n1,2\n", "fleet: line 1: no column 'sensor_id'; the columns are 't_u, t_c'; choose with `by`"),
        (TABLE.replace("\na,", "\n ,", 1), "fleet: line 3, column 'sensor_id': the value is missing; fill it in, or"),
        (TABLE.replace("9", "warm"), "fleet: line 6, column 't_u': 'warm' is not a number; correct or remove the row"),
        (TABLE.replace("9", "1e400"), "fleet: line 6, column 't_u': '1e400' is beyond ±1e+100; correct or remove"),
        (TABLE.replace(",9", ""), "fleet: line 6 has 2 cells where the header has 3; check for missing or surplus"),
        (parquet(sensor_id=["a", None], t_u=[1, 2], t_c=[1, 2]), "fleet: row 2, column 'sensor_id': the value is mis"),
        (parquet(sensor_id=["a", ""], t_u=[1, 2], t_c=[1, 2]), "fleet: row 2, column 'sensor_id': the value is mis"),
    ],
)
def test_strict_refusals_say_where(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(ReadingsError) as caught:
        read(tmp_path, content, strict=True)
    assert str(caught.value).removeprefix(f"{tmp_path}/").startswith(message)


FAULTY = """sensor_id,t_u,t_c,u_c
b,1,2,1
a,,4,1

b,5,6,1
a,warm,10,1
a,7,8,1
c,1,2,0
,1,2,1
a,1,1e400,1
a,,4,1
b,3,inf,1
b,2
"""


def test_a_row_that_cannot_be_used_counts_against_its_sensor(tmp_path: Path) -> None:
    blocks = read(tmp_path, FAULTY)
    assert by_sensor(blocks) == {"a": [(7, 8)], "b": [(1, 2), (5, 6)]}
    assert sum(block.n_rows for block in blocks) == 11
    assert faults(blocks) == [
        ("", "no name of a thermometer", 1, 9),
        ("", "cannot be split into as many cells as the header has", 1, 13),
        ("a", "column 't_u': missing", 2, 3),
        ("a", "column 't_u': not a number", 1, 6),
        ("a", "column 't_c': infinite or beyond ±1e+100", 1, 10),
        ("b", "column 't_c': infinite or beyond ±1e+100", 1, 12),
        ("c", "column 'u_c': not above 0", 1, 8),
    ]


def test_a_column_cannot_be_two_things(tmp_path: Path) -> None:
    with pytest.raises(ReadingsError, match="column 't_u' cannot name the sensors and hold numbers"):
        read(tmp_path, TABLE, "t_u")
