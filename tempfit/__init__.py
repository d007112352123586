"""tempfit: calibrate thermometers with a line fitted by gradient descent.

The names here are loaded when first used: `import tempfit` alone imports nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tempfit.calibration.calibration import Calibration
    from tempfit.config import CalibrationConfig
    from tempfit.descent.history import Fit, History
    from tempfit.notebook import calibrate, forecast, sweep
    from tempfit.readings.paired import Readings, load_readings
    from tempfit.words import Status

_HOMES = {
    "Calibration": "tempfit.calibration.calibration",
    "CalibrationConfig": "tempfit.config",
    "Fit": "tempfit.descent.history",
    "History": "tempfit.descent.history",
    "Readings": "tempfit.readings.paired",
    "Status": "tempfit.words",
    "calibrate": "tempfit.notebook",
    "forecast": "tempfit.notebook",
    "load_readings": "tempfit.readings.paired",
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


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("tempfit")
    if name not in _HOMES:
        raise AttributeError(f"module 'tempfit' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
