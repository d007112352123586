"""The runs of a deployment as Prefect's server knows them, and a line on the terminal for each that ends."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType

from flows.services.voice import Say, clock
from tempfit.wording import printable

POLL = 3  # seconds between two looks at what has ended
CALM = 60  # seconds between two lines about what was dropped, while nothing ends
OVER = [StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED]
UNDER_WAY = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
TOO_EARLY = "Deployment concurrency limit reached."  # what Prefect writes into a run that CANCEL_NEW drops


async def tell(client: PrefectClient, deployment: UUID, say: Say) -> None:
    """A line for every run of the deployment that ends, with how many were dropped meanwhile; now and then, if none
    ends, for those alone."""
    since, told, n_dropped, last = datetime.now(UTC), set[UUID](), 0, time.monotonic()
    while True:
        await asyncio.sleep(POLL)
        with suppress(Exception):  # the Runner asks the same server, and says what is wrong with it
            runs = [run for run in await read_runs(client, deployment, OVER, since) if run.id not in told]
            ended = [run for run in runs if _message(run) != TOO_EARLY]
            told |= {run.id for run in runs}
            n_dropped += len(runs) - len(ended)
            for run in ended:
                say(_line(run))
            if n_dropped and (ended or time.monotonic() - last > CALM):
                say(f"{clock()}  dropped {n_dropped}, due while another was running")
            if ended or time.monotonic() - last > CALM:
                n_dropped, last = 0, time.monotonic()


async def read_runs(
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


def is_ahead(run: FlowRun) -> bool:
    return run.state_type is StateType.SCHEDULED and _due(run) > datetime.now(UTC)


def _line(run: FlowRun) -> str:
    """When it was due, and what came of it; beneath, what failed by name."""
    first, *others = (_message(run) or "").splitlines() or [""]
    if run.state_type in (StateType.CRASHED, StateType.CANCELLED):
        first = f"{str(run.state_name).lower()}: {first}"
    return "\n  ".join([f"{clock(run.start_time or _due(run))}  {printable(first)}", *map(printable, others)])


def _message(run: FlowRun) -> str | None:
    return run.state.message if run.state else None


def _due(run: FlowRun) -> datetime:
    return run.expected_start_time or run.created or datetime.now(UTC)
