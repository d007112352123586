"""Who is answered by a server on the loopback interface, and what Prefect's own server says behind that guard."""

from __future__ import annotations

import pytest
from prefect.server.api.server import create_app
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket

from flows.services.guard import LoopbackOnly

OWN = "127.0.0.1:4200"


async def _page(request: object) -> PlainTextResponse:
    return PlainTextResponse("seen")


async def _events(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("seen")
    await socket.close()


@pytest.fixture(scope="module")
def guarded() -> TestClient:
    app = Starlette(routes=[Route("/", _page, methods=["GET", "POST", "OPTIONS"]), WebSocketRoute("/events", _events)])
    return TestClient(LoopbackOnly(app))


def headers(host: str, origin: str | None) -> dict[str, str]:
    return {"host": host} | ({"origin": origin} if origin is not None else {})


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (OWN, None),  # Prefect's client, curl
        (OWN, "http://127.0.0.1:4200"),
        ("localhost:4200", "http://localhost:4200"),
        (OWN, "http://localhost:4200"),  # the same server by its other name
        ("[::1]:4200", "http://[::1]:4200"),
        ("localhost:9999", "http://localhost:9999"),  # an ssh tunnel from another port
        ("localhost", "http://localhost"),  # port 80 is not written
    ],
)
def test_this_machine_is_answered(guarded: TestClient, host: str, origin: str | None) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        assert guarded.request(method, "/", headers=headers(host, origin)).text == "seen"
    with guarded.websocket_connect("/events", headers=headers(host, origin)) as socket:
        assert socket.receive_text() == "seen"


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (OWN, "http://evil.example"),
        (OWN, "http://evil.example:4200"),
        (OWN, "https://127.0.0.1.evil.example:4200"),
        (OWN, "http://127.0.0.1:4200@evil.example"),
        (OWN, "http://evil.example@127.0.0.1:4200"),
        (OWN, "http://localhost:5000"),  # another server of this machine, with pages of its own
        (OWN, "null"),  # a sandboxed frame, a file
        (OWN, ""),
        (OWN, "file://"),
        ("evil.example:4200", None),  # DNS rebinding: its own origin, at our address
        ("evil.example:4200", "http://evil.example:4200"),
        ("localhost.evil.example:4200", None),
        ("localhost:4200@evil.example", None),
        ("192.168.1.5:4200", None),
        ("0.0.0.0:4200", None),
        ("localhost:port", None),
        ("", None),
    ],
)
def test_others_are_refused(guarded: TestClient, host: str, origin: str | None) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        answer = guarded.request(method, "/", headers=headers(host, origin))
        assert (answer.status_code, "seen" in answer.text) == (403, False)
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        guarded.websocket_connect("/events", headers=headers(host, origin)),
    ):
        pass
    assert refused.value.status_code == 403


def test_two_hosts_are_refused(guarded: TestClient) -> None:
    twice = [("host", OWN), ("host", "evil.example")]
    assert guarded.get("/", headers=twice).status_code == 403
    assert guarded.get("/", headers=[("host", OWN), ("origin", f"http://{OWN}"), ("origin", "null")]).status_code == 403


@pytest.mark.usefixtures("prefect_server")
def test_prefects_deployments_are_listed_for_its_own_page_only() -> None:
    client = TestClient(LoopbackOnly(create_app(ephemeral=True, ignore_cache=True)))  # with the session's database
    address = f"http://{OWN}/api/deployments/filter"
    assert client.post(address, json={}, headers={"origin": f"http://{OWN}"}).json() == []
    assert client.post(address, json={}).status_code == 200
    for foreign in ({"origin": "http://evil.example"}, {"host": "evil.example:4200"}):
        refused = client.post(address, json={}, headers=foreign)
        assert (refused.status_code, "access-control-allow-origin" in refused.headers) == (403, False)
    preflight = {"origin": "http://evil.example", "access-control-request-method": "POST"}
    assert client.options(address, headers=preflight).status_code == 403
