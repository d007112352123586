"""Schedules that fire by themselves, against a real Prefect server: as a deployment with a worker, and as served."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from flows.schedule import deployment_name
from tests.conftest import THERMOMETER
from tests.integration.conftest import ROOT, Place, Services, wait_for

pytestmark = pytest.mark.integration


def finished(place: Place, n: int) -> bool:
    return sum(run.info.status == "FINISHED" for run in place.runs()) >= n


def watch_two_runs(place: Place, data: Path) -> None:
    """A run fires by itself; a row is appended: there is a second, and no third, since nothing else changes."""
    wait_for(lambda: finished(place, 1), 240, "the first scheduled run")
    with open(data, "a") as file:
        file.write("45.0,7.0\n")
    wait_for(lambda: finished(place, 2), 120, "a scheduled run after the row was appended")
    first, second = place.runs()
    assert (first.data.metrics["n"], second.data.metrics["n"]) == (11, 12)
    assert first.data.tags["data_sha256"] != second.data.tags["data_sha256"]
    assert first.data.tags["prefect.flow_run_id"] != second.data.tags["prefect.flow_run_id"]


def deployment_of(data: Path) -> str:
    return f"retrain/{deployment_name(data)}"


def flow_runs(services: Services, *states: str) -> list[dict[str, Any]]:
    """All flow runs in these states, by their type."""
    wanted = {"flow_runs": {"state": {"type": {"any_": list(states)}}}, "limit": 200}
    return httpx.post(f"{services.prefect}/api/flow_runs/filter", json=wanted).json()


def test_a_deployment_from_prefect_yaml_fires_on_a_worker(place: Place, up: Services) -> None:
    project = place.folder / "project"
    for name in ("flows", "tempfit"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    (project / "data").mkdir()
    data = Path(shutil.copy(THERMOMETER, project / "data"))
    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    (deployment,) = declared["deployments"]
    deployment["schedules"] = [{"interval": 15}]  # the only change: the tests have no day to wait
    (project / "prefect.yaml").write_text(yaml.safe_dump(declared))

    api = {"PREFECT_API_URL": f"{up.prefect}/api", "PWD": str(project)}
    for command in (
        ["prefect", "--no-prompt", "work-pool", "create", "tempfit", "--type", "process"],
        ["prefect", "--no-prompt", "deploy", "--name", "thermometer"],
    ):
        done = place.run(*command, cwd=project, **api)
        assert done.returncode == 0, done.stdout + done.stderr
    with place.running("prefect", "worker", "start", "--pool", "tempfit", cwd=project, **api):
        watch_two_runs(Place(project), data)  # its runs are kept where it was deployed


def test_tempfit_serve_fires(place: Place, up: Services) -> None:
    folder = place.folder / "sensors"
    folder.mkdir()
    data = Path(shutil.copy(THERMOMETER, folder))
    log = place.folder / "tempfit-serve.log"
    with place.running("tempfit", "serve", str(folder), "--interval", "10s") as serve:  # finds that of `tempfit up`
        watch_two_runs(place, data)
        wait_for(lambda: "1 unchanged" in log.read_text(), 120, "a tick that has nothing to do")

        api = f"{up.prefect}/api/deployments"
        deployment = httpx.get(f"{api}/name/{deployment_of(folder)}").json()
        for parameters in ({"config": {"mlruns": "/elsewhere"}}, {"data": "/etc"}, {"config": {"learning_rat": 1}}):
            asked = httpx.post(f"{api}/{deployment['id']}/create_flow_run", json={"parameters": parameters})
            assert (asked.status_code, "Additional properties are not allowed" in asked.text) == (409, True)

        again = place.run("tempfit", "serve", str(folder), "--interval", "1h")
        assert again.returncode == 2
        assert f"is served already, for {folder} (process {serve.pid})" in again.stderr
    assert len(place.runs()) == 2
    assert up.process.poll() is None
    paused = httpx.get(f"{api}/{deployment['id']}").json()
    assert paused["paused"] is True  # no backlog while nothing serves it
    assert flow_runs(up, "SCHEDULED", "PENDING", "RUNNING") == []
    lines = log.read_text().splitlines()
    assert lines[0] == f"calibrating {folder} every 10s, as deployment {deployment_of(folder)}"
    assert lines[-1] == "stopped; the schedule is paused"
    told = r"[-\d]{10} [:\d]{8}  (1 calibrated|1 unchanged|dropped \d+, due while another was running).*"
    assert [line for line in lines[2:-1] if not re.fullmatch(told, line)] == []  # a line each, and no traceback


def test_one_tick_at_a_time_and_no_backlog_after_a_kill(place: Place, up: Services) -> None:
    """A tick is due every two seconds, and takes longer; `serve` is started as a script does it, deaf to Ctrl-C."""
    script = f"trap '' INT; exec tempfit serve {shutil.copy(THERMOMETER, place.folder)} --interval 2s"
    log = place.folder / "bash--c.log"
    with place.running("bash", "-c", script) as serve:
        most = 0

        def told(text: str) -> bool:
            nonlocal most
            most = max(most, len(flow_runs(up, "PENDING", "RUNNING")))
            return text in log.read_text()

        wait_for(lambda: told("due while another was running"), 240, "a tick that overtakes another")
        children = children_of(serve.pid)
        serve.kill()
    assert most == 1
    wait_for(lambda: not any(map(is_alive, children)), 60, "the end of its children")
    wait_for(lambda: len(flow_runs(up, "SCHEDULED")) > 3, 60, "a backlog")

    with place.running("bash", "-c", script) as serve:
        wait_for(lambda: "due while nothing served this" in log.read_text(), 120, "the backlog to be dropped")
        wait_for(lambda: any(map(is_alive, children_of(serve.pid))), 60, "a tick")
        children = children_of(serve.pid)
        serve.terminate()
        wait_for(lambda: serve.poll() is not None, 20, "the end of serve")
        assert serve.returncode == 0
    assert not any(map(is_alive, children))
    assert flow_runs(up, "SCHEDULED", "PENDING", "RUNNING") == []


def children_of(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(child) for child in listed.split()]


def is_alive(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return state != "" and not state.startswith("Z")
