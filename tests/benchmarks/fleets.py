"""Fleets from Parquet to their whole table: against DuckDB and linregress, by rows, by workers, and to the last digit;
on Linux.

`python -m tests.benchmarks.fleets WHAT…`, where WHAT is any of `duckdb`, `rows`, `workers`, `digits`; sizes by options.
Every job is a process of its own, whose largest memory is told; what is compared is timed in turn.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.conftest import ROOT

DUCKDB = """
COPY (SELECT sensor, regr_slope(t_c, t_u), regr_intercept(t_c, t_u), regr_sxx(t_c, t_u), regr_sxy(t_c, t_u),
             regr_syy(t_c, t_u), regr_r2(t_c, t_u), regr_count(t_c, t_u)
      FROM '{source}' GROUP BY sensor) TO '{target}' (FORMAT parquet)
"""
GROUP_ROWS = 1_000_000
TAKEN_BEFORE = 2 * 1024**3  # bytes of memory, more than either job takes

Line = tuple[str, str, str]  # what is compared, what was measured, what is wanted


def write_readings(path: Path, n_sensors: int, n_rows: int, each: int, scatter: float = 0.1) -> None:
    """Parquet of about so many rows: `each` of every sensor behind each other, and then all sensors anew."""
    names = pa.array([f"sensor-{number:07d}" for number in range(n_sensors)])
    schema = pa.schema([("sensor", pa.string()), ("t_u", pa.float64()), ("t_c", pa.float64())])
    rng = np.random.default_rng(0)
    some = max(1, GROUP_ROWS // each)
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, n_rows // each, some):
            sensors = np.arange(start, min(start + some, n_rows // each)) % n_sensors
            keys = pa.DictionaryArray.from_arrays(np.repeat(sensors, each).astype(np.int32), names).cast(pa.string())
            t_u = rng.uniform(0, 80, len(keys))
            t_c = 0.5 * t_u - 17 + rng.normal(0, scatter, len(keys))
            writer.write_table(pa.table([keys, t_u, t_c], schema=schema), row_group_size=GROUP_ROWS)


def calibrate(source: str, workers: int) -> dict[str, float]:
    """Seconds of each stage, from Parquet to the table, without Prefect and MLflow."""
    from tempfit.config import CalibrationConfig, FleetConfig
    from tempfit.fleet.engine import engine
    from tempfit.fleet.fleet import solve_fleet, train_fleet
    from tempfit.fleet.ingesting import ingest_fleet
    from tempfit.fleet.judging import judge_fleet
    from tempfit.fleet.kept import kept

    fleet, config = FleetConfig(by="sensor", workers=workers), CalibrationConfig()
    times = [time.perf_counter()]
    with tempfile.TemporaryDirectory() as name, engine(fleet) as them, kept(Path(name) / "kept", source) as evidence:
        times.append(time.perf_counter())
        ingested = ingest_fleet(source, fleet, config, them, kept=evidence)
        times.append(time.perf_counter())
        findings = solve_fleet(ingested, fleet, config, them)
        judgement = judge_fleet(findings.figures, fleet.fdr)
        times.append(time.perf_counter())
        told = train_fleet(ingested, findings, judgement, fleet, config, them, Path(name))
        times.append(time.perf_counter())
        assert told.summary.n_calibrated == len(ingested.roster)
        stages = dict(zip(("start", "ingest", "judge", "train"), np.diff(times).tolist(), strict=True))
        table = zlib.crc32(told.table.read_bytes())
        return {**stages, "rows": ingested.gathered.n_rows, "sensors": len(ingested.roster), "table": table}


def query(source: str, _: int) -> dict[str, float]:
    import duckdb

    with tempfile.TemporaryDirectory() as name:
        start = time.perf_counter()
        duckdb.sql(DUCKDB.format(source=source, target=Path(name) / "regr.parquet"))
        return {"query": time.perf_counter() - start}


def warmed(job: Callable[[str, int], dict[str, float]]) -> Callable[[str, int], dict[str, float]]:
    """The job, after that of a few sensors: what is imported does not count, and all else does.

    Nor does memory that a virtual machine has to get from its host, which takes ten times as long as any other: some is
    taken and given back beforehand.
    """

    def run_job(source: str, number: int) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as name:
            write_readings(Path(name) / "few.parquet", 100, 2_400, 24)
            job(str(Path(name) / "few.parquet"), number)
        np.ones(TAKEN_BEFORE // 8)
        Path("/proc/self/clear_refs").write_text("5")  # the largest memory that is told is the job's
        return job(source, number)

    return run_job


def linregress(source: str, n_sensors: int) -> dict[str, float]:
    """Of a sample of sensors."""
    from scipy import stats

    frame = pq.read_table(source, filters=[("sensor", "<", f"sensor-{n_sensors:07d}")]).to_pandas()
    start = time.perf_counter()
    frame.groupby("sensor").apply(lambda rows: stats.linregress(rows["t_u"], rows["t_c"]), include_groups=False)
    return {"apply": time.perf_counter() - start}


JOBS: dict[str, Callable[[str, int], dict[str, float]]] = {
    "calibrate": warmed(calibrate),
    "query": warmed(query),
    "linregress": linregress,
}


def run(job: str, source: Path, number: int) -> dict[str, Any]:
    """The job in a process of its own: its seconds, and MiB of memory, that of its workers' largest beside it."""
    command = [sys.executable, "-m", "tests.benchmarks.fleets", "--job", job, str(source), str(number)]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return {**json.loads(done.stdout), "all": time.perf_counter() - start}


def tell(what: str, found: dict[str, Any]) -> None:
    print(what, json.dumps({key: round(value, 3) for key, value in found.items()}), file=sys.stderr)


def seconds(found: dict[str, Any]) -> float:
    """Of the stages, from the file to the table."""
    return float(found["ingest"] + found["judge"] + found["train"])


def compare_rows(folder: Path, most: int, n_sensors: int) -> list[Line]:
    """Ten times the rows of the same sensors, and again; the last two are compared."""
    n_rows, seen = 10 * n_sensors, []
    while n_rows <= most:
        write_readings(folder / "rows.parquet", n_sensors, n_rows, 10)
        seen.append(run("calibrate", folder / "rows.parquet", 1))
        tell(f"{n_rows:,} rows of {n_sensors:,} sensors", seen[-1])
        n_rows *= 10
    if len(seen) < 2:
        return []
    fewer, more = seen[-2:]
    what = f"{more['rows']:,} rows of {n_sensors:,} sensors : {fewer['rows']:,}"
    return [
        (f"seconds, {what}", f"{seconds(more) / seconds(fewer):.1f}", f"≤ 12 ({seconds(more):.1f} s)"),
        (f"memory, {what}", f"{more['MiB'] / fewer['MiB']:.2f}", f"≤ 1.2 ({more['MiB']:.0f} MiB)"),
    ]


def compare_workers(folder: Path, n_rows: int, n_sensors: int) -> list[Line]:
    """Threads of one process, then two processes, on the same readings, in turn."""
    write_readings(folder / "workers.parquet", n_sensors, n_rows, 10)
    times: dict[int, list[float]] = {1: [], 2: []}
    tables = set()
    for _ in range(2):
        for workers in times:
            found = run("calibrate", folder / "workers.parquet", workers)
            tell(f"{workers} workers", found)
            times[workers].append(seconds(found))
            tables.add(found["table"])
    one, two = (np.median(taken) for taken in times.values())
    return [
        (f"seconds, {n_rows:,} rows, one process : two workers", f"{one / two:.2f}", f"({two:.1f} s)"),
        ("different tables that these wrote", str(len(tables)), "1"),
    ]


def compare_duckdb(folder: Path, n_sensors: int, rounds: int) -> list[Line]:
    source, sample = folder / "duckdb.parquet", 2_000
    write_readings(source, n_sensors, 24 * n_sensors, 24)
    ratios = []
    for _ in range(rounds):
        ours, theirs = run("calibrate", source, 1), run("query", source, 0)
        tell("tempfit", ours)
        tell("DuckDB", theirs)
        ratios.append(seconds(ours) / theirs["query"])
    alone = run("linregress", source, sample)["apply"] / sample * n_sensors
    stages = ", ".join(f"{stage} {1e6 * ours[stage] / n_sensors:.2f}" for stage in ("ingest", "judge", "train"))
    return [
        (f"seconds, {n_sensors:,} sensors × 24 rows : DuckDB's regr_*", f"{np.median(ratios):.2f}", "≤ 2"),
        ("seconds, linregress of groups : tempfit", f"{alone / seconds(ours):.0f}", "≥ 40"),
        ("µs a sensor of them", f"{1e6 * seconds(ours) / n_sensors:.1f}", f"({stages})"),
        ("GiB of memory for them", f"{ours['MiB'] / 1024:.2f}", "< 4"),
    ]


def compare_digits(folder: Path, n_sensors: int) -> list[Line]:
    """The largest relative error of s, of 24 readings that scatter by 1e-6 over 80, against rational arithmetic."""
    import duckdb
    import polars

    source = folder / "digits.parquet"
    write_readings(source, n_sensors, 24 * n_sensors, 24, scatter=1e-6)
    table = pq.read_table(source)
    t_u, t_c = (table[name].to_numpy().reshape(n_sensors, 24) for name in ("t_u", "t_c"))
    exact = np.array([_exact_scatter(*rows) for rows in zip(t_u, t_c, strict=True)])
    rss = "greatest(regr_syy(t_c, t_u) - regr_sxy(t_c, t_u) ** 2 / regr_sxx(t_c, t_u), 0)"
    asked = f"SELECT sqrt({rss} / 22) AS s FROM '{source}' GROUP BY sensor ORDER BY sensor"
    u, c = polars.col("t_u"), polars.col("t_c")
    theirs = (
        polars.scan_parquet(source)
        .group_by("sensor")
        .agg(s=((c.var() - polars.cov(u, c) ** 2 / u.var()).clip(0) * 23 / 22).sqrt())
    )
    lines = []
    for name, found in (
        ("tempfit", _our_scatter(source)),
        ("DuckDB", duckdb.sql(asked).fetchnumpy()["s"]),
        ("polars", theirs.sort("sensor").collect()["s"].to_numpy()),
    ):
        error = np.abs(found / exact - 1)
        what = f"largest relative error of s, {n_sensors:,} sensors, {name}"
        lines.append((what, f"{error.max():.1e}", "≤ 1e-6" if name == "tempfit" else ""))
    return lines


def _exact_scatter(t_u: np.ndarray, t_c: np.ndarray) -> float:
    x, y = [Fraction(value) for value in t_u.tolist()], [Fraction(value) for value in t_c.tolist()]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    sxx = sum((value - mean_x) ** 2 for value in x)
    sxy = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    syy = sum((value - mean_y) ** 2 for value in y)
    return float((syy - sxy**2 / sxx) / (len(x) - 2)) ** 0.5


def _our_scatter(source: Path) -> np.ndarray:
    from tempfit.config import CalibrationConfig, FleetConfig
    from tempfit.fleet.engine import Threads
    from tempfit.fleet.ingesting import ingest_fleet

    evidence = ingest_fleet(str(source), FleetConfig(by="sensor"), CalibrationConfig(), Threads()).gathered.evidence
    return np.sqrt(evidence.rss(2) / (evidence.n - 2))


def compare_fleets(
    folder: Path, what: Sequence[str], n_sensors: int | None, n_rows: int | None, rounds: int
) -> list[Line]:
    """What is asked for; of sizes that are None, each has its own."""
    few, lines = n_sensors or 100_000, []
    if "rows" in what:
        lines += compare_rows(folder, n_rows or 10_000_000, few)
    if "workers" in what:
        lines += compare_workers(folder, n_rows or 30_000_000, few)
    if "duckdb" in what:
        lines += compare_duckdb(folder, n_sensors or 1_000_000, rounds)
    if "digits" in what:  # last: what it needs here is counted into the memory of what is started from here
        lines += compare_digits(folder, min(few, 10_000))
    return lines


def largest_memory() -> int:
    """KiB that this process held at most."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="+", metavar="WHAT", help="duckdb, rows, workers or digits")
    parser.add_argument("--job", choices=JOBS, help="one of those, in this process: SOURCE NUMBER")
    parser.add_argument("--sensors", type=int)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="what came of it as a list of lists of texts")
    given = parser.parse_args()
    if given.job:
        source, number = given.what
        found = JOBS[given.job](source, int(number))
        found["MiB"] = largest_memory() / 1024
        found["MiB of a worker"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory(prefix="tempfit-bench-") as name:
        lines = compare_fleets(Path(name), given.what, given.sensors, given.rows, given.rounds)
    print(json.dumps(lines) if given.json else "\n".join(f"{what}: {found} {wanted}" for what, found, wanted in lines))


if __name__ == "__main__":
    main()
