"""What a flow computed outlives the services that were to record it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from httpx import HTTPError, HTTPStatusError, TimeoutException
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from flows.services.prefect_server import is_crowded
from flows.tasks import Watcher, watched
from tempfit.errors import ServiceError
from tempfit.tracking.store import without_password

CROWD_TIMEOUT, CROWD_RETRIES = 60.0, 5  # seconds, and times: what Prefect takes where nothing is said

Computed = TypeVar("Computed")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Delivery(Generic[Computed, Result]):
    """What came of a flow.

    computed: the calibration or sweep. result: the flow's own; None where its run in MLflow is not whole. failure: what
    was not recorded, and why; None where all was.
    """

    computed: Computed
    result: Result | None
    failure: Exception | None = None


def run_flow(flow: Callable[..., Result], watcher: Watcher, *arguments: Any) -> Delivery[Any, Result]:
    """Run a flow of ours with somebody looking on; what it computed is kept whatever fails after that.

    Raises what fails before: ServiceError where it is Prefect.
    """
    computed: list[Any] = []
    tracked: list[Result] = []
    watcher = replace(watcher, on_computed=computed.append, on_tracked=tracked.append)
    with watched(watcher), temporary_settings(_patience()):
        try:
            result = flow(*arguments)
        except Exception as error:
            of_prefect = next((e for e in (error, error.__cause__) if isinstance(e, HTTPError)), None)
            failure = error if of_prefect is None else failure_of_prefect(of_prefect)
            if not computed:
                raise failure from error
            return Delivery(computed[0], tracked[0] if tracked else None, failure)
    return Delivery(computed[0], result)


def _patience() -> dict[Any, Any]:
    """With a server that a crowd shares, Prefect's own: its answers take long, and its database is locked at times."""
    if not is_crowded():
        return {}
    return {
        PREFECT_API_REQUEST_TIMEOUT: max(PREFECT_API_REQUEST_TIMEOUT.value(), CROWD_TIMEOUT),
        PREFECT_CLIENT_MAX_RETRIES: max(PREFECT_CLIENT_MAX_RETRIES.value(), CROWD_RETRIES),
    }


def failure_of_prefect(error: HTTPError) -> ServiceError:
    """What Prefect's client failed with, in a line."""
    if isinstance(error, HTTPStatusError):
        cause = f"it answers with status {error.response.status_code}"
    elif isinstance(error, TimeoutException):
        cause = f"no answer in {PREFECT_API_REQUEST_TIMEOUT.value():g} s (PREFECT_API_REQUEST_TIMEOUT)"
    else:
        cause = "nothing answers there any more"
    address = without_password(str(PREFECT_API_URL.value()))
    return ServiceError(f"the flow run is not recorded by the Prefect server at {address}: {cause}")
