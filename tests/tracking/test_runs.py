"""What a run in MLflow holds, however it ended."""

from __future__ import annotations

import json
import math
import signal
from pathlib import Path

import mlflow.pyfunc
import pandas as pd
import pytest
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException

from tempfit.calibration import Calibration, calibrate
from tempfit.config import CalibrationConfig
from tempfit.errors import ServiceError
from tempfit.readings import load_readings
from tempfit.tracking import runs
from tempfit.tracking.runs import Run, ended, log_calibration, start_run
from tempfit.tracking.store import open_store
from tests.conftest import T_U, THERMOMETER

FIGURES = {"line.png": b"png of the line"}


def record(mlruns: Path, **settings: object) -> tuple[Run, Calibration, dict[str, str]]:
    config = CalibrationConfig(experiment="runs", **settings)
    result = calibrate(THERMOMETER, config)
    run = start_run(open_store(mlruns), load_readings(THERMOMETER), config, {"prefect.flow_run_id": "some-id"})
    with ended(run):
        artifacts = log_calibration(run, result, FIGURES)
    return run, result, artifacts


def read(run: Run) -> MlflowRun:
    return run.store.client.get_run(run.run_id)


def test_a_run_has_everything(mlruns: Path) -> None:
    run, result, artifacts = record(mlruns, scaling="factor", learning_rate=1e-2, n_epochs=1000)
    stored = read(run)
    assert stored.info.status == "FINISHED"
    assert stored.data.params == {key: str(value) for key, value in result.config.hyperparameters().items()}
    assert stored.data.metrics["w"] == result.w
    assert stored.data.metrics["b"] == result.b
    assert stored.data.metrics["loss"] == result.loss
    assert stored.data.metrics["w_scaled"] == result.fit.params[0]
    assert stored.data.metrics["critical_learning_rate"] == pytest.approx(0.0329782, rel=1e-6)
    tags = stored.data.tags
    assert tags["status"] == "exhausted"
    assert tags["data_sha256"] == result.readings.sha256
    assert tags["prefect.flow_run_id"] == "some-id"
    assert {f"version.{name}" for name in ("tempfit", "torch", "mlflow", "prefect")} <= set(tags)
    (dataset,) = stored.inputs.dataset_inputs
    assert dataset.dataset.name == "thermometer.csv"
    assert result.readings.sha256.startswith(dataset.dataset.digest)
    assert set(artifacts) == {"calibration.json", "figures/line.png", "history.parquet"}
    assert json.loads(Path(artifacts["calibration.json"]).read_text())["w"] == result.w
    assert Path(artifacts["figures/line.png"]).read_bytes() == FIGURES["line.png"]


def test_the_history_is_sampled_for_the_ui_and_whole_in_the_artifact(mlruns: Path) -> None:
    run, result, artifacts = record(mlruns, scaling="factor", learning_rate=1e-2, n_epochs=1000)
    history = pd.read_parquet(artifacts["history.parquet"])
    assert history["loss"].tolist() == result.fit.history.loss.tolist()
    assert history["updates"].tolist() == list(range(1001))
    for key in ("loss", "w", "b", "gradient_norm"):
        points = run.store.client.get_metric_history(run.run_id, key)
        steps = [point.step for point in points]
        assert len(steps) <= 320  # more than MLflow's UI draws would be thinned again
        assert (min(steps), max(steps)) == (0, 1000)
    sampled = {point.step: point.value for point in run.store.client.get_metric_history(run.run_id, "loss")}
    assert all(value == result.fit.history.loss[step] for step, value in sampled.items())


def test_a_diverged_run_has_finite_metrics_and_no_model(mlruns: Path) -> None:
    run, result, artifacts = record(mlruns, scaling="none", learning_rate=1e-2)
    stored = read(run)
    assert stored.info.status == "FINISHED"
    assert stored.data.tags["status"] == "diverged"
    assert stored.data.metrics["diverged_at"] == result.fit.diverged_at
    for key in stored.data.metrics:
        points = run.store.client.get_metric_history(run.run_id, key)
        assert all(math.isfinite(point.value) and abs(point.value) < 1.79e308 for point in points)
    assert not stored.outputs.model_outputs
    assert "--scaling standardize" in stored.data.tags["advice"]
    assert json.loads(Path(artifacts["calibration.json"]).read_text())["overflow_epoch"] == result.fit.diverged_at


def test_the_model_loads_without_a_pickle_and_predicts(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, result, _ = record(mlruns)
    (output,) = read(run).outputs.model_outputs
    folder = Path(run.store.client.get_logged_model(output.model_id).artifact_location)
    assert sorted(path.name for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".pth")) == []

    def refuse(*_: object) -> None:
        raise AssertionError("loading executed a pickle")

    monkeypatch.setattr("cloudpickle.load", refuse)
    monkeypatch.setattr("pickle.load", refuse)
    model = mlflow.pyfunc.load_model(str(folder))
    assert model.predict(pd.DataFrame({"t_u": T_U}))["t_c"].tolist() == (result.w * T_U + result.b).tolist()
    assert model.metadata.signature.inputs.input_names() == ["t_u"]
    assert model.metadata.signature.outputs.input_names() == ["t_c"]
    assert model.input_example["t_u"].tolist() == T_U[:3].tolist()


def test_a_crash_leaves_the_run_failed_with_the_reason(mlruns: Path) -> None:
    run = start_run(open_store(mlruns), load_readings(THERMOMETER), CalibrationConfig(experiment="runs"), {})
    with pytest.raises(ZeroDivisionError), ended(run):
        raise ZeroDivisionError("somewhere in a stage")
    stored = read(run)
    assert stored.info.status == "FAILED"
    assert stored.data.tags["error"] == "ZeroDivisionError: somewhere in a stage"


def test_sigterm_leaves_the_run_killed(mlruns: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run = start_run(open_store(mlruns), load_readings(THERMOMETER), CalibrationConfig(experiment="runs"), {})
    with pytest.raises(SystemExit) as caught, ended(run):
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.code == 143
    assert read(run).info.status == "KILLED"
    assert signal.getsignal(signal.SIGTERM) == before


def test_logging_twice_writes_no_further_points(mlruns: Path) -> None:
    """A retry after a failure half-way must not double the history."""
    config = CalibrationConfig(experiment="runs", scaling="factor", learning_rate=1e-2, n_epochs=50)
    result = calibrate(THERMOMETER, config)
    run = start_run(open_store(mlruns), load_readings(THERMOMETER), config, {})
    with ended(run):
        log_calibration(run, result, FIGURES)
        log_calibration(run, result, FIGURES)
    assert len(run.store.client.get_metric_history(run.run_id, "loss")) == 51


def test_a_store_that_fails_is_a_service_error(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = CalibrationConfig(experiment="runs")
    result = calibrate(THERMOMETER, config)
    run = start_run(open_store(mlruns), load_readings(THERMOMETER), config, {})

    def fail(*_: object, **__: object) -> None:
        raise MlflowException("disk full")

    monkeypatch.setattr(run.store.client, "log_batch", fail)
    with pytest.raises(ServiceError, match="disk full"), ended(run):
        log_calibration(run, result, FIGURES)
    assert read(run).info.status == "FAILED"


def test_provenance_names_the_commit_only_of_its_own_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(runs, "__file__", str(tmp_path / "runs.py"))  # as installed beside another project
    assert "mlflow.source.git.commit" not in runs.provenance()


def test_a_start_that_fails_leaves_the_run_failed(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(mlruns)

    def fail(*_: object, **__: object) -> None:
        raise MlflowException("disk full")

    monkeypatch.setattr(store.client, "log_inputs", fail)
    with pytest.raises(ServiceError, match=r"cannot start a run .* disk full"):
        start_run(store, load_readings(THERMOMETER), CalibrationConfig(experiment="failed start"), {})
    experiment = store.client.get_experiment_by_name("failed start")
    assert experiment is not None
    (run,) = store.client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == "MlflowException: disk full"


def test_two_runs_that_bring_the_same_data_at_once(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow looks for the data set, then inserts it: the slower of two fails on the unique key."""
    store = open_store(mlruns)
    calls = []
    log_inputs = store.client.log_inputs

    def lose_the_race(*arguments: object, **keywords: object) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            raise MlflowException("UNIQUE constraint failed: datasets.experiment_id, datasets.name, datasets.digest")
        log_inputs(*arguments, **keywords)

    monkeypatch.setattr(store.client, "log_inputs", lose_the_race)
    run = start_run(store, load_readings(THERMOMETER), CalibrationConfig(experiment="same data"), {})
    with ended(run):
        pass
    assert len(read(run).inputs.dataset_inputs) == 1
