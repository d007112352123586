"""`tempfit serve`: one deployment, one tick at a time, a line on the terminal for each, and a clean end.

Prefect's Runner starts a process for every tick. This is around it: the lease that keeps a second `serve` from taking
the deployment over, what a killed one left behind, signals, and the lines.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.objects import (
    ConcurrencyLimitConfig,
    ConcurrencyLimitStrategy,
    State,
    StateType,
)
from prefect.exceptions import ObjectNotFound
from prefect.schedules import Cron, Interval, Schedule
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled, Crashed
from prefect.types.entrypoint import EntrypointType

from flows.retrain import FLOW, bind
from flows.services.deployment_runs import POLL, UNDER_WAY, is_ahead, read_runs, tell
from flows.services.prefect_server import log_folder
from flows.services.stopping import Stop, TickRunner, stopped_by_signals, wait_for_tick
from flows.services.voice import Say, clock, innermost, own_voice
from flows.tick import files_of_readings
from tempfit.config import CalibrationConfig, FitConfig, TrackingConfig
from tempfit.errors import ServiceError, SettingsError
from tempfit.system import leases
from tempfit.wording import printable

CALM = 60  # seconds: a Runner that fails later than that after its start had a server, and waits for it
PAUSE_LIMIT, RUNNER_LIMIT = 8, 2  # seconds that pausing and the Runner have for their end
BANNED = "/%&<>"  # Prefect's, in names


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
        with own_voice(log) as say:
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
        with stopped_by_signals() as stop:
            stopped = asyncio.create_task(stop.asked.wait())
            while not stop.asked.is_set():
                started = time.monotonic()
                serving = asyncio.create_task(self._serve(stop))
                await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if serving.done():
                    if time.monotonic() - started < CALM:
                        cause = innermost(serving.exception())
                        raise ServiceError(f"Prefect's server does not take the deployment {self.name!r}: {cause}")
                    self.say(f"{clock()}  Prefect's server does not answer; the schedule goes on when it does")
                    await asyncio.wait({asyncio.create_task(_return()), stopped}, return_when=asyncio.FIRST_COMPLETED)
            await self._end(serving)

    async def _serve(self, stop: Stop) -> None:
        async with get_client() as client:
            await self._clear(client)
            runner = TickRunner(
                stop, name=self.name[-100:], query_seconds=POLL, prefetch_seconds=0, pause_on_shutdown=False
            )
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
            self.telling = asyncio.create_task(tell(client, deployment, self.say))
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
        left = [run for run in await read_runs(client, deployment.id, UNDER_WAY) if not is_ahead(run)]
        late = [run for run in left if run.state_type is StateType.SCHEDULED]
        for run in left:
            if run in late:
                state: State[None] = Cancelled(message="due while nothing served this deployment")
            else:
                state = Crashed(message="the process that served this deployment was killed")
            await client.set_flow_run_state(run.id, state, force=True)
        if late:
            self.say(f"{clock()}  dropped {len(late)}, due while nothing served this")
        if len(left) > len(late):
            self.say(f"{clock()}  ended what a killed process left as running: {len(left) - len(late)}")

    async def _end(self, serving: asyncio.Task[None]) -> None:
        """Pause the deployment, wait for the tick that runs (it was told), let the Runner go."""
        if self.telling is not None:
            self.telling.cancel()
        pausing = asyncio.create_task(self._pause())
        await wait_for_tick()
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
                for run in await read_runs(client, deployment.id, UNDER_WAY):
                    await client.set_flow_run_state(run.id, Cancelled(message="tempfit serve was stopped"), force=True)
        except Exception as error:
            self.say(f"Prefect's server was not told all of this end ({innermost(error)}); the next start mends it")


async def _refuse_unknown_parameters(client: PrefectClient, deployment: UUID) -> None:
    """Prefect's own schema of a flow's parameters allows any others beside them, with which the run then crashes."""
    schema = (await client.read_deployment(deployment)).parameter_openapi_schema or {}
    closed = DeploymentUpdate(parameter_openapi_schema={**schema, "additionalProperties": False})
    await client.update_deployment(deployment, closed)


async def _return() -> None:
    """Return once Prefect's server answers."""
    while True:
        with suppress(Exception):
            async with get_client() as client:
                if await client.api_healthcheck() is None:
                    return
        await asyncio.sleep(POLL)
