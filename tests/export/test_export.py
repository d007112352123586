"""Exported calibrations read back by what they are for: parsed, run or compiled, and equal to the curve."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import jinja2
import numpy as np
import pytest
import yaml

from tempfit.calibration.filed import Filed
from tempfit.calibration.pipeline import calibrate
from tempfit.cli.export import export as command
from tempfit.config import CalibrationConfig
from tempfit.errors import RunsError, SettingsError
from tempfit.exact.curve import Curve
from tempfit.export import NAMES, WRITERS, Format, check_name, export, one_line
from tempfit.export.tasmota import decimal
from tempfit.tracking.results import log_calibration
from tempfit.tracking.runs import ended, start_run
from tempfit.tracking.store import open_store
from tests.cli.test_commands import run
from tests.conftest import ROOT, T_C, T_U, THERMOMETER
from tests.records import changed, check, filed

RUN_ID = "0123456789abcdef" * 2
HOSTILE = "*/ ??/ /* '\"\n- <script>alert(1)</script> # {{ 7 * 7 }} {% raw %} : 🌡 \u202eקר\u2028\\"


def noisy(t_u: np.ndarray, t_c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return t_u, t_c + np.random.default_rng(1).normal(scale=0.1, size=len(t_c))


LINES = {
    "tutorial": filed(),
    "reference point": filed(t0=50.0, u_common=0.3, coverage=0.99),
    "falling": filed(noisy(np.linspace(-3, -1, 20), np.linspace(90, -20, 20))),
    "large readings": filed(noisy(np.linspace(1e6, 9e6, 20), np.linspace(-20, 90, 20))),
    "small readings": filed(noisy(np.linspace(0.001, 0.004, 20), np.linspace(-20, 90, 20))),
    "far readings": filed(noisy(np.linspace(1e6, 1e6 + 100, 20), np.linspace(-20, 90, 20))),
    "one set off": filed(noisy(np.linspace(0, 10, 20), np.linspace(0, 10, 20)), loss="huber"),
}
POLYNOMIALS = {
    "degree 3": filed(model="polynomial", degree=3, t0=20.0),
    "degree 5": filed(noisy(np.linspace(-40, 120, 40), np.linspace(-6, 11, 40) ** 2), model="polynomial", degree=5),
    "raw powers": filed(model="polynomial", scaling="factor", factor=0.01, learning_rate=0.01),
}
ALL = LINES | POLYNOMIALS


def grid(curve: Curve) -> np.ndarray:
    low, high = curve.t_u_range
    return np.linspace(low, high, 41)


def close(curve: Curve, t_u: np.ndarray) -> Any:
    """What the curve says, to 1e-12 of the largest of its terms: no sum of w t_u and b has more digits."""
    expected = curve.predict(t_u)
    largest = max(np.abs(expected).max(), abs(curve.about(0.0).b) if curve.is_line else 0.0)
    return pytest.approx(expected, rel=1e-12, abs=1e-12 * largest)


def expression(text: str, **names: Any) -> float:
    """The value of a formula of C++, which means the same in Python."""
    assert re.fullmatch(r"[\d.e+\-*() a-z_]+", text), text
    return eval(text, {"__builtins__": {}}, names)


def esphome(filters: list[dict[str, Any]], x: float) -> float:
    """What ESPHome makes of a reading: each filter takes what the one before it gave."""
    for entry in filters:
        ((kind, argument),) = entry.items()
        match kind:
            case "multiply":
                x = x * argument
            case "offset":
                x = x + argument
            case "lambda":
                scaled, result = re.fullmatch(r"const double z = (.+); return (.+);", argument).groups()
                x = expression(result, z=expression(scaled, x=x))
            case _:
                raise AssertionError(f"no such filter here: {kind}")
    return x


def home_assistant(template: str, readings: dict[str, str]) -> str:
    """What Home Assistant's templates give, whose `states` are texts."""
    environment = jinja2.Environment()
    environment.globals |= {"states": readings.__getitem__, "has_value": readings.__contains__}
    return environment.from_string(template).render()


def tasmota_number(text: str) -> float:
    """As its CharToFloat reads it: a whole part of 31 bits, at most 8 decimals, no exponent."""
    whole = re.fullmatch(r"-?(\d+)(?:\.\d{1,8})?", text).group(1)
    assert int(whole) < 2**31
    assert len(text) <= 23
    return float(text)


def tasmota(text: str, trigger: str, reading: str, number: type = float) -> tuple[float, int]:
    """Var1 after a sensor's reading, computed with numbers of that type, and how many decimals are kept of it."""
    lines = [line for line in text.splitlines() if not line.startswith(";")]
    resolution, rule, enabled = lines
    assert enabled == "Rule1 1"
    assert len(rule) < 511
    on, commands = re.fullmatch(r"Rule1 ON (\S+) DO (.+) ENDON", rule).groups()
    assert on == trigger
    name, arguments = commands.replace("%value%", reading).split(" ", 1)
    assert name == "Scale1"
    value, from_low, from_high, to_low, to_high = (number(tasmota_number(part)) for part in arguments.split(","))
    scaled = (value - from_low) * (to_high - to_low) / (from_high - from_low) + to_low
    return float(scaled), int(re.fullmatch(r"CalcRes ([0-7])", resolution).group(1))


@pytest.mark.parametrize("record", ALL.values(), ids=ALL)
def test_esphome_filters_are_the_curve(record):
    (sensor,) = yaml.safe_load(export(record, "esphome"))["sensor"]
    t_u = grid(record.curve)
    assert [esphome(sensor["filters"], float(value)) for value in t_u] == close(record.curve, t_u)
    assert [kind for entry in sensor["filters"] for kind in entry] == (
        ["multiply", "offset"] if record.curve.is_line else ["lambda"]
    )
    assert (sensor["platform"], sensor["name"]) == ("copy", "Calibrated temperature")
    assert (sensor["unit_of_measurement"], sensor["device_class"]) == ("°C", "temperature")


@pytest.mark.parametrize("record", ALL.values(), ids=ALL)
def test_the_template_of_home_assistant_is_the_curve(record):
    ((group,),) = [yaml.safe_load(export(record, "home-assistant"))["template"]]
    (sensor,) = group["sensor"]
    t_u = grid(record.curve)
    values = [float(home_assistant(sensor["state"], {"sensor.thermometer": repr(float(value))})) for value in t_u]
    assert values == close(record.curve, t_u)
    assert home_assistant(sensor["availability"], {"sensor.thermometer": "1"}) == "True"
    assert home_assistant(sensor["availability"], {}) == "False"


@pytest.mark.parametrize("record", LINES.values(), ids=LINES)
def test_the_rule_of_tasmota_is_the_line(record):
    """To its 8 decimals; and to those that it keeps, or its 24 bits, computing in single precision as it does."""
    text = export(record, "tasmota", "AM2301")
    curve, t_u = record.curve, grid(record.curve)
    readings = [decimal(value) for value in t_u]
    expected = curve.predict(np.array([float(reading) for reading in readings]))
    exact = [tasmota(text, "AM2301#Temperature", reading)[0] for reading in readings]
    assert exact == pytest.approx(expected, abs=1.1e-8)
    single = [tasmota(text, "AM2301#Temperature", reading, np.float32) for reading in readings]
    rounded = [round(value, decimals) for value, decimals in single]
    bits = 2**-23 * (np.abs(expected).max() + 2 * np.abs(curve.w * t_u).max())
    assert rounded == pytest.approx(expected, abs=0.5 * 10.0 ** -single[0][1] + bits)


def test_the_trigger_of_tasmota_may_be_named_whole():
    text = export(LINES["tutorial"], "tasmota", "ANALOG#Range1")
    assert tasmota(text, "ANALOG#Range1", "50.0")[0] == pytest.approx(9.533810542, abs=1e-8)


def test_a_precise_thermometer_keeps_more_decimals_on_tasmota():
    rng = np.random.default_rng(1)
    t_u = np.linspace(0, 30, 20)
    record = filed((t_u, t_u + rng.normal(scale=1e-4, size=20)))
    assert tasmota(export(record, "tasmota"), "DS18B20#Temperature", "1")[1] == 6  # u of 2e-5


PROGRAM = """
#include <stdio.h>
{includes}

int main(void)
{{
    double t_u;
{prints}
    return 0;
}}
"""
PRINT = """    for (int i = 0; i < {n}; i++) {{
        t_u = i < {n} - 1 ? {low} + i * ({high} - {low}) / ({n} - 1) : {high};
        printf("%.17g %.17g %.17g %.17g\\n", t_u, {name}_t_c(t_u), {name}_u_mean(t_u), {name}_u_prediction(t_u));
    }}"""


def compile_and_run(compiler: list[str], source: str, folder: Path, headers: dict[str, str]) -> np.ndarray:
    program = shutil.which(compiler[0])
    assert program is not None, f"no {compiler[0]} here: the exported header is to be compiled; install a C compiler"
    for name, text in headers.items():
        (folder / f"{name}.h").write_text(text, encoding="utf-8")
    includes = "\n".join(f'#include "{name}.h"\n#include "{name}.h"' for name in headers)  # the guard holds
    n = 41
    prints = "\n".join(
        PRINT.format(n=n, name=name, low=f"{name.upper()}_T_U_LOW", high=f"{name.upper()}_T_U_HIGH") for name in headers
    )
    (folder / source).write_text(PROGRAM.format(includes=includes, prints=prints), encoding="utf-8")
    flags = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-ffp-contract=off"]
    made = subprocess.run(
        [program, *compiler[1:], *flags, source, "-o", "a.out", "-lm"], cwd=folder, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    assert made.stderr == ""
    printed = subprocess.run([folder / "a.out"], capture_output=True, text=True, check=True).stdout
    return np.array([[float(value) for value in line.split()] for line in printed.splitlines()]).reshape(-1, n, 4)


def with_hostile_texts(record: Filed) -> Filed:
    """Columns, units, file and run by the worst of names."""
    names = {"x": HOSTILE, "y": f"{HOSTILE}2", "x_unit": HOSTILE, "y_unit": HOSTILE}
    fails = [check(HOSTILE, "fails", HOSTILE)]
    hostile = changed(record.record, config=names, data={"source": HOSTILE}, usable=False, checks=fails)
    return Filed(hostile, HOSTILE, run_id=RUN_ID)


@pytest.mark.parametrize(
    ("compiler", "source"),
    [
        (["cc", "-std=c99"], "program.c"),
        pytest.param(
            ["c++", "-std=c++11"],
            "program.cpp",
            marks=pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler; C is compiled all the same"),
        ),
    ],
    ids=["C99", "C++11"],
)
def test_the_header_compiles_and_is_the_curve(compiler, source, tmp_path):
    records = {f"case{k}": record for k, record in enumerate(ALL.values())}
    records["hostile"] = with_hostile_texts(LINES["tutorial"])
    headers = {name: export(record, "c-header", name) for name, record in records.items()}
    printed = compile_and_run(compiler, source, tmp_path, headers)
    for record, (t_u, t_c, u_mean, u_prediction) in zip(records.values(), printed.transpose(0, 2, 1), strict=True):
        curve = record.curve
        assert (t_u[0], t_u[-1]) == curve.t_u_range
        expected = curve.predict(t_u)
        assert t_c == pytest.approx(expected, rel=1e-12, abs=1e-12 * np.abs(expected).max())
        assert u_mean == pytest.approx(curve.u_mean(t_u), rel=1e-12)
        assert u_prediction == pytest.approx(curve.u_prediction(t_u), rel=1e-12)


def test_a_header_without_uncertainty_says_nan(tmp_path):
    record = replace(LINES["tutorial"], record=changed(LINES["tutorial"].record, curve={"observation_sd": None}))
    text = export(record, "c-header")
    assert "unknown °C of the line" in text
    printed = compile_and_run(["cc", "-std=c99"], "program.c", tmp_path, {"thermometer": text})
    assert np.isnan(printed[0, :, 2:]).all()
    assert tasmota(export(record, "tasmota"), "DS18B20#Temperature", "50")[0] == pytest.approx(9.533810542, abs=1e-7)


@pytest.mark.parametrize("record", ALL.values(), ids=ALL)
def test_json_is_the_curve(record):
    values, curve = json.loads(export(record, "json")), record.curve.about(0.0)
    t_u = grid(curve)
    scaled = values["scaled"]
    z = scaled["factor"] * (t_u - scaled["center"])
    expected = curve.predict(t_u)
    assert np.polyval(scaled["coefficients"], z) == pytest.approx(expected, rel=1e-12, abs=1e-12 * abs(expected).max())
    assert values["coefficients"] == curve.coefficients.tolist()
    assert values["covariance"] == curve.covariance.tolist()
    assert (values["schema"], values["t0"], values["run_id"]) == (1, 0, None)
    if curve.is_line:
        assert [values["w"] * t + values["b"] for t in t_u] == close(curve, t_u)
        assert (values["u_w"], values["u_b"]) == (curve.u_w, curve.u_b)
    else:
        assert values["w"] is values["u_b"] is None


def test_json_keys_are_those_of_the_page():
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (`.+?`) \|", page, re.MULTILINE)
    told = [key for cell in table for key in re.findall(r"`(\w+)`", cell)]
    assert told == list(json.loads(export(LINES["tutorial"], "json")))


def split(line: str) -> tuple[str, list[float]]:
    """A line without its numbers, and those: the last of 17 digits may be another one on another processor."""
    number = r"(?<![\w.])\d+\.\d+(?:e[+-]?\d+)?"
    return re.sub(number, "#", line), [float(found) for found in re.findall(number, line)]


@pytest.mark.parametrize("target", ["home-assistant", "tasmota", "c-header"])
def test_the_fragments_of_the_page_are_what_is_written(target):
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    fragment = re.search(rf"--format {target}\b.*?\n```\w+\n(.*?)\n```", page, re.DOTALL).group(1)
    told = changed(LINES["tutorial"].record, data={"source": "data/thermometer.csv"})
    record = Filed(told, "thermometer, standardize, sgd 0.5", run_id="ac05b8a2d24a44fcaf54b55c57fee91d")
    written = [split(line) for line in export(record, target).splitlines()]
    shown = [split(line) for line in fragment.splitlines()]
    start = [text for text, _ in written].index(shown[0][0])
    for (text, numbers), (expected, values) in zip(shown, written[start:], strict=False):
        assert text == expected
        assert numbers == pytest.approx(values, rel=1e-13)
    assert len(written[start:]) >= len(shown) >= 3


@pytest.mark.parametrize("target", WRITERS)
def test_comments_say_where_it_is_from_and_how_good_it_is(target):
    record = replace(LINES["tutorial"], run_id=RUN_ID, name="thermometer")
    text = export(record, target)
    assert RUN_ID in text
    assert record.record.data.sha256 in text
    if target != "json":
        assert "calibrated range: t_u from 21.8 to 81.9 (unknown unit)" in text
        # u of the line 0.57035, of a single reading 1.9757; Student's t of 9 degrees of freedom 2.2622
        assert "U at t_u = 51.85: 1.3 °C of the line, 4.5 °C of a single reading (coverage 0.95)" in text
    assert "WARNING" not in text


@pytest.mark.parametrize("target", WRITERS)
def test_what_should_not_be_used_says_so(target):
    unusable = changed(LINES["tutorial"].record, usable=False)
    text = export(Filed(unusable, "file.json"), target)
    assert "by its own checks, this calibration should not be used" in text
    checks = [check("linearity", "fails", "the residuals bend"), check("outliers", "passes", "none")]
    text = export(Filed(changed(unusable, checks=checks), "file.json"), target)
    assert "linearity: the residuals bend" in text
    assert "outliers" not in text


@pytest.mark.parametrize("target", ["esphome", "home-assistant", "json"])
def test_any_name_is_read_back_as_it_is(target):
    record = with_hostile_texts(LINES["tutorial"])
    text = export(record, target, HOSTILE)
    assert text.replace("\n", "").isprintable()
    if target == "json":
        values = json.loads(text)
        assert values["name"] == values["units"]["t_c"] == values["columns"]["t_u"] == HOSTILE
        return
    values = yaml.safe_load(text)
    (sensor,) = values["sensor"] if target == "esphome" else values["template"][0]["sensor"]
    name = sensor["name"] if target == "esphome" else home_assistant(sensor["name"], {})
    assert (name, sensor["unit_of_measurement"]) == (HOSTILE, HOSTILE)
    assert "device_class" not in sensor  # which Home Assistant has for units that it knows


@pytest.mark.parametrize("target", WRITERS)
@pytest.mark.parametrize(
    "part", [*HOSTILE.split(), "\r", "\x85", "\u2029", "\0", "\udcff", "a: b", "- a", "%YAML", "*/*"]
)
def test_no_comment_is_left_by_what_stands_in_it(part, target):
    """All lines but those of the comments are the same as for harmless names."""
    record = LINES["tutorial"]
    told = "?" if part == "\udcff" else part  # which is a file's name at most: no JSON holds it
    hostile = changed(record.record, config={"x": told, "y": f"{told}2", "x_unit": told}, data={"source": told})
    harmless, text = export(record, target), export(Filed(hostile, part), target)
    text.encode()
    if target == "json":
        assert json.loads(text)["columns"] == {"t_u": told, "t_c": f"{told}2"}
    elif target == "c-header":
        assert text.partition("\n */\n")[2] == harmless.partition("\n */\n")[2]
        head = text.partition("\n */\n")[0].removeprefix("/*")
        assert not re.search(r"\*/|/\*|\?\?", head)
        assert all(line.startswith(" * ") for line in head.splitlines()[1:])
    else:
        mark = ";" if target == "tasmota" else "#"
        assert [line for line in text.splitlines() if not line.startswith(mark)] == [
            line for line in harmless.splitlines() if not line.startswith(mark)
        ]


@pytest.mark.parametrize(
    ("target", "name", "words"),
    [
        ("c-header", "2nd", "cannot begin the names of C functions"),
        ("c-header", "a b", "cannot begin the names of C functions"),
        ("c-header", "naïve", "cannot begin the names of C functions"),
        ("c-header", "a\n", "cannot begin the names of C functions"),
        ("tasmota", "a b", "is no sensor of Tasmota"),
        ("tasmota", "A#B DO Reset 1 ENDON", "is no sensor of Tasmota"),
        ("tasmota", "DS18B20>5", "is no sensor of Tasmota"),
        ("esphome", "a ${b}", "ESPHome would replace what follows the $"),
        ("json", " ", "`name`: is empty"),
    ],
)
def test_names_that_a_target_cannot_have(target, name, words):
    with pytest.raises(SettingsError, match=re.escape(words)) as caught:
        check_name(target, name)
    assert str(caught.value).isprintable()


def test_what_cannot_be_exported():
    with pytest.raises(SettingsError, match="a rule of Tasmota carries lines only, this is a polynomial"):
        export(POLYNOMIALS["degree 3"], "tasmota")
    tiny = filed(noisy(np.linspace(1e-9, 2e-9, 20), np.linspace(-20, 90, 20)))
    with pytest.raises(SettingsError, match="calibrate with readings in another unit"):
        export(tiny, "tasmota")
    huge = filed(noisy(np.linspace(1e10, 2e10, 20), np.linspace(-20, 90, 20)))
    with pytest.raises(SettingsError, match="calibrate with readings in another unit"):
        export(huge, "tasmota")
    for record in (tiny, huge):  # with an exponent, which the others read
        for target in ("esphome", "home-assistant"):
            assert re.search(r"\de[-+]\d", export(record, target))
    with pytest.raises(SettingsError, match="y_unit: '\\$': ESPHome would replace"):
        export(filed(y_unit="$"), "esphome")
    with pytest.raises(RunsError, match="a network has no uncertainty"):
        export(filed(model="mlp", n_epochs=2), "json")
    beyond = changed(LINES["tutorial"].record, curve={"factor": 1e300, "center": 1e300})
    with pytest.raises(RunsError, match="its coefficients are beyond float64"):
        export(Filed(beyond, "file.json"), "json")


@pytest.mark.parametrize("target", ["esphome", "home-assistant"])
def test_numbers_with_an_exponent_are_read_as_numbers(target):
    record = filed(noisy(np.linspace(1e6, 9e6, 20), np.linspace(-20, 90, 20)))
    assert re.search(r"\de-05", export(record, target))
    if target == "esphome":
        filters = yaml.safe_load(export(record, target))["sensor"][0]["filters"]
        assert type(filters[0]["multiply"]) is float


def test_one_line_spells_out_what_cannot_be_seen():
    assert one_line("a\nb\u202ec°é🌡") == "a<U+000A>b<U+202E>c°é🌡"


def test_the_command_knows_every_format():
    hints = get_type_hints(command, include_extras=True)
    assert get_args(get_args(hints["target"])[0]) == get_args(Format) == tuple(WRITERS) == tuple(NAMES)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "calibration.json"
    path.write_text(LINES["tutorial"].record.as_text(), encoding="utf-8")
    return path


def test_a_file_is_written_whole_and_as_printed(file, tmp_path, capsys):
    code, printed, err = run(capsys, "export", str(file), "--format", "c-header", "--name", "probe")
    assert (code, err) == (0, "")
    assert "double probe_t_c(double t_u)" in printed
    written = tmp_path / "probe.h"
    written.write_text("old")
    code, out, err = run(
        capsys, "export", str(file), "--format", "c-header", "--name", "probe", "--output", str(written)
    )
    assert (code, out, err) == (0, "", "")
    assert written.read_text(encoding="utf-8") == printed
    assert written.stat().st_mode & 0o777 == file.stat().st_mode & 0o777  # as any other new file
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calibration.json", "probe.h"]


def test_a_run_by_the_start_of_its_id(mlruns, capsys):
    config = CalibrationConfig(experiment="export")
    result = calibrate(THERMOMETER, config)
    started = start_run(open_store(mlruns), result.readings, config, {})
    with ended(started):
        log_calibration(started, result, {})
    code, out, _ = run(capsys, "export", started.run_id[:12], "--format", "json", "--mlruns", str(mlruns))
    values = json.loads(out)
    assert code == 0
    assert (values["run_id"], values["data_sha256"]) == (started.run_id, result.readings.sha256)
    assert values["w"] == pytest.approx(np.polyfit(T_U, T_C, 1)[0], rel=1e-12)


def test_a_warning_is_said_too(file, capsys):
    fails = [check("curvature", "fails", "curved")]
    file.write_text(changed(LINES["tutorial"].record, usable=False, checks=fails).as_text())
    code, out, err = run(capsys, "export", str(file), "--format", "tasmota")
    assert (code, "; WARNING: by its own checks" in out) == (0, True)
    assert err == ("warning: by its own checks, this calibration should not be used\nwarning: curvature: curved\n")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "json", "--output", "no/file.json"], "no/file.json: there is no folder no; make it"),
        (
            ["--format", "json", "--output", "folder"],
            "folder: this is no file; name one, or leave it out for standard output",
        ),
        (["--format", "c-header", "--name", "a b"], "--name: 'a b' cannot begin the names of C functions"),
        (["--format", "tasmota", "--name", "a b"], "--name: 'a b' is no sensor of Tasmota"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(options, words, file, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    code, out, err = run(capsys, "export", "calibration.json", *options)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["calibration.json", "folder"]


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--format", "c", "ac05"], []),
        (["--format", "c-header", "--name", "2", "ac05"], []),
        (["--format", "json", "calibration.json"], []),
    ],
)
def test_it_waits_for_nothing_heavy_that_it_does_not_need(arguments, heavy, file, tmp_path):
    code = (
        "import sys\nfrom tempfit.cli import main\n"
        f"try: main(['export', *{arguments!r}])\nexcept SystemExit: pass\n"
        "print(sorted({'mlflow', 'torch', 'prefect', 'matplotlib'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.stderr.splitlines()[-1] == str(heavy)
