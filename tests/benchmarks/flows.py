"""`calibrate` flows one after the other in one process: JSON of seconds per flow on stdout.

Run by `tests.benchmarks.run` in a process of its own; arguments: the readings, how many, and the axes of a grid from
which that many configurations are taken, evenly spread.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import redirect_stdout

from tempfit.config import CalibrationConfig
from tempfit.studies.grid import make_grid


def main() -> None:
    source, n, *axes = sys.argv[1:]
    trials = make_grid(CalibrationConfig(), axes).trials
    chosen = [trials[(2 * k + 1) * len(trials) // (2 * int(n))] for k in range(int(n))]
    from flows.services.prefect_server import start_server

    server = start_server()
    assert server is not None
    os.environ |= {"PREFECT_API_URL": server.api_url, "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}
    from flows.calibrate import calibrate
    from flows.tasks import Watcher, watched

    server.wait()
    seconds = []
    with redirect_stdout(sys.stderr), watched(Watcher()):  # without heartbeats, as the command line runs it
        calibrate(source, trials[0].config)  # first calls open the store and import
        for trial in chosen:
            start = time.perf_counter()
            calibrate(source, trial.config)
            seconds.append(time.perf_counter() - start)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
