"""`tempfit …`: the command line. Thin, and quick to start: heavy imports happen in the command that needs them."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from typer.exceptions import TyperException
from typer.main import get_command

import flows  # noqa: F401 (tells Prefect and MLflow not to report home, before either is imported)
from tempfit.cli import (  # each registers its commands
    calibrate,
    compare,
    export,
    fleet,
    forecast,
    predict,
    report,
    services,
    sweep,
)
from tempfit.cli.shared import EXIT_FAILURE, EXIT_INPUT, app, show_text, stderr
from tempfit.cli.usage import describe_usage
from tempfit.errors import InputError, ServiceError

__all__ = [
    "app",
    "calibrate",
    "compare",
    "export",
    "fleet",
    "forecast",
    "main",
    "predict",
    "report",
    "services",
    "sweep",
]

QUIET = {  # unless the user says otherwise
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # failures are told in a line of ours
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def main(arguments: list[str] | None = None) -> None:
    """Run a command; errors become one line on stderr and an exit code (docs/exit-codes.md).

    With TEMPFIT_TRACEBACK set, the traceback of an unexpected error is shown too.
    """
    for variable, value in QUIET.items():
        os.environ.setdefault(variable, value)
    os.environ["PYTHONSAFEPATH"] = "1"  # no process of ours imports a module that lies beside the readings
    for library in ("alembic", "sqlalchemy"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    logging.raiseExceptions = False  # that a log could not be sent to Prefect is no news for the terminal
    spared = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = f"{spared},127.0.0.1" if spared else "127.0.0.1"
    try:
        code = command_line()(arguments, prog_name="tempfit", standalone_mode=False)
    except TyperException as error:
        _fail(describe_usage(error), EXIT_INPUT)
    except InputError as error:
        _fail(str(error), EXIT_INPUT)
    except ServiceError as error:
        _fail(str(error), EXIT_FAILURE)
    except Exception as error:
        if os.environ.get("TEMPFIT_TRACEBACK"):
            stderr.print_exception()
        first_line = str(error).strip().partition("\n")[0]  # of a library's error, the rest is its stack or its SQL
        _fail(f"{type(error).__name__} (TEMPFIT_TRACEBACK=1 shows where): {first_line}", EXIT_FAILURE)
    sys.exit(code if isinstance(code, int) else 0)


@cache
def command_line() -> Callable[..., Any]:
    """All commands: they are made once, for who runs several in one process."""
    return get_command(app)


def _fail(message: str, code: int) -> None:
    show_text(stderr, "error: ", message.strip(), "bold red")
    sys.exit(code)
