"""Many thermometers from arrays to a file of Records: microseconds a sensor, stage by stage, and the file's bytes.

Run by `tests.benchmarks.run` in this process; `python -m tests.benchmarks.members` prints a JSON object.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import numpy as np

from tempfit.calibration.members import calibrate_members
from tempfit.calibration.pipeline import calibrate
from tempfit.calibration.record_arrays import tabulate
from tempfit.calibration.recording import record_of
from tempfit.calibration.table_file import TableWriter
from tempfit.config import CalibrationConfig
from tempfit.exact.evidence import gather

SENSORS, ROWS = 100_000, 24
BATCH = 20_000  # sensors at a time, as in a fleet
ALONE = 100  # sensors calibrated one by one, to compare
STAGES = ("evidence", "fit", "judge", "table", "write")


def time_members() -> dict[str, float]:
    """Seconds of each stage divided by the sensors, in µs; `bytes` of the file a sensor; `alone`, µs of one by itself,
    from arrays to its Record."""
    rng = np.random.default_rng(0)
    t_u = rng.uniform(0, 80, (SENSORS, ROWS))
    t_c = 0.5 * t_u - 17 + rng.normal(0, 0.1, t_u.shape)
    names, config = [f"sensor {number}" for number in range(SENSORS)], CalibrationConfig()
    taken = dict.fromkeys(STAGES, 0.0)

    def write(some: slice, writer: TableWriter) -> list[float]:
        """When each stage began, and the last one ended."""
        times = [time.perf_counter()]
        evidence = gather(t_u[some], t_c[some])
        times.append(time.perf_counter())
        calibrations = calibrate_members(evidence, config)
        times.append(time.perf_counter())
        assert calibrations.usable.mean() > 0.99  # decides outcomes, uncertainties and checks
        times.append(time.perf_counter())
        table = tabulate(calibrations, names[some])
        times.append(time.perf_counter())
        writer.write(table)
        return [*times, time.perf_counter()]

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        with TableWriter(path) as writer:
            write(slice(0, ALONE), writer)  # first calls import
        with TableWriter(path) as writer:
            for first in range(0, SENSORS, BATCH):
                times = write(slice(first, first + BATCH), writer)
                for stage, start, end in zip(STAGES, times, times[1:], strict=False):
                    taken[stage] += end - start
            start = time.perf_counter()
        taken["write"] += time.perf_counter() - start  # what waited for more rows
        n_bytes = path.stat().st_size
    start = time.perf_counter()
    for sensor in range(ALONE):
        record_of(calibrate((t_u[sensor], t_c[sensor])))
    alone = time.perf_counter() - start
    stages = {stage: 1e6 * seconds / SENSORS for stage, seconds in taken.items()}
    return {**stages, "bytes": n_bytes / SENSORS, "alone": 1e6 * alone / ALONE}


if __name__ == "__main__":
    print(json.dumps(time_members()))
