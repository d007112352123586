"""What the readings decide of a config."""

from __future__ import annotations

from tempfit.config import CalibrationConfig
from tempfit.errors import SettingsError
from tempfit.exact.large import AnyReadings


def settle(readings: AnyReadings, config: CalibrationConfig) -> CalibrationConfig:
    """The config with what the readings decide: York's loss, where both axes are uncertain.

    Raises SettingsError where it asks for what they do not have, or cannot have.
    """
    is_york = "u_u" in readings.weighted_by
    if config.loss == "york" and not is_york:
        raise SettingsError(f"loss: york needs the columns u_c and u_u; {readings.source} has {_stated(readings)}")
    if config.uncertainty_from == "stated" and not readings.weighted_by:
        raise SettingsError(f"uncertainty_from: stated needs the column u_c; {readings.source} has no uncertainties")
    if config.uncertainty_from == "stated" and config.loss == "huber":
        raise SettingsError(
            "uncertainty_from: after Huber's loss, which takes outliers into account, uncertainties are made from the "
            "residuals; leave it at auto, or use the squared loss"
        )
    if not is_york:
        return config
    if config.loss == "huber" or config.model != "line":
        what = "by Huber's loss" if config.loss == "huber" else f"by a {config.model}"
        raise SettingsError(
            f"{readings.source}: readings of which both axes are uncertain (column u_u) cannot be fitted {what}; "
            'ignore the column by `u_u="none"`, or fit a line with the squared loss'
        )
    return config.model_copy(update={"loss": "york"})


def _stated(readings: AnyReadings) -> str:
    return "u_c alone" if readings.weighted_by else "no uncertainties"
