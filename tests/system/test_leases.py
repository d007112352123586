"""Leases end with their process, are handed to one sweeper only, and are found again when the sweeper dies too."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tempfit.system import leases

HOLD_AND_WAIT = """
import sys
from pathlib import Path
from tempfit.system import leases
leases.hold(Path(sys.argv[1]), "run", "note of the run")
print("held", flush=True)
sys.stdin.read()
"""


def start_holder(folder: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_AND_WAIT, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_released_lease_leaves_nothing_to_find(tmp_path: Path) -> None:
    lease = leases.hold(tmp_path / "leases", "run", "note")
    assert leases.is_held(tmp_path / "leases", "run")
    assert leases.note(tmp_path / "leases", "run") == "note"
    lease.release()
    lease.release()
    assert not leases.any_held(tmp_path / "leases")
    assert leases.note(tmp_path / "leases", "run") == ""
    assert list(leases.abandoned(tmp_path / "leases")) == []


def test_a_held_lease_is_neither_abandoned_nor_to_be_had(tmp_path: Path) -> None:
    leases.hold(tmp_path, "run")
    assert list(leases.abandoned(tmp_path)) == []
    assert not leases.is_held(tmp_path, "another")
    with pytest.raises(FileExistsError, match="run"):
        leases.hold(tmp_path, "run")


def test_a_folder_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert not leases.any_held(tmp_path / "missing")
    assert not leases.is_held(tmp_path / "missing", "run")
    assert leases.count_held(tmp_path / "missing") == 0
    assert list(leases.abandoned(tmp_path / "missing")) == []


def test_a_killed_process_abandons_its_lease_once(tmp_path: Path) -> None:
    holder = start_holder(tmp_path)
    assert leases.is_held(tmp_path, "run")
    assert list(leases.abandoned(tmp_path)) == []
    holder.kill()
    holder.wait()
    assert not leases.any_held(tmp_path)
    assert list(leases.abandoned(tmp_path)) == [("run", "note of the run")]
    assert list(leases.abandoned(tmp_path)) == []


def test_a_lease_whose_sweeper_stopped_halfway_is_found_again(tmp_path: Path) -> None:
    holder = start_holder(tmp_path)
    holder.kill()
    holder.wait()
    sweep = leases.abandoned(tmp_path)
    assert next(sweep)[0] == "run"
    assert list(leases.abandoned(tmp_path)) == []  # claimed
    sweep.close()  # type: ignore[attr-defined]
    del sweep
    assert [name for name, _ in leases.abandoned(tmp_path)] == ["run"]


def test_many_sweepers_share_the_abandoned_leases(tmp_path: Path) -> None:
    for number in range(20):
        lease = leases.hold(tmp_path, f"run-{number}")
        lease.lock.release()  # as the OS does when a process ends
    with ThreadPoolExecutor(8) as pool:
        found = [
            name for names in pool.map(lambda _: [n for n, _ in leases.abandoned(tmp_path)], range(8)) for name in names
        ]
    assert sorted(found) == sorted(f"run-{number}" for number in range(20))


def test_living_leases_are_counted_ones_own_too(tmp_path: Path) -> None:
    own, holder = leases.hold(tmp_path, "own"), start_holder(tmp_path)
    assert leases.count_held(tmp_path) == 2
    holder.kill()
    holder.wait()
    assert leases.count_held(tmp_path) == 1
    own.release()
    assert leases.count_held(tmp_path) == 0
