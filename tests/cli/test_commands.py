"""The command line: exit codes, one-line errors, options that follow the settings. Flows are run in tests/flows."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta

import pytest

import tempfit
from tempfit import cli
from tempfit.cli.options import as_options, takes_settings
from tempfit.cli.services import check_timezone, local_timezone, parse_interval
from tempfit.config import CalibrationConfig
from tempfit.errors import SettingsError
from tests.broken_inputs import broken_inputs
from tests.conftest import THERMOMETER

BROKEN = list(broken_inputs())


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command in this process."""
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


def test_there_are_two_hundred_broken_inputs():
    assert len(BROKEN) >= 200
    assert len({content for _, _, content in BROKEN}) >= 180  # the random ones may meet


@pytest.mark.parametrize(("suffix", "content"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_broken_input_exits_2_with_one_line_and_no_run(suffix, content, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"readings{suffix}").write_bytes(content)
    code, out, err = run(capsys, "calibrate", f"readings{suffix}")
    assert code == 2
    assert out == ""
    assert err.startswith(f"error: readings{suffix}: ")
    assert err.count("\n") == 1
    assert err.strip().isprintable()
    assert len(err) < 300
    assert [path.name for path in tmp_path.iterdir()] == [f"readings{suffix}"]  # no mlruns


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--learning-rate", "-1"], "--learning-rate: should be greater than 0, got -1"),
        (["--learning-rate", "nan"], "--learning-rate: should be a finite number"),
        (["--n-epochs", "0"], "--n-epochs: should be greater than or equal to 1, got 0"),
        (["--momentum", "0.9", "--optimizer", "adam"], "--momentum plays no part with adam"),
        (["--x", "t", "--y", "t"], "--x and --y name the same column 't'"),
        (["--degree", "3"], "--degree plays no part: it belongs to --model polynomial"),
        (["--config", "idle.toml"], "--factor plays no part: it belongs to --scaling factor"),
        (["--config", "nowhere.toml"], "nowhere.toml: not a readable TOML settings file"),
        (["--config", "typo.toml"], "typo.toml: learning_rat: no such setting"),
        (["--config", "broken.toml"], "broken.toml: not a readable TOML settings file"),
    ],
)
def test_bad_settings_exit_2_with_one_line_and_no_run(options, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "typo.toml").write_text("learning_rat = 0.1\n")
    (tmp_path / "idle.toml").write_text('factor = 0.2\nscaling = "none"\n')
    (tmp_path / "broken.toml").write_text("learning_rate = \n")
    code, out, err = run(capsys, "calibrate", str(THERMOMETER), *options)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["calibrate", "x.csv", "--no-such-option"], "--no-such-option: no such option"),
        (
            ["calibrate", "x.csv", "--learnin-rate", "1"],
            "--learnin-rate: no such option; did you mean --learning-rate?",
        ),
        (["calibrate", "x.csv", "--lr", "1"], "--lr: no such option; did you mean --learning-rate?"),
        (
            ["calibrate", "x.csv", "--scaling", "standardise"],
            "--scaling: 'standardise' is not one of none, factor, standardize, minmax; did you mean standardize?",
        ),
        (["calibrate", "x.csv", "--n-epochs", "many"], "--n-epochs: 'many' is no whole number"),
        (
            ["calibrate", "x.csv", "--learning-rate", "0,01"],
            "--learning-rate: '0,01' is no number; decimals have a point: 0.01",
        ),
        (["calibrate", "x.csv", "--coverage", "95"], "--coverage: should be less than 1, got 95; did you mean 0.95?"),
        (["calibrate", "x.csv", "--print-every", "x"], "--print-every: 'x' is no whole number"),
        (
            ["calibrate", "x.csv", "--x"],
            "--x: requires an argument",
        ),
        (
            ["calibrate", "x.csv", "y.csv"],
            "got unexpected extra argument(s) (y.csv); `tempfit calibrate --help` lists what there is",
        ),
        (["calibrate"], "FILE is missing; `tempfit calibrate --help` tells what it is"),
        (["calibrat"], "no such command 'calibrat'; did you mean 'calibrate'?"),
        (["compare", "--last", "1"], "--last: should be greater than or equal to 2, got 1"),
        (
            ["export", "ac05", "--format", "espome"],
            "--format: 'espome' is not one of 'esphome', 'home-assistant', 'tasmota', 'c-header', 'json'; did you mean "
            "esphome?",
        ),
        (["export", "ac05"], "--format is missing; `tempfit export --help` tells what it is"),
    ],
    ids=" ".join,
)
def test_bad_usage_exits_2_with_one_line(arguments, message, capsys):
    assert run(capsys, *arguments) == (2, "", f"error: {message}\n")


def test_no_command_shows_what_there_is(capsys):
    code, out, err = run(capsys)
    assert (code, err) == (2, "")
    assert "Commands:\n  calibrate  Fit a line" in out


@pytest.mark.parametrize(
    "command", ["calibrate", "sweep", "forecast", "serve", "compare", "predict", "report", "export"]
)
@pytest.mark.parametrize("width", [60, 80, 200])
def test_help_fits_the_terminal(command, width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    code, out, _ = run(capsys, command, "--help")
    lines = out.splitlines()
    assert code == 0
    assert max(map(len, lines)) <= width
    assert width < 80 or len(lines) <= 100
    assert re.search(r"<\w|default:| VALUE", out) is None  # no <bool>, no [default: (t_u)], nothing without a name
    if command == "calibrate":  # what everybody needs is first
        first = out.partition("\n\nReadings:")[0]
        assert all(f"\n  --{name} " in first for name in ("x", "y", "model", "scaling", "learning-rate", "n-epochs"))
        assert "[t_u]" in first
        assert out.count("--learning-rate") == 1


def test_values_of_the_command_line_override_those_of_a_file(tmp_path):
    """none takes a setting back, and what belonged to the overridden goes with it."""
    path = tmp_path / "lab.toml"
    path.write_text('model = "polynomial"\ndegree = 3\nclip_norm = 1.0\n')
    seen = []

    @takes_settings
    def command(*, config: CalibrationConfig) -> None:
        seen.append(config)

    options = dict.fromkeys(CalibrationConfig.model_fields)
    command(config_file=path, **{**options, "model": "line", "clip_norm": "none", "n_epochs": "1e4"})
    (config,) = seen
    assert (config.model, config.degree, config.clip_norm, config.n_epochs) == ("line", 2, None, 10_000)


def test_serve_wants_a_schedule_a_source_and_a_server(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    file = str(THERMOMETER)
    for options in ([], ["--cron", "0 6 * * *", "--interval", "15s"]):
        code, _, err = run(capsys, "serve", file, *options)
        assert (code, "exactly one of --cron and --interval" in err) == (2, True)
    code, _, err = run(capsys, "serve", file, "--interval", "soon")
    assert (code, "write 30s, 15m, 6h or 1d" in err) == (2, True)
    code, _, err = run(capsys, "serve", file, "--interval", "15s")
    assert (code, "start one with `tempfit up`" in err) == (1, True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--grid", "learnin_rate=1,2"], "did you mean learning_rate?"),
        (["--grid", "learning_rate=1e-1..1e-3:5"], "an empty range"),
        (["--grid", "learning_rate=1e-3..1:40", "--grid", "momentum=0..0.9:40"], "1,600 configurations"),
        (["--grid", "optimizer=sgd,lbfgs"], "'lbfgs' is not one of sgd, adam, rmsprop"),
        (["--grid", "learning_rate=0.1", "--preset", "tutorial"], "leave one out"),
        ([], "say what to try"),
    ],
)
def test_bad_grids_exit_2_with_one_line_before_anything_heavy_is_loaded(options, words, tmp_path):
    code = (
        "import sys\nfrom tempfit.cli import main\n"
        f"try: main(['sweep', {str(THERMOMETER)!r}, *{options!r}])\n"
        "finally: print(sorted({'torch', 'mlflow', 'prefect', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "[]\n")
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("sensor,t_u\na,1\n", [], "line 1: no column 't_c'"),
        ("sensor,t_u,t_c\na,x,1\n", ["--strict"], "line 2, column 't_u': 'x' is not a number"),
        ("sensor,t_u,t_c\na,1,1\n", ["--scheduler", "tcp://127.0.0.1"], "is no address of a scheduler"),
        ("sensor,t_u,t_c\na,1,1\n", ["--thermometer", "a"], "--thermometer plays no part in a fleet"),
    ],
)
def test_what_a_fleet_s_first_rows_tell_is_told_before_any_service_is_started(
    text, options, words, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfit.cli.fleet.load_flow", lambda *_: pytest.fail("a flow is loaded"))
    (tmp_path / "readings.csv").write_text(text)
    code, out, err = run(capsys, "fleet", "readings.csv", "--by", "sensor", *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_a_sweep_wants_readings_unless_the_preset_has_its_own(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "sweep", "--grid", "learning_rate=0.1,0.2")
    assert (code, "which readings?" in err) == (2, True)
    code, _, err = run(capsys, "sweep", "nowhere.csv", "--preset", "tutorial")
    assert (code, "nowhere.csv" in err) == (2, True)


def test_the_version_is_told(capsys):
    code, out, _ = run(capsys, "--version")
    assert (code, out) == (0, f"tempfit {tempfit.__version__}\n")


def test_intervals():
    assert parse_interval("15") == parse_interval("15s") == timedelta(seconds=15)
    assert parse_interval("6h") == timedelta(hours=6)
    for text in ("0s", "-1h", "1w", "1.5h", "", "367d"):
        with pytest.raises(SettingsError):
            parse_interval(text)


def test_timezones_are_those_of_the_iana_database(monkeypatch):
    assert check_timezone("Europe/Berlin") == "Europe/Berlin"
    with pytest.raises(SettingsError, match="'Europe/Berln' is no timezone of the IANA database; did you mean Europe/"):
        check_timezone("Europe/Berln")
    for text in ("", "../../etc/passwd", "+02:00"):
        with pytest.raises(SettingsError, match="is no timezone"):
            check_timezone(text)
    monkeypatch.setenv("TZ", ":Asia/Tokyo")
    assert local_timezone() == "Asia/Tokyo"
    monkeypatch.setenv("TZ", "CET-1CEST")  # POSIX's own form, which names no zone
    assert check_timezone(local_timezone())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "exactly one of --cron and --interval"),
        (["--cron", "0 6 * * *", "--interval", "1h"], "exactly one of --cron and --interval"),
        (["--interval", "1h", "--timezone", "UTC"], "--timezone: for --cron only"),
        (["--cron", "0 6 * * *", "--timezone", "Mars"], "--timezone: 'Mars' is no timezone"),
    ],
)
def test_a_schedule_that_cannot_be_is_told_in_a_line(options, message, capsys):
    code, out, err = run(capsys, "serve", str(THERMOMETER), *options)
    assert (code, out) == (2, "")
    assert message in err


def test_unexpected_errors_are_one_line_and_exit_1(capsys, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr("tempfit.readings.paired.peek", fail)
    code, out, err = run(capsys, "calibrate", str(THERMOMETER))
    assert (code, out) == (1, "")
    assert err == "error: RuntimeError (TEMPFIT_TRACEBACK=1 shows where): first line\n"


def test_every_setting_is_an_option(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run(capsys, "calibrate", "--help")
    assert code == 0
    for name in CalibrationConfig.model_fields:
        flag = name.replace("_", "-")
        assert f"--{flag}" in out or f"--[no-]{flag}" in out
    assert "--learning-rate X  Learning rate; an mlp's is 0.01. (> 0, ≤ 1e6) [0.5]" in out


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, ""),
        ({"learning_rate": 0.01, "scaling": "factor"}, "--scaling factor --learning-rate 0.01"),
        ({"drop_missing": True, "clip_norm": 1.0}, "--drop-missing --clip-norm 1.0"),
        ({"model": "mlp", "hidden": "3", "degree": 4}, "--model mlp --hidden 3 --learning-rate 0.01 --optimizer adam"),
    ],
    ids=str,
)
def test_settings_as_what_to_type(settings, words):
    assert sorted(as_options(CalibrationConfig(**settings))) == sorted(words.split())


def test_help_imports_nothing_heavy():
    heavy = ("torch", "mlflow", "prefect", "pandas", "numpy", "matplotlib", "pyarrow")
    code = (
        "import sys\nfrom tempfit.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        f"print(sorted(set({heavy!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "calibrate" in done.stdout
    assert done.stderr.strip() == "[]"
