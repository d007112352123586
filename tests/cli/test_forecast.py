"""`tempfit forecast`: what it prints, what it refuses, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tempfit.config import CalibrationConfig
from tempfit.descent.setup import normalize
from tempfit.readings.paired import as_readings
from tempfit.studies.outlook import SCALINGS
from tests.broken_inputs import broken_inputs
from tests.cli.test_commands import run
from tests.conftest import ROOT, T_C, T_U, THERMOMETER

FILE = str(THERMOMETER)
THIS_CODE = {**os.environ, "PYTHONPATH": str(ROOT)}  # whatever is installed


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(out: str) -> dict[str, list[str]]:
    """The table's cells by the first word of their scaling; a marked row starts with its mark."""
    table = [line for line in out.partition("\n\n")[0].splitlines()[1:] if line.strip()]
    cells = [[cell.strip() for cell in line[3:].split("  ") if cell.strip()] for line in table]
    return {line[3:].split()[0]: row for line, row in zip(table, cells, strict=True)}


def test_json_has_the_stability_table(capsys):
    """The design's table of λmin, λmax, critical learning rate and condition number, to its 6 digits."""
    code, out, err = run(capsys, "forecast", FILE, "--json")
    assert (code, err) == (0, "")
    values = json.loads(out)
    for scaling, smallest, largest, critical, condition in [
        ("none", 0.175108, 5883.42126, 3.39938e-4, 33598.9),
        ("factor", 0.169876, 60.6460874, 0.0329782, 357.0),
        ("standardize", 2, 2, 1.0, 1),
    ]:
        numbers = values["scalings"][scaling]
        assert numbers["eigenvalues"] == pytest.approx([smallest, largest], rel=3e-6)
        assert numbers["critical_learning_rate"] == pytest.approx(critical, rel=3e-6)
        assert numbers["condition_number"] == pytest.approx(condition, rel=2e-5)  # 357.0 has 4 digits
    assert list(values["scalings"]) == list(SCALINGS)
    assert (values["learning_rate"], values["scaling"]) == (0.5, "standardize")  # the defaults
    assert values["scalings"]["standardize"]["epochs_needed"] == 2  # "0.5 solves it in one step": the second reports it
    assert values["lowest_loss"] == pytest.approx(2.92764557089563972, rel=1e-12)
    assert values["figure"] is None


def test_the_table_says_what_happens_and_marks_the_chosen_scaling(capsys):
    """With 1e-2, raw readings overflow at epoch 88; min-max with 1e-1 reports a close loss at epoch 432 (the design's
    table of remedies)."""
    code, out, _ = run(capsys, "forecast", FILE, "--learning-rate", "1e-2", "--scaling", "none")
    assert code == 0
    header, *table = out.partition("\n\n")[0].splitlines()
    assert header.split()[-3:] == ["close", "at", "epoch"]
    assert [line[0] for line in table] == ["→", " ", " ", " "]
    assert "overflows at epoch 88" in rows(out)["none"]
    assert "advice       learning rate 0.01 is 29.4 times the critical 3.39e-4" in out
    code, out, _ = run(capsys, "forecast", FILE, "--learning-rate", "0.1", "--scaling", "minmax")
    assert [line[0] for line in out.splitlines()[1:5]] == [" ", " ", " ", "→"]
    assert rows(out)["minmax"][3] == "close at epoch 432"


def test_the_epochs_are_those_of_the_table_of_remedies(capsys):
    """Which is what a sweep prints. (The forecast that is shown is run with the other pages, in tests/test_docs.py.)"""
    _, out, _ = run(capsys, "forecast", FILE, "--learning-rate", "1e-2", "--scaling", "none")
    page = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
    (factor,) = [line for line in page.splitlines() if line.startswith("| readings × 0.1, 1e-2, 10,000 epochs |")]
    assert rows(out)["factor"][3] == f"close at epoch {factor.split(' | ')[3]}"


def test_training_shows_what_really_happens_beside_it(capsys):
    code, out, _ = run(capsys, "forecast", FILE, "--learning-rate", "1e-2", "--n-epochs", "3000", "--train")
    assert code == 0
    assert rows(out)["none"][3:5] == ["overflows at epoch 88"] * 2
    assert rows(out)["factor"][3:5] == ["close at epoch 2,685"] * 2  # as in the table of remedies
    foretold, seen = rows(out)["minmax"][3:5]
    assert foretold == "close at epoch 4,332"
    assert seen.startswith("loss ")
    assert seen.endswith(" after 3,000 epochs")


def test_a_printed_best_rate_may_be_typed_in(capsys):
    """Rounded to 4 digits downwards, so never above the critical one, and 0.1 % slower at most."""
    _, out, _ = run(capsys, "forecast", FILE, "--json")
    numbers = json.loads(out)["scalings"]
    _, out, _ = run(capsys, "forecast", FILE)
    for scaling, cells in rows(out).items():
        config = CalibrationConfig(scaling=scaling, learning_rate=float(cells[-2]))
        typed = normalize(as_readings((T_U, T_C), config), config).forecast
        assert typed.stable
        assert config.learning_rate <= numbers[scaling]["best_learning_rate"] * (1 + 1e-11)
        assert cells[-1] == f"{numbers[scaling]['best_epochs_needed']:,}"
        assert typed.epochs_needed <= 1 + 1.001 * numbers[scaling]["best_epochs_needed"]
    assert rows(out)["standardize"][-2] == "0.5"


def test_what_is_not_told_says_why(capsys):
    code, out, _ = run(capsys, "forecast", FILE, "--optimizer", "adam")
    assert code == 0
    assert [row[-1] for row in rows(out).values()] == ["not told"] * 4
    assert "adam adapts its step" in out
    assert "within 0.1 %" not in out  # of no epochs
    _, out, _ = run(capsys, "forecast", FILE, "--loss", "huber")
    assert "lowest loss" not in out


def test_the_goal_of_the_epochs_is_told(capsys):
    _, out, _ = run(capsys, "forecast", FILE)
    assert "the loss is within 0.1 % of its lowest" in out
    _, out, _ = run(capsys, "forecast", FILE, "--l2", "0.1")
    assert "the loss with its penalty is within 0.1 % of its lowest" in out


def test_the_figure_is_a_png_and_nothing_else_is_left(here, capsys):
    code, out, _ = run(capsys, "forecast", FILE, "--figure", "curves.png")
    assert code == 0
    assert "figure       curves.png" in out
    assert (here / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in here.iterdir()] == ["curves.png"]
    _, out, _ = run(capsys, "forecast", FILE, "--figure", "real.png", "--train", "--optimizer", "adam", "--json")
    assert json.loads(out)["figure"] == "real.png"
    assert (here / "real.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "mlp"], "no learning rate can be judged for good"),
        (["--learning-rate", "-1"], "--learning-rate: should be greater than 0, got -1"),
        (["--holdout", "0.01"], "holdout: 0.01 of 11 readings is none"),
        (["--figure", "curves.svg"], "name a file that ends in .png"),
        (
            ["--figure", "nowhere/curves.png"],
            "nowhere/curves.png: there is no folder nowhere; make it, or choose another",
        ),
        (
            ["--figure", "curves.png", "--optimizer", "adam"],
            "adam adapts its step, so no curve is foretold; add --train",
        ),
        (["--degree", "9", "--model", "polynomial", "--holdout", "0.2"], "that takes 11, 10 of them different"),
    ],
)
def test_what_cannot_be_used_exits_2_with_one_line(options, words, here, capsys):
    code, out, err = run(capsys, "forecast", FILE, *options)
    assert (code, out) == (2, "")
    assert words in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("name", ["empty", "directory"])
def test_missing_files_are_told_as_by_calibrate(name, here, capsys):
    path = here / name
    path.mkdir() if name == "directory" else path.touch()
    for file in (str(path), "nowhere.csv"):
        assert run(capsys, "forecast", file) == run(capsys, "calibrate", file)


@pytest.mark.parametrize(("name", "suffix", "content"), list(broken_inputs())[::20])
def test_broken_input_is_told_as_by_calibrate(name, suffix, content, here, capsys):
    (here / f"readings{suffix}").write_bytes(content)
    code, out, err = run(capsys, "forecast", f"readings{suffix}")
    assert (code, out) == (2, "")
    assert (code, out, err) == run(capsys, "calibrate", f"readings{suffix}")


def test_standard_input_is_read():
    command = [sys.executable, "-m", "tempfit", "forecast", "-", "--json"]
    done = subprocess.run(command, input=THERMOMETER.read_bytes(), capture_output=True, check=True, env=THIS_CODE)
    assert json.loads(done.stdout)["data"]["source"] == "<stdin>"
    assert done.stderr == b""


def test_neither_prefect_nor_mlflow_is_imported_and_no_run_is_kept(here):
    code = (
        "import sys\nfrom tempfit.cli import main\n"
        f"try: main(['forecast', {FILE!r}, '--train', '--figure', 'curves.png'])\nexcept SystemExit: pass\n"
        "print(sorted({'prefect', 'mlflow', 'torch', 'pandas'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=THIS_CODE)
    assert "best rate" in done.stdout
    assert done.stderr.strip() == "['torch']"
    assert [path.name for path in here.iterdir()] == ["curves.png"]
