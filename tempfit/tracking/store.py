"""Where runs are kept: a folder of its own (SQLite and files), or the server that MLFLOW_TRACKING_URI names."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow import MlflowClient
from mlflow.entities import RunStatus
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from tempfit.errors import RunsError, ServiceError, SettingsError
from tempfit.system import leases
from tempfit.system.interrupts import uninterrupted
from tempfit.tracking.database import connect, database_to_read, database_uri, ensure_database, make_folder, refuse_path
from tempfit.tracking.failures import be_brief, told_as

PARENT_TAG = "mlflow.parentRunId"  # the run that a run is nested under in the UI
KIND_TAG, SWEEP, FLEET = "tempfit.kind", "sweep", "fleet"  # of a run that is of many, and no calibration itself
BEST_TAG, AXIS_PARAM = "best_run", "grid."  # of a sweep: the best of what it tried; before the name of what was varied
SERVER_PATIENCE = 5  # seconds until a tracking server must accept a connection


@dataclass(frozen=True)
class Store:
    """An open tracking store.

    uri: where it is, without a password. folder: the local `mlruns/`; it also holds the leases of running runs when the
    runs themselves go to a server. artifact_root: where new experiments keep artifacts; None leaves it to the server.
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
        """Folder of the leases that tell a running run from one whose process was killed; one for each store."""
        leases_folder = self.folder / "running"
        if self.uri == database_uri(self.folder):
            return leases_folder
        return leases_folder / hashlib.sha256(self.uri.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class RunEnding:
    """How a run ended: what its process leaves in the lease where it cannot tell the store.

    Without one, the process was killed. end_time: milliseconds since 1970; None: not known.
    """

    status: str = "FAILED"
    reason: str | None = "the process was killed before the run ended"
    end_time: int | None = None

    def as_note(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_note(cls, note: str) -> RunEnding:
        try:
            return cls(**json.loads(note))
        except (ValueError, TypeError):  # none, or that of an older tempfit
            return cls()


def unfinished(folder: Path) -> Path:
    """Where what is done of work that takes long waits until that is recorded, wherever runs are kept."""
    return folder.resolve() / "unfinished"


def open_store(folder: Path) -> Store:
    """Open the store in `folder`, or the server that MLFLOW_TRACKING_URI names; make and mend it as needed.

    Runs whose process was killed are marked FAILED here. Raises ServiceError when the store cannot be used,
    SettingsError when `folder` cannot hold one.
    """
    folder = folder.resolve()
    uri = _configured_uri(folder)
    if uri is None:
        refuse_path(folder)
        make_folder(folder)
        with told_as(f"cannot open the runs at {database_uri(folder)}"):
            ensure_database(folder)
            store = Store(connect(database_uri(folder)), database_uri(folder), folder, folder / "artifacts")
    else:
        if uri.startswith("http"):
            _refuse_silent_server(uri)
            be_brief()
        with told_as(f"cannot open the runs at {without_password(uri)}"):
            store = Store(MlflowClient(tracking_uri=uri), without_password(uri), folder, None)
    with told_as(f"cannot open the runs at {store.uri}"):
        end_stale_runs(store)
    return store


def open_existing_store(folder: Path) -> Store:
    """Open the store in `folder` to read from it: none is made where there is none, nor is one written that cannot be.

    Raises RunsError when there is none, ServiceError when it cannot be used.
    """
    folder = folder.resolve()
    if _configured_uri(folder) is None:
        if not (folder / "mlflow.db").exists():
            raise RunsError(f"{folder}: no runs yet; `tempfit calibrate FILE` makes one each time")
        if not (_can_write(folder) and _can_write(folder / "mlflow.db")):
            return _open_read_only(folder)
    return open_store(folder)


def _can_write(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _open_read_only(folder: Path) -> Store:
    """The store in a folder that cannot be written."""
    uri = database_uri(folder)
    with told_as(f"cannot read the runs at {uri}"):
        return Store(connect(f"sqlite:///{database_to_read(folder)}"), uri, folder, folder / "artifacts")


def without_password(uri: str) -> str:
    """The address without the user's name and password, for everything that is shown or kept."""
    scheme, separator, rest = uri.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _configured_uri(folder: Path) -> str | None:
    """What MLFLOW_TRACKING_URI names, if it is set to anything but the database in `folder`.

    A password in a server's address goes to the variables that MLflow has for it: an address is in every error.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri or uri == database_uri(folder):
        return None
    address = urlsplit(uri)
    if uri.startswith("http") and address.username is not None:
        os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(address.username)
        os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(address.password or "")
        os.environ["MLFLOW_TRACKING_URI"] = uri = without_password(uri)
    return uri


def _refuse_silent_server(uri: str) -> None:
    """Where nothing listens, that is told at once, and before anything is made."""
    address = urlsplit(uri)
    try:
        port = address.port or (443 if address.scheme == "https" else 80)
    except ValueError:
        raise SettingsError(
            "MLFLOW_TRACKING_URI: not an address with a port; in a name or password, write / as %2F and @ as %40"
        ) from None
    try:
        socket.create_connection((address.hostname or "", port), timeout=SERVER_PATIENCE).close()
    except OSError as error:
        raise ServiceError(
            f"nothing answers at {uri}, which MLFLOW_TRACKING_URI names ({error}): start that server, or unset the "
            "variable"
        ) from error


def end_stale_runs(store: Store) -> None:
    """End runs whose process is gone without having told the store: as it left word, or FAILED."""
    for run_id, note in leases.abandoned(store.running):
        ending = RunEnding.from_note(note)
        try:
            run = store.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):  # deleted for good meanwhile
                continue
            raise  # the lease is found again
        if run.info.status == RunStatus.to_string(RunStatus.RUNNING):
            end_run(store, run_id, run.info.experiment_id, ending)


def end_run(store: Store, run_id: str, experiment_id: str, ending: RunEnding) -> None:
    """Tell the store how a run ended; what a sweep had begun below it has not ended otherwise."""
    ended = [run_id]
    if ending.status != RunStatus.to_string(RunStatus.FINISHED):
        of_a_sweep = f"tags.`{PARENT_TAG}` = '{run_id}' and attributes.status = 'RUNNING'"
        ended += [run.info.run_id for run in store.client.search_runs([experiment_id], of_a_sweep)]
    for each in reversed(ended):
        if ending.reason is not None:
            store.client.set_tag(each, "error", ending.reason[:5000])
        store.client.set_terminated(each, ending.status, ending.end_time)
