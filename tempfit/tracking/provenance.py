"""Who and what made a run, as tags of it."""

from __future__ import annotations

import getpass
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

from tempfit.calibration.filed import VERSIONS_TAG
from tempfit.exact.large import AnyReadings

LIBRARIES = ("tempfit", "torch", "mlflow", "prefect", "pandas", "numpy", "scipy")


def identity(readings: AnyReadings) -> dict[str, str]:
    """Tags that say which thermometer was calibrated, and by what readings."""
    return {"thermometer": readings.thermometer, "data_sha256": readings.sha256}


def provenance() -> dict[str, str]:
    """Tags that say who and what made the run; MLflow's page shows them as its author and source."""
    tags = {}
    commit = _git_commit(__file__)
    if commit:
        tags["mlflow.source.git.commit"] = commit
    return {
        "mlflow.source.name": "tempfit",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": _user(),
        **tags,
    }


def versions() -> dict[str, str]:
    """A tag with the versions of the software: written last, as MLflow shows tags in the order in which they come."""
    return {VERSIONS_TAG: ", ".join(f"{library} {version(library)}" for library in LIBRARIES)}


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return "unknown"


@cache
def _git_commit(source: str) -> str | None:
    """The commit that tempfit runs from, with `-dirty` for uncommitted changes; None outside a checkout of it."""
    command = ["git", "-C", str(Path(source).parent)]
    try:
        subprocess.run([*command, "ls-files", "--error-unmatch", source], check=True, capture_output=True, timeout=10)
        described = subprocess.run(
            [*command, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            check=True,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()
