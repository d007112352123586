"""Where runs are kept: a folder of its own (SQLite and files), or the server that MLFLOW_TRACKING_URI names.

The database is made once, under a lock, and moved to its place when it is whole: several processes that meet a missing
database would otherwise leave it broken for good. MLflow stores artifact locations absolute; a folder that was moved is
noticed and its locations are put right.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import RunStatus
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from tempfit import leases
from tempfit.errors import RunsError, ServiceError, SettingsError
from tempfit.interrupts import uninterrupted

PARENT_TAG = "mlflow.parentRunId"  # the run that a run is nested under in the UI
KIND_TAG, SWEEP = "tempfit.kind", "sweep"  # of a run that holds others together, and is no calibration itself
BEST_TAG, AXIS_PARAM = "best_run", "grid."  # of a sweep: the best of what it tried; before the name of what was varied
SERVER_PATIENCE = 5  # seconds until a tracking server must accept a connection
ARTIFACT_COLUMNS = (  # every place in MLflow's tables that holds an absolute artifact location
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


@dataclass(frozen=True)
class Store:
    """An open tracking store.

    folder: the local `mlruns/`; it also holds the leases of running runs when the runs themselves go to a server.
    artifact_root: where new experiments keep artifacts; None leaves it to the server.
    """

    client: MlflowClient
    uri: str
    folder: Path
    artifact_root: Path | None

    @property
    def is_server(self) -> bool:
        """Whether runs go to a tracking server, rather than into a database here."""
        return self.uri.startswith("http")

    def whole(self) -> AbstractContextManager[None]:
        """For what is written into the store in one go: not to be interrupted, where the store is SQLite."""
        return nullcontext() if self.is_server else uninterrupted()

    @property
    def running(self) -> Path:
        """Folder of the leases that tell a running run from one whose process was killed."""
        return self.folder / "running"


def database_uri(folder: Path) -> str:
    """SQLAlchemy's address of the database in `folder`."""
    return f"sqlite:///{(folder / 'mlflow.db').resolve()}"


def open_store(folder: Path) -> Store:
    """Open the store in `folder`, or the server that MLFLOW_TRACKING_URI names; make and mend it as needed.

    Runs whose process was killed are marked FAILED here. Raises ServiceError when the store cannot be used,
    SettingsError when `folder` cannot hold one.
    """
    folder = folder.resolve()
    uri = os.environ.get("MLFLOW_TRACKING_URI") or database_uri(folder)
    if uri.startswith("http"):
        _refuse_silent_server(uri)
    try:
        if uri == database_uri(folder):
            _make_folder(folder)
            _ensure_database(folder)
            artifact_root = folder / "artifacts"
        else:
            artifact_root = None
        store = Store(MlflowClient(tracking_uri=uri), uri, folder, artifact_root)
        end_stale_runs(store)
    except (MlflowException, SQLAlchemyError, OSError, sqlite3.Error) as error:
        raise ServiceError(f"cannot open the runs at {uri}: {error}") from error
    return store


def _refuse_silent_server(uri: str) -> None:
    """Where nothing listens, MLflow's client would ask again and again for minutes."""
    address = urlsplit(uri)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), timeout=SERVER_PATIENCE).close()
    except OSError as error:
        raise ServiceError(
            f"nothing answers at {uri}, which MLFLOW_TRACKING_URI names ({error}): start that server, or unset the "
            "variable"
        ) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".lock").touch()
    except OSError as error:
        raise SettingsError(f"mlruns: {folder} cannot hold runs ({error.strerror}); choose another folder") from None


def open_existing_store(folder: Path) -> Store:
    """Open the store in `folder` to read from it: where there is none, none is made.

    Raises RunsError when there is none, ServiceError when it cannot be used.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI") and not (folder / "mlflow.db").exists():
        raise RunsError(f"{folder}: no runs yet; `tempfit calibrate FILE` makes one each time")
    return open_store(folder)


def end_stale_runs(store: Store) -> None:
    """Mark runs FAILED whose process is gone without having ended them."""
    for run_id, uri in leases.abandoned(store.running):
        if uri != store.uri:
            continue
        try:
            run = store.client.get_run(run_id)
            of_a_sweep = f"tags.`{PARENT_TAG}` = '{run_id}' and attributes.status = 'RUNNING'"
            for stale in (run, *store.client.search_runs([run.info.experiment_id], of_a_sweep)):
                if stale.info.status == RunStatus.to_string(RunStatus.RUNNING):
                    store.client.set_tag(stale.info.run_id, "error", "the process was killed before the run ended")
                    store.client.set_terminated(stale.info.run_id, "FAILED")
        except MlflowException:  # deleted for good meanwhile
            continue


def _ensure_database(folder: Path) -> None:
    database, location = folder / "mlflow.db", folder / "artifacts" / ".location"
    if _recorded_location(location) == str(folder) and database.exists():
        return
    with _locked(folder):
        if not database.exists():
            _create_database(database)
        recorded = _recorded_location(location)
        if recorded and recorded != str(folder):
            move_artifact_locations(database, Path(recorded), folder)
        location.parent.mkdir(exist_ok=True)
        location.write_text(str(folder), encoding="utf-8")


def _create_database(database: Path) -> None:
    """Make the tables under another name first: a database with the right name is a whole one."""
    unfinished = database.with_suffix(".db.unfinished")
    unfinished.unlink(missing_ok=True)
    made = subprocess.run(
        [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{unfinished}"], capture_output=True, text=True
    )
    if made.returncode:
        reason = (made.stderr or made.stdout).strip().splitlines() or ["no reason given"]
        raise ServiceError(f"cannot create {database}: {reason[-1]}")
    unfinished.replace(database)


def move_artifact_locations(database: Path, old: Path, new: Path) -> None:
    """Rewrite the absolute locations that MLflow stored, after `old` was moved to `new`."""
    with closing(sqlite3.connect(database)) as connection, connection:
        for table, column in ARTIFACT_COLUMNS:
            for prefix, replacement in ((str(old), str(new)), (old.as_uri(), new.as_uri())):
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                    (replacement + "/", len(prefix) + 2, len(prefix) + 1, prefix + "/"),
                )


def _recorded_location(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with FileLock(folder / ".lock", timeout=300):
        yield
