"""One thermometer's large file: against pandas' `read_parquet` and numpy's `lstsq`, which give no more than w and b.

`python -m tests.benchmarks.large [--rows N] [--rounds N]`. Every job is a process of its own, of which the seconds from
its start to its end and the largest memory are told; they are run in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.conftest import ROOT

GROUP_ROWS = 1_000_000
FEW_ROWS = 1_000

Line = tuple[str, str, str]  # what is compared, what was measured, what is wanted


def write_readings(path: Path, n_rows: int) -> None:
    """Parquet of two columns."""
    schema, rng = pa.schema([("t_u", pa.float64()), ("t_c", pa.float64())]), np.random.default_rng(0)
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, n_rows, GROUP_ROWS):
            t_u = rng.uniform(0, 80, min(GROUP_ROWS, n_rows - first))
            writer.write_table(pa.table([t_u, 0.5 * t_u - 17 + rng.normal(0, 0.1, len(t_u))], schema=schema))


def calibrate(source: str) -> tuple[float, float]:
    """The line with its uncertainty and its checks, from Python."""
    import tempfit

    found = tempfit.calibrate(source)
    return found.w, found.b


def command(source: str) -> None:
    """`tempfit calibrate`: with Prefect, the run in MLflow and its pictures."""
    from tempfit import cli

    os.chdir(Path(source).parent)
    os.environ["PREFECT_HOME"] = str(Path.cwd() / "prefect")
    cli.main(["calibrate", source, "--json"])


def solve(source: str) -> tuple[float, float]:
    """w and b alone."""
    import pandas as pd

    table = pd.read_parquet(source)
    terms = np.column_stack([table["t_u"], np.ones(len(table))])
    w, b = np.linalg.lstsq(terms, table["t_c"].to_numpy(), rcond=None)[0]
    return float(w), float(b)


JOBS: dict[str, Callable[[str], object]] = {"tempfit": calibrate, "tempfit calibrate": command, "pandas": solve}


def run(job: str, source: Path) -> tuple[float, float]:
    """Seconds and MiB of the job in a process of its own."""
    start = time.perf_counter()
    asked = [sys.executable, "-m", "tests.benchmarks.large", "--job", job, "--source", str(source)]
    done = subprocess.run(asked, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    seconds, memory = time.perf_counter() - start, float(done.stderr.split()[-1])
    print(f"{job:18s} {seconds:6.1f} s {memory:8,.0f} MiB", file=sys.stderr)
    return seconds, memory


def compare(n_rows: int, n_rounds: int) -> list[Line]:
    """Ratios of seconds and memory, and what is wanted of them."""
    with tempfile.TemporaryDirectory(prefix="tempfit-bench-") as name:
        source, few = Path(name) / "large.parquet", Path(name) / "few.parquet"
        write_readings(source, n_rows)
        write_readings(few, FEW_ROWS)
        run("tempfit calibrate", few)  # the first one makes Prefect's database
        rounds = [{job: run(job, source) for job in JOBS} for _ in range(n_rounds)]
        of_few = [{job: run(job, few) for job in JOBS} for _ in range(n_rounds)]
    lines = []
    for job, wanted in (("tempfit", "≤ 1"), ("tempfit calibrate", "")):
        pairs = [(found[job], found["pandas"]) for found in rounds]
        times, memory = (statistics.median(one[k] / other[k] for one, other in pairs) for k in range(2))
        most = max(found[job][1] for found in rounds)
        added = [[all_[it][0] - few[it][0] for it in (job, "pandas")] for all_, few in zip(rounds, of_few, strict=True)]
        lines.append((f"seconds, {n_rows:,} rows of one, {job} : pandas and lstsq", f"{times:.2f}", wanted))
        rows = statistics.median(own / other for own, other in added)
        lines.append((f"seconds more than {FEW_ROWS:,} rows take, likewise", f"{rows:.2f}", "≤ 1"))
        lines.append((f"memory, {job} : pandas and lstsq", f"{memory:.2f}", f"({most:,.0f} MiB)"))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--job", choices=JOBS, help="one of those, in this process")
    parser.add_argument("--source")
    parser.add_argument("--json", action="store_true", help="what came of it as a list of lists of texts")
    given = parser.parse_args()
    if given.job:
        try:
            JOBS[given.job](given.source)
        finally:
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)
        return
    lines = compare(given.rows, given.rounds)
    print(json.dumps(lines) if given.json else "\n".join(" ".join(line) for line in lines))


if __name__ == "__main__":
    main()
