"""What tests of flows share: their settings, the runs they leave, and the command line against the session's server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun

from tempfit import cli
from tempfit.config import CalibrationConfig
from tempfit.tracking.database import database_uri

Command = Callable[..., tuple[int, str, str]]


def settings(mlruns: Path, experiment: str, **more: object) -> CalibrationConfig:
    return CalibrationConfig(mlruns=str(mlruns), experiment=experiment, **more)


def client_of(mlruns: Path) -> MlflowClient:
    return MlflowClient(tracking_uri=database_uri(mlruns))


def runs_of(mlruns: Path, experiment: str) -> list[MlflowRun]:
    found = client_of(mlruns).get_experiment_by_name(experiment)
    return list(client_of(mlruns).search_runs([found.experiment_id])) if found else []


def run_python(folder: Path, code: str, *arguments: str, **environment: str) -> str:
    """What the code prints in an interpreter of its own, in this folder and without anything of the user's."""
    known = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "PREFECT_HOME": str(folder / "home" / "prefect")}
    command = [sys.executable, "-P", "-c", code, *arguments]
    done = subprocess.run(command, cwd=folder, env=known | environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys) -> Command:
    """Run `tempfit …` in this process, against the session's server: exit code, stdout and stderr."""
    monkeypatch.setattr("tempfit.cli.shared._start_prefect", lambda: None)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = 0
        try:
            cli.main(list(arguments))
        except SystemExit as ended:
            code = ended.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
