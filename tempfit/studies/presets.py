"""Sweeps with a name: what the tutorial tried, and every remedy that it names for a loss that explodes."""

from __future__ import annotations

from typing import Any, Literal

from tempfit.config import CalibrationConfig, ReadingsConfig, TrackingConfig, UncertaintyConfig
from tempfit.errors import SettingsError
from tempfit.studies.grid import SWEPT, Grid, Trial

RAW: dict[str, Any] = {"scaling": "none", "learning_rate": 1e-2}  # where the tutorial's loss explodes
NETWORK: dict[str, Any] = {"model": "mlp", "hidden": "13x13x13", "activation": "sigmoid", **RAW}
STANDARDIZED: dict[str, Any] = {"scaling": "standardize"}

TUTORIAL: dict[str, dict[str, Any]] = {
    "raw readings, learning rate 1e-2": RAW,
    "raw readings, 1e-4, 10,000 epochs": RAW | {"learning_rate": 1e-4, "n_epochs": 10_000},
    "raw readings, 1e-4, 100,000 epochs": RAW | {"learning_rate": 1e-4, "n_epochs": 100_000},
    "readings × 0.1, 1e-2, 1,000 epochs": {"scaling": "factor", "learning_rate": 1e-2, "n_epochs": 1000},
    "readings × 0.1, 1e-2, 10,000 epochs": {"scaling": "factor", "learning_rate": 1e-2, "n_epochs": 10_000},
    "smaller learning rate: 3.3e-4": RAW | {"learning_rate": 3.3e-4},
    "clipping: norm 1": RAW | {"clip_norm": 1.0},
    "clipping: norm 1, learning rate 1e-4": RAW | {"clip_norm": 1.0, "learning_rate": 1e-4},
    "L2 regularization: 0.01": RAW | {"l2": 0.01},
    "L1 regularization: 0.01": RAW | {"l1": 0.01},
    "optimizer: Adam, 1e-1": RAW | {"optimizer": "adam", "learning_rate": 1e-1},
    "optimizer: RMSprop, 1e-2": RAW | {"optimizer": "rmsprop"},
    "optimizer: momentum 0.9, 1e-4": RAW | {"momentum": 0.9, "learning_rate": 1e-4},
    "preprocessing: min-max, 1e-1": {"scaling": "minmax", "learning_rate": 1e-1},
    "preprocessing: standardize, 0.5": {"scaling": "standardize", "learning_rate": 0.5},
    "network: 3 layers of 13, sigmoid": NETWORK,
    "other activation: tanh": NETWORK | {"activation": "tanh"},
    "other activation: ReLU": NETWORK | {"activation": "relu"},
    "other activation: LeakyReLU": NETWORK | {"activation": "leaky_relu"},
    "other activation: PReLU": NETWORK | {"activation": "prelu"},
    "simpler network: 1 layer of 13": NETWORK | {"hidden": "13"},
    "simpler network: 1 layer of 3": NETWORK | {"hidden": "3"},
    "network, standardized": NETWORK | STANDARDIZED,
    "network, standardized: tanh": NETWORK | STANDARDIZED | {"activation": "tanh"},
    "network, standardized: ReLU": NETWORK | STANDARDIZED | {"activation": "relu"},
    "network, standardized: 1 layer of 13": NETWORK | STANDARDIZED | {"hidden": "13"},
}

Preset = Literal["tutorial"]
PRESETS: dict[Preset, dict[str, dict[str, Any]]] = {"tutorial": TUTORIAL}


def preset_grid(name: Preset, base: CalibrationConfig) -> Grid:
    """The trials of a preset, over what `base` says of the readings and of where runs are filed.

    Raises SettingsError when `base` has hyperparameters of its own, which the preset would ignore.
    """
    kept = base.model_dump(
        include={*ReadingsConfig.model_fields, *UncertaintyConfig.model_fields, *TrackingConfig.model_fields}
    )
    ignored = sorted(SWEPT & {key for key, value in base if value != CalibrationConfig.model_fields[key].default})
    if ignored:
        names = ", ".join(f"`{key}`" for key in ignored)
        raise SettingsError(f'`preset="{name}"` has settings of its own; leave out {names}, or use `grid`')
    return Grid((), tuple(Trial(title, CalibrationConfig(**kept | own)) for title, own in PRESETS[name].items()))
