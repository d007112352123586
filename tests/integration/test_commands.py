"""Commands as a user runs them: as processes, with nothing started before and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.services.prefect_server import free_port, is_healthy
from tempfit.choices import settings_in_play
from tempfit.config import CalibrationConfig
from tempfit.system import leases
from tempfit.tracking.store import PARENT_TAG
from tests.conftest import T_C, T_U, THERMOMETER
from tests.integration.conftest import ROOT, Place, Services, wait_for

pytestmark = pytest.mark.integration


def test_twenty_processes_on_an_mlruns_that_does_not_exist_yet(place: Place) -> None:
    command = ["tempfit", "calibrate", str(THERMOMETER), "--json"]
    started = [
        subprocess.Popen(
            command, cwd=place.folder, env=place.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(20)
    ]
    results = []
    for process in started:
        out, err = process.communicate(timeout=550)
        assert process.returncode == 0, err
        assert "Traceback" not in err
        results.append(json.loads(out))
    assert len({result["run_id"] for result in results}) == 20
    runs = place.runs()
    assert {run.info.run_id for run in runs} == {result["run_id"] for result in results}
    for run, result in zip(
        runs, sorted(results, key=lambda r: [x.info.run_id for x in runs].index(r["run_id"])), strict=True
    ):
        assert run.info.status == "FINISHED"
        assert run.data.metrics["w"] == result["w"]
        assert run.outputs.model_outputs
        assert all(Path(path).stat().st_size > 0 for path in result["artifacts"].values())
        assert len(result["artifacts"]) == 7
    home = place.folder / "prefect" / "tempfit"
    wait_for(lambda: not leases.any_held(home / "servers"), 60, "the end of the shared server")
    assert not (home / "server.json").exists()
    with sqlite3.connect(place.folder / "prefect" / "prefect.db") as prefect:
        # The completed alone: a client that waits too long asks again, and its first request may yet be heard.
        completed = "FROM {} WHERE state_type = 'COMPLETED'"
        names = prefect.execute(f"SELECT name {completed.format('flow_run')}").fetchall()
        assert names == [("calibrate thermometer.csv, standardize, sgd 0.5",)] * 20
        assert prefect.execute(f"SELECT count(*) {completed.format('task_run')}").fetchone() == (120,)


def test_the_script_and_stdin_are_the_same_command(place: Place) -> None:
    done = place.run(sys.executable, str(ROOT / "flows" / "calibrate.py"), str(THERMOMETER), "--json")
    assert done.returncode == 0, done.stderr
    piped = subprocess.run(
        ["tempfit", "calibrate", "-", "--json"],
        cwd=place.folder,
        env=place.environment,
        input=THERMOMETER.read_text(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert piped.returncode == 0, piped.stderr
    by_script, by_pipe = json.loads(done.stdout), json.loads(piped.stdout)
    assert by_script["w"] == by_pipe["w"]
    assert by_script["data"]["sha256"] == by_pipe["data"]["sha256"]
    assert [run.info.status for run in place.runs()] == ["FINISHED", "FINISHED"]


def test_a_proxy_is_not_asked_for_the_services_on_this_machine(place: Place) -> None:
    nowhere = dict.fromkeys(("http_proxy", "HTTP_PROXY"), "http://127.0.0.1:9")
    done = place.run("tempfit", "calibrate", str(THERMOMETER), **nowhere)
    assert done.returncode == 0, done.stderr
    assert [run.info.status for run in place.runs()] == ["FINISHED"]


def test_a_fault_deep_in_a_large_file_exits_2_with_one_line_and_no_run(place: Place) -> None:
    data = place.folder / "large.csv"
    data.write_text("t_u,t_c\n" + "1.5,2.5\n2.5,3.5\n" * 20_000 + "3.5,warm\n")
    done = place.run("tempfit", "calibrate", "large.csv")
    assert done.returncode == 2
    assert done.stdout == ""
    assert (
        done.stderr == "error: large.csv: line 40002, column 't_c': 'warm' is not a number; correct or remove the row\n"
    )
    assert place.runs() == []


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, "KILLED"), (signal.SIGKILL, "FAILED")])
def test_a_killed_command_leaves_no_running_run(place: Place, signum: signal.Signals, status: str) -> None:
    endless = ["--learning-rate", "1e-9", "--n-epochs", "10000000", "--tolerance", "0"]
    process = subprocess.Popen(
        ["tempfit", "calibrate", str(THERMOMETER), *endless],
        cwd=place.folder,
        env=place.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: any(run.data.params for run in place.runs()), 120, "the start of the run")
    time.sleep(2)  # into the training
    os.kill(process.pid, signum)
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    assert process.returncode == (143 if signum == signal.SIGTERM else -signal.SIGKILL)
    if signum == signal.SIGKILL:
        assert place.runs()[0].info.status == "RUNNING"
        done = place.run("tempfit", "calibrate", str(THERMOMETER))  # sweeps
        assert done.returncode == 0, done.stderr
    assert place.runs()[0].info.status == status
    assert place.runs()[0].data.tags["error"]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_sweep_stopped_while_it_records_leaves_no_running_run(place: Place, signum: signal.Signals) -> None:
    axes = ["--grid", "learning_rate=1e-5..1e-1:200", "--grid", "scaling=none,factor,minmax,standardize"]
    with place.running("tempfit", "sweep", str(THERMOMETER), *axes) as process:
        wait_for(lambda: len(place.runs()) > 5, 180, "the first child runs")
        process.send_signal(signum)
        assert process.wait(60) == (143 if signum == signal.SIGTERM else 130)
    runs = place.runs()
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert [run.info.status for run in parents] == ["KILLED"]
    assert 5 < len(runs) < 801
    assert {run.info.status for run in runs} <= {"KILLED", "FAILED", "FINISHED"}


def test_up_serves_both_and_commands_join(place: Place, up: Services) -> None:
    done = place.run("tempfit", "calibrate", str(THERMOMETER))
    assert done.returncode == 0, done.stderr
    assert up.mlflow in done.stdout  # the link leads to where the UI is
    with (
        temporary_settings({PREFECT_API_URL: f"{up.prefect}/api"}),
        get_client(sync_client=True) as client,
    ):
        assert [run.name for run in client.read_flow_runs()] == ["calibrate thermometer.csv, standardize, sgd 0.5"]
    run_id = place.runs()[0].info.run_id
    for page in (
        f"{up.mlflow}/",
        f"{up.mlflow}/get-artifact?path=figures/line.png&run_uuid={run_id}",
        f"{up.prefect}/",
    ):
        with urllib.request.urlopen(page, timeout=20) as response:
            assert response.status == 200
    taken = place.run("tempfit", "ui", "--port", up.mlflow.rpartition(":")[2])
    assert taken.returncode == 1
    assert "is taken" in taken.stderr
    assert taken.stderr.count("\n") == 1

    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(30) == 0
    assert not is_healthy(f"{up.prefect}/api/health")
    assert not is_healthy(f"{up.mlflow}/health")


def test_with_a_tracking_server_runs_go_there(shared_up: Services) -> None:
    done = shared_up.place.run("tempfit", "calibrate", str(THERMOMETER), "--json", MLFLOW_TRACKING_URI=shared_up.mlflow)
    assert done.returncode == 0, done.stderr
    (run,) = shared_up.place.runs()
    assert run.info.run_id == json.loads(done.stdout)["run_id"]
    assert run.info.status == "FINISHED"
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    url = f"{shared_up.mlflow}/get-artifact?path=calibration.json&run_uuid={run.info.run_id}"
    with urllib.request.urlopen(url, timeout=20) as response:
        assert json.load(response)["n"] == len(T_U) == len(T_C)


def test_with_a_tracking_server_a_sweep_and_all_its_children_go_there(shared_up: Services) -> None:
    """Children are written by several threads at once."""
    axes = ["--grid", "learning_rate=1e-2,0.1,0.5,5", "--grid", "scaling=none,factor,standardize"]
    command = ["tempfit", "sweep", str(THERMOMETER), *axes, "--json", "--experiment", "sweep"]
    done = shared_up.place.run(*command, MLFLOW_TRACKING_URI=shared_up.mlflow)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["n_members"] == 12
    client = MlflowClient(tracking_uri=shared_up.mlflow)
    parent = client.get_run(result["run_id"])
    children = client.search_runs([parent.info.experiment_id], f"tags.`{PARENT_TAG}` = '{parent.info.run_id}'")
    assert len(shared_up.place.runs("sweep")) == 13
    assert len({child.data.tags["tempfit.member"] for child in children}) == 12
    assert {run.info.status for run in [parent, *children]} == {"FINISHED"}
    for child in children:
        member = result["members"][int(child.data.tags["tempfit.member"])]
        assert child.data.tags["outcome"] == member["outcome"]
        config = CalibrationConfig(**member["settings"])
        assert set(child.data.params) == set(settings_in_play(config, ["learning_rate", "scaling"]))
        assert child.data.metrics["loss"] == pytest.approx(member["loss"], rel=1e-12)
        points = client.get_metric_history(child.info.run_id, "loss")
        assert max(point.step for point in points) == member["n_epochs"]
    listed = {item.path for folder in ("", "figures") for item in client.list_artifacts(parent.info.run_id, folder)}
    assert set(result["artifacts"]) <= listed
    assert "table.csv" in listed


def test_ui_alone(place: Place) -> None:
    port = free_port()
    with place.running("tempfit", "ui", "--port", str(port)) as process:
        wait_for(lambda: is_healthy(f"http://127.0.0.1:{port}/health"), 120, "the UI")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert not is_healthy(f"http://127.0.0.1:{port}/health")


def test_ui_stopped_while_it_starts(place: Place) -> None:
    port = free_port()
    with place.running("tempfit", "ui", "--port", str(port)) as process:
        logs = place.folder / "prefect" / "tempfit"
        wait_for(lambda: any(logs.glob("mlflow-ui-*.log")), 120, "the start of the UI's process")
        time.sleep(1)  # it takes several to answer
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert not is_healthy(f"http://127.0.0.1:{port}/health")
