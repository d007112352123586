"""What is gathered of a fleet: the same however its readings are parted, and whose they are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempfit.exact.evidence import Evidence, gather
from tempfit.fleet.gathered import LONG, Gathered, compress, unite, unite_all
from tempfit.fleet.roster import REASONS, call_roster
from tempfit.readings.faults import fault_schema
from tempfit.readings.sensors import SensorRows


def rows_of(sensors: dict[str, np.ndarray], faults: list[tuple[str, str, int, str, int]] | None = None) -> SensorRows:
    """sensors: (rows, 3) each, t_u, t_c, u_c."""
    names = sorted(sensors)
    rows = np.concatenate([sensors[name] for name in names] or [np.empty((0, 3))])
    told = [{**dict(zip(fault_schema().names, fault, strict=False)), "unit": "row"} for fault in faults or []]
    return SensorRows(
        names=pa.array(names, pa.string()),
        starts=np.cumsum([0, *(len(sensors[name]) for name in names)]),
        t_u=rows[:, 0],
        t_c=rows[:, 1],
        u_c=rows[:, 2],
        u_u=None,
        faults=pa.Table.from_pylist(told, fault_schema()),
        n_rows=len(rows) + sum(fault[2] for fault in faults or []),
    )


def readings_of(rng: np.random.Generator, n: int) -> np.ndarray:
    t_u = rng.uniform(20, 80, n)
    return np.stack([t_u, 0.5 * t_u - 17 + rng.normal(0, 0.1, n), rng.uniform(0.05, 0.2, n)], axis=1)


def assert_same(gathered: Gathered, sensors: dict[str, np.ndarray]) -> None:
    """Each sensor's evidence is that of all its rows, to rounding."""
    assert gathered.names.to_pylist() == sorted(sensors)
    for member, name in enumerate(gathered.names.to_pylist()):
        alone = gather(*(column[None] for column in sensors[name].T))
        for field in Evidence.__dataclass_fields__:
            found, wanted = getattr(gathered.evidence, field)[member], getattr(alone, field)[0]
            scale = np.abs(wanted).max() if field == "factor" else 0.0
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9 * scale, err_msg=f"{name} {field}")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 9))
def test_evidence_is_the_same_however_the_rows_are_parted(seed: int, n_sensors: int, n_parts: int):
    rng = np.random.default_rng(seed)
    sensors = {f"s{k}": readings_of(rng, int(rng.integers(1, 60))) for k in range(n_sensors)}
    shuffled = [(name, row) for name, rows in sensors.items() for row in rows]
    rng.shuffle(shuffled)
    parts = []
    for some in np.array_split(np.arange(len(shuffled)), n_parts):
        part: dict[str, list[np.ndarray]] = {}
        for k in some:
            part.setdefault(shuffled[k][0], []).append(shuffled[k][1])
        if part:
            parts.append(compress(rows_of({name: np.array(rows) for name, rows in part.items()})))
    assert_same(unite_all(parts), sensors)


def test_sensors_with_few_and_with_many_rows_are_compressed_side_by_side():
    rng = np.random.default_rng(0)
    sensors = {f"s{n}": readings_of(rng, n) for n in (1, 2, 3, 24, 25, 30, 31, 400, LONG, LONG + 1, 40_000)}
    assert_same(compress(rows_of(sensors)), sensors)


def test_parts_in_the_order_of_names_are_put_behind_each_other():
    rng = np.random.default_rng(1)
    first, second = ({name: readings_of(rng, 5) for name in names} for names in (["a", "b"], ["c", "d"]))
    assert_same(unite([compress(rows_of(first)), compress(rows_of(second))]), first | second)


def test_rows_left_out_are_summed_with_the_first_place():
    rows = {"a": readings_of(np.random.default_rng(2), 4)}
    first = compress(rows_of(rows, [("a", "missing", 2, "x.csv", 7), ("b", "missing", 1, "x.csv", 9)]))
    second = compress(rows_of(rows, [("a", "missing", 3, "y.csv", 2), ("a", "text", 1, "y.csv", 3)]))
    both = unite([first, second])
    assert both.n_rows == 15
    assert sorted(both.faults.to_pylist(), key=lambda row: (row["thermometer"], row["why"])) == [
        {"thermometer": "a", "why": "missing", "n": 5, "file": "x.csv", "row": 7, "unit": "row"},
        {"thermometer": "a", "why": "text", "n": 1, "file": "y.csv", "row": 3, "unit": "row"},
        {"thermometer": "b", "why": "missing", "n": 1, "file": "x.csv", "row": 9, "unit": "row"},
    ]


def test_everybody_is_on_the_roster_and_told_why_not():
    rng = np.random.default_rng(3)
    same = readings_of(rng, 5)
    same[:, 0] = 20.0
    vanishing = readings_of(rng, 5)
    vanishing[:, 1] = 1e-120
    sensors = {"few": readings_of(rng, 2), "good": readings_of(rng, 3), "same": same, "vanishing": vanishing}
    faults = [("dead", "missing", 9, "x", 1), ("good", "text", 2, "x", 2), ("", "no key", 4, "x", 3)]
    roster = call_roster(compress(rows_of(sensors, faults)))
    assert roster.names.to_pylist() == ["dead", "few", "good", "same", "vanishing"]
    assert roster.position.tolist() == [-1, 0, 1, 2, 3]
    assert roster.reasons(slice(None)).to_pylist() == [REASONS[0], REASONS[0], None, REASONS[1], REASONS[2]]
    assert roster.n_left_out.tolist() == [9, 0, 2, 0, 0]


def test_a_block_without_a_usable_row_is_nobody_s():
    faults = [("a", "missing", 2, "x", 1)]
    nobody = compress(rows_of({}, faults))
    assert len(nobody) == 0
    sensors = {"b": readings_of(np.random.default_rng(7), 4)}
    both = unite_all([nobody, compress(rows_of(sensors)), nobody])
    assert_same(both, sensors)
    assert call_roster(both).names.to_pylist() == ["a", "b"]
    assert call_roster(nobody).reasons(slice(None)).to_pylist() == [REASONS[0]]


@pytest.mark.parametrize("names", [["b", "a"], ["a", "b"]])
def test_a_sensor_in_every_part_is_one_sensor(names: list[str]):
    rng = np.random.default_rng(4)
    parts = [{name: readings_of(rng, 6)} for name in [*names, *names]]
    whole: dict[str, list[np.ndarray]] = {}
    for part in parts:
        for name, rows in part.items():
            whole.setdefault(name, []).append(rows)
    assert_same(unite([compress(rows_of(part)) for part in parts]), {n: np.concatenate(r) for n, r in whole.items()})
