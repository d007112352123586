"""`tempfit compare`: what it prints, what it writes, and how it refuses. Its runs are recorded without flows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from tempfit.calibration.pipeline import calibrate
from tempfit.cli.shared import Whole
from tempfit.config import CalibrationConfig
from tempfit.studies.grid import make_grid
from tempfit.studies.sweep import plan_sweep, run_sweep
from tempfit.tracking.queries import last_runs
from tempfit.tracking.results import log_calibration
from tempfit.tracking.runs import ended, start_run
from tempfit.tracking.store import open_store
from tempfit.tracking.sweeps import log_sweep, start_sweep
from tempfit.tracking.ui import ui_address
from tests.cli.test_commands import run
from tests.conftest import THERMOMETER

SETTINGS = (
    {"scaling": "none", "learning_rate": 1e-2},
    {"scaling": "factor", "learning_rate": 1e-2, "n_epochs": 1000},
    {"scaling": "standardize", "learning_rate": 0.5},
)


@pytest.fixture(scope="module")
def recorded(mlruns: Path) -> list[str]:
    """Ids of the experiment's runs: one diverges, one is exhausted, one converges."""
    run_ids = []
    for settings in SETTINGS:
        config = CalibrationConfig(experiment="command", **settings)
        result = calibrate(THERMOMETER, config)
        started = start_run(open_store(mlruns), result.readings, config, {})
        with ended(started):
            log_calibration(started, result, {})
        run_ids.append(started.run_id)
    return run_ids


def test_the_table_and_where_to_look_further(recorded, mlruns, capsys):
    code, out, _ = run(capsys, "compare", "--experiment", "command", "--mlruns", str(mlruns))
    heading, best, second, diverged, _, browse = out.splitlines()
    assert code == 0
    settings, results = (
        ["scaling", "learning_rate", "n_epochs"],
        ["outcome", "final", "loss", "rmse", "w", "b", "epochs", "close", "at"],
    )
    assert heading.split() == ["run", "name", *settings, "status", *results]
    assert best.split()[0] == recorded[2][:8]
    # Exact least squares: w 0.53677, b -17.30479, loss 2.92765, s of the residuals over n 1.71104.
    assert best.split()[-8:-2] == ["converged", "arrives", "2.92765", "1.711", "0.5368", "-17.305"]
    assert "  0.01 " in second
    assert "diverged at 88" in diverged  # the tutorial's first experiment, in float64
    assert diverged.split().count("–") == 5  # loss, RMSE, w, b and when it came close: it has none to use
    address = ui_address(open_store(mlruns))
    assert browse.startswith(f"browse  tempfit ui --mlruns {mlruns}  →  {address}/#/compare-runs?runs=")
    assert unquote(browse).count(recorded[0]) == 1


def test_json_is_alone_on_stdout(recorded, mlruns, capsys, tmp_path):
    picture = tmp_path / "runs.png"
    names = [recorded[1][:10], recorded[2]]
    code, out, err = run(capsys, "compare", *names, "--mlruns", str(mlruns), "--json", "--figure", str(picture))
    result = json.loads(out)
    assert code == 0
    assert [entry["run_id"] for entry in result["runs"]] == [recorded[2], recorded[1]]
    assert result["runs"][1]["settings"] == {"scaling": "factor", "learning_rate": 0.01, "n_epochs": 1000}
    assert result["runs"][0]["results"]["loss"] == pytest.approx(2.92764557089563972, rel=1e-12)
    assert (result["ordered_by"], result["n_left_out"]) == ("loss", 0)
    assert "/#/compare-runs?" in result["url"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert (result["figure"], err) == (str(picture), "")


def test_reading_runs_waits_for_neither_torch_nor_prefect(recorded, mlruns):
    arguments = ["compare", "--experiment", "command", "--mlruns", str(mlruns), "--json"]
    code = (
        "import sys\nfrom tempfit.cli import main\n"
        f"try: main({arguments!r})\nexcept SystemExit: pass\n"
        "print(sorted({'mlflow', 'torch', 'prefect'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)["runs"]) == len(recorded)
    assert done.stderr.splitlines()[-1] == "['mlflow']"


def test_a_figure_is_written_and_said(recorded, mlruns, capsys, tmp_path):
    picture = tmp_path / "runs.png"
    code, out, _ = run(
        capsys, "compare", "--best", "2", "--experiment", "command", "--mlruns", str(mlruns), "--figure", str(picture)
    )
    assert code == 0
    assert out.splitlines()[-1] == f"figure  {picture}"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_sweep_shows_its_best_and_counts_the_rest(mlruns, capsys):
    store = open_store(mlruns)
    config = CalibrationConfig(experiment="command, sweep")
    parent = start_run(store, calibrate(THERMOMETER, config).readings, config, {"tempfit.kind": "sweep"})
    with ended(parent):
        for k in range(25):
            child = store.client.create_run(
                parent.experiment_id, run_name=f"child {k}", tags={"mlflow.parentRunId": parent.run_id}
            )
            store.client.log_param(child.info.run_id, "learning_rate", 0.01 * (k + 1))
            store.client.log_metric(child.info.run_id, "loss", 100 - k)
            store.client.set_terminated(child.info.run_id)
    code, out, _ = run(capsys, "compare", "--sweep", parent.run_id[:12], "--mlruns", str(mlruns))
    assert code == 0
    assert "child 24" in out.splitlines()[1]  # the lowest loss, 76
    assert "child 5 " in out
    assert "child 4 " not in out  # 20 are shown
    assert "left out  5 of 25 runs; --rows 25 shows them all" in out
    code, out, _ = run(capsys, "compare", "--sweep", parent.run_id, "--rows", "3", "--mlruns", str(mlruns), "--json")
    result = json.loads(out)
    assert [entry["name"] for entry in result["runs"]] == ["child 24", "child 23", "child 22"]
    assert result["n_left_out"] == 22


def test_among_other_runs_a_sweep_is_a_line(mlruns, capsys):
    """Its best, 0.5 on standardized readings, where the condition number is 1, is the line of least squares."""
    store = open_store(mlruns)
    config = CalibrationConfig(experiment="command, line", learning_rate=0.1, n_epochs=300)
    result = calibrate(THERMOMETER, config)
    with ended(start_run(store, result.readings, config, {})):
        pass
    run_ids = []
    for axis in ("learning_rate=0.2,0.5,3", "learning_rate=3,4"):
        plan = plan_sweep(result.readings, make_grid(config, [axis]))
        started, sweep = start_sweep(store, plan, config, "sweep of learning_rate", {}), run_sweep(plan)
        with ended(started):
            log_sweep(started, sweep, {"losses.png": b""})
        run_ids.append(started.run_id)
    swept, failed = run_ids
    where = ["--experiment", "command, line", "--mlruns", str(mlruns)]
    code, out, _ = run(capsys, "compare", *where)
    _, best, single, nothing, _, *told = out.splitlines()
    assert code == 0
    assert best.startswith(f"{swept[:8]}  thermometer, sweep of learning_rate")
    assert " 0.5 " in best
    assert " 2.92765 " in best
    assert " 0.1 " in single
    assert nothing.startswith(f"{failed[:8]}  thermometer, sweep of learning_rate")
    assert " 3, 4 " in nothing
    more = f"tempfit compare --sweep {swept[:8]} --mlruns {mlruns}"
    assert told[0] == f"sweep   {swept[:8]} is the best of 3 configurations, 1 of which exploded: {more}"
    assert f"{failed[:8]} is 2 configurations, none of which left anything to use: " in told[1]
    code, out, _ = run(capsys, "compare", *where, "--json")
    first = json.loads(out)["runs"][0]
    assert first["name"] == "learning_rate 0.5"
    name = "thermometer, sweep of learning_rate"
    assert first["sweep"] == {"run_id": swept, "name": name, "n_members": 3, "n_failed": 1}


def test_what_orders_is_said_where_it_is_not_the_loss(mlruns, capsys):
    """And a swept setting `loss` shares no heading with the result."""
    where = ["--experiment", "command, losses", "--mlruns", str(mlruns)]
    for settings in ({"loss": "huber"}, {"holdout": 0.2}, {"holdout": 0.2, "seed": 1}):
        config = CalibrationConfig(experiment="command, losses", **settings)
        result = calibrate(THERMOMETER, config)
        started = start_run(open_store(mlruns), result.readings, config, {})
        with ended(started):
            log_calibration(started, result, {})
    code, out, _ = run(capsys, "compare", *where)
    assert code == 0
    heading = out.splitlines()[0]
    assert "  final loss" in heading
    assert heading.split().count("loss") == 3  # the setting, "final loss", "validation loss"
    assert "ordered by  rmse, since their losses are of different kinds" in out
    code, out, _ = run(capsys, "compare", "--last", "2", *where)
    assert "ordered by  validation loss, which all runs have" in out
    code, out, _ = run(capsys, "compare", "--last", "2", *where, "--json")
    assert json.loads(out)["ordered_by"] == "validation_loss"


def test_runs_that_are_the_same_are_said_to_be(mlruns, capsys):
    config = CalibrationConfig(experiment="command, alike")
    for _ in range(2):
        with ended(start_run(open_store(mlruns), calibrate(THERMOMETER, config).readings, config, {})):
            pass
    code, out, _ = run(capsys, "compare", "--experiment", "command, alike", "--mlruns", str(mlruns))
    assert (code, "the settings and the data of all runs are the same" in out) == (0, True)


@pytest.mark.parametrize("width", [60, 100, 140, 200])
def test_no_cell_is_cut_off_on_any_terminal(width, recorded, mlruns, monkeypatch, capsys):
    from rich.console import Console

    from tempfit.cli import compare as command
    from tempfit.studies.compare import compare

    monkeypatch.setattr(command, "stdout", Console(force_terminal=True, width=width))
    command.show(compare(last_runs(open_store(mlruns), 5, "command")), Whole("nowhere"), None)
    out = capsys.readouterr().out
    assert "…" not in out
    for cell in ("standardize", "learning_rate", "diverged at 88", "-17.305", recorded[0][:8]):
        assert cell in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--last", "2", "--best", "2"], "choose the runs in one way"),
        (["abcd", "--sweep", "abcd"], "choose the runs in one way"),
        (["--rows", "3"], "--rows is for --sweep"),
        (["--figure", "runs.pdf"], "runs.pdf: figures are PNG; name a file that ends in .png"),
        (["--figure", "no/runs.png"], "no/runs.png: there is no folder no; make it"),
        ([], "mlruns: no runs yet; `tempfit calibrate FILE` makes one"),
        (["abcd", "ef01"], "mlruns: no runs yet"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(options, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "compare", *options)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_figure_that_cannot_be_written(recorded, mlruns, tmp_path, capsys):
    (tmp_path / "runs.png").mkdir()
    options = ["--experiment", "command", "--mlruns", str(mlruns), "--figure", str(tmp_path / "runs.png")]
    code, out, err = run(capsys, "compare", *options)
    assert (code, out) == (2, "")
    assert "runs.png: cannot be written (Is a directory); name another file" in err
