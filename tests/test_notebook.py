"""What a notebook calls and is shown."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import tempfit
from tempfit.calibration import pipeline
from tempfit.calibration.filed import read_file
from tempfit.calibration.recording import record_of
from tempfit.errors import SettingsError
from tempfit.notebook import ShownCalibration
from tempfit.report.summary import summary
from tests.conftest import T_C, T_U

EXACT_W = 152075 / 283314  # rational arithmetic, as in tests/test_tutorial.py


@pytest.fixture(scope="module")
def result() -> ShownCalibration:
    return tempfit.calibrate(T_U.tolist(), T_C.tolist())


def test_lists_arrays_pairs_and_frames_are_taken():
    frame = pd.DataFrame({"t_u": T_U, "t_c": T_C})
    ways = [(T_U.tolist(), T_C.tolist()), ([T_U.tolist(), T_C.tolist()],), (T_U, T_C), ((T_U, T_C),), (frame,)]
    for way in ways:
        assert tempfit.calibrate(*way).w == pytest.approx(EXACT_W, rel=1e-12)


def test_the_package_lists_what_can_be_used():
    assert {"calibrate", "sweep", "forecast", "load_readings", "CalibrationConfig"} <= set(dir(tempfit))
    assert all(getattr(tempfit, name) for name in dir(tempfit))


@pytest.mark.parametrize(
    "first",
    ["import tempfit.studies.sweep, tempfit.descent.forecast", "from tempfit.studies.sweep import Sweep", "pass"],
)
def test_functions_are_not_hidden_by_the_modules_of_their_names(first):
    code = f"import tempfit\n{first}\ntempfit.calibrate\nprint(callable(tempfit.sweep), callable(tempfit.forecast))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"


def test_a_printed_result_is_its_summary(result):
    printed = str(result)
    for label, text in summary(record_of(result)):
        assert f"{label}  " in printed
        assert text in printed
    assert repr(result) == "<ShownCalibration: Converged: t_c = 0.5368 · t_u − 17.305>"
    core = pipeline.calibrate((T_U, T_C))
    assert str(core) == repr(core) == "<Calibration: converged>"


def test_a_result_shows_itself_with_pictures_and_escaped():
    hostile = tempfit.calibrate(T_U, T_C, x="<script>", y="b&b")
    html = hostile._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert html.count("<img") == 2
    exploded = tempfit.calibrate(T_U, T_C, scaling="none", learning_rate=1e-2)._repr_html_()
    assert [f'alt="{name}"' in exploded for name in ("line", "loss", "path")] == [True] * 3


def test_a_plot_is_a_figure_that_shows_itself(result):
    for what in (None, "line", "loss", "path", "residuals"):
        figure = result.plot(what)
        assert isinstance(figure, Figure)
        assert figure._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(SettingsError, match="no picture 'layers': choose one of line, loss, path, residuals"):
        result.plot("layers")


def test_what_is_saved_is_what_predict_report_and_export_read(result, tmp_path: Path):
    path = result.save(tmp_path / "calibration.json")
    assert json.loads(path.read_text(encoding="utf-8")) == result.as_dict()
    curve = read_file(path).curve
    assert curve.predict(np.array([50.0])) == pytest.approx(result.curve.predict(np.array([50.0])), rel=1e-15)
    with pytest.raises(SettingsError, match=r"name a file that ends in \.json"):
        result.save(tmp_path / "calibration.png")
    with pytest.raises(SettingsError, match="cannot be written"):
        result.save(tmp_path / "nowhere" / "calibration.json")
    assert [found.name for found in tmp_path.iterdir()] == ["calibration.json"]


def test_a_sweep_takes_a_grid_in_python_and_shows_itself():
    swept = tempfit.sweep(T_U, T_C, grid={"learning_rate": [1e-2, 0.5], "scaling": ("none", "standardize")})
    assert swept.best.name == "learning_rate 0.5, scaling standardize"
    assert len(str(swept).splitlines()) == 1 + 4 + 2  # the heading, the members, the headline below an empty line
    assert swept._repr_html_().count("<img") == 2  # the losses, the map
    assert isinstance(swept.plot("map"), Figure)
    ranged = tempfit.sweep(T_U, T_C, grid={"learning_rate": "1e-3..1e-1:3", "clip_norm": [None, 1.0]}, n_epochs=50)
    assert [axis.values for axis in ranged.axes] == [(1e-3, 1e-2, 1e-1), (None, 1.0)]
    for wrong in ({}, {"grid": {"l2": [0.1]}, "preset": "tutorial"}):
        with pytest.raises(SettingsError, match="say what to try"):
            tempfit.sweep(T_U, T_C, **wrong)


def test_a_forecast_shows_itself():
    told = tempfit.forecast(T_U, T_C, scaling="none", learning_rate=1e-2)
    assert "overflows at epoch 88" in str(told)
    assert "trained" not in str(told)
    assert told._repr_html_().count("<img") == 1
    assert "trained" in str(tempfit.forecast(T_U, T_C, train=True, optimizer="adam", n_epochs=10))
    assert "<img" not in tempfit.forecast(T_U, T_C, optimizer="adam")._repr_html_()
