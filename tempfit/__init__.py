"""tempfit: calibrate thermometers with a line fitted by gradient descent.

The names here are loaded when first used: `import tempfit` alone imports nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tempfit.calibration import Calibration, calibrate
    from tempfit.config import CalibrationConfig
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
    "calibrate": "tempfit.calibration",
    "load_readings": "tempfit.readings",
}

__all__ = [
    "Calibration",
    "CalibrationConfig",
    "Fit",
    "History",
    "Readings",
    "Status",
    "calibrate",
    "load_readings",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("tempfit")
    if name not in _HOMES:
        raise AttributeError(f"module 'tempfit' has no attribute {name!r}")
    if name == "calibrate":
        import_module("tempfit.summary")  # gives a Calibration the face that a notebook shows
    return getattr(import_module(_HOMES[name]), name)
