"""Sources of many sensors: however readings are laid out in files, they are those of the same sensors."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempfit.config import FleetConfig, ReadingsConfig
from tempfit.errors import ReadingsError
from tempfit.readings.many import read_partition
from tempfit.readings.partitions import File, Partition, find_partitions
from tests.readings.fleets import Pairs, by_sensor, faults_of, read, read_text

WIDE, BY = FleetConfig(wide=True), FleetConfig(by="sensor")
CONFIG = ReadingsConfig()

readings = st.none() | st.integers(-8, 8).map(lambda value: value / 4)
NAMES = ["a", "B b", "7", "é"]


def text_of(columns: dict[str, list[object]]) -> str:
    rows = zip(*columns.values(), strict=True)
    lines = [columns, *([("" if cell is None else str(cell)) for cell in row] for row in rows)]
    return "".join(",".join(line) + "\n" for line in lines)


def write(path: Path, columns: dict[str, list[object]]) -> None:
    """As Parquet or CSV, by the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path, row_group_size=3)
    else:
        path.write_text(text_of(columns))


@settings(max_examples=30, deadline=None)
@given(
    table=st.lists(st.tuples(st.integers(-9, 9).map(float), *[readings] * len(NAMES)), min_size=1, max_size=9),
    together=st.integers(1, 2000),
    suffixes=st.tuples(*[st.sampled_from([".csv", ".parquet"])] * 5),
)
def test_long_wide_a_folder_and_a_tree_hold_the_same(tmp_path_factory, table, together: int, suffixes) -> None:
    folder = tmp_path_factory.mktemp("fleet")
    columns = {"t_c": [row[0] for row in table]} | {name: [row[k + 1] for row in table] for k, name in enumerate(NAMES)}
    expected: Pairs = {}
    long: dict[str, list[object]] = {"sensor": [], "t_u": [], "t_c": []}
    for t_c, *of_row in table:
        for name, t_u in zip(NAMES, of_row, strict=True):
            if t_u is not None:
                expected.setdefault(name, []).append((t_u, t_c))
                for column, value in zip(long.values(), (name, t_u, t_c), strict=True):
                    column.append(value)
    columns = {name: pa.array(column, pa.float64()).to_pylist() for name, column in columns.items()}
    stored = {name: pa.array(column, pa.float64()) for name, column in columns.items()}
    write(folder / f"wide{suffixes[0]}", stored if suffixes[0] == ".parquet" else columns)
    sources = {folder / f"wide{suffixes[0]}": WIDE}
    if expected:
        write(folder / f"long{suffixes[1]}", long)
        sources[folder / f"long{suffixes[1]}"] = BY
        for name, pairs in expected.items():
            own = dict(zip(("t_u", "t_c"), (list(column) for column in zip(*pairs, strict=True)), strict=True))
            write(folder / "one" / f"{name}{suffixes[2]}", own)
            write(folder / "some" / f"x{name}{suffixes[3]}", {"sensor": [name] * len(pairs), **own})
            write(folder / "tree" / f"sensor={quote(name)}" / f"part-0{suffixes[4]}", own)
        sources |= {folder / "one": FleetConfig(), folder / "some": BY, folder / "tree": BY}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfit.readings.partitions.PARTITION_BYTES", together)
        for source, fleet in sources.items():
            assert by_sensor(read(source, fleet)) == expected, source
    silent = {(name, "no reading in its column"): 0 for name in NAMES if name not in expected}
    assert {key: n for key, (n, _) in faults_of(read(next(iter(sources)), WIDE)).items()} == silent


def test_columns_of_a_wide_table_that_are_no_sensors(tmp_path: Path) -> None:
    table = "n,ref_true,ref_raw,a*,ab\n1,2,3,4,5\n"

    def sensors(without: str | None, as_parquet: bool = False) -> set[str]:
        fleet = FleetConfig(wide=True, without=without)
        if not as_parquet:
            return by_sensor(read_text(tmp_path, table, fleet, y="ref_true")).keys()
        columns = {name: [1.0] for name in table.partition("\n")[0].split(",")}
        pq.write_table(pa.table(columns), tmp_path / "x.parquet")
        return by_sensor(read(tmp_path / "x.parquet", fleet, y="ref_true")).keys()

    for as_parquet in (False, True):
        assert sensors(None, as_parquet) == {"n", "ref_raw", "a*", "ab"}
        assert sensors("n, ref*", as_parquet) == {"a*", "ab"}
        assert sensors("a*", as_parquet) == {"n", "ref_raw"}
        assert sensors("a[*],n", as_parquet) == {"ref_raw", "ab"}
        with pytest.raises(ReadingsError, match="no column 'ref' to leave out; the columns are 'n, ref_true, ref_raw"):
            sensors("n,ref", as_parquet)
        with pytest.raises(ReadingsError, match="no column is left for a sensor; leave out fewer by `without`"):
            sensors("*", as_parquet)


def test_the_cells_of_a_wide_table(tmp_path: Path) -> None:
    """A fault of the reference is one of every sensor with a reading beside it; text is a sensor without any."""
    table = "when,t_c,a,b,,note\n1,1,1,2,9,x\n2,warm,3,,9,\n3,3,bad,1e300,9,y\n,4,5,6,9,NA\n"
    blocks = read_text(tmp_path, table, WIDE)
    assert by_sensor(blocks) == {"a": [(1, 1), (5, 4)], "b": [(2, 1), (6, 4)], "when": [(1, 1), (3, 3)]}
    expected = {
        ("a", "column 't_c': not a number"): (1, 3),
        ("when", "column 't_c': not a number"): (1, 3),
        ("a", "column 'a': not a number"): (1, 4),
        ("b", "column 'b': infinite or beyond ±1e+100"): (1, 4),
        ("note", "column 'note': not a number"): (2, 2),
        ("note", "no number in column 'note'; if it is no sensor, leave it out by `without`"): (0, 2),
    }
    assert faults_of(blocks) == expected
    with pytest.raises(ReadingsError, match="line 2, column 'note': 'x' is not a number"):
        read_text(tmp_path, table, replace_of(WIDE, strict=True))
    stored = pa.table({"t_c": [1.0, 2.0], "a": [1, 2], "note": ["x", None], "flag": [True, False]})
    pq.write_table(stored, tmp_path / "x.parquet")
    blocks = read(tmp_path / "x.parquet", WIDE)
    assert by_sensor(blocks) == {"a": [(1, 1), (2, 2)]}
    assert faults_of(blocks) == {
        ("note", "column 'note': not a number"): (1, 1),
        ("flag", "column 'flag': not a number"): (2, 1),
        ("note", "no number in column 'note'; if it is no sensor, leave it out by `without`"): (0, 1),
        ("flag", "no number in column 'flag'; if it is no sensor, leave it out by `without`"): (0, 1),
    }
    with pytest.raises(ReadingsError, match="column 'note' holds 'string', not numbers; store it as a numeric type"):
        read(tmp_path / "x.parquet", replace_of(WIDE, strict=True))


def replace_of(fleet: FleetConfig, **settings: object) -> FleetConfig:
    return FleetConfig(**{**fleet.model_dump(), **settings})


def test_gaps_in_a_wide_table_are_nothing_to_refuse(tmp_path: Path) -> None:
    strict = replace_of(WIDE, strict=True)
    assert by_sensor(read_text(tmp_path, "t_c,a,b\n1,,2\n2,3,NA\n", strict)) == {"a": [(3, 2)], "b": [(2, 1)]}
    with pytest.raises(ReadingsError, match="line 3, column 't_c': the value is missing"):
        read_text(tmp_path, "t_c,a,b\n1,,2\n,3,NA\n", strict)


def test_a_tree_as_arrow_writes_it(tmp_path: Path) -> None:
    """Keys with anything in them; rows without a key; another key above."""
    sensors = ["a/b", "ü %", "x=y", None, "a/b"]
    table = pa.table({"sensor": sensors, "day": [1, 1, 2, 2, 2], "t_u": [1.0, 2.0, 3.0, 4.0, 5.0], "t_c": [0.0] * 5})
    schema = pa.schema([("day", pa.int64()), ("sensor", pa.string())])
    for kind in ("parquet", "csv"):
        root = tmp_path / kind
        ds.write_dataset(table, root, format=kind, partitioning=ds.partitioning(schema, flavor="hive"))
        (root / "_SUCCESS").write_text("")
        (root / "README").write_text("")
        (root / ".part-0.csv.crc").write_bytes(b"\0")
        (root / "_temporary").mkdir()
        (root / "_temporary" / "x.csv").write_text("")
        blocks = read(root, BY)
        assert by_sensor(blocks) == {"a/b": [(1, 0), (5, 0)], "x=y": [(3, 0)], "ü %": [(2, 0)]}
        assert [key for key, (n, _) in faults_of(blocks).items() if n] == [("", "no name of a thermometer")]
    days = FleetConfig(by="sensor")
    for day in (1, 2):
        write(
            tmp_path / "days" / f"date=2024-05-0{day}" / "x.csv", {"sensor": ["s", "t"], "t_u": [day, 0], "t_c": [0, 0]}
        )
    assert by_sensor(read(tmp_path / "days", days)) == {"s": [(1, 0), (2, 0)], "t": [(0, 0), (0, 0)]}


def test_a_large_parquet_file_is_parted_by_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.parquet"
    t_u = np.arange(100.0)
    pq.write_table(pa.table({"sensor": ["a", "b"] * 50, "t_u": t_u, "t_c": t_u, "x": t_u}), path, row_group_size=8)
    monkeypatch.setattr("tempfit.readings.partitions.PARTITION_BYTES", 1)
    monkeypatch.setattr("tempfit.readings.partitions.PARTITION_ROWS", 20)
    parts = find_partitions(path, BY, CONFIG)
    assert [part.row_groups for part in parts] == [(0, 3), (3, 6), (6, 9), (9, 12), (12, 13)]
    assert abs(sum(part.n_bytes for part in parts) - path.stat().st_size) <= len(parts)
    assert by_sensor(read(path, BY)) == {"a": [(k, k) for k in t_u[::2]], "b": [(k, k) for k in t_u[1::2]]}
    gated = FleetConfig(by="sensor", time="x", steady=1)
    assert [part.row_groups for part in find_partitions(path, gated, CONFIG)] == [None]
    told: list[int] = []
    for _ in read_partition(parts[1], CONFIG, BY, told.append):
        pass
    assert told == sorted(told)
    assert told[-1] == parts[1].n_bytes

    digests = [part.digest() for part in parts]
    assert len(set(digests)) == 5
    assert [part.digest() for part in find_partitions(path, BY, CONFIG)] == digests
    pq.write_table(pa.table({"sensor": ["a", "b"] * 50, "t_u": t_u, "t_c": t_u, "x": -t_u}), path, row_group_size=8)
    assert [part.digest() for part in find_partitions(path, BY, CONFIG)] == digests  # nobody looks at column x
    changed = np.where(np.arange(100) == 30, -1.0, t_u)
    pq.write_table(pa.table({"sensor": ["a", "b"] * 50, "t_u": changed, "t_c": t_u, "x": t_u}), path, row_group_size=8)
    new = [part.digest() for part in find_partitions(path, BY, CONFIG)]
    assert [a == b for a, b in zip(new, digests, strict=True)] == [True, False, True, True, True]


def test_a_file_that_is_written_anew_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfit.readings.partitions.PARTITION_BYTES", 1)
    monkeypatch.setattr("tempfit.readings.partitions.PARTITION_ROWS", 2)
    table = pa.table({"sensor": ["a"] * 6, "t_u": [float(k) for k in range(6)], "t_c": [0.0] * 6})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=2)
    *_, last = find_partitions(tmp_path / "x.parquet", BY, CONFIG)
    pq.write_table(table.slice(0, 4), tmp_path / "x.parquet", row_group_size=2)
    for look in (last.digest, lambda: next(read_partition(last, CONFIG, BY, lambda n_bytes: None))):
        with pytest.raises(ReadingsError, match=r"x\.parquet: was changed while it was read; start again"):
            look()


def test_a_digest_is_of_bytes_and_of_how_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("sensor,t_u,t_c\na,1,2\n")
    (part,) = find_partitions(path, BY, CONFIG)
    values = json.loads(json.dumps(asdict(part)))
    again = Partition(**{**values, "files": tuple(File(**file) for file in values["files"])})
    assert again == part
    assert again.digest() == part.digest()
    others = [
        find_partitions(path, fleet, config)[0].digest()
        for fleet, config in (
            (FleetConfig(by="t_u"), CONFIG),
            (FleetConfig(by="sensor", strict=True), CONFIG),
            (BY, ReadingsConfig(decimal="point")),
        )
    ]
    assert find_partitions(path, FleetConfig(by="sensor", fdr=0.1), CONFIG)[0].digest() == part.digest()
    before = part.digest()
    path.write_text("sensor,t_u,t_c\na,1,3\n")
    assert len({before, *others, find_partitions(path, BY, CONFIG)[0].digest()}) == 5


def test_a_digest_is_of_no_place_but_where_that_says_whose_the_rows_are(tmp_path: Path) -> None:
    def digests(folder: str, fleet: FleetConfig, *names: str) -> list[str]:
        for number, name in enumerate(names):
            write(tmp_path / folder / name, {"sensor": ["a"], "t_u": [number], "t_c": [1]})
        return [part.digest() for part in find_partitions(tmp_path / folder, fleet, CONFIG)]

    assert digests("1", BY, "x.csv", "y.csv") == digests("2", BY, "in/p.csv", "q.csv")
    assert digests("3", FleetConfig(), "x.csv", "y.csv") == digests("4", FleetConfig(), "in/x.csv", "y.csv")
    assert digests("3", FleetConfig()) != digests("5", FleetConfig(), "x.csv", "z.csv")
    one = digests("6", BY, "sensor=a/x.csv")
    assert one == digests("7", BY, "day=1/sensor=a/y.csv")
    assert one != digests("8", BY, "sensor=b/x.csv")
    memory = fsspec.filesystem("memory")
    memory.pipe("/copy/z.csv", (tmp_path / "6" / "sensor=a" / "x.csv").read_bytes())
    (there,) = find_partitions("memory://copy/z.csv", BY, CONFIG)
    write(tmp_path / "9.csv", {"sensor": ["a"], "t_u": [0], "t_c": [1]})
    (here,) = find_partitions(tmp_path / "9.csv", BY, CONFIG)
    assert here.digest() == there.digest()


def test_stores_by_url(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    for name in ("a", "b"):
        own = {"t_u": [1.0, 2.0], "t_c": [3.0, ord(name)]}
        write(tmp_path / f"{name}.parquet", own)
        memory.pipe(f"/fleet/{name}.parquet", (tmp_path / f"{name}.parquet").read_bytes())
    memory.pipe("/long.csv", b"sensor,t_u,t_c\na,1,3\nb,x,4\n")
    expected = {"a": [(1, 3), (2, 97)], "b": [(1, 3), (2, 98)]}
    assert by_sensor(read(tmp_path, FleetConfig())) == expected
    assert by_sensor(read(f"file://{tmp_path}", FleetConfig())) == expected
    assert by_sensor(read("memory://fleet", FleetConfig())) == expected
    blocks = read("memory://long.csv", BY)
    assert by_sensor(blocks) == {"a": [(1, 3)]}
    assert blocks[0].faults["file"].to_pylist() == ["memory://long.csv"]
    digests = [part.digest() for part in find_partitions("memory://long.csv", BY, CONFIG)]
    memory.pipe("/long.csv", b"sensor,t_u,t_c\na,1,3\nb,x,5\n")
    assert digests != [part.digest() for part in find_partitions("memory://long.csv", BY, CONFIG)]
    for url, words in (
        ("memory://nowhere.csv", r"^memory://nowhere\.csv: no such file; check the path"),
        (
            "nobody://x.csv",
            r"^nobody://x\.csv: cannot be read \('Protocol not known: nobody'\); check the URL, and that",
        ),
    ):
        with pytest.raises(ReadingsError, match=words):
            find_partitions(url, BY, CONFIG)


def test_what_reads_a_url_may_have_to_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(ReadingsError, match=r"s3://bucket/x\.csv: what reads .* pip install 'tempfit\[s3\]'"):
        find_partitions("s3://bucket/x.csv", BY, CONFIG)


LONG = {"sensor": ["a", "b"], "t_u": [1.0, 2.0], "t_c": [3.0, 4.0]}
NO_SENSOR = {"t_u": [1.0], "t_c": [3.0]}


@pytest.mark.parametrize(
    ("files", "source", "fleet", "message"),
    [
        (
            {"x.csv": LONG},
            "x.csv",
            FleetConfig(),
            "x.csv: it is not said whose the rows are; name the column that says",
        ),
        ({"x.csv": LONG}, "y.csv", BY, "y.csv: no such file; check the path"),
        ({"x.txt": LONG}, "", BY, ": no file in this folder ends in .csv, .tsv, .parquet or .pq (there is 'x.txt')"),
        ({"d/.x.csv": LONG}, "d", BY, "d: no file in this folder ends in .csv, .tsv, .parquet or .pq; name another"),
        ({"x.csv": LONG, "y.csv": NO_SENSOR}, "", BY, "y.csv: line 1: no column 'sensor'; the columns are 't_u, t_c'"),
        ({"x.csv": LONG, "y.parquet": NO_SENSOR}, "", BY, "y.parquet: no column 'sensor'; the columns are 't_u, t_c'"),
        ({"x.csv": LONG}, "x.csv", FleetConfig(by="t_u"), "x.csv: column 't_u' cannot name the sensors and hold num"),
        (
            {"x.csv": LONG},
            "x.csv",
            FleetConfig(by="sensor", time="sensor", steady=1),
            "x.csv: column 'sensor' cannot hold times and name the sensors; name another by `time`",
        ),
        (
            {"x.csv": LONG},
            "x.csv",
            FleetConfig(wide=True, time="t_c", steady=1),
            "x.csv: column 't_c' cannot hold times",
        ),
        ({"a/x.csv": LONG, "b/x.csv": LONG}, "", FleetConfig(), ": 'a/x.csv' and 'b/x.csv' would both be of a sensor"),
        (
            {"s=1/x.csv": LONG},
            "",
            FleetConfig(),
            ": the folder of 's=1/x.csv' has a key, 's'; name the key, or the col",
        ),
        ({"x.csv": {"a": [1]}}, "x.csv", WIDE, "x.csv: line 1: no column 't_c'; the only column is 'a'"),
        ({"x.parquet": {"t_c": [1]}}, "", FleetConfig(), "x.parquet: no column 't_u'"),
    ],
)
def test_sources_that_are_refused(tmp_path: Path, files, source: str, fleet: FleetConfig, message: str) -> None:
    for name, columns in files.items():
        write(tmp_path / name, columns)
    with pytest.raises(ReadingsError) as caught:
        read(f"{tmp_path}/{source}".rstrip("/"), fleet)
    assert str(caught.value).removeprefix(str(tmp_path)).removeprefix("/").startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.csv", b"", "the file is empty"),
        ("x.csv", b"sensor,t_u,t_c\na,\xff,1\n", "line 2 is not UTF-8"),
        ("x.csv", b"PK\x03\x04", "a zip archive or Excel workbook"),
        ("x.parquet", b"PAR1 and more", "damaged or incomplete Parquet file"),
        ("x.parquet", b"sensor,t_u,t_c\na,1,1\n", "not a Parquet file, whatever its name says"),
    ],
)
def test_files_that_are_no_tables_are_refused_whoever_s_they_are(tmp_path, name, content, words) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ReadingsError, match=rf"x\.[a-z]+: .*{words}"):
        read(tmp_path, BY)


def test_tables_without_rows(tmp_path: Path) -> None:
    empty = pa.table({name: pa.array([], pa.float64()) for name in ("t_u", "t_c")})
    pq.write_table(empty.append_column("sensor", pa.array([], pa.string())), tmp_path / "x.parquet")
    (tmp_path / "y.csv").write_text("sensor,t_u,t_c\n")
    for source in (tmp_path / "x.parquet", tmp_path / "y.csv", tmp_path):
        (block,) = read(source, BY)
        assert (len(block.names), block.n_rows, block.faults.num_rows) == (0, 0, 0)
    with pytest.raises(ReadingsError, match="<stdin>: readings of many sensors are read more than once"):
        find_partitions("-", BY, CONFIG)
