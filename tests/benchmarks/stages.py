"""`tempfit calibrate` with a clock on its stages: a JSON object of seconds per stage on stdout, in order.

Run by `tests.benchmarks.run` in a process of its own; arguments are those of `tempfit calibrate`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any

STARTED = time.perf_counter()

IN_THE_FLOW = {  # stage → the function that does it
    "record the start": ("tempfit.tracking.runs", "start_run"),
    "ingest": ("tempfit.exact.opening", "open_readings"),
    "normalize": ("tempfit.descent.setup", "normalize"),
    "train": ("tempfit.descent.batches", "fit_setups"),
    "visualize": ("tempfit.plots", "draw_figures"),
    "track": ("tempfit.tracking.runs", "log_calibration"),
    "publish": ("flows.tasks", "publish"),
}


def main() -> None:
    seconds: dict[str, float] = {}

    def timed(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*arguments, **keywords)
            finally:
                seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start

        return call

    def wrap(stage: str, module: str, name: str) -> None:
        home = import_module(module)
        setattr(home, name, timed(stage, getattr(home, name)))

    from tempfit import cli
    from tempfit.cli import shared

    wrap("look at the file, start the server", "tempfit.readings.paired", "peek")
    shared._start_prefect = timed("look at the file, start the server", shared._start_prefect)  # type: ignore[assignment]
    seconds["start Python and the command line"] = time.perf_counter() - STARTED
    wait_for_services = shared._wait_for_services

    def wait(*arguments: Any) -> None:
        before = sum(seconds.values())
        from flows import calibrate
        from flows.services import prefect_server

        seconds["import the libraries"] = time.perf_counter() - STARTED - before
        for stage, (module, name) in IN_THE_FLOW.items():
            wrap(stage, module, name)
        wrap("open the store", "tempfit.tracking.store", "open_store")
        prefect_server.PrefectServer.wait = timed("wait for the server", prefect_server.PrefectServer.wait)  # type: ignore[method-assign]
        calibrate.calibrate = timed("flow", calibrate.calibrate)  # type: ignore[assignment]
        wait_for_services(*arguments)

    shared._wait_for_services = wait
    with redirect_stdout(sys.stderr):
        try:
            cli.main(["calibrate", *sys.argv[1:]])
        except SystemExit as ended:
            if ended.code:
                raise
    seconds["Prefect around the tasks"] = seconds.pop("flow") - sum(seconds.get(stage, 0.0) for stage in IN_THE_FLOW)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
