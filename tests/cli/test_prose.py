"""Sentences on the command line: settings spelled as options, wrapped at words where a person reads them."""

from __future__ import annotations

import ast
from io import StringIO
from pathlib import Path

import pytest
from mlflow import MlflowClient
from rich.console import Console

import tempfit
from tempfit.cli.shared import Whole, artifact_place, browse, show_lines, show_text
from tempfit.cli.spelling import option_of, spell_options
from tempfit.config import CalibrationConfig
from tempfit.system.leases import hold
from tempfit.tracking.runs import Run
from tempfit.tracking.store import Store

ADVICE = (
    "learning rate 0.01 is 29.4 times the critical 3.4e-4: every update over-corrects, and the loss overflows at "
    'epoch 88. To cure it, scale the readings (`scaling="standardize"`)'
)
PATH = "/home/a lab/" + "/".join(["mlruns"] * 20) + "/figures/line.png"


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ('scale the readings (`scaling="standardize"`).', "scale the readings (--scaling standardize)."),
        ("try `learning_rate=1.7e-4, n_epochs=152_825`", "try --learning-rate 1.7e-4 --n-epochs 152_825"),
        ("by `drop_missing=True` or `drop_missing=False`", "by --drop-missing or --no-drop-missing"),
        ("choose with `x` and `y`", "choose with --x and --y"),
        ('`x="two words", u_c="none"`', "--x 'two words' --u-c none"),
        ("`tempfit up` and `Status 10` are commands", "`tempfit up` and `Status 10` are commands"),
        ("no settings: w = 1, `", "no settings: w = 1, `"),
    ],
)
def test_settings_are_spelled_as_options(text, spelled):
    assert spell_options(text) == spelled


def test_only_the_command_line_spells_options():
    """No string in the other packages (docstrings and what other programs are called with apart) has an option."""
    root = Path(tempfit.__file__).parents[1]
    options = {option_of(name) for name in CalibrationConfig.model_fields}
    found = []
    for path in [*root.glob("tempfit/**/*.py"), *root.glob("flows/**/*.py")]:
        if path.is_relative_to(root / "tempfit" / "cli"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words = {word.strip("():;.,`'\"") for word in node.value.split()}
                found += [f"{path.name}:{node.lineno}: {word}" for word in words & options]
    assert found == []


def shown(width: int, *lines: tuple[str, str], terminal: bool = True) -> list[str]:
    file = StringIO()
    show_lines(Console(file=file, width=width, force_terminal=terminal, color_system=None), lines)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 200])
def test_sentences_are_wrapped_at_words_below_each_other(width):
    lines = shown(width, ("advice", ADVICE), ("critical learning rate", "3.4e-4"))
    *advice, rate = lines
    assert max(map(len, lines)) <= width
    assert all(line[:24].strip() == ("advice" if k == 0 else "") for k, line in enumerate(advice))
    assert " ".join(line[24:] for line in advice) == spell_options(ADVICE)  # no word is broken, none is lost
    assert rate == "critical learning rate  3.4e-4"


def test_where_there_is_no_room_beside_the_label_sentences_go_on_below_it():
    advice = shown(40, ("advice", ADVICE), ("critical learning rate", "3.4e-4"))[:-1]
    assert max(map(len, advice)) <= 40
    assert all(line.startswith("    ") and line[4] != " " for line in advice[1:])


def test_paths_are_left_whole():
    assert shown(80, ("figure", Whole(PATH)), ("run", "ac05")) == [f"figure  {PATH}", "run     ac05"]
    words = PATH.split()[1]  # in a sentence, at least no path's word is broken
    assert any(words in line for line in shown(80, ("readings", f"11 from {words}, 2 dropped")))


def test_a_pipe_has_one_line_a_label():
    assert shown(80, ("advice", ADVICE), terminal=False) == [f"advice  {spell_options(ADVICE)}"]


def test_warnings_are_wrapped_beside_their_word():
    file = StringIO()
    show_text(Console(file=file, width=80, force_terminal=True, color_system=None), "warning: ", ADVICE, "")
    first, *others = file.getvalue().splitlines()
    assert first.startswith("warning: learning rate 0.01 is")
    assert others
    assert all(line.startswith(" " * 9) and len(line) <= 80 for line in others)


@pytest.mark.parametrize("uri", ["http://lab:5000", "sqlite:///mlruns/mlflow.db"])
def test_a_tracking_servers_pages_are_named_and_a_folders_files(uri, tmp_path):
    """The routes are those of MLflow's page, whose tab of artifacts is `artifacts` with the path behind it."""
    store = Store(MlflowClient(tracking_uri="http://lab:5000"), uri, tmp_path, None)
    run = Run(store, "ac05", "7", "name", 0, hold(tmp_path / "running", "ac05"))
    url = run.url("http://lab:5000")
    place = artifact_place(run, {"figures/line.png": "/mlruns/line.png"}, "figures/line.png", url)
    told = browse(store, "my runs", url)
    run.lease.release()
    if uri.startswith("http"):
        assert told == url == "http://lab:5000/#/experiments/7/runs/ac05?" + url.partition("?")[2]
        assert place == url.replace("ac05?", "ac05/artifacts/figures/line.png?")
    else:
        assert told == f"tempfit ui --mlruns 'my runs'  →  {url}"
        assert place == "/mlruns/line.png"


def test_commands_are_not_wrapped():
    file = StringIO()
    command = "`python -c 'print(1, 2, 3, 4, 5, 6)'`"
    show_text(Console(file=file, width=40, force_terminal=True, color_system=None), "error: ", f"say {command} now", "")
    assert [line.strip() for line in file.getvalue().splitlines()] == ["error: say", command, "now"]
