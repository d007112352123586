"""A data set's whole result, and the library's own door."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import tempfit
from tempfit.calibration.equation import equation
from tempfit.calibration.recording import record_of
from tempfit.errors import ReadingsError, SettingsError
from tests.conftest import T_C, T_U, THERMOMETER

FRAME = pd.DataFrame({"t_u": T_U, "t_c": T_C})


def test_library_use_takes_frame_config_and_single_settings():
    config = tempfit.CalibrationConfig(scaling="factor", learning_rate=1e-2, n_epochs=10)
    result = tempfit.calibrate(FRAME, config=config, n_epochs=20)
    assert result.config.n_epochs == 20
    assert result.config.scaling == "factor"
    assert result.fit.n_epochs == 20
    with pytest.raises(SettingsError, match="n_epoch: no such setting"):
        tempfit.calibrate(FRAME, n_epoch=20)
    with pytest.raises(ReadingsError, match="no column 't_u'"):
        tempfit.calibrate(FRAME.rename(columns={"t_u": "x"}))


def test_library_use_needs_neither_prefect_nor_mlflow():
    code = (
        "import sys, tempfit\n"
        f"result = tempfit.calibrate({str(THERMOMETER)!r})\n"
        "result._repr_html_()\n"
        "print(result.status, sorted({'prefect', 'mlflow', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "converged ['torch']\n"


def test_the_name_of_the_package_imports_nothing_heavy():
    code = "import sys, tempfit; print(sorted({'torch', 'numpy', 'pandas', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tempfit.nothing  # noqa: B018


def test_rmse_and_loss_are_those_of_the_final_line():
    result = tempfit.calibrate(FRAME, scaling="factor", learning_rate=1e-2, n_epochs=100)
    residual = T_C - (result.w * T_U + result.b)
    assert result.loss == pytest.approx(np.mean(residual**2), rel=1e-12)
    assert result.rmse == pytest.approx(math.sqrt(np.mean(residual**2)), rel=1e-12)
    assert result.excess_loss == pytest.approx(np.mean(residual**2) / 2.92764557089563972 - 1, rel=1e-9)


@pytest.mark.parametrize(
    ("t_u", "t_c", "told"),
    [
        (T_U, T_C, "t_c = 0.5368 · t_u − 17.305"),
        (T_U, -T_C, "t_c = −0.5368 · t_u + 17.305"),
        (1000 * T_U, T_C, "t_c = 0.0005368 · t_u − 17.305"),
        (T_U, T_C + 17.304785503010794, "t_c = 0.5368 · t_u"),
    ],
)
def test_equations_read_well(t_u, t_c, told):
    assert equation(record_of(tempfit.calibrate((t_u, t_c)))).startswith(told)


def test_the_dictionary_is_json_with_finite_numbers():
    for settings in ({}, {"scaling": "none", "learning_rate": 1e-2}, {"optimizer": "adam", "n_epochs": 3}):
        result = tempfit.calibrate(FRAME, **settings)
        again = json.loads(json.dumps(result.as_dict(), allow_nan=False))
        assert again["status"] == result.status
        assert again["exact"]["w"] == pytest.approx(152075 / 283314, rel=1e-13)
        assert again["n"] == 11
        assert tempfit.CalibrationConfig(**again["config"]) == result.config


MODELS = {
    "polynomial": {"model": "polynomial", "degree": 3, "folds": 5},
    "mlp": {
        "model": "mlp",
        "hidden": "4x3",
        "optimizer": "adam",
        "learning_rate": 0.01,
        "n_epochs": 50,
        "holdout": 0.2,
    },
    "mlp explodes": {"model": "mlp", "activation": "relu", "learning_rate": 1.0, "holdout": 0.2},
    "polynomial explodes": {"model": "polynomial", "learning_rate": 2.0, "holdout_rows": "2,10"},
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", MODELS)
def test_the_dictionary_of_other_models_is_json_too(case):
    result = tempfit.calibrate(FRAME, **MODELS[case])
    again = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert (again["status"], again["model"]) == (result.status, result.config.model)
    assert again["status"] == "diverged" or "explodes" not in case
    assert (again["w"], again["b"]) == (None, None)
    params = result.fit.params.tolist() if result.is_linear else None  # a network's weights are in its model
    assert again["scaled"].get("params") == params
    assert again["coefficients"] == (result.coefficients.tolist() if result.is_linear else None)
    assert again["exact"]["coefficients"] == result.exact.coefficients.tolist()
    assert again["validation"]["loss"] == result.validation.final
    assert again["validation"]["lowest_loss"] <= again["validation"]["loss"]
    assert again["validation"]["overfits"] is result.validation.overfits
    assert tempfit.CalibrationConfig(**again["config"]) == result.config


@pytest.mark.filterwarnings("error")
def test_a_coefficient_beyond_float64_is_none_in_the_dictionary():
    """A diverged parameter may be 1e153, and the sixth power of a factor of 8e28, which makes it raw, is 2e173."""
    t_u = 1e-30 * np.arange(14.0)
    result = tempfit.calibrate(
        (t_u, np.arange(14.0) ** 2), model="polynomial", degree=6, scaling="minmax", learning_rate=10
    )
    assert not np.isfinite(result.coefficients).all()
    values = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert values["coefficients"][0] is None
    assert values["coefficients"][-1] == result.coefficients[-1]


def test_huber_weighs_an_outlier_less():
    t_c = T_C.copy()
    t_c[5] += 100
    squared, huber = (tempfit.calibrate((T_U, t_c), loss=loss) for loss in ("squared", "huber"))
    truth = tempfit.calibrate((np.delete(T_U, 5), np.delete(T_C, 5)))
    middle = T_U.mean()
    away = [abs(r.w * middle + r.b - (truth.w * middle + truth.b)) for r in (squared, huber)]
    assert away[0] > 8
    assert away[1] < 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("unit", [1e70, 1e30, 1e-30, 1e-70])
@pytest.mark.parametrize("degree", [1, 3, 5, 9])
def test_equations_of_readings_in_extreme_units(unit, degree):
    """Where float64 has no raw coefficients, that is said; predictions are made from scaled powers all the same."""
    t_u = np.arange(1.0, 12.0)
    plain, extreme = (
        tempfit.calibrate((t_u * scale, np.sin(t_u)), model="polynomial", degree=degree) for scale in (1.0, unit)
    )
    assert extreme.predict(t_u * unit) == pytest.approx(plain.predict(t_u), rel=1e-6, abs=1e-9)
    beyond = not np.isfinite(extreme.coefficients).all()
    assert ("beyond float64" in equation(record_of(extreme))) == beyond
    assert beyond == (degree * abs(np.log10(unit)) > 320)
    json.dumps(extreme.as_dict(), allow_nan=False)
