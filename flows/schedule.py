"""`tempfit serve`: one deployment, one tick at a time, a line on the terminal for each, and a clean end.

Prefect's Runner starts a process for every tick. This is around it: the lease that keeps a second `serve` from taking
the deployment over, what a killed one left behind, signals, and the lines.
"""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import (
    ConcurrencyLimitConfig,
    ConcurrencyLimitStrategy,
    FlowRun,
    State,
    StateType,
)
from prefect.exceptions import ObjectNotFound
from prefect.runner import Runner
from prefect.schedules import Cron, Interval, Schedule
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled, Crashed
from prefect.types.entrypoint import EntrypointType

from flows.retrain import FLOW, bind
from flows.services.prefect_server import log_folder
from flows.tick import files_of_readings
from tempfit.config import CalibrationConfig, FitConfig, TrackingConfig
from tempfit.errors import ServiceError, SettingsError
from tempfit.system import leases
from tempfit.wording import printable

POLL = 3  # seconds between two looks at what is due, and at what has ended
CALM = 60  # seconds: a Runner that fails later than that after its start had a server, and waits for it
CHILD_LIMIT, PAUSE_LIMIT, RUNNER_LIMIT = 5, 8, 2  # seconds that a tick, pausing and the Runner have for their end
STOP_LIMIT = 15  # seconds until all must be over
BANNED = "/%&<>"  # Prefect's, in names
OVER = [StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED]
UNDER_WAY = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
TOO_EARLY = "Deployment concurrency limit reached."  # what Prefect writes into a run that CANCEL_NEW drops

Say = Callable[[str], None]


def deployment_name(data: Path) -> str:
    """The whole path, so that two folders of one name are two deployments: /srv/lab/sensors is srv:lab:sensors."""
    name = str(data.resolve()).strip("/").replace("/", ":")
    return "".join("-" if sign in BANNED else sign for sign in name)


def make_schedule(when: str | timedelta, timezone: str | None = None) -> Schedule:
    """By a cron expression in a timezone of the IANA database, or once in a period. Raises SettingsError."""
    if isinstance(when, timedelta):
        return Interval(when)
    try:
        return Cron(when, timezone=timezone)
    except ValueError:
        raise SettingsError(f"`cron`: {when!r} is not a cron expression; daily at six is '0 6 * * *'") from None


def serve(data: Path, config: CalibrationConfig, name: str | None, schedule: Schedule, when: str) -> None:
    """Calibrate `data` on a schedule against the Prefect server in use, until Ctrl-C or SIGTERM.

    name: of the deployment; that of the whole path if None. It is paused while nothing serves it.
    when: the schedule in words.
    Raises ReadingsError when there is nothing at `data`, SettingsError when another process serves this name or one
    name is given to a folder's thermometers, ServiceError when Prefect's server does not take the deployment.
    """
    files_of_readings(data)
    if config.thermometer is not None and data.is_dir():
        raise SettingsError(f"`thermometer`: {data} is a folder, and each file a thermometer of its own; leave it out")
    name = name or deployment_name(data)
    lease = _take(name, data)
    log = log_folder() / f"serve-{lease.path.stem}.log"
    try:
        with _own_voice(log) as say:
            say(f"calibrating {printable(str(data))} {when}, as deployment {FLOW}/{printable(name)}")
            say(f"Ctrl-C stops it and pauses the schedule; what Prefect and MLflow print is in {log}")
            asyncio.run(_Serving(data.resolve(), config, name, schedule, say).run())
    finally:
        lease.release()


def _take(name: str, data: Path) -> leases.Lease:
    """The lease of this name at this server; its note says who holds it."""
    if not name.strip() or any(sign in name for sign in BANNED):
        raise SettingsError(f"`name`: {name!r} cannot name a deployment: leave out {' '.join(BANNED)}")
    key = hashlib.sha256(f"{PREFECT_API_URL.value()}\0{name}".encode()).hexdigest()[:16]
    folder = log_folder() / "serving"
    try:
        return leases.hold(folder, key, f"{data.resolve()} (process {os.getpid()})")
    except FileExistsError:
        raise SettingsError(
            f"`name`: the deployment {name!r} is served already, for {printable(leases.note(folder, key))}: stop that "
            "first, or choose another name"
        ) from None


class _Serving:
    """A deployment while it is served."""

    def __init__(self, data: Path, config: CalibrationConfig, name: str, schedule: Schedule, say: Say):
        self.name, self.schedule, self.say = name, schedule, say
        kept = config.model_dump(include=set(TrackingConfig.model_fields))
        where = TrackingConfig(**kept | {"mlruns": str(Path(config.mlruns).resolve())})
        self.flow = bind(data, where)
        self.telling: asyncio.Task[None] | None = None
        self.parameters = {"config": config.model_dump(mode="json", include=set(FitConfig.model_fields))}

    async def run(self) -> None:
        """Serve until a signal comes; outlive the server's absence."""
        with _signals() as stop:
            stopped = asyncio.create_task(stop.wait())
            while not stop.is_set():
                started = time.monotonic()
                serving = asyncio.create_task(self._serve())
                await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if serving.done():
                    if time.monotonic() - started < CALM:
                        cause = _cause(serving.exception())
                        raise ServiceError(f"Prefect's server does not take the deployment {self.name!r}: {cause}")
                    self.say(f"{_clock()}  Prefect's server does not answer; the schedule goes on when it does")
                    await asyncio.wait({asyncio.create_task(_return()), stopped}, return_when=asyncio.FIRST_COMPLETED)
            await self._end(serving)

    async def _serve(self) -> None:
        async with get_client() as client:
            await self._clear(client)
            runner = _Runner(name=self.name[-100:], query_seconds=POLL, prefetch_seconds=0, pause_on_shutdown=False)
            # Not the Runner's own limit: it would keep what is due meanwhile, and work it off afterwards.
            limit = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)
            deployment = await runner.aadd_flow(
                self.flow,
                name=self.name,
                schedule=self.schedule,
                concurrency_limit=limit,
                parameters=self.parameters,
                entrypoint_type=EntrypointType.MODULE_PATH,  # found wherever tempfit is installed
            )
            await _refuse_unknown_parameters(client, deployment)
            self.telling = asyncio.create_task(_tell(client, deployment, self.say))
            try:
                await runner.start()
            finally:
                self.telling.cancel()

    async def _clear(self, client: PrefectClient) -> None:
        """End what an earlier `serve` left: runs that were due while nobody was here, and one that was killed."""
        try:
            deployment = await client.read_deployment_by_name(f"{FLOW}/{self.name}")
        except ObjectNotFound:
            return
        left = [run for run in await _runs(client, deployment.id, UNDER_WAY) if not _is_ahead(run)]
        late = [run for run in left if run.state_type is StateType.SCHEDULED]
        for run in left:
            if run in late:
                state: State[None] = Cancelled(message="due while nothing served this deployment")
            else:
                state = Crashed(message="the process that served this deployment was killed")
            await client.set_flow_run_state(run.id, state, force=True)
        if late:
            self.say(f"{_clock()}  dropped {len(late)}, due while nothing served this")
        if len(left) > len(late):
            self.say(f"{_clock()}  ended what a killed process left as running: {len(left) - len(late)}")

    async def _end(self, serving: asyncio.Task[None]) -> None:
        """Pause the deployment, wait for the tick that runs (it was told), let the Runner go."""
        if self.telling is not None:
            self.telling.cancel()
        pausing = asyncio.create_task(self._pause())
        deadline = time.monotonic() + CHILD_LIMIT
        while multiprocessing.active_children() and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        _kill_children()
        await pausing
        serving.cancel()
        await asyncio.wait({serving}, timeout=RUNNER_LIMIT)

    async def _pause(self) -> None:
        server = urlsplit(PREFECT_API_URL.value() or "")
        try:
            async with asyncio.timeout(RUNNER_LIMIT):  # Prefect's client would ask a server that is gone for long
                await asyncio.open_connection(server.hostname, server.port or (443 if server.scheme == "https" else 80))
            async with asyncio.timeout(PAUSE_LIMIT), get_client() as client:
                deployment = await client.read_deployment_by_name(f"{FLOW}/{self.name}")
                await client.pause_deployment(deployment.id)
                self.say("stopped; the schedule is paused")
                for run in await _runs(client, deployment.id, UNDER_WAY):
                    await client.set_flow_run_state(run.id, Cancelled(message="tempfit serve was stopped"), force=True)
        except Exception as error:
            self.say(f"Prefect's server was not told all of this end ({_cause(error)}); the next start mends it")


class _Runner(Runner):
    def handle_sigterm(self, *_: Any) -> None:
        """The signal is for `_signals`, over whose handler Prefect's own is set: it would leave the event loop in the
        middle of its work, and does nothing where SIGINT is ignored."""
        _handler(signal.SIGTERM, None)


def _handler(signum: int, frame: FrameType | None) -> None:
    """What `_signals` sets while it is open."""


@contextmanager
def _signals() -> Iterator[asyncio.Event]:
    """An event that SIGTERM, SIGINT or SIGHUP sets, unless the process was told to ignore it.

    The tick that runs is told at once. A second signal, or an end that takes too long, ends everything at once.
    """
    loop, stop, heard = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def give_up() -> None:
        _kill_children()
        os._exit(1)

    def handle(signum: int, frame: FrameType | None) -> None:
        if heard.is_set():
            give_up()
        heard.set()
        for child in multiprocessing.active_children():
            child.terminate()
        watchdog = threading.Timer(STOP_LIMIT, give_up)
        watchdog.daemon = True
        watchdog.start()
        loop.call_soon_threadsafe(stop.set)

    global _handler
    _handler, before = handle, _handler
    signals = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    previous = {number: signal.getsignal(number) for number in signals}
    for number in signals:
        if number == signal.SIGTERM or previous[number] is not signal.SIG_IGN:
            signal.signal(number, handle)
    try:
        yield stop
    finally:
        _handler = before
        for number, handler in previous.items():
            signal.signal(number, handler)


def _kill_children() -> None:
    for child in multiprocessing.active_children():
        child.kill()


async def _refuse_unknown_parameters(client: PrefectClient, deployment: UUID) -> None:
    """Prefect's own schema of a flow's parameters allows any others beside them, with which the run then crashes."""
    schema = (await client.read_deployment(deployment)).parameter_openapi_schema or {}
    closed = DeploymentUpdate(parameter_openapi_schema={**schema, "additionalProperties": False})
    await client.update_deployment(deployment, closed)


async def _tell(client: PrefectClient, deployment: UUID, say: Say) -> None:
    """A line for every run of the deployment that ends, with how many were dropped meanwhile; now and then, if none
    ends, for those alone."""
    since, told, n_dropped, last = datetime.now(UTC), set[UUID](), 0, time.monotonic()
    while True:
        await asyncio.sleep(POLL)
        with suppress(Exception):  # the Runner asks the same server, and says what is wrong with it
            runs = [run for run in await _runs(client, deployment, OVER, since) if run.id not in told]
            ended = [run for run in runs if _message(run) != TOO_EARLY]
            told |= {run.id for run in runs}
            n_dropped += len(runs) - len(ended)
            for run in ended:
                say(_line(run))
            if n_dropped and (ended or time.monotonic() - last > CALM):
                say(f"{_clock()}  dropped {n_dropped}, due while another was running")
            if ended or time.monotonic() - last > CALM:
                n_dropped, last = 0, time.monotonic()


async def _runs(
    client: PrefectClient, deployment: UUID, types: list[StateType], since: datetime | None = None
) -> list[FlowRun]:
    """The deployment's runs in a state of these types, that ended after `since`; in the order of their times."""
    wanted = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=types)),
        end_time=FlowRunFilterEndTime(after_=since) if since else None,  # type: ignore[arg-type]
    )
    of = DeploymentFilter(id=DeploymentFilterId(any_=[deployment]))
    found = await client.read_flow_runs(flow_run_filter=wanted, deployment_filter=of, limit=200)
    return sorted(found, key=_due)


def _line(run: FlowRun) -> str:
    """When it was due, and what came of it; beneath, what failed by name."""
    first, *others = (_message(run) or "").splitlines() or [""]
    if run.state_type in (StateType.CRASHED, StateType.CANCELLED):
        first = f"{str(run.state_name).lower()}: {first}"
    return "\n  ".join([f"{_clock(run.start_time or _due(run))}  {printable(first)}", *map(printable, others)])


def _message(run: FlowRun) -> str | None:
    return run.state.message if run.state else None


def _due(run: FlowRun) -> datetime:
    return run.expected_start_time or run.created or datetime.now(UTC)


def _is_ahead(run: FlowRun) -> bool:
    return run.state_type is StateType.SCHEDULED and _due(run) > datetime.now(UTC)


def _clock(moment: datetime | None = None) -> str:
    return (moment or datetime.now(UTC)).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _cause(error: BaseException | None) -> str:
    """The first line of what lies at the bottom of a group of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error).strip().partition("\n")[0] or type(error).__name__


async def _return() -> None:
    """Return once Prefect's server answers."""
    while True:
        with suppress(Exception):
            async with get_client() as client:
                if await client.api_healthcheck() is None:
                    return
        await asyncio.sleep(POLL)


@contextmanager
def _own_voice(log: Path) -> Iterator[Say]:
    """What libraries print here and in the ticks' processes goes to the log; what is said goes to standard output."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    with open(log, "wb") as file:
        for number in kept:
            os.dup2(file.fileno(), number)

    def say(text: str) -> None:
        with suppress(OSError):  # a terminal that was closed ends no schedule
            os.write(kept[1], f"{text}\n".encode())

    try:
        yield say
    finally:
        for number, saved in kept.items():
            os.dup2(saved, number)
            os.close(saved)
