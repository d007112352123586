"""The stages as plain functions: normalize, forecast, train, judge; the flows call the same, one task at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tempfit.calibration.calibration import Calibration
from tempfit.calibration.checks import Check, check_readings
from tempfit.choices import override, parse_config, refuse_idle
from tempfit.config import CalibrationConfig
from tempfit.descent.batches import Trained, fit_setups
from tempfit.descent.history import OnEpochs
from tempfit.descent.setup import Setup, normalize
from tempfit.exact.large import AnyReadings, LargeReadings
from tempfit.exact.opening import open_readings
from tempfit.readings.paired import as_readings


def judge(
    readings: AnyReadings, setup: Setup, trained: Trained, reading_checks: tuple[Check, ...] | None = None
) -> Calibration:
    """A finished fit beside the forecast, the exact solution, the readings held out and the checks.

    reading_checks: those of the problem, where they are known already.
    """
    if reading_checks is None:
        reading_checks = check_readings(readings, setup.problem) if setup.config.model != "mlp" else ()
    return Calibration(setup, trained.fit, reading_checks, trained.validation, readings=readings)


def calibrate(
    readings: Any, config: CalibrationConfig | None = None, *, on_epochs: OnEpochs | None = None, **settings: Any
) -> Calibration:
    """Fit a line (or another model) to paired readings and judge the result, without Prefect or MLflow.

    Parameters
    ----------
    readings
        A `Readings`, a DataFrame with the columns that the config names, a path (a large file is read as a stream), or
        a pair of arrays (t_u, t_c).
    config
        A whole `CalibrationConfig`; the defaults when None.
    on_epochs
        Called with a `tempfit.descent.history.Block` after every block of epochs; returns True to stop.
    **settings
        Single settings by name, over those of `config`: `calibrate(df, learning_rate=1e-2, scaling="factor")`.

    Raises
    ------
    ReadingsError
        When the readings cannot carry a line.
    SettingsError
        When a setting is unknown, out of bounds or plays no part beside the others.

    Examples
    --------
    >>> import tempfit
    >>> t_u = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4]
    >>> t_c = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0]
    >>> result = tempfit.calibrate((t_u, t_c))
    >>> print(f"{result.status}: t_c = {result.w:.4f} * t_u {result.b:+.3f}")
    converged: t_c = 0.5368 * t_u -17.305
    """
    checked = parse_config(settings if config is None else override(config, settings))
    refuse_idle(checked)
    data = _taken(readings, checked)
    setup = normalize(data, checked)
    _ = setup.forecast  # raises before anything is trained
    (trained,) = fit_setups([setup], on_epochs)
    return judge(data, setup, trained)


def _taken(readings: Any, config: CalibrationConfig) -> AnyReadings:
    if isinstance(readings, LargeReadings):
        return readings
    if isinstance(readings, (str, Path)):
        return open_readings(readings, config)
    return as_readings(readings, config, thermometer=config.thermometer)
