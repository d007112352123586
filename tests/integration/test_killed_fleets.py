"""A fleet shared out to processes that are killed at any moment: started again, it goes on, and ends the same."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.entities import Run

from tempfit.fleet.lookup import FLEET_FILE
from tempfit.readings.partitions import PARTITION_BYTES
from tests.integration.conftest import Place, wait_for

pytestmark = pytest.mark.integration

FILES, SENSORS = 12, 5_000
ROWS = PARTITION_BYTES // 31 // SENSORS + 1  # of each sensor in each file, of 31 bytes each
KILLS = ["client"] * 4 + ["worker"] * 3 + ["both"] * 3


@pytest.fixture
def readings(place: Place) -> Path:
    """A folder of files that are large enough to be a partition each."""
    folder = place.folder / "readings"
    folder.mkdir()
    names = np.repeat([f"sensor {number:04}" for number in range(SENSORS)], ROWS)
    for number in range(FILES):
        rng = np.random.default_rng(number)
        t_u = rng.uniform(0, 80, len(names))
        table = pa.table({"sensor": names, "t_u": t_u, "t_c": 0.5 * t_u - 17 + rng.normal(0, 0.1, len(names))})
        pq.write_table(table, folder / f"{number:02}.parquet", compression="none", use_dictionary=False)
    return folder


def start(place: Place, readings: Path, *options: str) -> subprocess.Popen[str]:
    command = ["tempfit", "fleet", str(readings), "--by", "sensor", *options]
    with open(place.folder / "log", "a") as log:
        return subprocess.Popen(
            command,
            cwd=place.folder,
            env=place.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            text=True,
        )


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return [child for child in children if any("spawn_main" in word for word in child.cmdline())]
    except psutil.NoSuchProcess:
        return []


def with_workers(place: Place, readings: Path) -> subprocess.Popen[str]:
    """A command whose workers are there, or which is done."""
    process = start(place, readings, "--workers", "2")
    wait_for(lambda: len(workers_of(process)) >= 2 or process.poll() is not None, 60, "the start of two workers")
    return process


def table_of(run: Run) -> bytes:
    return (Path(unquote(urlsplit(run.info.artifact_uri).path)) / FLEET_FILE).read_bytes()


@pytest.mark.timeout(1200)
def test_a_job_that_is_killed_goes_on_where_it_was(place: Place, readings: Path) -> None:
    seed = int.from_bytes(os.urandom(4))
    rng = random.Random(seed)
    assert start(place, readings).wait(120) == 0  # by threads, and left alone
    n_kept, process = [], with_workers(place, readings)
    for kind in rng.sample(KILLS, len(KILLS)):
        if process.poll() is not None:
            process = with_workers(place, readings)
        time.sleep(rng.uniform(0, 6))
        workers = workers_of(process)
        if kind != "client" and workers:
            workers[0].kill()
        if kind != "worker":
            process.kill()
            process.wait()
            _, left = psutil.wait_procs(workers, timeout=10)
            assert not left, kind
        n_kept.append((kind, len(list(place.mlruns.glob("unfinished/*/*.evidence")))))
    print(f"seed {seed}; killed, with so many partitions done: {n_kept}")
    if process.poll() is None:
        assert process.wait(120) == 0  # another worker was started in the place of one that was killed
    assert start(place, readings, "--workers", "2").wait(120) == 0, (place.folder / "log").read_text()

    assert any(n > 0 for _, n in n_kept)
    assert not list(place.mlruns.glob("unfinished/*"))
    runs = place.runs()
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED"}
    first, *others = [table_of(run) for run in runs if run.info.status == "FINISHED"]
    assert others
    assert all(other == first for other in others)
    with closing(sqlite3.connect(place.folder / "prefect" / "prefect.db")) as database:
        states = database.execute("SELECT DISTINCT state_type FROM flow_run").fetchall()
    assert {state for (state,) in states} <= {"COMPLETED", "CRASHED", "FAILED"}
    assert "Traceback" not in (place.folder / "log").read_text()
