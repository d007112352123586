"""Who does a fleet's work: the same results from threads and from processes, whatever happens to one of them."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from distributed import LocalCluster

from tempfit.config import CalibrationConfig, FleetConfig
from tempfit.errors import ReadingsError, ServiceError, SettingsError
from tempfit.fleet import engine as engine_module
from tempfit.fleet.engine import Dask, Engine, Threads, engine
from tempfit.fleet.ingesting import ingest_fleet
from tempfit.fleet.kept import Compressed, write_compressed
from tempfit.fleet.scheduler import refuse_silence, warning_of
from tests.fleet import work
from tests.fleet.test_kept import _a_file_is_a_partition, folder  # noqa: F401 (fixtures)


def enter(settings: FleetConfig) -> None:
    with engine(settings):
        pass


@pytest.fixture(scope="module")
def cluster() -> Iterator[Dask]:
    with engine(FleetConfig(workers=2)) as it:
        assert isinstance(it, Dask)
        yield it


@pytest.fixture(params=["threads", "processes"])
def either(request: pytest.FixtureRequest) -> Engine:
    return Threads(2) if request.param == "threads" else request.getfixturevalue("cluster")


def test_results_come_in_the_order_of_the_items(either: Engine) -> None:
    assert list(either.map(work.double, range(17))) == list(range(0, 34, 2))


def test_what_a_function_raises_is_raised_here(either: Engine) -> None:
    with pytest.raises(ReadingsError, match="no such thing"):
        list(either.map(work.refuse, range(3)))


def test_what_is_not_waited_for_is_not_begun(either: Engine, tmp_path: Path) -> None:
    results = either.map(work.mark_one, (tmp_path / str(k) for k in range(200)))
    next(results)
    results.close()  # type: ignore[attr-defined]
    time.sleep(0.3)
    begun = len(list(tmp_path.iterdir()))
    time.sleep(0.3)
    assert len(list(tmp_path.iterdir())) == begun < 20


@pytest.mark.filterwarnings("error::UserWarning")
def test_evidence_of_many_sensors_is_sent_without_a_word(cluster: Dask) -> None:
    assert list(cluster.map(len, [bytes(12_000_000)])) == [12_000_000]


def test_processes_have_a_thread_each(cluster: Dask) -> None:
    assert list(cluster.map(work.threads_here, range(2))) == [(1, "1")] * 2
    assert cluster.n_threads == 2


def test_nobody_else_can_join_the_cluster(cluster: Dask) -> None:
    """Its scheduler would run anybody's code: on a machine that others use, too, loopback keeps nobody out."""
    address = cluster.client.scheduler.address
    assert address.startswith("tls://127.0.0.1:")
    with pytest.raises(ServiceError):
        enter(FleetConfig(scheduler=address.replace("tls", "tcp")))


@pytest.mark.integration
def test_work_of_a_process_that_dies_is_done_by_another(cluster: Dask, tmp_path: Path) -> None:
    assert list(cluster.map(work.die_once, [tmp_path / str(k) for k in range(2)])) == ["done"] * 2


@pytest.mark.integration
def test_work_that_every_process_dies_of_is_told_in_a_line(cluster: Dask) -> None:
    with pytest.raises(ServiceError, match=r"^4 workers in turn died of the same piece of work[^\n]*$"):
        list(cluster.map(work.die, [0]))
    assert list(cluster.map(work.double, [4])) == [8]


def test_evidence_of_a_fleet_does_not_depend_on_who_reads_it(
    cluster: Dask,
    folder: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Byte for byte."""
    files = []
    for number, it in enumerate((Threads(1), Threads(3), cluster)):
        ingested = ingest_fleet(str(folder), FleetConfig(by="sensor"), CalibrationConfig(), it)
        write_compressed(tmp_path / str(number), Compressed(ingested.gathered))
        files.append(((tmp_path / str(number)).read_bytes(), ingested.sha256))
    assert files[0] == files[1] == files[2]


@pytest.mark.integration
def test_processes_and_their_folder_end_with_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with engine(FleetConfig(workers=2)) as it:
        assert isinstance(it, Dask)
        pids = set(it.client.run(os.getpid).values())
        assert len(pids) == 2
        assert list(tmp_path.iterdir())
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def served() -> Iterator[str]:
    """A scheduler that somebody else started."""
    with LocalCluster(n_workers=1, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=None) as it:
        yield it.scheduler_address


def test_a_scheduler_that_is_there_is_joined_and_left_running(served: str) -> None:
    for _ in range(2):
        with engine(FleetConfig(scheduler=served)) as it:
            assert list(it.map(work.double, [1, 2])) == [2, 4]


def test_workers_with_another_version_are_refused(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(range(1_000))
    monkeypatch.setattr(engine_module, "version", lambda name: f"1.{next(numbers)}")
    with pytest.raises(ServiceError, match=r"has tempfit 1\.\d+, here it is 1\.0: install the same"):
        enter(FleetConfig(scheduler=served))


def test_a_scheduler_without_workers_is_told() -> None:
    empty = LocalCluster(n_workers=0, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=None)
    with empty, pytest.raises(ServiceError, match=r"has no workers: start some"):
        enter(FleetConfig(scheduler=empty.scheduler_address))


@pytest.fixture
def web_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_who_is_stopped_does_not_wait_for_threads() -> None:
    signal.signal(signal.SIGINT, signal.getsignal(signal.SIGINT))  # an event loop before may have it waited for
    done = threading.Event()
    results = Threads(1).map(lambda _: done.wait(8), range(3))
    threading.Timer(0.2, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        next(results)
    assert time.monotonic() - start < 4
    done.set()


@pytest.mark.parametrize("told", [{"workers": 2}, {"scheduler": "tcp://127.0.0.1:8786"}])
def test_dask_may_have_to_be_installed(told: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfit.fleet.scheduler.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=rf"^`{next(iter(told))}` needs Dask.*pip install 'tempfit\[dask\]'$"):
        enter(FleetConfig.model_validate(told))


def test_what_is_no_scheduler_is_told_in_time(listener: str, web_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "JOINED_IN", 1)
    start = time.monotonic()
    for address in ("tcp://127.0.0.1:9", listener.replace("http", "tcp"), web_server):
        with pytest.raises(ServiceError, match=rf"^no Dask scheduler answers at {address} within 1 s: start [^\n]*$"):
            enter(FleetConfig(scheduler=address))
    assert time.monotonic() - start < 6
    refuse_silence(FleetConfig(scheduler=web_server))  # something is there
    with pytest.raises(ServiceError, match=r"^no Dask scheduler answers at tcp://127.0.0.1:9 within 4 s"):
        refuse_silence(FleetConfig(scheduler="tcp://127.0.0.1:9"))
    with pytest.raises(SettingsError, match=r"`scheduler`: http://x:1 is no address of a scheduler"):
        enter(FleetConfig(scheduler="http://x:1"))


def test_where_dask_is_missing_it_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SettingsError, match=r"`workers` needs Dask.*: pip install 'tempfit\[dask\]'"):
        enter(FleetConfig(workers=2))
    with engine(FleetConfig()) as it:
        assert isinstance(it, Threads)


@pytest.mark.parametrize(
    ("address", "is_warned_of"),
    [
        ("tcp://127.0.0.1:8786", False),
        ("tls://localhost:8786", False),
        ("tcp://[::1]:8786", False),
        ("127.0.0.1:8786", False),
        ("tcp://10.0.0.7:8786", True),
        ("tcp://scheduler.example:8786", True),
        ("tcp://localhost.example:8786", True),
    ],
)
def test_a_scheduler_that_others_may_reach_is_warned_of(address: str, is_warned_of: bool) -> None:
    warning = warning_of(FleetConfig(scheduler=address))
    assert (warning is not None) == is_warned_of
    assert warning is None or address in warning
    assert warning_of(FleetConfig()) is None
