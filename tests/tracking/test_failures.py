"""Failures of a store in words: the innermost cause, whatever library it comes through."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.utils.rest_utils import MlflowHostCreds, http_request
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from tempfit.errors import ServiceError
from tempfit.tracking.failures import cause, told_as
from tests.faults import faulty


def test_a_full_disk_through_sqlalchemy_and_mlflow(tmp_path: Path) -> None:
    """SQLite says the same of a database that may not grow as of a disk that is full."""
    engine = create_engine(f"sqlite:///{tmp_path / 'small.db'}")

    def write() -> None:
        try:
            with engine.begin() as connection:
                connection.execute(text("CREATE TABLE t (x)"))
                connection.execute(text("PRAGMA max_page_count = 2"))
                connection.execute(text(f"INSERT INTO t VALUES ('{'x' * 100_000}')"))
        except SQLAlchemyError as error:
            raise MlflowException(f"{error}\n(Background on this error at: https://sqlalche.me/e)") from error

    with pytest.raises(ServiceError, match=r"^cannot record: the disk is full$"), told_as("cannot record"):
        write()


def test_a_full_disk_where_artifacts_are_copied() -> None:
    with pytest.raises(ServiceError, match="the disk is full, or a quota reached"), told_as("cannot record"):
        raise OSError(errno.ENOSPC, "No space left on device", "line.png")


def test_a_servers_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    words = {
        "answers 500": "it answers with status 500",
        "hangs": "no answer in 1 s (MLFLOW_HTTP_REQUEST_TIMEOUT)",
        "dies": "nothing answers there any more; start the server again",
    }
    for mode, expected in words.items():
        with faulty("http://127.0.0.1:9", 1, mode) as server, pytest.raises(MlflowException) as failed:  # type: ignore[arg-type]
            http_request(MlflowHostCreds(server.address), "/api/2.0/mlflow/runs/get", "GET")
        assert cause(failed.value) == expected


def test_a_librarys_own_words_are_one_line_and_not_endless() -> None:
    assert cause(MlflowException("first line\nsecond line")) == "first line"
    assert len(cause(MlflowException("x" * 10_000))) == 301
    assert cause(requests.HTTPError("404 Client Error")) == "404 Client Error"
