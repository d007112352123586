"""Every setting, declared once: the CLI's options, Prefect's run form and MLflow's params follow from here."""

from tempfit.config.calibration import (
    MOST_DEGREE,
    MOST_EPOCHS,
    MOST_NAME,
    NO_COLUMN,
    CalibrationConfig,
    FitConfig,
    ModelConfig,
    ReadingsConfig,
    ScalingConfig,
    TrackingConfig,
    TrainingConfig,
    UncertaintyConfig,
    ValidationConfig,
)
from tempfit.config.fleet import FleetConfig

__all__ = [
    "MOST_DEGREE",
    "MOST_EPOCHS",
    "MOST_NAME",
    "NO_COLUMN",
    "CalibrationConfig",
    "FitConfig",
    "FleetConfig",
    "ModelConfig",
    "ReadingsConfig",
    "ScalingConfig",
    "TrackingConfig",
    "TrainingConfig",
    "UncertaintyConfig",
    "ValidationConfig",
]
