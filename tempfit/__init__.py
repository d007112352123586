"""tempfit: calibrate thermometers with a line fitted by gradient descent.

The names here are loaded when first used: `import tempfit` alone imports nothing heavy.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tempfit.calibration import Calibration
    from tempfit.config import CalibrationConfig
    from tempfit.notebook import calibrate, forecast, sweep
    from tempfit.readings import Readings, load_readings
    from tempfit.status import Status
    from tempfit.training import Fit, History

_HOMES = {
    "Calibration": "tempfit.calibration",
    "CalibrationConfig": "tempfit.config",
    "Fit": "tempfit.training",
    "History": "tempfit.training",
    "Readings": "tempfit.readings",
    "Status": "tempfit.status",
    "calibrate": "tempfit.notebook",
    "forecast": "tempfit.notebook",
    "load_readings": "tempfit.readings",
    "sweep": "tempfit.notebook",
}

__all__ = [
    "Calibration",
    "CalibrationConfig",
    "Fit",
    "History",
    "Readings",
    "Status",
    "calibrate",
    "forecast",
    "load_readings",
    "sweep",
]


class _Package(ModuleType):
    """`tempfit.sweep` and `tempfit.forecast` are what a notebook calls. Modules have these names, too (`from
    tempfit.sweep import …` finds them), and importing one would put it in the function's place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _HOMES:
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("tempfit")
    if name not in _HOMES:
        raise AttributeError(f"module 'tempfit' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
