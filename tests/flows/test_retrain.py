"""A tick of a schedule, against a real Prefect server and a real MLflow store: what is recorded, and what is told."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
)
from prefect.client.schemas.objects import Artifact, State
from prefect.exceptions import ParameterTypeError

from flows import tasks, tick
from flows.retrain import bind, retrain
from tempfit.config import CalibrationConfig, FitConfig, TrackingConfig
from tempfit.errors import ServiceError
from tests.conftest import THERMOMETER
from tests.flows.conftest import client_of, runs_of

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.integration]


@pytest.fixture
def sensors(tmp_path: Path) -> Path:
    """A good sensor, one that a line does not describe, and a file that cannot be read."""
    folder = tmp_path / "sensors"
    folder.mkdir()
    shutil.copy(THERMOMETER, folder / "good.csv")
    t_u = np.linspace(20, 80, 24)
    t_c = 0.5 * t_u - 17 + 0.004 * (t_u - 50) ** 2 + np.random.default_rng(1).normal(0, 0.1, 24)
    np.savetxt(folder / "bent.csv", np.column_stack([t_u, t_c]), delimiter=",", header="t_u,t_c", comments="")
    (folder / "broken.csv").write_text("t_u,t_c\n1,2\nx,4\n5,6\n")
    return folder


@pytest.fixture
def run(mlruns: Path) -> Callable[..., State]:
    """A tick over `data` into an experiment; its final state."""

    def run(data: Path, experiment: str, mlruns: Path = mlruns, **settings: object) -> State:
        flow = bind(data, TrackingConfig(mlruns=str(mlruns), experiment=experiment))
        return flow(FitConfig(**settings), return_state=True)

    return run


def artifacts_of(state: State, key: str) -> list[Artifact]:
    flow_run = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        return client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])), flow_run_filter=flow_run
        )


def test_a_tick_fails_and_names_what_cannot_be_used(sensors: Path, run, mlruns: Path) -> None:
    state = run(sensors, "tick")
    assert state.name == "Failed"
    headline, *others = state.message.splitlines()
    assert re.fullmatch(r"1 calibrated, 1 refused, 1 unreadable  \([\d.]+ s\)", headline)
    bent, broken = others
    assert bent.startswith("bent.csv: refused: a quadratic fits better than the line")
    assert broken.startswith("broken.csv: unreadable: ")
    assert "line 3, column 't_u': 'x' is not a number" in broken

    recorded = {run.info.run_name.partition(",")[0]: run for run in runs_of(mlruns, "tick")}
    assert set(recorded) == {"good", "bent"}
    good = recorded["good"]
    assert good.data.tags["prefect.flow_run_id"] == str(state.state_details.flow_run_id)
    (figure,) = client_of(mlruns).list_artifacts(good.info.run_id, "figures")  # what is looked at, and no more
    assert figure.path == "figures/line.png"

    (table,) = artifacts_of(state, tasks.artifact_key("retrain", str(sensors)))
    rows = {row["sensor"]: row for row in json.loads(table.data)}
    assert {name: row["outcome"] for name, row in rows.items()} == {
        "good.csv": "calibrated",
        "bent.csv": "refused",
        "broken.csv": "unreadable",
    }
    assert rows["good.csv"]["w"] == pytest.approx(152075 / 283314, rel=1e-9)  # the tutorial's, in closed form
    assert rows["good.csv"]["usable"] == "yes"
    assert rows["bent.csv"]["usable"].startswith("no: a quadratic fits better")
    assert f"/runs/{good.info.run_id}?" in rows["good.csv"]["run"]
    assert rows["broken.csv"]["run"] == ""
    for name in ("good", "bent"):
        (page,) = artifacts_of(state, tasks.artifact_key("calibration", str(sensors / f"{name}.csv")))
        assert page.data.startswith("# ")


def test_a_tick_is_one_flow_run(sensors: Path, run) -> None:
    state = run(sensors, "one run")
    parent = FlowRunFilterParentFlowRunId(any_=[state.state_details.flow_run_id])
    with get_client(sync_client=True) as client:
        assert client.read_flow_runs(flow_run_filter=FlowRunFilter(parent_flow_run_id=parent)) == []


def test_what_has_not_changed_is_left_alone_and_what_is_refused_stays_a_failure(sensors, run, mlruns) -> None:
    run(sensors, "again")
    state = run(sensors, "again")
    assert len(runs_of(mlruns, "again")) == 2
    assert state.name == "Failed"
    headline, bent, _ = state.message.splitlines()
    assert headline.startswith("1 refused, 1 unreadable, 1 unchanged  (")
    assert bent.endswith("(unchanged, nothing recorded)")

    for name in ("bent.csv", "broken.csv"):
        (sensors / name).unlink()
    state = run(sensors, "again")
    assert state.name == "Completed"
    assert state.message.startswith("1 unchanged  (")


def test_a_row_more_other_settings_and_another_store_are_recorded(tmp_path: Path, run, mlruns: Path) -> None:
    data = Path(shutil.copy(THERMOMETER, tmp_path / "sensor.csv"))
    eleven = data.read_text()

    def recorded(**where: object) -> int:
        assert run(data, "changes", **where).name == "Completed"
        return len(runs_of(mlruns, "changes"))

    assert [recorded(), recorded()] == [1, 1]
    data.write_text(eleven + "45.0,7.0\n")
    assert [recorded(), recorded()] == [2, 2]
    data.write_text(eleven)  # as it once was, and not as it was last
    assert [recorded(), recorded()] == [3, 3]
    assert [recorded(n_epochs=7), recorded(n_epochs=7), recorded()] == [4, 4, 4]
    assert recorded(mlruns=tmp_path / "elsewhere") == 4
    assert len(runs_of(tmp_path / "elsewhere", "changes")) == 1
    shutil.copy(data, tmp_path / "another.csv")
    assert run(tmp_path / "another.csv", "changes").message.startswith("1 calibrated")


def test_a_diverged_calibration_is_a_failure_each_time(tmp_path: Path, run, mlruns: Path) -> None:
    data = Path(shutil.copy(THERMOMETER, tmp_path))
    for n_recorded in (1, 1):
        state = run(data, "diverges", scaling="none", learning_rate=1e-2)  # the tutorial's own explosion
        assert state.name == "Failed"
        headline, why = state.message.splitlines()
        assert headline.startswith("1 refused  (")
        assert "the loss overflows at epoch 88" in why  # by the closed form of the descent: tests/test_tutorial.py
        assert len(runs_of(mlruns, "diverges")) == n_recorded


@pytest.mark.parametrize(("n_refusals", "headline", "n_attempts"), [(1, "5 calibrated", 6), (99, "5 not recorded", 6)])
def test_what_the_store_does_not_take_is_tried_once_more(
    n_refusals: int, headline: str, n_attempts: int, tmp_path: Path, run, monkeypatch
) -> None:
    """Of a store that takes nothing, three files in turn are enough to see it, each time."""
    for name in "abcde":
        shutil.copy(THERMOMETER, tmp_path / f"{name}.csv")
    start_run, attempts = tick.start_run, []

    def refuse(*arguments: object) -> object:
        attempts.append(arguments)
        if len(attempts) <= n_refusals:
            raise ServiceError("cannot start a run: database is locked")
        return start_run(*arguments)

    monkeypatch.setattr(tick, "start_run", refuse)
    state = run(tmp_path, f"refused {n_refusals} times")
    assert state.message.startswith(headline)
    assert len(attempts) == n_attempts


def test_a_crash_on_one_sensor_stops_no_other(tmp_path: Path, run, monkeypatch) -> None:
    for name in ("a.csv", "b.csv"):
        shutil.copy(THERMOMETER, tmp_path / name)
    draw_line = tick.draw_line

    def crash(calibration):
        if calibration.readings.source.endswith("a.csv"):
            raise RuntimeError("out of ink")
        return draw_line(calibration)

    monkeypatch.setattr(tick, "draw_line", crash)
    headline, failed = run(tmp_path, "crash").message.splitlines()
    assert headline.startswith("1 calibrated, 1 failed  (")
    assert failed == "a.csv: failed: RuntimeError: out of ink"


def test_a_file_s_name_is_no_markdown_on_the_tick_s_page() -> None:
    entry = tick.Entry("[a](http://evil.example)_b_\x1b.csv", tick.Ending.UNREADABLE, "`x` is <b>no number</b>")
    assert entry.row()["sensor"] == r"\[a\](http://evil.example)\_b\_\\x1b.csv"
    assert entry.row()["usable"] == r"no: \`x\` is \<b\>no number\</b\>"
    told = tick.Tick([entry], 0.0).describe().splitlines()[1]
    assert told == r"[a](http://evil.example)_b_\x1b.csv: unreadable: `x` is <b>no number</b>"


def test_an_empty_folder_is_told_in_a_line(tmp_path: Path, run) -> None:
    state = run(tmp_path, "empty")
    assert state.name == "Failed"
    assert re.fullmatch(r".*: the folder has no file of readings \(.*\)", state.message)


def test_a_deployment_s_parameters_name_no_place(tmp_path: Path) -> None:
    served = bind(tmp_path, TrackingConfig())
    assert set(served.parameters.properties) == {"config"}
    settings = served.parameters.definitions["FitConfig"]
    assert settings["additionalProperties"] is False
    assert set(settings["properties"]) == set(CalibrationConfig.model_fields) - set(TrackingConfig.model_fields)
    for parameters in ({"config": {"mlruns": "/elsewhere"}}, {"config": {"experiment": "another"}}):
        with pytest.raises(ParameterTypeError, match="Extra inputs are not permitted"):
            served.validate_parameters(parameters)


def test_the_flow_of_prefect_yaml_keeps_its_runs_in_the_working_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    state = retrain(str(THERMOMETER), "declared", FitConfig(n_epochs=3), return_state=True)
    assert state.message.splitlines()[0].startswith("1 ")
    (run,) = runs_of(tmp_path / "mlruns", "declared")
    assert run.data.params["n_epochs"] == "3"
    assert set(retrain.parameters.properties) == {"data", "experiment", "config"}


def test_keys_of_artifacts_are_a_sensor_s_own() -> None:
    sources = ["/a/Küche 1.csv", "/b/Küche 1.csv", "/a/kuche-1.csv", "/a/§§.csv", "<stdin>", f"/a/{'x' * 300}.csv"]
    keys = [tasks.artifact_key("calibration", source) for source in sources]
    assert all(re.fullmatch("calibration-[a-z0-9-]{8,80}", key) for key in keys)  # Prefect takes no other signs
    assert len(set(keys)) == len(keys)
    assert keys[0].startswith("calibration-k-che-1-")
    assert keys[0] == tasks.artifact_key("calibration", sources[0])
