"""The SQLite database in a folder of runs: made whole, found moved, read where nothing may be written.

It is made once, under a lock, and moved to its place when it is whole: several processes that meet a missing database
would otherwise leave it broken for good. MLflow stores artifact locations absolute; a folder that was moved is noticed
and its locations are put right.
"""

from __future__ import annotations

import atexit
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from filelock import FileLock
from mlflow import MlflowClient

from tempfit.errors import ServiceError, SettingsError
from tempfit.system.files import replaced

ARTIFACT_COLUMNS = (  # every place in MLflow's tables that holds an absolute artifact location
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
BUSY_PATIENCE = 5  # seconds until a locked database must be free


def database_uri(folder: Path) -> str:
    """SQLAlchemy's address of the database in `folder`."""
    return f"sqlite:///{(folder / 'mlflow.db').resolve()}"


def connect(uri: str) -> MlflowClient:
    """MLflow's client of a database here; where that is locked, MLflow would try to open it for minutes."""
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"), timeout=BUSY_PATIENCE)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master")
    return MlflowClient(tracking_uri=uri)


def refuse_path(folder: Path) -> None:
    """Raise SettingsError for what cannot stand in an address: artifacts would land elsewhere."""
    for sign in "%?#":
        if sign in str(folder):
            raise SettingsError(
                f"mlruns: {folder}: MLflow keeps addresses of files, where {sign!r} has a meaning; choose a folder "
                "without it"
            )


def make_folder(folder: Path) -> None:
    """Make the folder where there is none. Raises SettingsError where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".lock").touch()
    except OSError as error:
        raise SettingsError(f"mlruns: {folder} cannot hold runs ({error.strerror}); choose another folder") from None


def database_to_read(folder: Path) -> Path:
    """The database in a folder that cannot be written; where its paths must be put right, a copy of it."""
    database = folder / "mlflow.db"
    recorded = _recorded_location(folder / "artifacts" / ".location")
    if not recorded or recorded == str(folder):
        return database
    copy = Path(tempfile.mkdtemp(prefix="tempfit-")) / database.name
    atexit.register(shutil.rmtree, copy.parent, ignore_errors=True)
    shutil.copyfile(database, copy)
    move_artifact_locations(copy, Path(recorded), folder)
    return copy


def ensure_database(folder: Path) -> None:
    """Make the database where there is none, and put its paths right where the folder was moved."""
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
        with replaced(location) as part:
            part.write_text(str(folder), encoding="utf-8")


def _create_database(database: Path) -> None:
    """Make the tables under another name first: a database with the right name is a whole one."""
    for half in database.parent.glob(f".{database.name}.*.part*"):  # of those who were killed here
        half.unlink()
    with replaced(database) as unfinished:
        made = subprocess.run(
            [sys.executable, "-P", "-m", "mlflow", "db", "upgrade", f"sqlite:///{unfinished}"],
            capture_output=True,
            text=True,
        )
        if made.returncode:
            reason = (made.stderr or made.stdout).strip().splitlines() or ["no reason given"]
            raise ServiceError(f"cannot create {database}: {reason[-1]}")


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
