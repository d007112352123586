"""Reading tables: what is accepted, what is refused and in which words, and the fingerprint of what was read."""

from __future__ import annotations

import io
import itertools
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tempfit
from tempfit.config import ReadingsConfig
from tempfit.errors import ReadingsError
from tempfit.readings import lines
from tempfit.readings.cells import open_rows
from tempfit.readings.columns import Columns, Wanted
from tempfit.readings.csv_text import parse_csv, parse_fast, parse_slowly
from tempfit.readings.paired import SMALL_FILE, Readings, as_readings, load_readings, peek, wanted_columns
from tempfit.readings.tables import Table, open_table, read_blocks
from tests.broken_inputs import parquet
from tests.conftest import T_C, T_U, THERMOMETER


def load(tmp_path: Path, content: str | bytes, **settings: object) -> Readings:
    path = tmp_path / "readings.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_readings(path, ReadingsConfig(**settings))


def refusal(tmp_path: Path, content: str | bytes, **settings: object) -> str:
    with pytest.raises(ReadingsError) as caught:
        load(tmp_path, content, **settings)
    return str(caught.value).removeprefix(f"{tmp_path}/")


def test_the_tutorials_file():
    readings = load_readings(THERMOMETER)
    assert readings.t_u.tolist() == T_U.tolist()
    assert readings.t_c.tolist() == T_C.tolist()
    assert readings.n == 11
    assert readings.x_label == "Thermometer reading t_u (unknown unit)"


@pytest.mark.parametrize(
    "content",
    [
        "t_u,t_c\n1.5,2\n3,4\n5,-6e0\n",
        "t_u;t_c\n1.5;2\n3;4\n5;-6\n",
        "t_u\tt_c\n1.5\t2\n3\t4\n5\t-6\n",
        "t_u;t_c\n1,5;2\n3;4\n5;-6,0\n",
        "t_u\tt_c\n1,5\t2\n3\t4\n5\t-6\n",
        't_u,t_c\n"1,5","2"\n3,4\n5,-6\n',
        "\ufefft_u,t_c\r\n1.5,2\r\n3,4\r\n5,-6\r\n",
        "t_u,t_c\r1.5,2\r3,4\r5,-6",
        "\n\nt_u,t_c\n\n1.5,2\n\n3,4\n5,-6\n\n",
        "note,t_c,t_u\nfirst,2,1.5\n,4,3\nthird,-6,5\n",
        " t_u , t_c \n 1.5 , 2 \n 3 , 4 \n 5 , -6 \n",
        "t_u;t_c;note\n+1.5;2.;a,b\n3;4;\n5;-6;\n",
    ],
)
def test_forms_of_the_same_table(tmp_path, content):
    readings = load(tmp_path, content)
    assert readings.t_u.tolist() == [1.5, 3.0, 5.0]
    assert readings.t_c.tolist() == [2.0, 4.0, -6.0]


def test_delimiter_and_decimal_mark_as_told(tmp_path):
    content = "t_u;t_c\n1,234;2\n3,5;4\n5;6\n"
    assert load(tmp_path, content, decimal="comma").t_u.tolist() == [1.234, 3.5, 5.0]
    assert "is not a number with a decimal point" in refusal(tmp_path, content, decimal="point")
    assert "no column 't_u'" in refusal(tmp_path, content, delimiter="comma")


def test_columns_by_name(tmp_path):
    readings = load(tmp_path, "raw,ref,t_u\n1,2,9\n3,4,9\n5,6,9\n", x="raw", y="ref")
    assert readings.t_u.tolist() == [1, 3, 5]
    assert readings.y_label == "Temperature ref (°C)"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "readings.csv: the file is empty (0 bytes)"),
        ("t_u,t_c\n", "no usable rows"),
        ("t_u,t_c\n1,2\n3,4\n", "2 usable rows; a line and its uncertainty need at least 3"),
        ("t_u,t_c\n1,2\n3,warm\n5,6\n", "line 3, column 't_c': 'warm' is not a number"),
        ("t_u,t_c\n1,2\n\n3,4\nx,6\n", "line 5, column 't_u': 'x' is not a number"),
        ("t_u,t_c\n1,2\n,4\n5,6\n", "line 3, column 't_u': the value is missing; fill it in, or drop"),
        ("t_u,t_c\n1,2\n3,inf\n5,6\n", "line 3, column 't_c': 'inf' is not finite"),
        ("t_u,t_c\n1,2\n1e400,4\n5,6\n", "line 3, column 't_u': '1e400' is beyond ±1e+100"),
        ("t_u,t_c\n1,2\n3;4\n5,6\n", "line 3 has 1 cell where the header has 2"),
        ("t_u,t_u,t_c\n1,2,3\n", "line 1: column 't_u' is there 2 times"),
        ("t_u,tc\n1,2\n", "no column 't_c'; the columns are 't_u, tc'; choose with `x` and `y` (did you mean 'tc'?)"),
        ("7,1\n7,2\n", "the first line holds numbers"),
        ("t_u,t_c\n7,1\n7,2\n7,3\n", "column 't_u': all 3 values are (nearly) the same, 7"),
        (b"t_u,t_c\n1,2\n3,\xb0\n", "line 3 is not UTF-8 (byte 14 is 0xb0)"),
        (b"PK\x03\x04", "a zip archive or Excel workbook; export the sheet as CSV"),
    ],
)
def test_refusals_say_where_and_what_to_do(tmp_path, content, words):
    assert words in refusal(tmp_path, content)


def test_missing_values_are_dropped_and_counted_when_asked(tmp_path):
    content = "t_u,t_c\n1,2\n,4\n5,NaN\n7,8\n9,10\n"
    readings = load(tmp_path, content, drop_missing=True)
    assert (readings.n, readings.n_dropped) == (3, 2)
    assert "(3 dropped" in refusal(tmp_path, "t_u,t_c\n1,\n,4\n5,\n7,8\n9,10\n", drop_missing=True)
    assert "'inf' is not finite" in refusal(tmp_path, "t_u,t_c\n1,\ninf,4\n5,6\n7,8\n9,10\n", drop_missing=True)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(ReadingsError, match=r"nowhere\.csv: no such file"):
        load_readings(tmp_path / "nowhere.csv")
    with pytest.raises(ReadingsError, match="this is a directory"):
        load_readings(tmp_path)
    with pytest.raises(ReadingsError, match="cannot be read"):
        load_readings("nul\0byte")


def test_standard_input(monkeypatch):
    class Stdin:
        buffer = io.BytesIO(THERMOMETER.read_bytes())

    monkeypatch.setattr(sys, "stdin", Stdin)
    readings = load_readings("-")
    assert readings.n == 11
    assert readings.source == "<stdin>"
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ReadingsError, match="nothing can be read from standard input"):
        load_readings("-")


def test_a_table_is_read_again_even_if_it_came_through_a_pipe(monkeypatch):
    class Stdin:
        buffer = io.BytesIO(parquet(t_c=T_C, t_u=T_U))

    monkeypatch.setattr(sys, "stdin", Stdin)
    monkeypatch.setattr("tempfit.readings.tables.KEPT_BYTES", 100)
    table, wanted = Table("-"), [Wanted("t_u")]
    for _ in range(2):
        assert joined(list(table.blocks(ReadingsConfig(), wanted)))[0] == {"t_u": T_U.tolist()}
    assert table.share == 1
    assert table.read(ReadingsConfig(), wanted).values["t_u"].tolist() == T_U.tolist()


def test_peek_tells_a_small_broken_file_and_leaves_the_rest_alone(tmp_path):
    path = tmp_path / "broken.csv"
    path.write_text("t_u,t_c\n1,2\n")
    with pytest.raises(ReadingsError, match="1 usable row"):
        peek(str(path))
    with pytest.raises(ReadingsError, match="no such file"):
        peek(str(tmp_path / "nowhere.csv"))
    path.write_bytes(b"x" * (SMALL_FILE + 1))
    peek(str(path))
    peek("-")
    peek(str(THERMOMETER))


def test_parquet_equals_csv_and_so_does_its_fingerprint(tmp_path):
    path = tmp_path / "readings.parquet"
    path.write_bytes(parquet(t_c=T_C, other=["x"] * 11, t_u=T_U))
    readings = load_readings(path)
    assert readings.t_u.tolist() == T_U.tolist()
    assert readings.sha256 == load_readings(THERMOMETER).sha256
    path.write_bytes(parquet(t_c=[1, 2, None, 4], t_u=[1, 2, 3, 4]))
    assert load_readings(path, ReadingsConfig(drop_missing=True)).n_dropped == 1
    with pytest.raises(ReadingsError, match="row 3, column 't_c': the value is missing"):
        load_readings(path)


def test_fingerprint_is_of_the_values_alone(tmp_path):
    reference = load(tmp_path, "t_u,t_c\n1,2\n3,4\n5,0\n").sha256
    assert load(tmp_path, "t_u;t_c\n1,0;2\n3;4e0\n5;-0\n").sha256 == reference
    assert load(tmp_path, "t_u,t_c\n1,2\n3,4\n5,1e-300\n").sha256 != reference
    assert load(tmp_path, "t_u,t_c\n3,4\n1,2\n5,0\n").sha256 != reference


def test_as_readings_takes_what_people_have():
    frame = pd.DataFrame({"t_u": T_U, "t_c": T_C})
    expected = load_readings(THERMOMETER).sha256
    for data in (frame, (T_U, T_C), [list(T_U), list(T_C)], THERMOMETER, str(THERMOMETER), as_readings(frame)):
        assert as_readings(data).sha256 == expected
    with pytest.raises(ReadingsError, match="cannot take readings from int"):
        as_readings(3)
    with pytest.raises(ReadingsError, match="11 values of 't_u' but 10 of 't_c'"):
        as_readings((T_U, T_C[:-1]))
    with pytest.raises(ReadingsError, match="holds text, not numbers"):
        as_readings((["a", "b", "c"], [1, 2, 3]))
    with pytest.raises(ReadingsError, match="row 2, column 't_u': the value is missing"):
        as_readings(pd.DataFrame({"t_u": pd.array([1, None, 3], dtype="Int64"), "t_c": [1, 2, 3]}))


def test_readings_cannot_be_changed_and_survive_pickling():
    values = T_U.copy()
    readings = as_readings((values, T_C))
    values[0] = 99
    assert readings.t_u[0] == 35.7
    with pytest.raises(ValueError, match="read-only"):
        readings.t_u[0] = 1
    again = pickle.loads(pickle.dumps(readings))
    assert again.sha256 == readings.sha256
    with pytest.raises(ValueError, match="read-only"):
        again.t_u[0] = 1


cells = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(["", "NA", "nan", "x", "1e400", "inf", " 7 ", "+1.", ".5", "1,5", "'3", "1_0", "0x1", "TRUE", "٣"]),
)


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.tuples(cells, cells), min_size=1, max_size=8),
    delimiter=st.sampled_from([",", ";", "\t"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    drop_missing=st.booleans(),
)
def test_the_fast_parser_never_contradicts_the_slow_one(rows, delimiter, end, drop_missing):
    text = end.join([f"t_u{delimiter}t_c", *(delimiter.join(row) for row in rows)]) + end
    config = ReadingsConfig(drop_missing=drop_missing)
    text, _ = next(lines.whole_lines([text.encode()], "x.csv"))
    rows_of_it = open_rows(text, 0, "x.csv", config, wanted_columns(config))
    for mark in (".", ","):
        fast = parse_fast(rows_of_it, mark, config)
        if fast is not None:
            slow = parse_slowly(rows_of_it, mark, config)
            assert {name: column.tolist() for name, column in fast.values.items()} == {
                name: column.tolist() for name, column in slow.values.items()
            }
            assert fast.n_dropped == slow.n_dropped


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def joined(blocks: list[Columns]) -> tuple[dict[str, list[float]], int]:
    names = blocks[0].values
    values = {name: [value for block in blocks for value in block.values[name].tolist()] for name in names}
    return values, sum(block.n_dropped for block in blocks)


def outcome(parse: Callable[[], list[Columns]]) -> tuple[dict[str, list[float]], int] | str:
    """The columns and how many rows were dropped, or the message."""
    try:
        return joined(parse())
    except ReadingsError as error:
        return str(error)


headers = st.sampled_from(
    ["t_u{0}t_c", "\ufefft_u{0}t_c", "\n \nt_u{0}t_c", "note{0}t_c{0}t_u", "t_u", "", "1{0}2", '"t_u{0}t_c']
)
marked = st.sampled_from(["1,5", "1.5", '"1,5"', "1,234", '"1,234"', "7", '"7', '"7"x', "1.234,5", "-,5e0", "12.30"])


@settings(max_examples=500, deadline=None)
@given(
    header=headers,
    rows=st.lists(st.lists(cells | marked, min_size=2, max_size=3), max_size=8),
    delimiter=st.sampled_from([",", ";", "\t"]),
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r", "\n\n"]), min_size=9, max_size=9),
    size=st.integers(1, 40),
    drop_missing=st.booleans(),
    decimal=st.sampled_from(["auto", "point", "comma"]),
    spoiled=st.none() | st.tuples(st.integers(0, 100), st.sampled_from([b"\0", b"\xff"])),
)
def test_blocks_of_any_size_are_read_as_the_whole(header, rows, delimiter, ends, size, drop_missing, decimal, spoiled):
    lines = [header.format(delimiter), *(delimiter.join(row) for row in rows)]
    data = "".join(line + end for line, end in zip(lines, ends, strict=False)).encode()
    if spoiled is not None:
        position = min(spoiled[0], len(data))
        data = data[:position] + spoiled[1] + data[position:]
    wanted = [Wanted("t_u"), Wanted("t_c", required=False)]

    def both(decimal: str) -> tuple[object, object]:
        config = ReadingsConfig(drop_missing=drop_missing, decimal=decimal)
        return (
            outcome(lambda: list(parse_csv([data], "x.csv", config, wanted))),
            outcome(lambda: list(parse_csv(pieces(data, size), "x.csv", config, wanted))),
        )

    whole, blocks = both(decimal)
    if isinstance(whole, str) and ("NUL byte" in whole or "not UTF-8" in whole):
        assert isinstance(blocks, str)  # that, or the fault of an earlier line: the whole is searched for bytes first
    elif decimal == "auto" and whole != blocks:  # the number that tells the mark stands in a later block
        assert isinstance(blocks, str)
        assert "`decimal=" in blocks
        told = [both(decimal) for decimal in ("point", "comma")]
        assert (whole, whole) in told
    else:
        assert whole == blocks


def test_blocks_of_many_rows():
    rng = np.random.default_rng(5)
    values = rng.normal(50, 20, 3000)
    data = ("t_u;note\n" + "".join(f"{value!r};a\n" for value in values.tolist())).encode()
    config, wanted = ReadingsConfig(), [Wanted("t_u")]
    blocks = list(parse_csv(pieces(data, 10_000), "x.csv", config, wanted))
    assert len(blocks) > 3
    assert joined(blocks)[0]["t_u"] == values.tolist()
    broken = data.replace(b"\n", b"\nwarm;a\n", 2001).replace(b"\nwarm;a\n", b"\n", 2000)
    with pytest.raises(ReadingsError, match="line 2002, column 't_u': 'warm' is not a number"):
        list(parse_csv(pieces(broken, 10_000), "x.csv", config, wanted))


def test_text_without_rows_is_refused_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr(lines, "LONGEST_LINE", 1000)
    for endless in (b"x", b"\n"):
        with pytest.raises(ReadingsError, match="no row ends within 1,000 bytes from line 1; a table"):
            list(parse_csv(itertools.repeat(endless * 64), "x.csv", ReadingsConfig(), [Wanted("t_u")]))


def test_tables_of_any_size_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfit.readings.tables.BLOCK_ROWS", 4)
    monkeypatch.setattr("tempfit.readings.tables.BLOCK_BYTES", 16)
    table, read = tmp_path / "readings", []

    def blocks(content: bytes, **settings: object) -> list[Columns]:
        table.write_bytes(content)
        with open_table(str(table)) as file:
            return list(read_blocks(file, str(table), ReadingsConfig(**settings), [Wanted("t_u")], read.append))

    for content in (THERMOMETER.read_bytes(), parquet(t_c=T_C, t_u=T_U)):
        read.clear()
        found = blocks(content)
        assert len(found) > 2
        assert joined(found)[0] == {"t_u": T_U.tolist()}
        assert read[-1] == len(content)
    assert joined(blocks(parquet(t_u=pa.array([], pa.float64())))) == ({"t_u": []}, 0)
    hole = parquet(t_u=[1.0, 2.0, 3.0, 4.0, 5.0, None, 7.0])
    assert joined(blocks(hole, drop_missing=True)) == ({"t_u": [1, 2, 3, 4, 5, 7]}, 1)
    for content, words in (
        (hole, "row 6, column 't_u': the value is missing"),
        (parquet(t_u=["a"]), "column 't_u' holds 'string', not numbers"),
        (parquet(t_c=[1.0]), "no column 't_u'"),
        (hole[:-20], "damaged or incomplete Parquet file"),
        (b"", "the file is empty"),
    ):
        with pytest.raises(ReadingsError, match=words):
            blocks(content)
    with pytest.raises(ReadingsError, match=r"x\.parquet: not a Parquet file"):
        list(read_blocks(io.BytesIO(b"t_u\n1\n"), "x.parquet", ReadingsConfig(), [Wanted("t_u")], read.append))
    for name, words in (("nowhere.csv", "no such file"), (".", "this is a directory"), ("nul\0byte", "cannot be read")):
        with pytest.raises(ReadingsError, match=words), open_table(name):
            pass


def test_a_file_large_enough_for_the_fast_parser(tmp_path):
    rng = np.random.default_rng(5)
    t_u, t_c = rng.normal(50, 20, 20_000), rng.normal(10, 5, 20_000)
    rows = "\n".join(f"{x!r},{y!r}" for x, y in zip(t_u.tolist(), t_c.tolist(), strict=True))
    readings = load(tmp_path, f"t_u,t_c\n{rows}\n")
    assert readings.t_u.tolist() == t_u.tolist()
    assert readings.t_c.tolist() == t_c.tolist()
    assert "line 20002, column 't_c': 'warm' is not a number" in refusal(tmp_path, f"t_u,t_c\n{rows}\n1,warm\n")


UNCERTAIN = [(1.0, 2.0, 0.1), (3.0, 4.0, -0.1), (5.0, 7.0, 0.1)]
NAMED = "column 'sigma': '?-0.1'? is no standard uncertainty; it has to be above 0"


@pytest.mark.parametrize("drop_missing", [False, True])
@pytest.mark.parametrize("n", [3, 30_000], ids=["row by row", "by Arrow"])
def test_a_wrong_uncertainty_is_named_by_the_users_column_and_the_files_line(tmp_path, n, drop_missing):
    """Blank lines count as lines, as for every other fault; in Parquet and in a DataFrame, rows count from 1."""
    config = ReadingsConfig(u_c="sigma", drop_missing=drop_missing)
    rows = (UNCERTAIN * n)[: n + 1]
    path = tmp_path / "lab.csv"
    path.write_text("t_u,t_c,sigma\n\n" + "".join(f"{a},{b},{u}\n" for a, b, u in rows))
    with pytest.raises(ReadingsError, match=rf"lab\.csv: line 4, {NAMED}"):
        load_readings(path, config)
    frame = pd.DataFrame(rows, columns=["t_u", "t_c", "sigma"])
    frame.to_parquet(tmp_path / "lab.parquet")
    with pytest.raises(ReadingsError, match=rf"lab\.parquet: row 2, {NAMED}"):
        load_readings(tmp_path / "lab.parquet", config)
    with pytest.raises(ReadingsError, match=f"row 2, {NAMED}"):
        tempfit.calibrate(frame, u_c="sigma", drop_missing=drop_missing)


def test_readings_may_be_called_as_uncertainties_are():
    assert Readings(np.array([-1.0, 0.0, 1.0]), np.array([1.0, 2.0, 3.5]), x="u_c").n == 3
