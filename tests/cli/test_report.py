"""`tempfit report`: what it writes, and how it refuses. Its run is recorded without a flow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pypdfium2
import pytest

from tempfit.calibration.filed import read_file
from tempfit.calibration.pipeline import calibrate
from tempfit.cli.report import parse_readings
from tempfit.config import CalibrationConfig
from tempfit.errors import SettingsError
from tempfit.tracking.results import log_calibration
from tempfit.tracking.runs import ended, start_run
from tempfit.tracking.store import open_store
from tests.cli.test_commands import run
from tests.conftest import THERMOMETER
from tests.records import changed, check

FIELDS = """
[report]
number = "K-17"
[reference]
identity = "Pt25 no. 88"
uncertainty = "U = 0.020 °C (k = 2)"
"""


@pytest.fixture(scope="module")
def recorded(mlruns: Path) -> tuple[str, str]:
    """Id of a run, and the path of its calibration.json."""
    config = CalibrationConfig(experiment="report")
    result = calibrate(THERMOMETER, config)
    started = start_run(open_store(mlruns), result.readings, config, {})
    with ended(started):
        artifacts = log_calibration(started, result, {})
    return started.run_id, artifacts["calibration.json"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ok(capsys, *arguments: str) -> str:
    code, out, err = run(capsys, "report", *arguments)
    assert (code, err.strip()) == (0, "")
    return out


def test_a_run_becomes_a_page_of_its_name(recorded, mlruns, here, capsys):
    out = ok(capsys, recorded[0][:12], "--mlruns", str(mlruns))
    (path,) = here.iterdir()
    assert path.name == f"report-{recorded[0][:8]}.html"
    assert out == f"report  {path.name}\n"
    page = path.read_text(encoding="utf-8")
    assert f"run {recorded[0]}" not in page  # in the running head it is written for CSS
    assert recorded[0] in page
    assert "thermometer, standardize, sgd 0.5" in page
    assert "−17.3" in page
    assert "−1.36" in page  # a residual: the run's readings are there
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.usefixtures("pango")
def test_page_and_pdf_of_a_certificate_on_letter(recorded, mlruns, here, capsys):
    (here / "fields.toml").write_text(FIELDS, encoding="utf-8")
    options = ["--fields", "fields.toml", "--certificate", "--at=-10,25", "--paper", "letter"]
    out = ok(
        capsys, recorded[0], "--mlruns", str(mlruns), *options, "--output", "a.html", "--output", str(here / "a.PDF")
    )
    assert out == f"report  a.html\nreport  {here / 'a.PDF'}\n"
    assert sorted(path.name for path in here.iterdir()) == ["a.PDF", "a.html", "fields.toml"]
    assert "<h1>Certificate of calibration</h1>" in (here / "a.html").read_text(encoding="utf-8")
    document = pypdfium2.PdfDocument(str(here / "a.PDF"))
    assert document[0].get_size() == (612, 792)
    text = "".join(page.get_textpage().get_text_range() for page in document)
    assert "Certificate of calibration K-17" in text
    assert "outside the calibrated range" in text
    assert document.get_metadata_value("Title") == "Certificate of calibration K-17"


def test_a_file_alone_and_a_warning(recorded, here, capsys):
    failed = check("curvature", "fails", "curved")
    record = changed(read_file(Path(recorded[1])).record, usable=False, checks=[failed])
    (here / "old.json").write_text(record.as_text(), encoding="utf-8")
    code, out, err = run(capsys, "report", "old.json")
    assert (code, out) == (0, "report  report-old.html\n")
    assert "warning: by its own checks, this calibration should not be used" in err
    assert "warning: curvature: curved" in err
    page = (here / "report-old.html").read_text(encoding="utf-8")
    assert "from a calibration.json alone" in page
    assert '<li dir="auto">Curved.</li>' in page


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--output", "a.docx"], "--output: a.docx: a report is HTML or PDF"),
        (["--output", "nowhere/a.pdf"], "--output: nowhere/a.pdf: there is no folder nowhere"),
        (["--at", "1,x"], "--at: '1,x' is no list of readings"),
        (["--at", "nan"], "--at: 'nan': readings are finite numbers"),
        (["--fields", "nowhere.toml"], "nowhere.toml: not a readable TOML file of fields"),
        (["--fields", "typo.toml"], "typo.toml: 'refernce': no such field; did you mean reference?"),
        (["--certificate"], "give reference.identity and reference.uncertainty"),
        (["--certificate", "--fields", "half.toml"], "half.toml: a certificate says what the thermometer"),
        (["--output", "folder.html"], "--output: folder.html: this is no file; name another"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(recorded, mlruns, here, capsys, options, words):
    (here / "typo.toml").write_text("[refernce]\nidentity = 'x'\n")
    (here / "half.toml").write_text("[reference]\nidentity = 'x'\nuncertainty = ' '\n")
    (here / "folder.html").mkdir()
    before = sorted(here.rglob("*"))
    code, out, err = run(capsys, "report", recorded[0], "--mlruns", str(mlruns), *options)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
    assert sorted(here.rglob("*")) == before


def test_runs_without_a_curve_are_refused(mlruns, here, capsys):
    code, _, err = run(capsys, "report", "no such run", "--mlruns", str(mlruns))
    assert (code, err.count("\n")) == (2, 1)
    config = CalibrationConfig(experiment="report", model="mlp", n_epochs=2)
    result = calibrate(THERMOMETER, config)
    started = start_run(open_store(mlruns), result.readings, config, {})
    with ended(started):
        log_calibration(started, result, {})
    code, _, err = run(capsys, "report", started.run_id, "--mlruns", str(mlruns))
    assert code == 2
    assert "a network has no uncertainty" in err
    assert not list(here.iterdir())


def test_readings_are_parsed_and_bounded():
    assert parse_readings("-10, 0,2.5e1") == [-10.0, 0.0, 25.0]
    for text in ("", "1;2", "1e300", ",".join("1" * 1001)):
        with pytest.raises(SettingsError, match="--at"):
            parse_readings(text)


@pytest.mark.integration
def test_weasyprint_is_imported_for_pdfs_alone(recorded, mlruns, here):
    code = "import sys; from tempfit.cli import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
    code += "sys.exit('weasyprint' in sys.modules)"
    command = [sys.executable, "-c", code, "report", recorded[0], "--mlruns", str(mlruns)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run(command, check=False, env=environment, capture_output=True).returncode == 0


def test_no_certificate_of_what_should_not_be_used(recorded, here, capsys):
    (here / "fields.toml").write_text(FIELDS, encoding="utf-8")
    bent = [check("curvature", "fails", "curved")]
    record = changed(read_file(Path(recorded[1])).record, usable=False, checks=bent)
    (here / "bent.json").write_text(record.as_text(), encoding="utf-8")
    code, out, err = run(capsys, "report", "bent.json", "--fields", "fields.toml", "--certificate")
    assert (code, out) == (2, "")
    assert "--certificate: by its own checks, bent.json should not be used" in err.replace("\n", " ")
    assert sorted(path.name for path in here.iterdir()) == ["bent.json", "fields.toml"]


@pytest.mark.parametrize("key", ["factor", "matrix", "params", "cofactor", "observation_sd", "t_u_range"])
def test_a_damaged_record_is_told_in_one_line(recorded, here, capsys, key):
    values = json.loads(Path(recorded[1]).read_text(encoding="utf-8"))
    for damage in ("gone", "text"):
        curve = {name: value for name, value in values["curve"].items() if name != key}
        curve |= {} if damage == "gone" else {key: "x"}
        (here / "cut.json").write_text(json.dumps(values | {"curve": curve}), encoding="utf-8")
        code, out, err = run(capsys, "report", "cut.json")
        assert (code, out) == (2, "")
        assert err.startswith(f"error: cut.json: curve.{key}")
        assert err.count("\n") == 1
