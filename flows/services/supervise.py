"""Services that run until they are stopped: Prefect's server and MLflow's UI, on the loopback interface."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from flows.services.prefect_server import (
    is_healthy,
    last_line,
    log_folder,
    server_command,
    server_environment,
)
from flows.services.prefect_settings import is_configured
from tempfit.errors import ServiceError
from tempfit.system.interrupts import deaf, stoppable

START_LIMIT = 300  # seconds until a service must answer; a first start creates its database
STOP_LIMIT = 5  # seconds for an orderly end; then the whole process group is killed


@dataclass(frozen=True, eq=False)
class Service:
    """A program that answers on a port: how to start it, how to see that it is well, where its page is."""

    name: str
    command: Sequence[str]
    port: int
    health: str
    option: str  # which chooses another port
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return log_folder() / f"{self.name.lower().replace(' ', '-')}-{self.port}.log"


def prefect_service(port: int) -> Service:
    """Prefect's server with its UI and its scheduler."""
    return Service(
        "Prefect server",
        server_command(port, lasting=True),
        port,
        "/api/health",
        "`prefect_port`",
        server_environment(port),
    )


def prefect_is_elsewhere(port: int) -> bool:
    """Whether Prefect is told to use a server that is not the one which `prefect_service` would start at this port."""
    if not is_configured():
        return False
    from prefect.settings import PREFECT_API_URL  # by whatever of Prefect's ways it was told

    url = urlsplit(PREFECT_API_URL.value() or f"http://127.0.0.1:{port}")
    return (url.hostname, url.port) not in (("127.0.0.1", port), ("localhost", port))


def mlflow_service(folder: Path, port: int, option: str) -> Service:
    """MLflow's UI over the runs in `folder`. Raises ServiceError when they cannot be opened or are on a server."""
    from tempfit.tracking.ui import UI_ENVIRONMENT, ui_command

    environment = {name: os.environ.get(name, value) for name, value in UI_ENVIRONMENT.items()}
    return Service("MLflow UI", ui_command(folder, port), port, "/health", option, environment)


def run_services(services: Sequence[Service], on_ready: Callable[[], None]) -> None:
    """Start the services, call `on_ready` once all are healthy, and wait for Ctrl-C or SIGTERM; then stop them all.

    Ctrl-C ends them in order at any time, while they start too: it is how they are meant to be stopped.
    Raises ServiceError when a port is taken, or a service does not start or ends by itself; none is left running.
    """
    for service in services:
        _refuse_taken_port(service)
    with suppress(KeyboardInterrupt, SystemExit), stoppable(), ExitStack() as stack:
        processes = {service: stack.enter_context(_running(service)) for service in services}
        _wait_until_healthy(processes)
        on_ready()
        while not _ended(processes):
            time.sleep(0.5)
        service = _ended(processes)[0]
        raise ServiceError(f"the {service.name} ended by itself ({last_line(service.log)}); see {service.log}")


@contextmanager
def _running(service: Service) -> Iterator[subprocess.Popen[bytes]]:
    with open(service.log, "wb") as log:
        process = subprocess.Popen(
            service.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | service.environment,
            start_new_session=True,  # a process group of its own, so that none of its workers stays behind
        )
    try:
        yield process
    finally:
        with deaf(writing=False):
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process group: politely, then not."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, signum)
            process.wait(STOP_LIMIT)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue


def _wait_until_healthy(processes: Mapping[Service, subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + START_LIMIT
    for service, process in processes.items():
        while not is_healthy(service.address + service.health):
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServiceError(f"the {service.name} did not start ({last_line(service.log)}); see {service.log}")
            time.sleep(0.2)


def _ended(processes: Mapping[Service, subprocess.Popen[bytes]]) -> list[Service]:
    return [service for service, process in processes.items() if process.poll() is not None]


def _refuse_taken_port(service: Service) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", service.port))
        except OSError:
            raise ServiceError(
                f"port {service.port} is taken, so the {service.name} cannot start: is it running already at "
                f"{service.address}? Otherwise choose another port with {service.option}"
            ) from None
