"""`make bench`: what tempfit's speed is, as ratios of things timed in turn in one run.

Ratios, because a machine that others use, too, has no seconds of its own. Each is the median over rounds; the two
things that it compares alternate, so what slows one slows the other.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import torch
from rich.console import Console
from rich.table import Table

from tempfit.calibration.pipeline import calibrate
from tempfit.calibration.recording import record_of
from tempfit.config import CalibrationConfig, TrainingConfig
from tempfit.readings.paired import Readings
from tempfit.studies.grid import make_grid
from tempfit.studies.sweep import plan_sweep, run_sweep
from tests.benchmarks.members import ROWS, SENSORS, STAGES, time_members
from tests.conftest import ROOT, T_C, T_U, THERMOMETER
from tests.tools import descend, line_design

SWEEP = ["learning_rate=1e-5..1e-1:64", "scaling=none,factor,minmax,standardize"]
LIBRARIES = "import torch, mlflow, prefect, pandas, matplotlib"
MEMORY = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)
console = Console(width=120)


def tutorial_loop(n_epochs: int) -> None:
    """The tutorial's own loop on the eleven rows, as it stands there; prints left out."""

    def model(t_u: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return w * t_u + b

    def loss_fn(t_p: torch.Tensor, t_c: torch.Tensor) -> torch.Tensor:
        return ((t_p - t_c) ** 2).mean()

    t_un, t_c = torch.tensor(0.1 * T_U), torch.tensor(T_C)
    params = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    for _ in range(n_epochs):
        if params.grad is not None:
            params.grad.zero_()
        loss = loss_fn(model(t_un, *params), t_c)
        loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            params -= 1e-2 * params.grad


def tempfit_loop(t_u: np.ndarray, t_c: np.ndarray) -> Callable[[int], None]:
    design = line_design(t_u, t_c)
    return lambda n_epochs: (
        descend(design, [TrainingConfig(learning_rate=1e-2, n_epochs=n_epochs, tolerance=0)]) and None
    )


def alternate(
    first: Callable[[], object], second: Callable[[], object], rounds: int
) -> tuple[list[float], list[float]]:
    """Seconds of each, taken in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for function, taken in zip((first, second), times, strict=True):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return times


def ratio(numerators: list[float], denominators: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


def bench_loops(rounds: int, n_epochs: int, n_rows: int) -> list[tuple[str, str, str]]:
    rng = np.random.default_rng(0)
    console.print(f"compressing {n_rows:,} rows …")
    t_u = rng.uniform(20, 80, n_rows)
    small = tempfit_loop(0.1 * T_U, T_C)
    large = tempfit_loop(0.1 * t_u, 0.5 * t_u - 17 + rng.normal(size=n_rows))
    for loop in (tutorial_loop, small, large):
        loop(200)  # first calls import and allocate
    console.print("timing the loops …")
    tutorial, ours = alternate(lambda: tutorial_loop(n_epochs), lambda: small(n_epochs), rounds)
    few, many = alternate(lambda: small(n_epochs), lambda: large(n_epochs), rounds)
    rate = n_epochs / statistics.median(ours)
    return [
        (
            "epochs per second, the loop : the tutorial's, 11 rows",
            f"{ratio(tutorial, ours):.2f}",
            f"≥ 2 ({rate:,.0f}/s)",
        ),
        (f"seconds, {n_rows:,} rows compressed : 11 rows", f"{ratio(many, few):.3f}", "0.9 to 1.1"),
    ]


def bench_sweep(rounds: int) -> list[tuple[str, str, str]]:
    """256 configurations x 5,000 epochs: the training of all against one loop of the tutorial's."""
    console.print("timing a sweep's training …")
    readings, grid = Readings(T_U, T_C), make_grid(CalibrationConfig(tolerance=0), SWEEP)
    n = len(grid.trials)
    run_sweep(plan_sweep(readings, grid))
    tutorial, ours = alternate(lambda: tutorial_loop(5000), lambda: run_sweep(plan_sweep(readings, grid)), rounds)
    what = f"seconds, {n} configurations x 5,000 epochs : the tutorial's 5,000"
    return [(what, f"{ratio(ours, tutorial):.2f}", "≤ 2")]


def bench_predict(rounds: int, n_rows: int, few_rows: int = 100_000) -> list[tuple[str, str, str]]:
    """Whole processes, from the start of Python to the end: `tempfit predict` of a CSV of readings into another, with
    all uncertainties, against numpy's reading, line and writing without any; and its memory against that of few rows.
    """
    console.print(f"timing the prediction of {n_rows:,} readings …")
    result = calibrate(THERMOMETER)
    with tempfile.TemporaryDirectory(prefix="tempfit-bench-") as name:
        folder = Path(name)
        (folder / "calibration.json").write_text(json.dumps(record_of(result).as_dict()))
        t_u = np.random.default_rng(0).uniform(20, 80, n_rows)
        for file, values in (("many.csv", t_u), ("few.csv", t_u[:few_rows])):
            pyarrow.csv.write_csv(pa.table({"t_u": values}), folder / file)

        def run(*command: str) -> int:
            """Largest memory of the command, in MiB; of a child of a small program, lest it inherit ours."""
            measured = [sys.executable, "-c", MEMORY, sys.executable, "-m", *command]
            done = subprocess.run(
                measured, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, capture_output=True
            )
            return int(done.stdout) // 1024

        def predict(file: str) -> int:
            return run("tempfit", "predict", "calibration.json", file, "--output", "told.csv")

        plain, ours = alternate(
            lambda: run("tests.benchmarks.plain", "many.csv", "plain.csv", repr(result.w), repr(result.b)),
            lambda: predict("many.csv"),
            rounds,
        )
        few, many = predict("few.csv"), predict("many.csv")
    rate = n_rows / statistics.median(ours)
    return [
        (
            f"seconds, numpy's loadtxt, w * t_u + b, savetxt of {n_rows:,} rows : tempfit predict, uncertainties too",
            f"{ratio(plain, ours):.2f}",
            f"≥ 1 ({rate:,.0f} rows/s)",
        ),
        (
            f"memory, tempfit predict of {n_rows:,} rows : of {few_rows:,}",
            f"{many / few:.2f}",
            f"< 2 ({many} and {few} MiB)",
        ),
    ]


def bench_commands(rounds: int) -> tuple[list[tuple[str, str, str]], dict[str, float]]:
    with tempfile.TemporaryDirectory(prefix="tempfit-bench-") as folder:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "MLFLOW"))}
        environment |= {"PREFECT_HOME": f"{folder}/prefect", "PYTHONPATH": str(ROOT)}
        tempfit = str(Path(sys.executable).with_name("tempfit"))

        def run(*command: str) -> str:
            return subprocess.run(
                command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
            ).stdout

        def wait_for_the_server_to_end() -> None:
            while Path(folder, "prefect", "tempfit", "server.json").exists():
                time.sleep(0.5)
            time.sleep(5)

        console.print("timing tempfit --help …")
        helps, _ = alternate(lambda: run(tempfit, "--help"), lambda: None, max(rounds, 5))
        probe = (
            "import sys; from tempfit import cli; print({'torch', 'mlflow', 'prefect'} & set(sys.modules) or 'none')"
        )
        heavy = run(sys.executable, "-c", probe).strip()

        console.print("timing whole runs (the first makes the databases) …")
        run(tempfit, "calibrate", str(THERMOMETER))
        imports, cold, warm = [], [], []
        stages: list[dict[str, float]] = []
        for _ in range(rounds):
            wait_for_the_server_to_end()
            (a,), (b,) = alternate(
                lambda: run(sys.executable, "-c", LIBRARIES), lambda: run(tempfit, "calibrate", str(THERMOMETER)), 1
            )
            (c,), _ = alternate(lambda: run(tempfit, "calibrate", str(THERMOMETER)), lambda: None, 1)
            imports.append(a), cold.append(b), warm.append(c)
            wait_for_the_server_to_end()
            stages.append(json.loads(run(sys.executable, "-m", "tests.benchmarks.stages", str(THERMOMETER))))
        wait_for_the_server_to_end()
        console.print("timing a sweep against separate flows …")
        flow = statistics.mean(
            json.loads(run(sys.executable, "-m", "tests.benchmarks.flows", str(THERMOMETER), "16", *SWEEP))
        )
        wait_for_the_server_to_end()
        axes = [word for axis in SWEEP for word in ("--grid", axis)]
        (swept, *_), _ = alternate(
            lambda: run(tempfit, "sweep", str(THERMOMETER), *axes, "--experiment", "sweep"), lambda: None, 1
        )
        wait_for_the_server_to_end()
        console.print("timing a tick of a schedule …")
        tick = json.loads(run(sys.executable, "-m", "tests.benchmarks.ticks", "20"))
        wait_for_the_server_to_end()
    n = len(make_grid(CalibrationConfig(), SWEEP).trials)
    shares = {stage: statistics.median(times[stage] for times in stages) for stage in stages[0]}
    return [
        ("seconds of tempfit --help", f"{statistics.median(helps):.2f}", "< 0.5"),
        ("of torch, mlflow, prefect, it imports", heavy, "none"),
        (
            "seconds, tempfit calibrate with its server's start : bare imports",
            f"{ratio(cold, imports):.2f}",
            "aim: < 1.5",
        ),
        ("seconds, tempfit calibrate joining a server : bare imports", f"{ratio(warm, imports):.2f}", ""),
        (
            f"seconds, {n} calibrate flows in one process (16 of them timed) : tempfit sweep of all",
            f"{n * flow / swept:.1f}",
            f"≥ 10 ({swept:.1f} s)",
        ),
        ("seconds of a tick per file that has changed", f"{tick['seconds']:.2f}", f"({tick['cpu']:.2f} of the CPU)"),
        ("seconds of a tick per file that has not", f"{tick['unchanged']:.3f}", ""),
        ("kB in Prefect's database per calibration of a tick", f"{tick['prefect'] / 1000:.0f}", "< 100"),
        ("kB in mlruns/ per calibration of a tick", f"{tick['mlruns'] / 1000:.0f}", f"({tick['files']:.0f} files)"),
    ], shares


def bench_members(rounds: int) -> list[tuple[str, str, str]]:
    console.print(f"calibrating {SENSORS:,} sensors in arrays …")
    seen = [time_members() for _ in range(rounds)]
    best = min(seen, key=lambda found: sum(found[stage] for stage in STAGES))
    each = ", ".join(f"{stage} {best[stage]:.2g}" for stage in STAGES)
    total = sum(best[stage] for stage in STAGES)
    return [
        (
            f"µs a sensor, {SENSORS:,} × {ROWS} readings in arrays to a file of Records",
            f"{total:.1f}",
            f"≤ 5 ({each})",
        ),
        ("one sensor from arrays to its Record : one of many", f"{best['alone'] / total:.0f}", ""),
        ("bytes a sensor in that file", f"{best['bytes']:.0f}", "≤ 500"),
    ]


def bench_files(module: str, *arguments: str) -> list[tuple[str, str, str]]:
    """By a module beside this one, in a small process: what it starts counts the memory of who starts it as its own."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments, "--json"]
    told = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return [(what, measured, wanted) for what, measured, wanted in told]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5_000)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--fleet-sensors", type=int, default=1_000_000)
    parser.add_argument(
        "--fleet-rows", type=int, default=10_000_000, help="of a tenth of those sensors, 100,000 at most"
    )
    parser.add_argument("--large-rows", type=int, default=50_000_000, help="of one thermometer")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lines = bench_loops(2 * arguments.rounds + 1, arguments.epochs, arguments.rows)
    lines += bench_sweep(2 * arguments.rounds + 1)
    lines += bench_members(min(arguments.rounds, 3))
    lines += bench_predict(min(arguments.rounds, 3), arguments.rows)
    console.print("calibrating fleets from Parquet to their tables …")
    sensors, few = str(arguments.fleet_sensors), str(min(arguments.fleet_sensors // 10, 100_000))
    lines += bench_files("fleets", "duckdb", "--sensors", sensors, "--rounds", str(min(arguments.rounds, 3)))
    lines += bench_files("fleets", "rows", "workers", "digits", "--sensors", few, "--rows", str(arguments.fleet_rows))
    console.print("calibrating one thermometer's large file …")
    lines += bench_files("large", "--rows", str(arguments.large_rows), "--rounds", str(min(arguments.rounds, 3)))
    more, shares = bench_commands(arguments.rounds)
    table = Table("what : compared with what", "measured", "wanted")
    for line in [*lines, *more]:
        table.add_row(*line)
    console.print(table)
    total = sum(shares.values())
    table = Table("stage of tempfit calibrate, server's start included", "seconds", "share")
    for stage, seconds in sorted(shares.items(), key=lambda item: -item[1]):
        table.add_row(stage, f"{seconds:.2f}", f"{seconds / total:.0%}")
    console.print(table)


if __name__ == "__main__":
    main()
