"""Real programs with a home of their own: nothing of the user's is read or changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from flows.services.prefect_server import free_port
from tempfit.tracking.database import database_uri
from tests.conftest import ROOT


@dataclass(frozen=True)
class Place:
    """A working folder with its own mlruns and its own home of Prefect."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT", "MLFLOW"))}
        kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        return kept | {"PREFECT_HOME": str(self.folder / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}

    @property
    def mlruns(self) -> Path:
        return self.folder / "mlruns"

    def run(self, *command: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=cwd or self.folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    @contextmanager
    def running(self, *command: str, cwd: Path | None = None, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """The command, ended by SIGTERM and, if that is not enough, by SIGKILL to its process group."""
        log = self.folder / f"{command[0]}-{command[1]}.log"
        with open(log, "w") as output:
            process = subprocess.Popen(
                command,
                cwd=cwd or self.folder,
                env=self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            print(f"--- {' '.join(command)}\n{log.read_text()}")  # pytest shows it when the test fails

    def runs(self, experiment: str = "calibrate") -> list[Run]:
        """The runs of an experiment, oldest first."""
        if not (self.mlruns / "mlflow.db").exists():
            return []
        client = MlflowClient(tracking_uri=database_uri(self.mlruns))
        found = client.get_experiment_by_name(experiment)
        if found is None:
            return []
        return sorted(client.search_runs([found.experiment_id]), key=lambda run: run.info.start_time)


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.5)


@dataclass(frozen=True)
class Services:
    """What `tempfit up` started, and where."""

    prefect: str
    mlflow: str
    process: subprocess.Popen[str]
    place: Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def up(place: Place) -> Iterator[Services]:
    """`tempfit up` of a test's own, which it may stop."""
    with services_in(place) as services:
        yield services


@pytest.fixture(scope="module")
def shared_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """`tempfit up` for the tests of a file that only ask it: its start takes longer than they do."""
    with services_in(Place(tmp_path_factory.mktemp("up"))) as services:
        yield services


@contextmanager
def services_in(place: Place) -> Iterator[Services]:
    """`tempfit up` on free ports, once it says that both are healthy."""
    ports = free_port(), free_port()
    command = ["tempfit", "up", "--prefect-port", str(ports[0]), "--mlflow-port", str(ports[1])]
    with place.running(*command) as process:
        log = place.folder / "tempfit-up.log"
        wait_for(lambda: "Ctrl-C stops both" in log.read_text() or process.poll() is not None, 240, "tempfit up")
        assert process.poll() is None, log.read_text()
        yield Services(f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}", process, place)


__all__ = ["ROOT", "Place", "Services", "wait_for"]
