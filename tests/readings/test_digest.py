"""The digest of rows: the same however they are cut, another when anything changes. And whose readings they are."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tempfit
from tempfit.readings import digest
from tempfit.readings.digest import RowDigest
from tempfit.readings.paired import Readings, as_readings, load_readings, thermometer_of
from tests.conftest import T_C, T_U, THERMOMETER

BLOCK = 4
values = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)  # -0.0 counts as 0.0
tables = st.lists(st.tuples(values, values), min_size=1, max_size=3 * BLOCK + 1).map(np.array)


@pytest.fixture(scope="module", autouse=True)
def _small_blocks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digest, "DIGEST_ROWS", BLOCK)
        yield


def digest_of(*pieces: np.ndarray) -> str:
    made = RowDigest(("t_u", "t_c"))
    for piece in pieces:
        made.update({"t_u": piece[:, 0], "t_c": piece[:, 1]})
    assert made.n == sum(map(len, pieces))
    return made.hexdigest()


def test_what_the_digest_is_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Built a second time from its definition, byte by byte."""
    rows = [struct.pack("<dd", t_u, t_c) for t_u, t_c in zip(T_U, T_C, strict=True)]
    blocks = [hashlib.sha256(b"t_u,t_c" + b"".join(rows[k : k + BLOCK])).digest() for k in range(0, 11, BLOCK)]
    assert Readings(T_U, T_C).sha256 == hashlib.sha256(b"".join(blocks)).hexdigest()
    monkeypatch.setattr(digest, "DIGEST_ROWS", 65_536)
    assert Readings(T_U, T_C).sha256 == hashlib.sha256(b"t_u,t_c" + b"".join(rows)).hexdigest()
    rows = [row + struct.pack("<dd", 1, 0) for row in rows]
    stated = Readings(T_U, T_C, u_c=np.ones(11), u_u=np.zeros(11))
    assert stated.sha256 == hashlib.sha256(b"t_u,t_c,u_c,u_u" + b"".join(rows)).hexdigest()


@settings(deadline=None)
@given(rows=tables, cuts=st.lists(st.integers(0, 3 * BLOCK + 1), max_size=5))
def test_any_cut_of_the_rows_gives_the_same(rows: np.ndarray, cuts: list[int]) -> None:
    assert digest_of(*np.split(rows, sorted(cuts))) == digest_of(rows)


@settings(deadline=None)
@given(rows=tables, data=st.data())
def test_a_changed_bit_a_swapped_pair_and_a_moved_block_give_another(rows: np.ndarray, data: st.DataObject) -> None:
    first, second = (data.draw(st.integers(0, len(rows) - 1)) for _ in range(2))
    flipped = rows.copy()
    flipped.view(np.uint64)[first, data.draw(st.integers(0, 1))] ^= np.uint64(1 << data.draw(st.integers(0, 62)))
    order = np.arange(len(rows))
    order[[first, second]] = second, first
    for other in (flipped, rows[order], np.roll(rows, BLOCK, axis=0), rows[:, ::-1], rows[1:], rows[:-1]):
        is_same = other.shape == rows.shape and bool((other + 0.0 == rows).all())
        assert (digest_of(other) == digest_of(rows)) == is_same


@settings(deadline=None)
@given(rows=tables, n=st.integers(1, 3 * BLOCK + 1), other=values)
def test_rows_begin_with_those(rows: np.ndarray, n: int, other: float) -> None:
    """On the way, too: of the rows so far, whatever follows."""
    n = min(n, len(rows))
    made = RowDigest(("t_u", "t_c"))
    made.update({"t_u": rows[:n, 0], "t_c": rows[:n, 1]})
    assert made.hexdigest() == digest_of(rows[:n])
    made.update({"t_u": rows[n:, 0], "t_c": rows[n:, 1]})
    assert made.hexdigest() == digest_of(rows)


def test_readings_begin_with_those_of_before() -> None:
    before, now = Readings(T_U[:6], T_C[:6]), Readings(T_U, T_C)
    assert now.begins_with(before.n, before.sha256)
    assert now.begins_with(now.n, now.sha256)
    assert not now.begins_with(5, before.sha256)
    assert not now.begins_with(12, now.sha256)
    assert not now.begins_with(0, RowDigest(("t_u", "t_c")).hexdigest())
    assert not Readings(T_U[::-1], T_C[::-1]).begins_with(before.n, before.sha256)
    assert not Readings(T_U, T_C, u_c=np.ones(11)).begins_with(before.n, before.sha256)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/srv/lab/boiler 2.csv", "boiler 2"),
        ("boiler.2024.parquet", "boiler.2024"),
        ("<stdin>", "stdin"),
        ("<memory>", "memory"),
        ("", "memory"),
        (" .csv", "memory"),
        ("a\nb.csv", r"a\nb"),
        ("x" * 300, "x" * 255),
    ],
)
def test_a_thermometer_that_nobody_named_is_called_as_its_file(source: str, name: str) -> None:
    assert thermometer_of(source) == name
    assert Readings(T_U, T_C, source=source).thermometer == name


def test_a_thermometer_s_name_changes_no_number() -> None:
    unnamed, named = load_readings(THERMOMETER), load_readings(THERMOMETER, thermometer="boiler")
    assert (unnamed.thermometer, named.thermometer) == ("thermometer", "boiler")
    assert named.sha256 == unnamed.sha256
    assert as_readings((T_U, T_C)).thermometer == "memory"
    assert as_readings(pd.DataFrame({"t_u": T_U, "t_c": T_C}), thermometer="boiler").thermometer == "boiler"
    assert as_readings(named) is named
    renamed = as_readings(named, thermometer="kettle")
    assert (renamed.thermometer, renamed.source) == ("kettle", named.source)

    plain, called = tempfit.calibrate(THERMOMETER), tempfit.calibrate(THERMOMETER, thermometer="boiler")
    assert called.config.sha256 == plain.config.sha256
    results = [result.as_dict() for result in (plain, called)]
    assert [result.pop("thermometer") for result in results] == ["thermometer", "boiler"]
    assert [result["config"].pop("thermometer") for result in results] == [None, "boiler"]
    assert results[0].pop("digest") != results[1].pop("digest")  # it is of whose calibration it is, too
    assert results[0] == results[1]
