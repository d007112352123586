"""The flow from end to end, against a real Prefect server and a real MLflow store."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.settings import PREFECT_HOME, temporary_settings
from prefect.states import Running

from flows import marks, tasks
from flows.calibrate import CalibrateResult, calibrate
from tempfit.config import CalibrationConfig
from tempfit.errors import ReadingsError, ServiceError, SettingsError
from tempfit.readings.paired import load_readings
from tempfit.tracking.store import open_store
from tests.conftest import THERMOMETER
from tests.flows.conftest import Command, client_of, runs_of, settings

pytestmark = pytest.mark.usefixtures("prefect_server")


def prefect_runs(outcome: CalibrateResult) -> tuple[FlowRun, dict[str, TaskRun]]:
    """The flow run behind an outcome, and its task runs by the first word of their names."""
    run = outcome.run.store.client.get_run(outcome.run.run_id)
    flow_run_filter = FlowRunFilter(id=FlowRunFilterId(any_=[run.data.tags["prefect.flow_run_id"]]))
    with get_client(sync_client=True) as client:
        for _ in range(100):  # the server records task runs a moment after they end
            task_runs = client.read_task_runs(flow_run_filter=flow_run_filter)
            if len(task_runs) == 6 and all(item.state and item.state.is_final() for item in task_runs):
                break
            threading.Event().wait(0.2)
        (flow_run,) = client.read_flow_runs(flow_run_filter=flow_run_filter)
    return flow_run, {item.name.split()[0].strip(":"): item for item in task_runs}


def test_a_whole_run(mlruns: Path) -> None:
    outcome = calibrate(str(THERMOMETER), settings(mlruns, "whole"))
    (run,) = runs_of(mlruns, "whole")
    assert run.info.run_id == outcome.run.run_id
    assert run.info.status == "FINISHED"
    assert run.data.metrics["w"] == pytest.approx(152075 / 283314, rel=1e-9)
    names = {item.path for item in client_of(mlruns).list_artifacts(run.info.run_id, "figures")}
    assert names == {f"figures/{name}.png" for name in ("line", "loss", "path", "residuals")}
    assert all(Path(path).exists() for path in outcome.artifacts.values())
    assert f"/runs/{run.info.run_id}?" in outcome.url
    assert run.info.run_name == "thermometer, standardize, sgd 0.5"

    flow_run, task_runs = prefect_runs(outcome)
    assert flow_run.name == "calibrate thermometer.csv, standardize, sgd 0.5"
    assert set(task_runs) == {"ingest", "start_run", "normalize", "train", "visualize", "track"}
    assert task_runs["train"].name == "train with sgd, learning rate 0.5"
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts(
            artifact_filter=ArtifactFilter(
                key=ArtifactFilterKey(any_=[tasks.artifact_key("calibration", str(THERMOMETER))])
            ),
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run.id])),
        )
    (artifact,) = artifacts
    assert "t_c = 0.5368 · t_u − 17.305" in artifact.data
    (picture,) = re.findall(r"\]\(data:image/png;base64,([^)]*)\)", artifact.data)
    assert base64.b64decode(picture).startswith(b"\x89PNG")
    assert len(picture) <= 20_000  # Prefect keeps every version of the page, twice
    assert outcome.url in artifact.data
    assert f"/runs/{run.info.run_id}/artifacts/figures/line.png?" in artifact.data  # the picture in full


def a_large_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of 300 rows, which are many here."""
    monkeypatch.setattr("tempfit.exact.opening.LARGE_BYTES", 10)
    monkeypatch.setattr("tempfit.exact.large.MOST_THINNED", 50)
    monkeypatch.setattr("tempfit.readings.tables.BLOCK_BYTES", 1000)
    data = folder / "large.csv"
    data.write_text("t_u,t_c\n" + "".join(f"{k % 97},{k % 97 / 2 + k % 5 / 10}\n" for k in range(300)))
    return data


def test_a_large_file_is_recorded_without_its_rows(mlruns: Path, tmp_path, monkeypatch, command: Command) -> None:
    data, told = a_large_file(tmp_path, monkeypatch), []
    with tasks.watched(tasks.Watcher(on_rows=lambda *read: told.append(read))):
        outcome = calibrate(str(data), settings(mlruns, "large"))
    (run,) = runs_of(mlruns, "large")
    assert (run.info.status, run.data.tags["usable"]) == ("FINISHED", "true")
    assert run.data.tags["data_sha256"] == load_readings(data).sha256
    assert {"figures/line.png", "figures/residuals.png", "calibration.json"} < set(outcome.artifacts)
    assert "residuals.parquet" not in outcome.artifacts
    assert [read for read in told if read == (300, 1.0)] == [(300, 1.0)] * 2  # for the evidence, and for the checks
    code, out, _ = command("predict", run.info.run_id, str(THERMOMETER), "--mlruns", str(mlruns))
    assert (code, out.count("\n")) == (0, 12)


def test_ctrl_c_while_a_large_file_is_read_for_its_checks_kills_the_run(mlruns: Path, tmp_path, monkeypatch) -> None:
    def interrupt(n_rows: int, share: float) -> None:
        if runs_of(mlruns, "large, interrupted"):
            raise KeyboardInterrupt

    data = a_large_file(tmp_path, monkeypatch)
    with tasks.watched(tasks.Watcher(on_rows=interrupt)), pytest.raises(KeyboardInterrupt):
        calibrate(str(data), settings(mlruns, "large, interrupted"))
    assert [run.info.status for run in runs_of(mlruns, "large, interrupted")] == ["KILLED"]


def test_bad_input_leaves_no_run(mlruns: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.csv").write_text("t_u,t_c\n1,2\nx,4\n5,6\n")
    with pytest.raises(ReadingsError, match="line 3, column 't_u'"):
        calibrate(str(tmp_path / "broken.csv"), settings(mlruns, "bad input"))
    assert runs_of(mlruns, "bad input") == []


def test_settings_that_play_no_part_leave_no_run(mlruns: Path) -> None:
    with pytest.raises(SettingsError, match='`degree` plays no part: it belongs to `model="polynomial"`'):
        calibrate(str(THERMOMETER), settings(mlruns, "idle", degree=3))
    assert runs_of(mlruns, "idle") == []


@pytest.mark.parametrize(
    ("where", "stage"),
    [
        ("flows.tasks.setup.normalize", "normalize"),
        ("flows.tasks.batches.fit_setups", "train"),
        ("flows.tasks.plots.draw_figures", "visualize"),
        ("tempfit.descent.setup.make_forecast", "forecast"),
    ],
)
def test_a_crash_in_a_stage_leaves_the_run_failed(where: str, stage: str, mlruns: Path, monkeypatch, tmp_path) -> None:
    data = tmp_path / "readings.csv"
    data.write_text(f"t_u,t_c\n1,2\n3,4\n5,{len(stage)}\n")

    def crash(*_: object, **keywords: object) -> None:
        raise RuntimeError(f"crash in {stage}")

    monkeypatch.setattr(where, crash)
    with pytest.raises(RuntimeError, match=f"crash in {stage}"):
        calibrate(str(data), settings(mlruns, f"crash in {stage}"))
    (run,) = runs_of(mlruns, f"crash in {stage}")
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == f"RuntimeError: crash in {stage}"


def test_tracking_is_tried_again(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    log = tasks.results.log_calibration

    def fail_once(*arguments: object, **keywords: object) -> dict[str, str]:
        calls.append(arguments)
        if len(calls) == 1:
            raise ServiceError("cannot record the run: database is locked")
        return log(*arguments, **keywords)

    monkeypatch.setattr(tasks.results, "log_calibration", fail_once)
    outcome = calibrate(str(THERMOMETER), settings(mlruns, "retried"))
    assert len(calls) == 2
    assert outcome.run.store.client.get_run(outcome.run.run_id).info.status == "FINISHED"


def test_a_start_that_is_tried_again_goes_on_with_the_run_it_had_begun(mlruns: Path, monkeypatch) -> None:
    calls = []
    log_data = tasks.runs.log_data

    def fail_once(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            raise MlflowException("gone for a moment")
        log_data(*arguments)

    monkeypatch.setattr(tasks.runs, "log_data", fail_once)
    calibrate(str(THERMOMETER), settings(mlruns, "start retried"))
    (run,) = runs_of(mlruns, "start retried")
    assert (len(calls), run.info.status, run.data.tags.get("error")) == (2, "FINISHED", None)
    assert run.data.params
    assert run.inputs.dataset_inputs


def test_a_model_that_was_begun_is_gone_on_with(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    finalize = MlflowClient.finalize_logged_model

    def fail_once(*arguments: object, **keywords: object) -> object:
        calls.append(arguments)
        if len(calls) == 1:
            raise MlflowException("gone for a moment")
        return finalize(*arguments, **keywords)

    monkeypatch.setattr(MlflowClient, "finalize_logged_model", fail_once)
    run = calibrate(str(THERMOMETER), settings(mlruns, "model retried")).run
    assert len(calls) == 2
    (model,) = client_of(mlruns).search_logged_models([run.experiment_id])
    assert (model.source_run_id, model.status) == (run.run_id, "READY")


def test_what_was_computed_is_printed_though_it_cannot_be_recorded(
    mlruns: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fail_to_record(*arguments: object, **_: object) -> None:
        calls.append(arguments)
        raise ServiceError("cannot record the run: no answer in 20 s", waited=True)

    monkeypatch.setattr(tasks.results, "log_calibration", fail_to_record)
    arguments = ["calibrate", str(THERMOMETER), "--mlruns", str(mlruns), "--experiment", "not recorded"]
    code, out, err = command(*arguments)
    assert code == 1
    assert "t_c = 0.5368 · t_u − 17.305" in out
    assert not re.search("^(run|figure|browse) ", out, re.MULTILINE)
    assert err.endswith("error: cannot record the run: no answer in 20 s\n")
    assert len(calls) == 1  # what keeps silent for long is not asked again
    code, out, _ = command(*arguments, "--json")
    result = json.loads(out)
    assert code == 1
    assert result["w"] == pytest.approx(152075 / 283314, rel=1e-9)
    assert (result["run_id"], result["artifacts"]) == (None, {})
    assert result["not_recorded"] == "cannot record the run: no answer in 20 s"
    runs = runs_of(mlruns, "not recorded")
    # The store was not asked for the end, either; the second command told it that of the first.
    assert sorted(run.info.status for run in runs) == ["FAILED", "RUNNING"]
    open_store(mlruns)
    runs = runs_of(mlruns, "not recorded")
    assert [run.info.status for run in runs] == ["FAILED", "FAILED"]
    assert all("no answer in 20 s" in run.data.tags["error"] for run in runs)
    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(UUID(runs[0].data.tags["prefect.flow_run_id"]))
    assert flow_run.state is not None
    assert flow_run.state.is_failed()


def test_a_calibration_is_printed_though_prefect_is_gone(
    mlruns: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise httpx.ConnectError("All connection attempts failed")

    monkeypatch.setattr(tasks, "create_markdown_artifact", refuse)
    options = ["--mlruns", str(mlruns), "--experiment", "prefect gone", "--json"]
    code, out, err = command("calibrate", str(THERMOMETER), *options)
    result = json.loads(out)
    (run,) = runs_of(mlruns, "prefect gone")
    assert (code, result["run_id"], run.info.status) == (1, run.info.run_id, "FINISHED")
    assert "the flow run is not recorded by the Prefect server at http://" in result["not_recorded"]
    assert err.endswith(f"error: {result['not_recorded']}\n")


def test_a_flow_run_whose_process_was_killed_is_ended_by_the_next_command(monkeypatch, tmp_path: Path) -> None:
    with temporary_settings({PREFECT_HOME: tmp_path}), get_client(sync_client=True) as client:
        killed, running = (client.create_flow_run(calibrate, state=Running()) for _ in range(2))
        for flow_run in (killed, running):
            marks.mark(calibrate, flow_run, Running())
        marks.held.pop(killed.id).lock.release()  # as the OS does when a process ends
        marks.end_stale_flow_runs()
        states = [client.read_flow_run(flow_run.id).state for flow_run in (killed, running)]
        assert [state.name for state in states if state] == ["Crashed", "Running"]
        marks.unmark(calibrate, running, Running())
        assert list(marks.folder().glob("*.lease")) == []


def test_wrong_settings_are_not_tried_again(mlruns: Path) -> None:
    client = client_of(mlruns)
    client.delete_experiment(client.create_experiment("deleted by hand"))
    before = time.monotonic()
    with pytest.raises(SettingsError, match="choose another with `experiment`"):
        calibrate(str(THERMOMETER), settings(mlruns, "deleted by hand"))
    assert time.monotonic() - before < 5  # three retries would wait for some 14 s


def test_the_run_form_has_fields_bounds_and_descriptions() -> None:
    """What Prefect shows when a run is started by hand."""
    schema = calibrate.parameters.model_dump()
    config = schema["definitions"]["CalibrationConfig"]["properties"]
    assert set(config) == set(CalibrationConfig.model_fields)
    assert config["learning_rate"]["exclusiveMinimum"] == 0
    assert config["n_epochs"]["minimum"] == 1
    assert config["optimizer"]["enum"] == ["sgd", "adam", "rmsprop"]
    assert config["x_unit"]["default"] == "unknown unit"
    assert all(field["description"] for field in config.values())
    assert calibrate.validate_parameters({"data": "x.csv", "config": {"n_epochs": 7}})["config"].n_epochs == 7


def test_the_explosion_exits_3_and_explains(mlruns: Path, command: Command) -> None:
    options = ["--scaling", "none", "--learning-rate", "1e-2", "--mlruns", str(mlruns), "--experiment", "explosion"]
    code, out, err = command("calibrate", str(THERMOMETER), *options)
    assert code == 3
    assert "warning: learning rate 0.01 is 29.4 times the critical 3.39e-4" in err
    assert "--scaling standardize" in err
    assert "diverged: the loss overflowed at epoch 88" in out
    assert "critical learning rate  3.39e-4" in out
    (run,) = runs_of(mlruns, "explosion")
    assert (run.info.status, run.data.tags["status"]) == ("FINISHED", "diverged")
    assert len(client_of(mlruns).list_artifacts(run.info.run_id, "figures")) == 4


def test_a_fit_that_is_on_its_way_to_overflow_has_diverged_too(mlruns: Path, command: Command) -> None:
    """Ten epochs of the tutorial's explosion end with a slope of 1e17: finite, and no calibration."""
    place = ["--mlruns", str(mlruns), "--experiment", "exploding"]
    options = ["--scaling", "none", "--learning-rate", "1e-2", "--n-epochs", "10"]
    code, out, _ = command("calibrate", str(THERMOMETER), *options, *place)
    assert code == 3
    assert "diverging: in 10 epochs the loss has grown" in out
    assert "exact line" in out
    assert not {"line", "scale", "checks passed"} & {line.split("  ")[0] for line in out.splitlines()}
    (run,) = runs_of(mlruns, "exploding")
    assert (run.data.tags["outcome"], run.data.tags["usable"]) == ("explodes", "false")
    assert not run.outputs.model_outputs
    for words in (["export", run.info.run_id, "--format", "json"], ["report", run.info.run_id]):
        code, out, err = command(*words, "--mlruns", str(mlruns))
        assert (code, out) == (2, "")
        assert err.endswith("its fit diverged, so that there is nothing to use\n")


def test_json_is_one_object_on_stdout(mlruns: Path, command: Command) -> None:
    code, out, _ = command("calibrate", str(THERMOMETER), "--json", "--mlruns", str(mlruns), "--experiment", "json")
    result = json.loads(out)
    assert code == 0
    assert out.count("\n") == 1
    wanted = {"status", "w", "b", "loss", "rmse", "n", "n_epochs", "exact", "critical_learning_rate", "run_id"}
    assert wanted <= set(result)
    assert set(result["exact"]) >= {"w", "b", "loss"}
    assert Path(result["artifacts"]["figures/line.png"]).exists()
    (run,) = runs_of(mlruns, "json")
    assert result["run_id"] == run.info.run_id


def test_print_every_prints_the_tutorials_lines(mlruns: Path, command: Command) -> None:
    options = ["--scaling", "factor", "--learning-rate", "1e-2", "--n-epochs", "1000", "--print-every", "500"]
    code, _, err = command("calibrate", str(THERMOMETER), *options, "--mlruns", str(mlruns), "--experiment", "printed")
    assert code == 0
    printed = dict(re.findall(r"^Epoch (\d+), Loss ([\d.]+)$", err, re.MULTILINE))
    # the tutorial's own losses, to the four decimals that it gives
    assert {k: float(v) for k, v in printed.items()} == pytest.approx(
        {"1": 80.3643, "500": 7.8601, "1000": 3.8285}, abs=5e-5
    )
    assert "    Params: [1.77" in err
    assert "    Grad:   [-77.6" in err


def test_settings_file_and_options(mlruns: Path, command: Command, tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text('learning_rate = 0.3\nx_unit = "mV"\nn_epochs = 3\n')
    code, out, _ = command(
        *("calibrate", str(THERMOMETER)),
        *("--config", str(tmp_path / "lab.toml"), "--n-epochs", "7", "--json"),
        *("--mlruns", str(mlruns), "--experiment", "file"),
    )
    config = json.loads(out)["config"]
    assert (code, config["learning_rate"], config["x_unit"], config["n_epochs"]) == (0, 0.3, "mV", 7)
