"""What a tick of a schedule costs, and what it leaves: a JSON object on stdout.

Run by `tests.benchmarks.run` in a process of its own, with a home of its own; arguments: how many files.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
import time
from contextlib import closing, redirect_stdout
from pathlib import Path

from tests.conftest import THERMOMETER


def main() -> None:
    n = int(sys.argv[1])
    from flows.services.prefect_server import start_server

    server = start_server()
    assert server is not None
    os.environ |= {"PREFECT_API_URL": server.api_url, "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}
    from flows.retrain import bind
    from tempfit.config import FitConfig, TrackingConfig

    for folder, names in (("first", ["s"]), ("sensors", [f"s{k:03}" for k in range(n)])):
        Path(folder).mkdir()
        for name in names:
            shutil.copy(THERMOMETER, Path(folder, f"{name}.csv"))

    def tick(folder: str) -> float:
        start = time.perf_counter()
        state = bind(Path(folder), TrackingConfig())(FitConfig(), return_state=True)
        assert state.is_completed(), state.message
        return time.perf_counter() - start

    with redirect_stdout(sys.stderr):
        server.wait()
        tick("first")  # first calls open the store and import
        before, start = leftovers(), time.process_time()
        new = tick("sensors")
        cpu, after = time.process_time() - start, leftovers()
        unchanged = tick("sensors")
    grown = {what: (after[what] - before[what]) / n for what in before}
    print(json.dumps({"seconds": new / n, "cpu": cpu / n, "unchanged": unchanged / n, **grown}))


def leftovers() -> dict[str, int]:
    """Bytes in Prefect's database, bytes and files under mlruns/."""
    time.sleep(5)  # Prefect's server writes logs and events a little later
    with closing(sqlite3.connect(Path(os.environ["PREFECT_HOME"], "prefect.db"))) as database:
        (pages,), (size,) = (database.execute(f"PRAGMA {what}").fetchone() for what in ("page_count", "page_size"))
    files = [path for path in Path("mlruns").rglob("*") if path.is_file()]
    return {"prefect": pages * size, "mlruns": sum(path.stat().st_size for path in files), "files": len(files)}


if __name__ == "__main__":
    main()
