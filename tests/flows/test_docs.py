"""The commands that README.md and docs/ show and that start a flow: what is shown is what is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT, THERMOMETER
from tests.documents import PAGES, Command, blocks, commands, hold, name_of, with_run
from tests.flows.conftest import Command as Run

pytestmark = pytest.mark.usefixtures("prefect_server")

SHOWN = [
    pytest.param(
        command,
        id=f"{name_of(page)}: {command.text[:60]}",
        marks=[pytest.mark.integration] if "mlp" in command.arguments else [],  # a network takes seconds
    )
    for page in PAGES
    for block in blocks(page)
    if block.language == "console"
    for command in commands(block)
    if command.text == "make run" or command.text.startswith(("tempfit calibrate", "tempfit sweep"))
]


def recipe(target: str) -> list[str]:
    """The first command that `make` runs for the target."""
    found = re.search(rf"^{target}:.*\n\t\$\(BIN\)/tempfit (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found is not None
    return found[1].split()


@pytest.mark.parametrize("shown", SHOWN)
def test_what_is_shown_is_what_is_printed(
    shown: Command, command: Run, mlruns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shown.prints is not None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thermometer.csv").write_bytes(THERMOMETER.read_bytes())
    (tmp_path / "mlruns").symlink_to(mlruns)
    arguments = recipe("run") if shown.text == "make run" else shown.arguments[1:]
    _, out, err = command(*arguments)
    told = [line for line in err.splitlines() if line.startswith(("warning: ", "error: "))]  # among the session's logs
    hold(with_run("\n".join(shown.prints), None).splitlines(), [*told, *out.splitlines()])
