"""What `tempfit up` starts, and that nothing reports home."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.services.prefect_server import free_port, server_environment
from flows.services.supervise import Service, mlflow_service, prefect_is_elsewhere, run_services
from tests.flows.conftest import Command, run_python

ELSEWHERE = "http://127.0.0.1:9/api"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The names of the services that `up` would run; they are told to be healthy at once."""
    names: list[str] = []

    def run_services(services: Sequence[Service], on_ready: Callable[[], None]) -> None:
        names.extend(service.name for service in services)
        on_ready()

    monkeypatch.setattr("flows.services.supervise.run_services", run_services)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    for name in ("PREFECT_API_URL", "PREFECT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return names


def test_up_starts_both(command: Command, started: list[str], mlruns: Path) -> None:
    code, out, _ = command("up", "--mlruns", str(mlruns))
    assert (code, started) == (0, ["Prefect server", "MLflow UI"])
    assert "export PREFECT_API_URL=http://127.0.0.1:4200/api" in out
    assert out.endswith("Ctrl-C stops both.\n")


def test_up_with_a_tracking_server_starts_prefects_server(
    command: Command, started: list[str], mlruns: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    code, out, _ = command("up", "--mlruns", str(mlruns))
    assert (code, started) == (0, ["Prefect server"])
    assert "runs are on the server that MLFLOW_TRACKING_URI names" in out
    assert "secret" not in out
    assert out.endswith("Ctrl-C stops it.\n")


def test_up_with_a_prefect_server_starts_mlflows_ui(
    command: Command, started: list[str], mlruns: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", ELSEWHERE)
    with temporary_settings({PREFECT_API_URL: ELSEWHERE}):
        code, out, _ = command("up", "--mlruns", str(mlruns))
    assert (code, started) == (0, ["MLflow UI"])
    assert "the one that PREFECT_API_URL or your Prefect profile names; none is started" in out


def test_up_with_both_elsewhere_says_that_there_is_nothing_to_start(
    command: Command, started: list[str], mlruns: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", ELSEWHERE)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with temporary_settings({PREFECT_API_URL: ELSEWHERE}):
        code, out, _ = command("up", "--mlruns", str(mlruns))
    assert (code, started) == (0, [])
    assert out.endswith("There is nothing to start.\n")


@pytest.mark.parametrize(("url", "elsewhere"), [("http://localhost:4200/api", False), (ELSEWHERE, True)])
def test_the_address_that_up_itself_serves_is_not_elsewhere(
    url: str, elsewhere: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever keeps in a profile what `up` prints can start it again."""
    monkeypatch.setenv("PREFECT_API_URL", url)
    with temporary_settings({PREFECT_API_URL: url}):
        assert prefect_is_elsewhere(4200) is elsewhere


def test_mlflows_job_runners_are_started_for_those_who_ask_only(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"
    monkeypatch.delenv(name, raising=False)
    assert mlflow_service(mlruns, 5000, "--port").environment[name] == "false"
    monkeypatch.setenv(name, "true")
    assert mlflow_service(mlruns, 5000, "--port").environment[name] == "true"


STUBBORN = """
import signal, sys
from http.server import HTTPServer, SimpleHTTPRequestHandler
signal.signal(signal.SIGTERM, signal.SIG_IGN)
HTTPServer(("127.0.0.1", int(sys.argv[1])), SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_services_are_stopped_leaves_none_running(
    signum: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setattr("flows.services.supervise.STOP_LIMIT", 1)
    port = free_port()
    service = Service("stubborn one", [sys.executable, "-c", STUBBORN, str(port)], port, "/", "`port`")

    def stop_twice() -> None:
        threading.Timer(0.3, os.kill, [os.getpid(), signum]).start()
        signal.raise_signal(signum)

    run_services([service], stop_twice)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_no_origin_is_a_wildcard() -> None:
    origins = server_environment(4200)["PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS"].split(",")
    assert origins == ["http://127.0.0.1:4200", "http://localhost:4200"]


SILENT = """
import socket, sys
asked = []
connect, look_up = socket.socket.connect, socket.getaddrinfo
def refuse(self, address):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
        asked.append(str(address))
        raise OSError("no network here")
    return connect(self, address)
def look(host, *rest, **more):
    if host not in ("127.0.0.1", "::1", "localhost", None):
        asked.append(str(host))
        raise OSError("no network here")
    return look_up(host, *rest, **more)
socket.socket.connect, socket.getaddrinfo = refuse, look
sys.stdout.isatty = lambda: True  # Prefect reports its first import from a terminal
from flows.calibrate import calibrate
from mlflow.telemetry.client import get_telemetry_client
import json, time
if get_telemetry_client():
    get_telemetry_client().activate()  # as the first call of MLflow does
if sys.argv[1] == "expected":
    until = time.monotonic() + 20
    while len({name.partition(".")[2] for name in asked}) < 2 and time.monotonic() < until:
        time.sleep(0.1)
else:
    time.sleep(1)
print(json.dumps(sorted(set(asked))))
"""


REPORTED_TO = ["api2.amplitude.com", "config.mlflow-telemetry.io"]  # by Prefect 3.8 and MLflow 3.17


@pytest.mark.integration
@pytest.mark.parametrize(("told", "asked"), [({}, []), ({"DO_NOT_TRACK": "false"}, REPORTED_TO)])
def test_a_script_that_imports_a_flow_reports_home_only_if_told(
    told: dict[str, str], asked: list[str], tmp_path: Path
) -> None:
    expected = "expected" if asked else "none"
    assert json.loads(run_python(tmp_path, SILENT, expected, **told).splitlines()[-1]) == asked


@pytest.mark.parametrize(("told", "silent"), [("", True), ("1", True), ("yes", True), ("false", False), ("0", False)])
def test_do_not_track_is_said_to_each_in_its_words(told: str, silent: bool, tmp_path: Path) -> None:
    names = ("MLFLOW_DISABLE_TELEMETRY", "PREFECT_SERVER_ANALYTICS_ENABLED")
    code = f"import flows, json, os; print(json.dumps([os.environ.get(name) for name in {names}]))"
    said = json.loads(run_python(tmp_path, code, DO_NOT_TRACK=told))
    assert said == (["true", "false"] if silent else [None, None])
