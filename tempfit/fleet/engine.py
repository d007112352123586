"""Who does the work of a fleet: threads of this process, or Dask: processes of this machine, or those of a scheduler.

The only home of `distributed`, which is imported where it is asked for: `pip install 'tempfit[dask]'`. What travels are
functions and values of our own, pickled by Dask between processes that trust each other; no file is read that way.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from tempfit.config import FleetConfig
from tempfit.errors import ServiceError
from tempfit.fleet.scheduler import needs_dask, no_scheduler, refuse_engine
from tempfit.system.children import silent_children
from tempfit.system.files import temporary_folder
from tempfit.system.threads import ahead
from tempfit.wording import printable

if TYPE_CHECKING:
    from distributed import Client

ALIKE = ("tempfit", "numpy", "scipy", "torch", "pyarrow", "distributed")  # what has to be the same version everywhere
JOINED_IN, STARTED_IN = 4, 60  # seconds in which a scheduler, or workers of our own, must be there
ASKED_EACH = 20  # seconds after which workers are asked for again while a result is waited for
AHEAD = 2  # items under way for each thread of a worker, so that it need not wait for the next

SENT = {"distributed.admin.large-graph-warning-threshold": "1 GiB"}  # evidence of a chunk is 10 MB, and no mistake
QUIET = {  # Dask's settings for processes of our own
    "distributed.worker.memory.target": False,  # evidence is never spilled: what is on disk there are pickles
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.http.routes": [],
    "distributed.scheduler.http.routes": [],
    "distributed.scheduler.no-workers-timeout": "60s",
    "distributed.scheduler.allowed-failures": 3,  # of workers, that an item outlives
}

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """Does the same with every item."""

    @property
    def n_threads(self) -> int:
        """How many items can be worked on at a time."""

    @property
    def shares_memory(self) -> bool:
        """Whether what works on the items is in this process."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """The results in the order of the items, a few of which are under way at any time."""


class Threads:
    """As many threads as there are cores: numpy, Arrow and torch leave them to each other in long operations."""

    shares_memory = True

    def __init__(self, n_threads: int | None = None):
        self.n_threads = n_threads or os.cpu_count() or 1

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        return ahead(function, items, self.n_threads)


class Dask:
    """Workers of a Dask scheduler, which starts again elsewhere what was lost with one of them.

    What a function raises is raised here; ServiceError where the scheduler or its workers are lost.
    """

    shares_memory = False

    def __init__(self, client: Client):
        self.client = client
        self.n_threads = max(1, sum(client.nthreads().values()))

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        under_way: deque[Any] = deque()
        with _told():
            try:
                for item in items:
                    under_way.append(self.client.submit(function, item, pure=False))
                    if len(under_way) > AHEAD * self.n_threads:
                        yield self._result(under_way.popleft())
                while under_way:
                    yield self._result(under_way.popleft())
            finally:
                for future in under_way:
                    future.release()  # what nobody waits for is not begun

    def _result(self, future: Any) -> Any:
        while True:
            try:
                return future.result(timeout=ASKED_EACH)
            except TimeoutError:
                if future.status == "error":
                    raise
                if not self.client.nthreads():
                    raise ServiceError(f"the Dask scheduler at {_address(self.client)} has lost all workers") from None


@contextmanager
def engine(fleet: FleetConfig) -> Iterator[Engine]:
    """What the settings ask for, from start to end.

    Raises SettingsError where Dask is not installed or an address is none, ServiceError where nothing answers there.
    """
    refuse_engine(fleet)
    if not needs_dask(fleet):
        yield Threads()
        return
    import dask
    import distributed

    with ExitStack() as stack, dask.config.set(SENT), _silent(distributed.__name__):
        client = _join(fleet.scheduler) if fleet.scheduler else stack.enter_context(_cluster(fleet.workers))
        stack.callback(client.close)
        if fleet.scheduler:
            _refuse_other_versions(client)
        yield Dask(client)


@contextmanager
def _cluster(n_workers: int) -> Iterator[Client]:
    """Processes of this machine, a thread each, that end with this one; without their keys nobody else can join."""
    import dask
    from distributed import Client, LocalCluster
    from distributed.security import Security

    with ExitStack() as stack:
        folder = str(stack.enter_context(temporary_folder("tempfit-dask-")))
        stack.enter_context(dask.config.set({**QUIET, "temporary-directory": folder}))
        try:
            with silent_children():
                cluster = LocalCluster(
                    n_workers=n_workers,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address=None,
                    scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                    silence_logs=logging.CRITICAL,
                    local_directory=folder,
                    security=Security.temporary(),
                )
            stack.enter_context(cluster)
            client = Client(cluster, timeout=STARTED_IN, set_as_default=False)
            client.wait_for_workers(n_workers, timeout=STARTED_IN)
        except (OSError, RuntimeError) as error:
            reason = printable(str(error).strip().partition("\n")[0])
            raise ServiceError(
                f"{n_workers} processes cannot be started ({reason}): ask for fewer `workers`"
            ) from error
        yield client


def _join(address: str) -> Client:
    """A client of the scheduler there, which has a worker."""
    from distributed import Client

    try:
        with ThreadPoolExecutor(1) as pool:  # whose thread has no event loop
            pool.submit(asyncio.run, _greet(address)).result()
        client = Client(address, timeout=JOINED_IN, set_as_default=False)
    except Exception as error:  # what others answer is anything: too large for memory, for one
        raise no_scheduler(address, JOINED_IN) from error
    if not client.nthreads():
        client.close()
        raise ServiceError(
            f"the Dask scheduler at {printable(address)} has no workers: start some (`dask worker ADDRESS`)"
        )
    return client


async def _greet(address: str) -> None:
    """Nothing where a scheduler answers there; a client would wait for ever for something that takes connections and
    never says a word."""
    from distributed.comm.core import connect
    from distributed.security import Security

    how = Security().get_connection_args("client")
    comm = await asyncio.wait_for(connect(address, timeout=JOINED_IN, **how), JOINED_IN)
    await comm.close()


def _refuse_other_versions(client: Client) -> None:
    """Other versions calculate otherwise in the last digits, or cannot read what is sent."""
    here = versions()
    found: dict[str, Mapping[str, str] | Exception] = client.run(versions, on_error="return")
    for worker, there in found.items():
        if isinstance(there, Exception):
            reason = str(there).partition("\n")[0]
            raise ServiceError(f"the worker {worker} cannot run tempfit ({reason}): install it there, too")
        for name in here:
            if there.get(name) != here[name]:
                raise ServiceError(
                    f"the worker {worker} has {name} {there.get(name)}, here it is {here[name]}: install the same"
                )


def versions() -> dict[str, str]:
    """Of Python, and of what has to be alike."""
    return {"Python": platform.python_version().rpartition(".")[0], **{name: version(name) for name in ALIKE}}


def _address(client: Client) -> str:
    return printable(str(client.scheduler.address)) if client.scheduler is not None else "?"


@contextmanager
def _told() -> Iterator[None]:
    """Failures of Dask's, as a line of ours."""
    from distributed import CancelledError
    from distributed.comm.core import CommClosedError
    from distributed.scheduler import KilledWorker, NoValidWorkerError, NoWorkerError

    try:
        yield
    except KilledWorker as error:
        raise ServiceError(
            f"{error.allowed_failures + 1} workers in turn died of the same piece of work: is their memory too small? "
            "Fewer `workers` have more of it each"
        ) from error
    except (NoWorkerError, NoValidWorkerError) as error:
        raise ServiceError("the Dask scheduler has no workers any more") from error
    except (CancelledError, CommClosedError) as error:
        raise ServiceError("the Dask scheduler is gone: what it had done is kept, start again to go on") from error


@contextmanager
def _silent(library: str) -> Iterator[None]:
    """Its failures are told in a line of ours."""
    names = [name for name in logging.root.manager.loggerDict if name == library or name.startswith(f"{library}.")]
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
