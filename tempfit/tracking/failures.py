"""Failures of a tracking store in words: one line that says the cause, whatever library it comes from."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from tempfit.errors import ServiceError

FAILURES = (MlflowException, SQLAlchemyError, sqlite3.Error, OSError)  # (of requests are OSErrors, too)
LONG = 10  # seconds that a store has kept silent before it failed: to ask again would only take as long again
LONGEST = 300  # characters of a library's own words

PATIENCE = {  # with a tracking server, unless the user says otherwise; MLflow's own would take up to 21 minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",  # seconds, ten times what a busy server takes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # the tasks try again, and find what they had begun; MLflow starts anew
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "20",  # seconds, where artifacts go elsewhere than to the server
}

WORDS = {  # what SQLite says → what it means to a user
    "database is locked": "the database is locked: another program holds it; end that, or try again later",
    "database or disk is full": "the disk is full",
    "disk I/O error": "the disk cannot be written: it may be full, or a quota reached",
    "attempt to write a readonly database": "the database cannot be written; check its permissions",
    "unable to open database file": "the database cannot be opened; check the permissions of its folder",
}


def be_brief() -> None:
    """Let MLflow's client give up soon, where the user has not said how long it shall take."""
    for variable, value in PATIENCE.items():
        os.environ.setdefault(variable, value)


@contextmanager
def told_as(what: str) -> Iterator[None]:
    """A failure of the store inside is a ServiceError: `what` could not be done, and the cause in words."""
    start = time.monotonic()
    try:
        yield
    except FAILURES as error:
        raise ServiceError(f"{what}: {cause(error)}", waited=time.monotonic() - start > LONG) from error


def cause(error: BaseException) -> str:
    """Why a store failed, in one line."""
    chain = list(_chain(error))
    for link in reversed(chain):  # the innermost knows best
        text = str(link)
        if isinstance(link, sqlite3.Error):
            return next((words for said, words in WORDS.items() if said in text), text)
        if isinstance(link, OSError) and link.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return "the disk is full, or a quota reached"
        if status := re.search(r"too many (\d+) error responses", text):
            return f"it answers with status {status[1]}"
    for link in chain:
        if isinstance(link, requests.Timeout) or "timed out" in str(link):
            return f"no answer in {os.environ.get('MLFLOW_HTTP_REQUEST_TIMEOUT')} s (MLFLOW_HTTP_REQUEST_TIMEOUT)"
        if isinstance(link, requests.ConnectionError):
            return "nothing answers there any more; start the server again"
    first_line = str(error).strip().partition("\n")[0]
    return first_line if len(first_line) <= LONGEST else f"{first_line[:LONGEST]}…"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
