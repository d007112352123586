"""The program as the shell sees it: exit codes of what goes wrong outside of any command, pipes, escape codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import THERMOMETER


def start(*arguments: str, **more: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tempfit", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


@pytest.mark.parametrize(
    ("statement", "code", "told"),
    [
        ("raise ImportError('broken\\ninstall')", 1, "error: tempfit does not start (ImportError: broken install)"),
        ("raise KeyboardInterrupt", 130, ""),  # as by Ctrl-C in the first 0.3 s
        ("raise RuntimeError('at import')", 1, "error: tempfit does not start (RuntimeError: at import)"),
    ],
)
def test_what_fails_before_the_command_line_is_there_is_a_failure(
    statement: str, code: int, told: str, tmp_path: Path
) -> None:
    (tmp_path / "typer.py").write_text(statement)
    process = start("--version", env=os.environ | {"PYTHONPATH": str(tmp_path)})
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "")
    assert err.startswith(told)
    assert err.count("\n") == bool(told)


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["forecast", str(THERMOMETER)], ["forecast", str(THERMOMETER), "--json"]]
)
def test_whoever_reads_may_leave_at_any_time(arguments: list[str]) -> None:
    """Of tables, of JSON that is written at the interpreter's end, of typer's own pages."""
    process = start(*arguments)
    assert process.stdout is not None
    process.stdout.close()  # before anything is written: with `head` it is a matter of luck
    assert process.stderr is not None
    err = process.stderr.read()
    assert (process.wait(60), err) == (141, "")


def test_escape_codes_in_a_name_never_reach_the_terminal(tmp_path: Path) -> None:
    name = "a\x1b[31mred\n\x07\x9b1mname.csv"
    (tmp_path / name).write_bytes(THERMOMETER.read_bytes())
    forecasts = [["forecast", file, *options] for file in (name, f"no such {name}") for options in ([], ["--json"])]
    for arguments in (*forecasts, ["predict", name, name]):
        process = start(*arguments, cwd=tmp_path)
        out, err = process.communicate(timeout=60)
        assert all(sign == "\n" or sign.isprintable() for sign in out + err), (out, err)
        assert err.count("\n") == bool(process.returncode)
