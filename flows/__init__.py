"""The flows: the only home of prefect.

Prefect and MLflow read the environment when they are imported. What tempfit asks of them is therefore said here, before
any module of this package imports them: once for the command line, the servers that it starts, and scripts.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path


def _do_not_track() -> None:
    """No usage statistics, unless the user says so: what a laboratory measures, and when, is its own business."""
    os.environ["DO_NOT_TRACK"] = os.environ.get("DO_NOT_TRACK") or "true"
    if os.environ["DO_NOT_TRACK"].lower() in ("1", "true", "yes"):
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # (MLflow takes DO_NOT_TRACK=1 for a no)
        os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")  # (Prefect's server does not ask for it)


def _own_logging() -> None:
    """Prefect's own logging.yml, unless the environment names another.

    A logging.yml may name what is to be called, and Prefect lets a prefect.toml or .env in the working folder choose
    the file: the readings' sender would run code.
    """
    prefect = find_spec("prefect")  # found, not imported
    if prefect is not None and prefect.submodule_search_locations:
        own = Path(prefect.submodule_search_locations[0], "logging", "logging.yml")
        chosen = os.environ.get("PREFECT_LOGGING_SETTINGS_PATH") or str(own)  # the older name of the same setting
        os.environ.setdefault("PREFECT_LOGGING_CONFIG_PATH", chosen)


_do_not_track()
_own_logging()
