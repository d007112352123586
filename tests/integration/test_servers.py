"""Prefect's servers as tempfit starts them, asked as a page in a browser would ask."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.integration.conftest import Place, Services

pytestmark = pytest.mark.integration

EVIL = "http://evil.example"


@contextmanager
def shared(place: Place) -> Iterator[str]:
    """The address of the server that starts beside a command."""
    code = (
        "from flows.services.prefect_server import start_server as start; "
        "s = start(); s.wait(); print(s.port, flush=True); input()"
    )
    command = [sys.executable, "-P", "-c", code]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=place.folder, env=place.environment, text=True, **pipes) as process:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.communicate("\n", timeout=60)


def probe(address: str) -> None:
    """Who is answered at this address: on every path, in every way."""
    with SyncPrefectClient(f"{address}/api") as client:  # Prefect's own client is
        flow_id = client.create_flow_from_name("probed")
        deployment = client.create_deployment(flow_id, "probed")
    start, look = f"{address}/api/deployments/{deployment}/create_flow_run", f"{address}/api/deployments/filter"
    by_name = address.replace("127.0.0.1", "localhost")
    port = address.rpartition(":")[2]
    with httpx.Client(trust_env=False, timeout=60) as browser:
        for foreign in ({"origin": EVIL}, {"origin": "null"}, {"host": f"evil.example:{port}"}):
            for method, path in (("POST", look), ("POST", start), ("GET", f"{address}/"), ("OPTIONS", look)):
                asked = {**foreign, "access-control-request-method": "POST"}
                answer = browser.request(method, path, json={} if method == "POST" else None, headers=asked)
                assert answer.status_code == 403, (method, path, foreign)
                assert "access-control-allow-origin" not in answer.headers
        assert browser.post(f"{address}/api/flow_runs/filter", json={}).json() == []  # none was started
        for own in (address, by_name):
            answer = browser.post(look.replace(address, own), json={}, headers={"origin": own})
            assert (answer.status_code, [found["name"] for found in answer.json()]) == (200, ["probed"])
            assert answer.headers.get("access-control-allow-origin") in (None, own)
        tunnelled = {"host": "localhost:9999", "origin": "http://localhost:9999"}
        answer = browser.post(start, json={}, headers=tunnelled)
        assert answer.status_code == 201
        assert answer.headers.get("access-control-allow-origin") is None
        assert len(browser.post(f"{address}/api/flow_runs/filter", json={}).json()) == 1
    for name, origin in ((f"127.0.0.1:{port}", EVIL), (f"evil.example:{port}", None)):
        with pytest.raises(InvalidStatus) as refused, subscribed(port, name, origin):
            pass
        assert refused.value.response.status_code == 403
    for origin in (None, address):
        with subscribed(port, f"127.0.0.1:{port}", origin) as events:
            assert events.subprotocol == "prefect"


def subscribed(port: str, host: str, origin: str | None) -> ClientConnection:
    """A subscription to Prefect's events at this port, asked for under this Host."""
    connection = socket.create_connection(("127.0.0.1", int(port)))
    address = f"ws://{host}/api/events/out"
    return connect(address, sock=connection, origin=origin, subprotocols=["prefect"], proxy=None)


def test_the_shared_server_answers_no_foreign_page(place: Place) -> None:
    with shared(place) as address:
        probe(address)


def test_the_server_of_up_answers_no_foreign_page_and_serves_its_own(shared_up: Services) -> None:
    probe(shared_up.prefect)
    with httpx.Client(trust_env=False, timeout=60, follow_redirects=True) as browser:
        page = browser.get(shared_up.prefect, headers={"accept": "text/html"})
        assert page.status_code == 200
        (script,) = re.findall(r'<script type="module"[^>]* src="([^"]+)"', page.text)[:1]
        assert browser.get(f"{shared_up.prefect}{script}").status_code == 200
        told = browser.get(f"{shared_up.prefect}/ui-settings").json()
        assert told["api_url"] == "/api"  # relative: through a tunnel, the page asks where it came from
        assert browser.get(f"{shared_up.prefect}/api/admin/settings").json()["server"]["analytics_enabled"] is False


def test_up_is_four_processes(shared_up: Services) -> None:
    """itself, Prefect's server, MLflow's and the one that MLflow's starts; with MLflow's job runners they were 12."""
    if not Path("/proc").is_dir():
        pytest.skip("processes are counted in /proc")
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended
    family = {shared_up.process.pid}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    assert len(family) == 4
