"""Calibrations of the tutorial's readings for every way a fit can end."""

from __future__ import annotations

from functools import cache

from tempfit.calibration.calibration import Calibration
from tempfit.calibration.pipeline import calibrate
from tests.conftest import T_C, T_U

MLP = {"model": "mlp", "optimizer": "adam", "learning_rate": 0.01}
CASES = {
    "converged": {},
    "crawls": {"scaling": "none", "learning_rate": 1e-4, "n_epochs": 2000},
    "explodes": {"scaling": "none", "learning_rate": 1e-2},
    "explodes slowly": {"scaling": "none", "learning_rate": 3.45e-4, "n_epochs": 100_000},
    "explodes in float32": {"scaling": "none", "learning_rate": 1e-2, "dtype": "float32"},
    "one epoch": {"scaling": "factor", "learning_rate": 1e-3, "n_epochs": 1},
    "starts at the optimum": {"scaling": "none", "w_start": 152075 / 283314, "b_start": -2451344 / 141657},
    "huber": {"loss": "huber"},
    "held out": {"holdout_rows": "2,10"},
    "folds": {"folds": 11, "scaling": "factor", "learning_rate": 1e-2},
    "explodes in folds": {"folds": 4, "scaling": "none", "learning_rate": 1e-2},
    "polynomial": {"model": "polynomial", "degree": 3, "holdout_rows": "2,10"},
    "polynomial crawls": {"model": "polynomial", "scaling": "factor", "factor": 0.01, "learning_rate": 0.1},
    "polynomial explodes": {"model": "polynomial", "learning_rate": 2.0, "holdout_rows": "2,10"},
    "mlp": MLP | {"n_epochs": 300},
    "mlp, one epoch": MLP | {"n_epochs": 1, "activation": "prelu"},
    "mlp overfits": MLP | {"n_epochs": 2000, "holdout_rows": "2,10"},
    "mlp in folds": MLP | {"n_epochs": 100, "folds": 3, "loss": "huber", "activation": "leaky_relu"},
    "mlp explodes": {"model": "mlp", "activation": "relu", "learning_rate": 1.0, "folds": 3},
    "mlp of 65 layers": MLP | {"n_epochs": 5, "activation": "sigmoid", "hidden": "x".join(["3"] * 64)},
}


@cache
def calibrated(case: str) -> Calibration:
    """What the settings of a case come to."""
    return calibrate((T_U, T_C), **CASES[case])
