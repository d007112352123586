"""Who may talk to a server on the loopback interface: programs of this machine, and the pages that it serves itself.

Such a server has no login, and any page that a browser shows can send requests to it. The page's own address stands in
Origin, which browsers let no page forge. A page whose name was made to resolve to 127.0.0.1 (DNS rebinding) is of the
same origin as the server, but has its own name in Host.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class LoopbackOnly:
    """Refuses requests and WebSockets with a foreign Host or Origin by 403, before the app sees them (ASGI).

    Host must be a loopback name or address, with any port: an ssh tunnel may lead here from another one. Origin, where
    there is one, must be of a loopback name or address and of the port in Host.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            refusal = _refusal(scope["headers"])
            if refusal is not None:
                from starlette.responses import PlainTextResponse

                await PlainTextResponse(refusal, 403)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _refusal(headers: list[tuple[bytes, bytes]]) -> str | None:
    """Why a request with these headers is refused; None where it is not."""
    hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
    ports = {_loopback_port(f"http://{host}") for host in hosts}
    if len(ports) != 1 or None in ports:
        return "this server answers to localhost, 127.0.0.1 and [::1] only"
    origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
    if any(_loopback_port(origin) not in ports for origin in origins):
        return "this server answers its own pages and no others"
    return None


def _loopback_port(url: str) -> int | None:
    """The port of an http or https address on this machine; None for any other address, or none."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        if parts.netloc != parts.netloc.rpartition("@")[2] or parts.path or parts.query or parts.fragment:
            return None  # neither header has a user or a path
        return port if parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback else None
    except (ValueError, KeyError):
        return None
