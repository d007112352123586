"""The folder of runs: made whole, found again after a move, swept of runs whose process was killed."""

from __future__ import annotations

import base64
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tempfit.calibration.pipeline import calibrate
from tempfit.config import CalibrationConfig
from tempfit.errors import RunsError, ServiceError, SettingsError
from tempfit.readings.paired import load_readings
from tempfit.report import read_observed
from tempfit.system import leases
from tempfit.tracking import store as stores
from tempfit.tracking.database import ARTIFACT_COLUMNS
from tempfit.tracking.queries import load_artifact, load_record
from tempfit.tracking.results import log_calibration
from tempfit.tracking.runs import ended, start_run
from tempfit.tracking.store import open_store
from tempfit.tracking.ui import remember_ui, ui_address, ui_command
from tests.conftest import THERMOMETER
from tests.faults import faulty


def test_what_an_opened_store_has(mlruns: Path) -> None:
    store = open_store(mlruns)
    assert store.uri == f"sqlite:///{mlruns}/mlflow.db"
    assert sorted(path.name for path in mlruns.iterdir() if path.name in ("mlflow.db", "artifacts")) == [
        "artifacts",
        "mlflow.db",
    ]
    assert store.client.search_experiments()  # MLflow's own Default: the tables are there


@pytest.mark.integration
def test_a_creation_that_was_cut_off_is_done_again(mlruns: Path, tmp_path: Path) -> None:
    (tmp_path / ".mlflow.db.4711.part").write_bytes(b"half a database")
    store = open_store(tmp_path)
    assert store.client.search_experiments()
    assert not (tmp_path / ".mlflow.db.4711.part").exists()


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
        for table, column in ARTIFACT_COLUMNS:
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


@pytest.mark.parametrize("sign", ["%20", "?", "#"])
def test_a_folder_whose_name_means_something_in_an_address_is_refused(sign: str, tmp_path: Path) -> None:
    """Artifacts would land in another folder, or a second database appear beside it."""
    folder = tmp_path / f"a{sign}b"
    with pytest.raises(SettingsError, match=r"mlruns: .* has a meaning; choose a folder"):
        open_store(folder)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def read_only(mlruns: Path) -> Iterator[Path]:
    """A copy of the folder of runs with a calibration in it, at another place, and nobody may write to it."""
    config = CalibrationConfig(experiment="read only")
    run = start_run(open_store(mlruns), load_readings(THERMOMETER), config, {})
    with ended(run):
        log_calibration(run, calibrate(THERMOMETER, config), {"line.png": b"png"})
    base = Path(tempfile.mkdtemp())  # not pytest's folder, which is its owner's alone
    folder = base / "elsewhere"
    shutil.copytree(mlruns, folder)
    base.chmod(0o755)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may write everything
    yield folder
    os.seteuid(user)
    for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        path.chmod(0o755)
    shutil.rmtree(base)


def test_runs_are_read_where_nothing_can_be_written(read_only: Path) -> None:
    before = sorted(read_only.rglob("*"))
    store = stores.open_existing_store(read_only)
    experiment = store.client.get_experiment_by_name("read only")
    assert experiment is not None
    (run,) = store.client.search_runs([experiment.experiment_id])
    assert load_record(store, run.info.run_id).record.w == pytest.approx(152075 / 283314, rel=1e-9)
    assert load_artifact(store, run.info.run_id, "residuals.parquet")
    assert sorted(read_only.rglob("*")) == before


def test_damaged_artifacts_are_told_with_their_run_and_the_cure(mlruns: Path) -> None:
    config = CalibrationConfig(experiment="damaged")
    store = open_store(mlruns)
    run = start_run(store, load_readings(THERMOMETER), config, {})
    with ended(run):
        artifacts = log_calibration(run, calibrate(THERMOMETER, config), {"line.png": b"png"})
    for name in ("calibration.json", "residuals.parquet"):
        whole = Path(artifacts[name]).read_bytes()
        Path(artifacts[name]).write_bytes(whole[: len(whole) // 2])
    start = run.run_id[:8]
    with pytest.raises(RunsError, match=rf"run {start}: its calibration.json is damaged \(.*\); calibrate again"):
        load_record(store, run.run_id)
    observed = load_artifact(store, run.run_id, "residuals.parquet")
    assert observed is not None
    with pytest.raises(RunsError, match=rf"run {start}: its residuals.parquet is damaged \(.*\); calibrate again"):
        read_observed(observed, start)


def test_a_password_in_the_address_goes_where_no_error_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")  # so that what is set here does not outlive the test
    with faulty("http://127.0.0.1:9", 1, "answers 500") as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address.replace("//", "//lab:sec%2Fret@"))
        store = open_store(tmp_path)
        assert store.uri == ui_address(store) == os.environ["MLFLOW_TRACKING_URI"] == server.address
        with pytest.raises(ServiceError, match="it answers with status 500") as failed:
            start_run(store, load_readings(THERMOMETER), CalibrationConfig(), {})
    expected = base64.b64encode(b"lab:sec/ret").decode()
    assert server.authorizations == {f"Basic {expected}"}
    chain: BaseException | None = failed.value
    while chain is not None:  # Prefect keeps all of it, in its log
        assert "ret" not in str(chain).replace("retr", "")
        chain = chain.__cause__ or chain.__context__


def test_a_database_elsewhere_is_shown_without_its_password() -> None:
    assert stores.without_password("postgresql://lab:secret@db.example/runs") == "postgresql://db.example/runs"
    assert stores.without_password("sqlite:////home/a@b/mlflow.db") == "sqlite:////home/a@b/mlflow.db"


def test_a_lease_is_its_owners_alone_and_names_no_store(mlruns: Path) -> None:
    run = start_run(open_store(mlruns), load_readings(THERMOMETER), CalibrationConfig(experiment="lease"), {})
    with ended(run):
        assert run.lease.path.stat().st_mode & 0o777 == 0o600
        assert "mlflow" not in run.lease.path.read_text()


def test_an_end_that_could_not_be_told_is_told_by_the_next_command(
    mlruns: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that dies at the very last request leaves a whole run: it did not fail."""
    store = open_store(mlruns)
    run = start_run(store, load_readings(THERMOMETER), CalibrationConfig(experiment="not told"), {})

    def fail(*_: object, **__: object) -> None:
        raise MlflowException("gone")

    with monkeypatch.context() as patched:
        patched.setattr(store.client, "set_terminated", fail)
        with pytest.raises(ServiceError, match="is whole, but its end could not be told"), ended(run):
            pass
        failed = start_run(store, load_readings(THERMOMETER), CalibrationConfig(experiment="not told"), {})
        with pytest.raises(ZeroDivisionError), ended(failed):
            raise ZeroDivisionError("in a stage")
    assert store.client.get_run(run.run_id).info.status == "RUNNING"
    open_store(mlruns)
    told = store.client.get_run(run.run_id)
    assert (told.info.status, told.data.tags.get("error")) == ("FINISHED", None)
    assert store.client.get_run(failed.run_id).info.status == "FAILED"
    assert store.client.get_run(failed.run_id).data.tags["error"] == "ZeroDivisionError: in a stage"


def test_a_locked_database_is_told_in_words_and_seconds(mlruns: Path, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    shutil.copytree(mlruns, folder)
    with closing(sqlite3.connect(folder / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        start = time.monotonic()
        with pytest.raises(ServiceError, match="another program holds it"):
            open_store(folder)
        assert time.monotonic() - start < 15
