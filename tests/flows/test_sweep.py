"""The sweep flow from end to end, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from flows.sweep import sweep
from tempfit.errors import SettingsError
from tempfit.tracking.store import PARENT_TAG
from tests.conftest import THERMOMETER
from tests.flows.conftest import Command, client_of, runs_of, settings

pytestmark = pytest.mark.usefixtures("prefect_server")

GRID = ["learning_rate=1e-2,0.5,5", "scaling=factor,standardize"]


def test_a_whole_sweep(mlruns: Path) -> None:
    outcome = sweep(str(THERMOMETER), GRID, None, settings(mlruns, "swept"))
    runs = runs_of(mlruns, "swept")
    (parent,) = [run for run in runs if PARENT_TAG not in run.data.tags]
    assert parent.info.run_id == outcome.run.run_id
    assert parent.info.run_name == "thermometer, sweep of learning_rate, scaling"
    assert len(runs) == 7
    assert {run.info.status for run in runs} == {"FINISHED"}
    figures = {item.path for item in client_of(mlruns).list_artifacts(parent.info.run_id, "figures")}
    assert figures == {"figures/losses.png", "figures/map.png"}
    assert f"/runs/{parent.info.run_id}?" in outcome.url
    of_this = ArtifactFilterFlowRunId(any_=[parent.data.tags["prefect.flow_run_id"]])
    with get_client(sync_client=True) as client:
        (artifact,) = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=of_this))
    assert artifact.data.startswith(f"# {outcome.sweep.headline()}")
    assert "| learning_rate | scaling | outcome |" in artifact.data
    assert outcome.url in artifact.data


def test_a_bad_grid_fails_before_a_run_is_opened(mlruns: Path) -> None:
    with pytest.raises(SettingsError, match="did you mean learning_rate"):
        sweep(str(THERMOMETER), ["learning_rat=1,2"], None, settings(mlruns, "bad grid"))
    assert runs_of(mlruns, "bad grid") == []


def test_the_command_prints_the_table_and_json(mlruns: Path, command: Command) -> None:
    where = ["--mlruns", str(mlruns), "--experiment", "sweep command", "--n-epochs", "300"]
    axes = [word for axis in GRID for word in ("--grid", axis)]
    code, out, _ = command("sweep", str(THERMOMETER), *axes, *where)
    assert code == 0
    assert "6 configurations: 2 arrive, 1 crawls, 3 explode; best: learning_rate 0.5, scaling standardize" in " ".join(
        out.split()
    )
    assert "explodes" in out
    assert "losses.png, map.png in " in " ".join(out.split())
    code, out, _ = command("sweep", str(THERMOMETER), *axes, *where, "--json")
    assert code == 0
    assert out.count("\n") == 1
    result = json.loads(out)
    assert (result["n_members"], result["n_failed"]) == (6, 3)
    assert Path(result["artifacts"]["table.csv"]).exists()


def test_a_sweep_in_which_all_diverge_exits_3(mlruns: Path, command: Command) -> None:
    where = ["--mlruns", str(mlruns), "--experiment", "all diverge"]
    code, out, _ = command("sweep", str(THERMOMETER), "--grid", "learning_rate=5,10", *where)
    assert code == 3
    assert "2 configurations: 2 explode" in out
    assert len(runs_of(mlruns, "all diverge")) == 3
