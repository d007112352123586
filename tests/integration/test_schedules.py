"""Schedules that fire by themselves, against a real Prefect server: as a deployment with a worker, and as served."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.conftest import THERMOMETER
from tests.integration.conftest import ROOT, Place, Services, wait_for

pytestmark = pytest.mark.integration


def finished(place: Place, n: int) -> bool:
    return sum(run.info.status == "FINISHED" for run in place.runs()) >= n


def watch_two_runs(place: Place, data: Path) -> None:
    """Two runs fire by themselves; a row appended between them is in the second."""
    wait_for(lambda: finished(place, 1), 240, "the first scheduled run")
    before = len(place.runs())
    with open(data, "a") as file:
        file.write("45.0,7.0\n")
    wait_for(lambda: finished(place, before + 1), 120, "a scheduled run after the row was appended")
    wait_for(lambda: place.runs()[-1].data.metrics.get("n") == 12 or len(place.runs()) > before + 2, 60, "the row")
    runs = place.runs()
    assert runs[0].data.metrics["n"] == 11
    assert runs[-1].data.metrics["n"] == 12
    assert len({run.data.tags["data_sha256"] for run in runs}) == 2
    assert all("prefect.flow_run_id" in run.data.tags for run in runs)


def test_a_deployment_from_prefect_yaml_fires_on_a_worker(place: Place, up: Services) -> None:
    project = place.folder / "project"
    for name in ("flows", "tempfit"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    (project / "data").mkdir()
    data = Path(shutil.copy(THERMOMETER, project / "data"))
    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    (deployment,) = declared["deployments"]
    deployment["schedules"] = [{"interval": 15}]  # the only change: the tests have no day to wait
    deployment["parameters"]["config"]["mlruns"] = str(place.mlruns)
    (project / "prefect.yaml").write_text(yaml.safe_dump(declared))

    api = {"PREFECT_API_URL": f"{up.prefect}/api", "PWD": str(project)}
    for command in (
        ["prefect", "--no-prompt", "work-pool", "create", "tempfit", "--type", "process"],
        ["prefect", "--no-prompt", "deploy", "--name", "thermometer"],
    ):
        done = place.run(*command, cwd=project, **api)
        assert done.returncode == 0, done.stdout + done.stderr
    with place.running("prefect", "worker", "start", "--pool", "tempfit", cwd=project, **api):
        watch_two_runs(place, data)


def test_tempfit_serve_fires(place: Place, up: Services) -> None:
    folder = place.folder / "sensors"
    folder.mkdir()
    data = Path(shutil.copy(THERMOMETER, folder))
    with place.running("tempfit", "serve", str(folder), "--interval", "15s"):  # finds the server of `tempfit up`
        watch_two_runs(place, data)
    assert up.process.poll() is None
    paused = place.run("prefect", "deployment", "inspect", "retrain/sensors", PREFECT_API_URL=f"{up.prefect}/api")
    assert "'paused': True" in paused.stdout, paused.stdout  # no backlog while nothing serves it
