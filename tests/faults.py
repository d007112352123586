"""A server in front of another that fails from the n-th request on, in the ways that servers do."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Mode = Literal["dies", "answers 500", "hangs", "loses the answer"]
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"}


class FaultyProxy(ThreadingHTTPServer):
    """Passes requests on to `target`; from request number `first` (counted from 1) on it fails as `mode` says.

    "dies": the connection is cut, and nothing listens any more. "loses the answer": the same, but the first such
    request was still obeyed. "hangs": accepts and never answers.
    """

    daemon_threads = True

    def __init__(self, target: str, first: int, mode: Mode, port: int):
        super().__init__(("127.0.0.1", port), _Handler)
        address = urlsplit(target)
        self.target = (address.hostname or "", address.port or 80)
        self.first, self.mode = first, mode
        self.requests: list[str] = []
        self.authorizations: set[str] = set()
        self.lock = threading.Lock()
        self.over = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is gone is no news here."""


@contextmanager
def faulty(target: str, first: int, mode: Mode, port: int = 0) -> Iterator[FaultyProxy]:
    """The proxy while the block lasts; port: where, 0 for any that is free."""
    proxy = FaultyProxy(target, first, mode, port)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.over.set()
        proxy.shutdown()
        proxy.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.lock:
            self.server.requests.append(f"{self.command} {urlsplit(self.path).path}")
            self.server.authorizations.add(self.headers.get("Authorization") or "")
            n = len(self.server.requests)
        if n < self.server.first:
            self._answer(*self._forward(body))
            return
        match self.server.mode:
            case "answers 500":
                self._answer(500, {"Content-Type": "text/plain"}, b"internal error")
            case "hangs":
                self.server.over.wait()
                self.close_connection = True
            case "loses the answer" if n == self.server.first:
                self._forward(body)
                self._die()
            case _:
                self._die()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _handle

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(*self.server.target, timeout=60)
        kept = {key: value for key, value in self.headers.items() if key.lower() not in {"host", "connection"}}
        connection.request(self.command, self.path, body, kept)
        response = connection.getresponse()
        headers = {key: value for key, value in response.getheaders() if key.lower() not in HOP_BY_HOP}
        return response.status, headers, response.read()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _die(self) -> None:
        self.server.socket.close()
        self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:
        """Not on the tests' standard error."""
