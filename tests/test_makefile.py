"""What `make` says while it installs: a line a step, and pip's words where it fails."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT


def install(folder: Path, pip: str) -> subprocess.CompletedProcess[str]:
    """`make install` into a virtual environment whose Python is a script of the shell."""
    python = folder / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\n{pip}\n")
    python.chmod(0o755)
    command = ["make", "install", f"VENV={folder}", "PYTHON=true"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.fixture(autouse=True)
def _make(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a part of the make that may be running the tests."""
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"):
        monkeypatch.delenv(name, raising=False)


def test_pip_is_not_heard_where_it_succeeds(tmp_path):
    done = install(tmp_path, "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo Collecting $i; echo WARNING: $i >&2; done")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith("installing ")
    assert f"{tmp_path}/pip.log" in done.stdout
    assert "Collecting 200" in (tmp_path / "pip.log").read_text()
    again = subprocess.run(["make", "install", f"VENV={tmp_path}"], cwd=ROOT, capture_output=True, text=True)
    assert "Nothing to be done" in again.stdout


def test_where_pip_fails_it_is_heard_and_nothing_passes_for_installed(tmp_path):
    done = install(tmp_path, "echo Collecting torch; echo ERROR: no space left on device >&2; exit 1")
    assert done.returncode != 0
    assert "Collecting torch\nERROR: no space left on device\nerror: pip failed" in done.stderr
    assert not (tmp_path / ".installed").exists()
