"""Evidence on disk: bit for bit what it was, found by what it was made of, and gone when it is of no use."""

from __future__ import annotations

import os
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from tempfit.config import CalibrationConfig, FleetConfig
from tempfit.exact.evidence import Evidence
from tempfit.fleet import ingesting
from tempfit.fleet.engine import Threads
from tempfit.fleet.gathered import Gathered, compress, unite_all
from tempfit.fleet.ingesting import Ingested, ingest_fleet
from tempfit.fleet.kept import LEAST_ROWS, MOST_DAYS, Compressed, Kept, kept, read_compressed, write_compressed
from tempfit.readings import partitions
from tests.fleet.test_gathered import readings_of, rows_of

SENSORS, FILES, ROWS = 3, 9, 100


def gathered_of(n_sensors: int, n_faults: int = 0, n_rows: int = LEAST_ROWS, seed: int = 0) -> Gathered:
    rng = np.random.default_rng(seed)
    sensors = {f"sensor {k}": readings_of(rng, n_rows) for k in range(n_sensors)}
    return compress(rows_of(sensors, [(f"sensor {k}", "missing", 2, "a.csv", 7) for k in range(n_faults)]))


def compressed_of(n_sensors: int, n_rows: int = LEAST_ROWS) -> Compressed:
    return Compressed(gathered_of(n_sensors, n_rows=n_rows))


def assert_identical(found: Gathered, wanted: Gathered) -> None:
    assert found.names.equals(wanted.names)
    assert found.faults.equals(wanted.faults)
    assert found.n_rows == wanted.n_rows
    for field in fields(Evidence):
        one, other = getattr(found.evidence, field.name), getattr(wanted.evidence, field.name)
        assert one.shape == other.shape
        assert one.tobytes() == other.tobytes(), field.name  # NaN is NaN, -0.0 is not 0.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of readings: files with the same sensors."""
    rng = np.random.default_rng(1)
    folder = tmp_path / "readings"
    folder.mkdir()
    for k in range(FILES):
        lines = [f"s{n % SENSORS},{t_u},{t_c}" for n, (t_u, t_c, _) in enumerate(readings_of(rng, ROWS))]
        (folder / f"{k}.csv").write_text("\n".join(["sensor,t_u,t_c", *lines, ",1,1", "s1,x,1", ""]))
    return folder


@pytest.fixture(autouse=True)
def _a_file_is_a_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "PARTITION_FILES", 1)


def ingest(folder: Path, evidence: Kept, **settings: object) -> Ingested:
    fleet = FleetConfig(by="sensor")
    return ingest_fleet(str(folder), fleet, CalibrationConfig(**settings), Threads(2), kept=evidence)


@pytest.mark.parametrize(("n_sensors", "n_faults"), [(5, 0), (5, 3), (1, 1)])
def test_what_is_read_is_what_was_written(n_sensors: int, n_faults: int, tmp_path: Path) -> None:
    gathered = gathered_of(n_sensors, n_faults)
    gathered.evidence.variance[0] = np.nan
    gathered.evidence.center[0] = -0.0
    for both_uncertain in (True, False):
        write_compressed(tmp_path / "it", Compressed(gathered, both_uncertain))
        found = read_compressed(tmp_path / "it")
        assert found.both_uncertain == both_uncertain
        assert_identical(found.gathered, gathered)


def test_where_no_row_can_be_used_the_faults_are_kept(tmp_path: Path) -> None:
    gathered = gathered_of(2, 2)
    nobody = Gathered(gathered.names[:0], gathered.evidence[:0], gathered.faults, 4)
    write_compressed(tmp_path / "it", Compressed(nobody))
    assert_identical(read_compressed(tmp_path / "it").gathered, nobody)


@pytest.mark.parametrize("place", [0, 0.3, 0.7, -60, -1])
def test_a_damaged_file_is_as_good_as_none(place: float, tmp_path: Path) -> None:
    it = Kept(tmp_path)
    it.keep(["abc"], 2, compressed_of(4))
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[int(place * len(content)) if 0 < place < 1 else int(place)] ^= 4
    path.write_bytes(content)
    assert it.load(["abc"], 2) is None
    path.write_bytes(content[: len(content) // 2])
    assert it.load(["abc"], 2) is None
    it.keep(["abc"], 2, compressed_of(4))
    found = it.load(["abc"], 2)
    assert found is not None
    assert_identical(found.gathered, gathered_of(4))


def test_it_is_found_by_what_it_was_made_of(tmp_path: Path) -> None:
    it = Kept(tmp_path)
    it.keep(["a", "b"], 2, compressed_of(4))
    assert it.load(["a", "b"], 2) is not None
    for digests, degree in ((["b", "a"], 2), (["a"], 2), (["a", "b"], 3)):
        assert it.load(digests, degree) is None


def test_nothing_is_kept_that_is_larger_than_its_readings_nor_where_there_is_no_folder(tmp_path: Path) -> None:
    Kept(tmp_path).keep(["a"], 2, compressed_of(4, n_rows=LEAST_ROWS - 1))
    Kept(tmp_path / "elsewhere").keep(["a"], 2, compressed_of(4))  # on a machine that does not see it
    Kept(None).keep(["a"], 2, compressed_of(4))
    assert list(tmp_path.iterdir()) == []


def test_partitions_that_are_done_are_not_read_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = Kept(tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    first = ingest(folder, it)
    assert len(list((tmp_path / "kept").iterdir())) == FILES
    read: list[str] = []
    really = ingesting.read_partition
    monkeypatch.setattr(
        ingesting, "read_partition", lambda partition, *rest: read.append(partition) or really(partition, *rest)
    )
    again = ingest(folder, it)
    assert read == []
    assert_identical(again.gathered, first.gathered)
    assert again.sha256 == first.sha256
    with open(folder / "4.csv", "a") as file:
        file.write("s2,50,8\n")
    changed = ingest(folder, it)
    assert len(read) == 1
    assert changed.gathered.n_rows == first.gathered.n_rows + 1
    assert changed.sha256 != first.sha256
    ingest(folder, it, model="polynomial")  # needs one more power
    assert len(read) == 1 + FILES


def test_it_is_removed_when_the_job_is_done_and_stays_when_it_is_not(tmp_path: Path) -> None:
    def interrupted() -> None:
        with kept(tmp_path, "source") as it:
            it.keep(["a"], 2, compressed_of(4))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with kept(tmp_path, "other") as other:
        assert other.load(["a"], 2) is None
    with kept(tmp_path, "source") as it:
        assert it.load(["a"], 2) is not None
    assert list(tmp_path.iterdir()) == []


def test_what_nobody_takes_up_is_removed_after_days(tmp_path: Path) -> None:
    for name in ("old", "young"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "evidence").touch()
    before = time.time() - MOST_DAYS * 86_400 - 60
    os.utime(tmp_path / "old", (before, before))
    with kept(tmp_path, "source"):
        assert sorted(path.name for path in tmp_path.glob("[a-z]*") if path.name in ("old", "young")) == ["young"]


@pytest.mark.parametrize("n", [1, 2, 3, 8, 13, 21, 29, 32])
def test_partitions_read_in_groups_merge_as_all_of_them_do(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power of two of them is a whole branch of the tree."""
    monkeypatch.setattr(ingesting, "MOST_GROUPS", 5)
    parts = [gathered_of(3, seed=k) for k in range(n)]
    groups = ingesting.group(list(range(n)))
    assert len(groups) <= 5
    assert [k for some in groups for k in some] == list(range(n))
    together = unite_all(unite_all(parts[k] for k in some) for some in groups)
    assert_identical(together, unite_all(parts))
