"""Marks of flow runs that are under way: one whose process was killed is ended in Prefect by the next command.

Prefect itself would leave such a flow run RUNNING for good. (MLflow's run has a mark of its own, in tempfit.tracking.)
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from uuid import UUID

from httpx import HTTPError
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, PREFECT_HOME
from prefect.states import Crashed

from flows.delivery import failure_of_prefect
from flows.services.prefect_server import announced
from tempfit.system import leases
from tempfit.tracking.store import without_password

REASON = "Its process was killed, or could not tell this server how it ended."

held: dict[UUID, leases.Lease] = {}


def mark(flow: Any, flow_run: FlowRun, state: Any) -> None:
    """A hook for the start of a flow run."""
    if flow_run.id not in held:
        held[flow_run.id] = leases.hold(folder(), str(flow_run.id))


def unmark(flow: Any, flow_run: FlowRun, state: Any) -> None:
    """A hook for its end, when that is told to the server."""
    if flow_run.id in held:
        held.pop(flow_run.id).release()


MARKED: dict[str, Any] = {  # what a flow is declared with
    "persist_result": False,  # as tasks are: see there
    "on_running": [mark],
    **{f"on_{end}": [unmark] for end in ("completion", "failure", "crashed", "cancellation")},
}


def end_stale_flow_runs() -> None:
    """Mark flow runs of this server Crashed whose process is gone without having told it.

    Asks the server only where there is one. Raises ServiceError when it does not answer.
    """
    for flow_run_id, _ in leases.abandoned(folder()):
        try:
            with get_client(sync_client=True) as client:
                flow_run = client.read_flow_run(UUID(flow_run_id))
                if flow_run.state is not None and not flow_run.state.is_final():
                    client.set_flow_run_state(flow_run.id, Crashed(message=REASON), force=True)
        except ObjectNotFound:  # deleted meanwhile
            continue
        except HTTPError as error:
            raise failure_of_prefect(error) from error


def folder() -> Path:
    """Of the marks of flow runs of the server in use; the one that tempfit starts has another address each time."""
    home, address, shared = Path(PREFECT_HOME.value()) / "tempfit" / "flow-runs", PREFECT_API_URL.value(), announced()
    if address is None or (shared is not None and address == shared.api_url):
        return home
    return home / hashlib.sha256(without_password(address).encode()).hexdigest()[:12]
