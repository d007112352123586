"""The folder of runs: made whole, found again after a move, swept of runs whose process was killed."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tempfit import leases
from tempfit.calibration import calibrate
from tempfit.config import CalibrationConfig
from tempfit.errors import ServiceError, SettingsError
from tempfit.readings import load_readings
from tempfit.tracking import store as stores
from tempfit.tracking.runs import ended, log_calibration, start_run
from tempfit.tracking.store import open_store
from tempfit.tracking.ui import remember_ui, ui_address, ui_command
from tests.conftest import THERMOMETER


def test_what_an_opened_store_has(mlruns: Path) -> None:
    store = open_store(mlruns)
    assert store.uri == f"sqlite:///{mlruns}/mlflow.db"
    assert sorted(path.name for path in mlruns.iterdir() if path.name in ("mlflow.db", "artifacts")) == [
        "artifacts",
        "mlflow.db",
    ]
    assert store.client.search_experiments()  # MLflow's own Default: the tables are there


def test_a_creation_that_was_cut_off_is_done_again(mlruns: Path, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db.unfinished").write_bytes(b"half a database")
    store = open_store(tmp_path)
    assert store.client.search_experiments()
    assert not (tmp_path / "mlflow.db.unfinished").exists()


def test_a_database_that_is_none_is_a_service_error(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 100)
    with pytest.raises(ServiceError, match=r"cannot .*mlflow\.db"):
        open_store(tmp_path)


def test_a_moved_folder_still_has_its_artifacts(mlruns: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new place"
    shutil.copytree(mlruns, old)  # a folder that was copied is a folder that was moved
    config = CalibrationConfig(experiment="moved")
    run = start_run(open_store(old), load_readings(THERMOMETER), config, {})
    with ended(run):
        log_calibration(run, calibrate(THERMOMETER, config), {"line.png": b"png"})
    old.rename(new)
    store = open_store(new)
    names = [item.path for item in store.client.list_artifacts(run.run_id)]
    assert "calibration.json" in names
    experiment = store.client.get_experiment_by_name("moved")
    assert experiment is not None
    assert experiment.artifact_location == str(new / "artifacts")
    assert str(old) not in " ".join(_text_columns(new / "mlflow.db"))


def _text_columns(database: Path) -> list[str]:
    """Everything that the tables hold about artifacts."""
    found = []
    with sqlite3.connect(database) as connection:
        for table, column in stores.ARTIFACT_COLUMNS:
            found += [str(value) for (value,) in connection.execute(f"SELECT {column} FROM {table}")]
    return found


def test_a_run_whose_process_was_killed_is_marked_failed(mlruns: Path) -> None:
    store = open_store(mlruns)
    run = start_run(store, load_readings(THERMOMETER), CalibrationConfig(experiment="killed"), {})
    stores.end_stale_runs(store)
    assert store.client.get_run(run.run_id).info.status == "RUNNING"  # its process lives
    run.lease.lock.release()  # as the OS does when a process ends
    open_store(mlruns)
    swept = store.client.get_run(run.run_id)
    assert swept.info.status == "FAILED"
    assert swept.data.tags["error"] == "the process was killed before the run ended"
    assert not leases.is_held(store.running, run.run_id)


def test_a_deleted_experiment_is_explained(mlruns: Path) -> None:
    store = open_store(mlruns)
    store.client.delete_experiment(store.client.create_experiment("deleted"))
    with pytest.raises(SettingsError, match="'deleted' is deleted: restore it"):
        start_run(store, load_readings(THERMOMETER), CalibrationConfig(experiment="deleted"), {})


def test_a_tracking_server_that_is_not_there_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(ServiceError, match=r"nothing answers at http://127\.0\.0\.1:9, .* unset the variable"):
        open_store(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_tracking_server_that_is_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listener: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", listener)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    store = open_store(tmp_path)
    assert isinstance(store.client, MlflowClient)
    assert ui_address(store) == listener
    with pytest.raises(ServiceError, match=f"cannot start a run at {listener}"):
        start_run(store, load_readings(THERMOMETER), CalibrationConfig(), {})
    with pytest.raises(ServiceError, match="browse the runs at http"):
        ui_command(tmp_path, 5000)


def test_a_folder_that_cannot_hold_runs_is_the_users_to_change(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"file cannot hold runs .* choose another folder"):
        open_store(tmp_path / "file")


def test_links_lead_to_where_the_ui_was_last_served(mlruns: Path) -> None:
    store = open_store(mlruns)
    assert ui_address(store) == "http://127.0.0.1:5000"
    remember_ui(mlruns, "http://127.0.0.1:5005")
    assert ui_address(store) == "http://127.0.0.1:5005"
    assert str(mlruns / "artifacts") in ui_command(mlruns, 5005)
