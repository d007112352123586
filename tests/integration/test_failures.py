"""Services that fail at any request, in any way: told in time, with what was computed; and the store mended after."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

import pytest
from mlflow import MlflowClient

from flows.services.prefect_server import free_port, is_healthy
from tests.conftest import THERMOMETER
from tests.faults import Mode, faulty
from tests.integration.conftest import Place, wait_for

pytestmark = pytest.mark.integration

REQUESTS = 27  # of a calibration to a tracking server
FIRST_OF_TRACKING = 6  # what comes before is the start of the run, without which nothing is trained


@pytest.fixture
def tracking_server(place: Place) -> Iterator[str]:
    address = f"http://127.0.0.1:{free_port()}"
    store = ["--backend-store-uri", f"sqlite:///{place.folder / 'server.db'}"]
    artifacts = ["--artifacts-destination", str(place.folder / "artifacts")]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]
    port = address.rpartition(":")[2]
    with place.running(*command, "--port", port, *store, *artifacts, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"):
        wait_for(lambda: is_healthy(f"{address}/health"), 180, "the tracking server")
        yield address


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mode", get_args(Mode))
def test_a_tracking_server_that_fails_from_any_request_on(mode: Mode, place: Place, tracking_server: str) -> None:
    """Every sixth request; as processes, four at a time, which mostly wait."""

    def fail_from(first: int) -> tuple[int, float, str]:
        with faulty(tracking_server, first, mode) as server:
            command = ["tempfit", "calibrate", str(THERMOMETER), "--json", "--experiment", f"from {first}"]
            command += ["--mlruns", str(place.folder / f"mlruns-{first}")]
            environment = place.environment | {"MLFLOW_TRACKING_URI": server.address}
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            wait_for(lambda: len(server.requests) >= first or process.poll() is not None, 240, "the failure")
            start = time.monotonic()
            out, err = process.communicate(timeout=120)
            assert err.startswith("error: ")
            assert err.count("\n") == 1, err
            assert process.returncode == 1
            seconds = time.monotonic() - start
        with faulty(tracking_server, sys.maxsize, mode, server.server_port):  # it is back, and the next command mends
            place.run("tempfit", "compare", *command[-2:], MLFLOW_TRACKING_URI=server.address)
        return first, seconds, out

    numbers = [1, *range(3, REQUESTS + 1, 6)]  # the last among them
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(fail_from, numbers))
    client = MlflowClient(tracking_server)
    for first, seconds, out in told:
        print(f"request {first}, {mode}: told after {seconds:.1f} s")
        assert seconds < 30
        if first < FIRST_OF_TRACKING:
            assert out == ""
        else:
            result = json.loads(out)
            assert result["w"] == pytest.approx(152075 / 283314, rel=1e-9)
            assert (result["run_id"] is not None) == (first == REQUESTS)
            assert result["not_recorded"]
    for first, _, _ in told:
        experiment = client.get_experiment_by_name(f"from {first}")
        for run in client.search_runs([experiment.experiment_id]) if experiment else []:
            # (Where the answer to the creation was lost, nobody knows of the run.)
            wanted = {"FINISHED"} if first == REQUESTS else {"FAILED"}
            if mode == "loses the answer" and first == 3:
                wanted = {"RUNNING"}
            assert run.info.status in wanted, (first, run.data.tags.get("error"))
            assert "killed" not in run.data.tags.get("error", "")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_waits_for_a_silent_server_ends_at_once(
    signum: signal.Signals, place: Place, tracking_server: str
) -> None:
    with faulty(tracking_server, FIRST_OF_TRACKING, "hangs") as server:
        environment = {"MLFLOW_TRACKING_URI": server.address}
        with place.running("tempfit", "calibrate", str(THERMOMETER), **environment) as process:
            wait_for(lambda: len(server.requests) >= FIRST_OF_TRACKING, 240, "the silence")
            time.sleep(1)
            start = time.monotonic()
            process.send_signal(signum)
            assert process.wait(30) == 128 + signum
            assert time.monotonic() - start < 2.5
        assert "Traceback" not in (place.folder / "tempfit-calibrate.log").read_text()
