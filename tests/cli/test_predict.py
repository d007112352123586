"""`tempfit predict`: what it reads and writes, how it refuses, and that nothing is left half done."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pytest
from rich.console import Console

from tempfit.__main__ import BROKEN_PIPE
from tempfit.calibration.pipeline import calibrate
from tests.cli.test_commands import BROKEN, run
from tests.conftest import ROOT, T_C, T_U, THERMOMETER
from tests.records import changed, check
from tests.tracking.test_runs import record

FORWARD = ["t_u", "t_c", "u_mean", "u_prediction", "lower", "upper", "extrapolated"]
INVERSE = ["t_c", "t_u", "u", "lower", "upper", "extrapolated"]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A calibration.json, alone in the working folder."""
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "calibration.json")


def write(path: Path, fields: dict[str, object] | None = None, **settings: object) -> Path:
    """A calibration.json, with other fields."""
    path.write_text(changed(calibrate(THERMOMETER, **settings), **(fields or {})).as_text())
    return path


def table(text: str) -> pd.DataFrame:
    return pa.csv.read_csv(io.BytesIO(text.encode())).to_pandas()


def test_temperatures_of_readings_on_stdout(model, capsys):
    code, out, err = run(capsys, "predict", str(model), str(THERMOMETER))
    told, curve = table(out), calibrate(THERMOMETER).curve
    assert code == 0
    assert list(told) == FORWARD
    assert told["t_u"].tolist() == T_U.tolist()
    lower, upper = curve.prediction_band(T_U)
    expected = (curve.predict(T_U), curve.u_mean(T_U), curve.u_prediction(T_U), lower, upper)
    for name, values in zip(FORWARD[1:], expected, strict=False):
        assert told[name].tolist() == values.tolist()  # to the last bit
    assert out.splitlines()[1].endswith(",false")
    assert err.startswith("11 rows, none extrapolated (calibrated: t_u from 21.8 to 81.9), ")
    assert err.count("\n") == 1


def test_readings_of_temperatures(model, capsys):
    Path("cold.csv").write_text("t_c\n-40\n10\n")
    code, out, err = run(capsys, "predict", str(model), "cold.csv", "--inverse", "--coverage", "0.5")
    told = table(out)
    assert code == 0
    assert list(told) == INVERSE
    assert told["extrapolated"].tolist() == [True, False]
    found = calibrate(THERMOMETER, coverage=0.5).curve.invert([-40.0, 10.0])
    assert told["lower"].tolist() == found.low.tolist()
    assert "2 rows, 1 extrapolated" in err
    write(model, coverage=1 - 1e-9)
    _, out, _ = run(capsys, "predict", str(model), "cold.csv", "--inverse")
    assert (table(out)["lower"].tolist(), table(out)["upper"].tolist()) == ([-np.inf] * 2, [np.inf] * 2)


@pytest.mark.parametrize("given", [".csv", ".parquet"])
@pytest.mark.parametrize("kept", [".csv", ".parquet"])
def test_files(given, kept, model, capsys, monkeypatch):
    monkeypatch.setattr("tempfit.readings.tables.BLOCK_BYTES", 1000)
    monkeypatch.setattr("tempfit.readings.tables.BLOCK_ROWS", 64)
    values = np.random.default_rng(1).normal(50, 20, 500)
    frame = pd.DataFrame({"note": "a", "t_u": values})
    frame.to_csv("in.csv", index=False) if given == ".csv" else frame.to_parquet("in.parquet")
    code, out, err = run(capsys, "predict", str(model), f"in{given}", "--output", f"out{kept}")
    told = table(Path("out.csv").read_text()) if kept == ".csv" else pd.read_parquet("out.parquet")
    assert (code, out) == (0, "")
    assert told["t_u"].tolist() == values.tolist()
    assert told["t_c"].to_numpy() == pytest.approx(calibrate(THERMOMETER).curve.predict(values), rel=1e-13)
    assert told["extrapolated"].tolist() == ((values < 21.8) | (values > 81.9)).tolist()
    assert [str(kind) for kind in told.dtypes] == ["float64"] * 6 + ["bool"]
    assert "500 rows" in err
    assert {path.name for path in Path().iterdir()} == {"calibration.json", f"in{given}", f"out{kept}"}


def test_standard_input_and_names_of_columns(model, capsys, monkeypatch):
    write(model, {"config": {"x": "raw", "y": "ref"}})
    for content, options, columns in (
        (b"raw\n50\n", [], ["raw", "ref"]),
        (b"mV;other\n50,5;1\n", ["--x", "mV"], ["mV", "ref"]),
        (b"ref\n10\n", ["--inverse"], ["ref", "raw"]),
        (b"T\traw\n10\t\n", ["--inverse", "--y", "T", "--x", "R"], ["T", "R"]),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        code, out, _ = run(capsys, "predict", str(model), "-", *options)
        assert code == 0
        assert list(table(out))[:2] == columns
        assert len(table(out)) == 1


def test_missing_values_are_dropped_when_asked(model, capsys):
    Path("holes.csv").write_text("t_u\n50\nNA\n60\n")
    code, out, err = run(capsys, "predict", str(model), "holes.csv", "--drop-missing")
    assert (code, len(table(out))) == (0, 2)
    assert "2 rows (1 dropped for a missing value), none" in err


def test_a_table_without_rows_gives_one_without_rows(model, capsys):
    Path("none.csv").write_text("t_u\n")
    code, out, err = run(capsys, "predict", str(model), "none.csv")
    assert (code, out) == (0, ",".join(FORWARD) + "\n")
    assert err.startswith("0 rows, none extrapolated")


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("", [], "in.csv: the file is empty"),
        ("t_v\n1\n", [], "in.csv: line 1: no column 't_u'; the only column is 't_v'"),
        ("t_u,u\n1,2\n", ["--x", "t"], "no column 't'"),
        ("t_u\n1\nwarm\n", [], "in.csv: line 3, column 't_u': 'warm' is not a number"),
        ("t_u\n1\nNA\n", [], "line 3, column 't_u': the value is missing"),
        ("t_u\n1\n", ["--inverse"], "no column 't_c'"),
        ("t_u\n1\n", ["--coverage", "1"], "--coverage: should be less than 1, got 1.0"),
        ("t_u\n1\n", ["--x", "t_c"], "--x and --y name the same column 't_c'"),
        ("t_u\n1\n", ["--y", "lower"], "--y: the predictions have a column 'lower' of their own; rename yours"),
        ("t_u\n1\n", ["--output", "out.xlsx"], "tables are CSV or Parquet; name a file that ends in .csv or .parquet"),
        ("t_u\n1\n", ["--output", "no/out.csv"], "--output: no/out.csv: there is no folder no"),
        ("t_u\n1\n", ["--output", "./in.csv"], "--output: in.csv: this is the file that is read; name another"),
        ("t_u\n1\n", ["--output", "folder.csv"], "--output: folder.csv: this is no file"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(content, options, words, model, capsys):
    Path("in.csv").write_text(content)
    Path("folder.csv").mkdir()
    before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    for extra in [] if "--output" in options else [["--output", "out.csv"], []]:
        code, out, err = run(capsys, "predict", str(model), "in.csv", *options, *extra)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert words in err
        assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in Path().iterdir() if path.is_file()} == before


def test_broken_inputs_are_refused_in_one_line(model, capsys):
    """Or read, where what is broken is not the readings: every line of output then is a row."""
    for suffix, content in [case[1:] for case in BROKEN]:
        Path(f"in{suffix}").write_bytes(content)
        code, out, err = run(capsys, "predict", str(model), f"in{suffix}", "--output", "out.csv")
        assert (out, err.count("\n")) == ("", 1)
        if code == 2:
            assert err.startswith(f"error: in{suffix}: ")
            assert err.strip().isprintable()
            assert len(err) < 300
        else:
            told = Path("out.csv").read_text()
            Path("out.csv").unlink()
            assert (code, err.split()[0]) == (0, str(told.count("\n") - 1))
        assert not list(Path().glob("*out.csv*"))


def test_a_bar_is_shown_on_a_terminal_and_taken_away(model, monkeypatch, capsys):
    terminal = Console(file=io.StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr("tempfit.cli.predict.stderr", terminal)
    run(capsys, "predict", str(model), str(THERMOMETER), "--output", "out.csv")
    shown = terminal.file.getvalue()
    assert "predict" in shown
    assert "100%" in shown
    assert shown.splitlines()[-1].rpartition("\x1b[2K")[2].startswith("11 rows")


def test_calibrations_that_predict_nothing(model, capsys):
    Path("in.csv").write_text("t_u\n50\n")
    for settings, options, words in (
        ({"model": "mlp", "n_epochs": 5}, [], "a network has no uncertainty"),
        ({"scaling": "none", "learning_rate": 1e-2}, [], "its fit diverged"),
        ({"model": "polynomial"}, ["--inverse"], "a polynomial of degree 2 is not inverted"),
    ):
        write(model, **settings)
        code, out, err = run(capsys, "predict", str(model), "in.csv", *options)
        assert (code, out, words in err) == (2, "", True)
    code, _, err = run(capsys, "predict", "nowhere.json", "in.csv")
    assert (code, "nowhere.json: cannot be read" in err) == (2, True)
    code, _, err = run(capsys, "predict", "nowhere.json", "nowhere.csv")
    assert (code, "nowhere.csv: no such file" in err) == (2, True)


def test_a_fault_far_down_leaves_what_was_there(model, capsys, monkeypatch):
    monkeypatch.setattr("tempfit.readings.tables.BLOCK_BYTES", 1000)
    Path("in.csv").write_text("t_u\n" + "50.5\n" * 5000 + "warm\n")
    for name in ("out.csv", "out.parquet"):
        Path(name).write_text("from before")
        code, _, err = run(capsys, "predict", str(model), "in.csv", "--output", name)
        assert (code, "line 5002, column 't_u': 'warm'" in err) == (2, True)
        assert Path(name).read_text() == "from before"
    assert {path.name for path in Path().iterdir()} == {"calibration.json", "in.csv", "out.csv", "out.parquet"}


def test_an_output_that_cannot_be_written(model, capsys, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfit.readings.writers.CsvWriter.write", fail)
    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", fail)
    for name in ("out.csv", "out.parquet"):
        code, _, err = run(capsys, "predict", str(model), str(THERMOMETER), "--output", name)
        assert (code, err.count("\n")) == (2, 1)
        assert f"--output: {name}: cannot be written (No space left on device)" in err
    assert [path.name for path in Path().iterdir()] == ["calibration.json"]


def test_an_output_that_is_a_link_stays_one(model, capsys):
    Path("kept").mkdir()
    Path("out.csv").symlink_to("kept/real.csv")
    assert run(capsys, "predict", str(model), str(THERMOMETER), "--output", "out.csv")[0] == 0
    assert Path("out.csv").is_symlink()
    assert len(table(Path("kept/real.csv").read_text())) == 11


def test_checks_that_failed_are_told(model, capsys):
    fails = check("descent", "fails", "3 u from the best line: train [longer]")
    passes = check("outliers", "passes", "no outliers")
    write(model, {"usable": False, "checks": [passes, fails]})
    code, out, err = run(capsys, "predict", str(model), str(THERMOMETER))
    assert (code, len(table(out))) == (0, 11)
    assert err.splitlines()[:-1] == [
        "warning: by its own checks, this calibration should not be used",
        f"warning: descent: {fails['sentence']}",
    ]
    write(model, {"usable": True, "checks": [passes]})
    assert "warning" not in run(capsys, "predict", str(model), str(THERMOMETER))[2]


def test_a_run_by_its_id(mlruns, capsys):
    started, result, artifacts = record(mlruns)
    capsys.readouterr()  # what MLflow said meanwhile
    given = ["predict", started.run_id[:12], str(THERMOMETER), "--mlruns", str(mlruns)]
    code, out, err = run(capsys, *given)
    assert (code, err.count("\n")) == (0, 1)
    assert table(out)["t_c"].tolist() == result.curve.predict(T_U).tolist()
    assert run(capsys, "predict", artifacts["calibration.json"], str(THERMOMETER))[1] == out
    code, out, err = run(capsys, "predict", "no such run", str(THERMOMETER), "--mlruns", str(mlruns))
    assert (code, out) == (2, "")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tempfit", "predict", *arguments]


def start(*arguments: str, **streams: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command(*arguments), env=os.environ | {"PYTHONPATH": str(ROOT)}, **streams)


def test_a_file_needs_neither_torch_nor_mlflow_nor_prefect_nor_pandas(model):
    code = (
        "import sys\nfrom tempfit.cli import main\n"
        f"try: main(['predict', {str(model)!r}, {str(THERMOMETER)!r}])\n"
        "finally: print(sorted({'torch', 'mlflow', 'prefect', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.endswith("\n[]\n"), done.stderr


def test_whoever_reads_may_leave(model):
    np.savetxt("large.csv", np.linspace(20, 80, 300_000), header="t_u", comments="")
    process = start(str(model), "large.csv", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == (",".join(FORWARD) + "\n").encode()
    process.stdout.close()
    assert process.wait(60) == BROKEN_PIPE
    assert process.stderr.read() == b""


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_who_stops_it_finds_nothing_half_done(signum, code, model):
    process = start(str(model), "-", "--output", "out.csv", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(b"t_u\n" + b"50.5\n" * 1_000_000)
    process.stdin.flush()
    deadline = time.monotonic() + 60
    while not list(Path().glob(".out.csv.*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signum)
    assert process.wait(60) == code
    assert process.stderr.read() == b""
    assert [path.name for path in Path().iterdir()] == ["calibration.json"]


def test_parquet_through_a_pipe(model):
    pd.DataFrame({"t_u": T_U, "t_c": T_C}).to_parquet("in.parquet")
    done = subprocess.run(
        command(str(model), "-"),
        input=Path("in.parquet").read_bytes(),
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert table(done.stdout.decode())["t_u"].tolist() == T_U.tolist()
