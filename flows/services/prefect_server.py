"""One Prefect server for all commands of a user, started when the first needs it and ended after the last.

Prefect would start a server per process and end it with the process: that loses task runs, fails when many start at
once, and begins only after the libraries are imported. This one starts beside the imports and is shared. A server that
`tempfit up` started is announced the same way, so commands join that.

Nothing of Prefect is imported here but in the server's own process.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import ProxyHandler, build_opener

from filelock import FileLock

from flows.services.prefect_settings import is_configured
from tempfit.errors import ServiceError
from tempfit.system import leases
from tempfit.system.files import replaced

if TYPE_CHECKING:
    import uvicorn

START_LIMIT = 600  # seconds; the first start of all runs migrations, and twenty processes may be importing beside it
BIRTH_LIMIT = 60  # seconds until the server's process must hold its lease
LINGER = 3  # seconds that a server waits for another command after its last

_direct = build_opener(ProxyHandler({}))  # a proxy has no business with the loopback interface


@dataclass(frozen=True)
class PrefectServer:
    """A Prefect server on the loopback interface that this process may use until it ends."""

    port: int
    started: float
    log: str
    lasting: bool  # whether it runs until it is stopped, rather than until its last client ends

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def wait(self) -> None:
        """Return once the server answers. Raises ServiceError when it does not start."""
        deadline = time.monotonic() + START_LIMIT
        while not is_healthy(f"{self.api_url}/ready"):  # with its database
            if time.monotonic() > deadline or not self.is_alive():
                raise ServiceError(f"the Prefect server did not start ({last_line(Path(self.log))}); see {self.log}")
            time.sleep(0.05)

    def is_alive(self) -> bool:
        """Whether its process lives, or is young enough to be still on its way."""
        return leases.is_held(_home() / "servers", str(self.port)) or time.time() - self.started < BIRTH_LIMIT


def start_server() -> PrefectServer | None:
    """Join the shared server, or start it; None when Prefect is configured to use another one.

    Returns before the server answers: import what is needed meanwhile, then `wait`.
    """
    if is_configured():
        return None
    with _whole():
        server = announced()
        if server is None:
            server = PrefectServer(free_port(), time.time(), str(_home() / "server.log"), lasting=False)
            _launch(server)
            _announce(server)
        leases.hold(_home() / "clients", f"{os.getpid()}-{time.time_ns()}")  # until this process ends
    return server


def announced() -> PrefectServer | None:
    """The shared server that others announced, if it lives."""
    try:
        server = PrefectServer(**json.loads((_home() / "server.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return server if server.is_alive() else None


def is_crowded() -> bool:
    """Whether more commands share the server with this one than there are cores."""
    return leases.count_held(_home() / "clients") > (os.cpu_count() or 1)


class Announcement:
    """Lets commands of the same user join a lasting server at this port, from `make` to `withdraw`."""

    def __init__(self, port: int, log: Path):
        self.server = PrefectServer(port, time.time(), str(log), lasting=True)
        self.lease: leases.Lease | None = None

    def make(self) -> None:
        self.lease = leases.hold(_home() / "servers", str(self.server.port))
        with _whole():
            _announce(self.server)

    def withdraw(self) -> None:
        if self.lease is None:
            return
        with _whole():
            _withdraw(self.server.port)
        self.lease.release()


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def is_healthy(url: str) -> bool:
    """Whether a service answers there."""
    try:
        with _direct.open(url, timeout=5) as response:
            return bool(response.status == 200)
    except (OSError, HTTPException):
        return False


def last_line(log: Path) -> str:
    """The last line of a log that says something, for an error message."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it left no log"


def log_folder() -> Path:
    """Where services that tempfit starts keep their logs."""
    _home().mkdir(parents=True, exist_ok=True)
    return _home()


def server_command(port: int, lasting: bool) -> list[str]:
    """The command that runs a Prefect server at this port of the loopback interface.

    A lasting one has Prefect's UI and all of its background services, and runs until it is stopped. Another has what
    Prefect's own embedded server has, and ends a few seconds after its last client.
    """
    return [sys.executable, "-m", "flows.services.prefect_server", str(port), *(["--lasting"] if lasting else [])]


def server_environment(port: int) -> dict[str, str]:
    """What such a server's process is told by its environment."""
    return {
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_UI_API_URL": "/api",  # where the page came from, at the other end of a tunnel too
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port},http://localhost:{port}",
    }


def _serve(port: int, lasting: bool) -> None:
    """Run the server: its own process."""
    # (`tempfit up` holds the lease of a lasting server, which is announced once it is healthy.)
    lease = None if lasting else leases.hold(_home() / "servers", str(port))
    import uvicorn
    from prefect.server.api.server import create_app

    from flows.services.guard import LoopbackOnly

    app = LoopbackOnly(create_app(ephemeral=not lasting, final=True))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    if lease is not None:
        threading.Thread(target=_end_after_last_client, args=(server, port), daemon=True).start()
    server.run()
    if lease is not None:
        lease.release()


def _end_after_last_client(server: uvicorn.Server, port: int) -> None:
    """End the server LINGER seconds after its last client: a thread of its process."""
    idle_since = time.monotonic()
    while not server.should_exit:
        time.sleep(0.25)
        if leases.any_held(_home() / "clients"):
            idle_since = time.monotonic()
        elif time.monotonic() - idle_since > LINGER:
            with _whole():  # a command that starts now either has its lease already or finds no announcement
                if leases.any_held(_home() / "clients"):
                    continue
                _withdraw(port)
            server.should_exit = True
    for _ in leases.abandoned(_home() / "clients"):
        pass
    time.sleep(30)
    os._exit(0)  # an orderly end that takes this long will not come


def _launch(server: PrefectServer) -> None:
    environment = os.environ | server_environment(server.port) | {"PREFECT_SERVER_UI_ENABLED": "0"}
    with open(server.log, "wb") as log:
        subprocess.Popen(
            server_command(server.port, lasting=False),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=_home(),
            env=environment,
            start_new_session=True,  # it outlives this command, and Ctrl-C is not for it
        )


def _announce(server: PrefectServer) -> None:
    with replaced(_home() / "server.json") as part:
        part.write_text(json.dumps(asdict(server)), encoding="utf-8")


def _withdraw(port: int) -> None:
    server = announced()
    if server is not None and server.port == port:
        (_home() / "server.json").unlink()


def _whole() -> FileLock:
    return FileLock(log_folder() / "start.lock", timeout=60)


def _home() -> Path:
    return _prefect_home() / "tempfit"


def _prefect_home() -> Path:
    return Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser().resolve()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), lasting="--lasting" in sys.argv[2:])
