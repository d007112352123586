"""What all tests share: the tutorial's data, and one Prefect server for the whole session."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import socket
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[1]
THERMOMETER = ROOT / "data" / "thermometer.csv"

# The tutorial's readings, typed in a second time: a wrong digit in data/thermometer.csv would show.
T_C = np.array([0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0])
T_U = np.array([35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more process than cores: some tests wait for a limit to pass, or for a server."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of `--dist loadfile`: a file's tests go to one process, and those of tests/flows together, which share a server.

    Fixtures of a file are made once, then, and Prefect's server is started once. (xdist's own groups of tests, `--dist
    loadgroup`, are lost on pytest 9.2: it no longer reads the names that xdist gives them.)
    """
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "tests/flows" if nodeid.startswith("tests/flows/") else super()._split_scope(nodeid)

    return ByFile(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Garbage is looked for seldom, and not among what is imported: half a million of objects take half a second."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(10_000)
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_is_heard() -> None:
    """A shell lets the jobs that it starts in the background ignore Ctrl-C, and what they start inherits that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_services_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests neither read nor write what the person who runs them has configured."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID"):
        monkeypatch.setenv(name, "")  # so that what a test leaves there goes with it
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A temporary Prefect server, database and store of results, started once: per test it would cost minutes."""
    from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    storage = tmp_path_factory.mktemp("storage")
    with prefect_test_harness(server_startup_timeout=180), temporary_settings({PREFECT_LOCAL_STORAGE_PATH: storage}):
        yield


@pytest.fixture(scope="session")
def new_mlruns(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Makes a folder of runs where none is; its database is made once for all processes, and copied: that takes MLflow
    seconds."""
    from tempfit.tracking.store import open_store

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    made = shared / "made" / "mlruns"
    with FileLock(shared / "made.lock", timeout=120):
        if not made.exists():
            open_store(made)

    def copy(folder: Path) -> Path:
        shutil.copytree(made, folder)
        open_store(folder)  # which mends where it says that it is
        return folder

    return copy


@pytest.fixture(scope="session")
def mlruns(new_mlruns: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs for all of a process's tests, which keep apart by experiment."""
    return new_mlruns(tmp_path_factory.mktemp("session") / "mlruns")


@pytest.fixture
def listener() -> Iterator[str]:
    """The address of something that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(scope="session")
def pango() -> None:
    """Skips where the system cannot make PDFs."""
    try:
        import weasyprint  # noqa: F401
    except OSError:
        pytest.skip("no Pango here")
