"""One data set's whole result: what is printed, plotted and stored.

`calibrate` is the pipeline as plain functions (normalize, forecast, train, judge), for notebooks and for tests; the
flows call the same functions one task at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tempfit.config import CalibrationConfig, ScalingConfig, parse_config
from tempfit.design import Design, build_design, compress
from tempfit.forecast import Forecast, make_forecast
from tempfit.readings import Readings, as_readings
from tempfit.scaling import Scaling, fit_scaling
from tempfit.statistics import LeastSquares, solve
from tempfit.training import Fit, OnEpochs, Status, train


@dataclass(frozen=True, eq=False)
class Problem:
    """Readings made ready to train on (one member).

    factor: the problem on standardized readings, compressed; the exact solution comes from it, whatever the scaling.
    design: the same in the units to train in. rows: what the loop runs on: design, or all rows for Huber's loss.
    """

    standard: Scaling
    factor: Design
    scaling: Scaling
    design: Design
    rows: Design


@dataclass(frozen=True, eq=False)
class Calibration:
    """A line through paired readings, how it was found, and how far it is from the exact one.

    `w` and `b` are in raw units: `t_c = w * t_u + b`. Of a diverged fit they are the last finite ones.
    """

    readings: Readings
    config: CalibrationConfig
    problem: Problem
    forecast: Forecast
    fit: Fit
    exact: LeastSquares

    _repr_html_: ClassVar[Callable[[Calibration], str] | None] = None  # tempfit.report sets it; it knows how to draw

    @property
    def status(self) -> Status:
        return self.fit.status

    @property
    def w(self) -> float:
        return float(self.line[0])

    @property
    def b(self) -> float:
        return float(self.line[1])

    @property
    def loss(self) -> float:
        """The loss at the final w and b, of the kind that was trained."""
        return self.fit.loss

    @property
    def line(self) -> NDArray[np.float64]:
        """(2,), the final w and b in raw units."""
        return self.line_history[-1]

    @cached_property
    def line_history(self) -> NDArray[np.float64]:
        """(states, 2), w and b in raw units at every state of `fit.history`."""
        return self.problem.scaling.to_raw(self.fit.history.params)

    @cached_property
    def rmse(self) -> float:
        """Root of the mean squared residual of the final line, in the unit of t_c."""
        design = self.problem.design
        residual = design.features[0].numpy() @ self.fit.params - design.targets[0].numpy()
        return float(np.linalg.norm(residual)) / math.sqrt(self.exact.n)

    @property
    def excess_loss(self) -> float:
        """Mean squared error above the exact optimum's, relative to it; inf for an imperfect fit of a perfect line."""
        excess = max(self.rmse * self.rmse - self.exact.loss, 0.0)
        if self.exact.loss > 0:
            return excess / self.exact.loss
        return math.inf if excess > 0 else 0.0

    @property
    def headline(self) -> str:
        """The result in a line: `Converged: t_c = 0.5368 · t_u − 17.305`."""
        if self.fit.diverged_at is not None:
            return f"Diverged at epoch {self.fit.diverged_at:,}: no line to use"
        return f"{self.status.capitalize()}: {self.equation()}"

    def equation(self, line: NDArray[np.float64] | None = None) -> str:
        """`t_c = 0.5368 · t_u − 17.305`: the final line or the one given, (2,) in raw units, with telling digits."""
        w, b = self.line if line is None else line
        slope = f"{w:.{_digits(w, self.exact.u_w, least=4)}g}".replace("-", "−")
        intercept = f"{abs(b):.{_digits(b, self.exact.u_b, least=5)}g}"
        return f"{self.readings.y} = {slope} · {self.readings.x} {'−' if b < 0 else '+'} {intercept}"

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON values: finite numbers, or None where there is none."""
        exact, forecast = self.exact, self.forecast
        values = {
            "status": self.status.value,
            "diverged_at": self.fit.diverged_at,
            "w": self.w,
            "b": self.b,
            "loss": self.loss,
            "rmse": self.rmse,
            "n": self.readings.n,
            "n_epochs": self.fit.n_epochs,
            "scaled": {
                "w": float(self.fit.params[0]),
                "b": float(self.fit.params[1]),
                "factor": self.problem.scaling.factor,
                "center": self.problem.scaling.center,
            },
            "exact": {"w": exact.w, "b": exact.b, "loss": exact.loss, "r_squared": exact.r_squared},
            "excess_loss": self.excess_loss,
            "critical_learning_rate": forecast.critical_learning_rate,
            "condition_number": forecast.condition_number,
            "epochs_needed": forecast.epochs_needed,
            "overflow_epoch": forecast.overflow_epoch,
            "advice": forecast.advice,
            "data": {
                "source": self.readings.source,
                "sha256": self.readings.sha256,
                "n_dropped": self.readings.n_dropped,
            },
            "config": self.config.model_dump(),
        }
        finite: dict[str, Any] = _finite(values)
        return finite


def normalize(readings: Readings, config: CalibrationConfig) -> Problem:
    """Scale the readings and compress them to the few rows that the loop runs on."""
    standard = fit_scaling(readings.t_u, ScalingConfig(scaling="standardize"))
    scaling = fit_scaling(readings.t_u, config)
    factor = compress(build_design(standard.apply(readings.t_u), readings.t_c))
    design = factor if scaling == standard else factor.linear_map(standard.unfold @ scaling.fold)
    rows = build_design(scaling.apply(readings.t_u), readings.t_c) if config.loss == "huber" else design
    return Problem(standard=standard, factor=factor, scaling=scaling, design=design, rows=rows)


def judge(readings: Readings, config: CalibrationConfig, problem: Problem, forecast: Forecast, fit: Fit) -> Calibration:
    """A finished fit beside the forecast and the exact solution."""
    return Calibration(
        readings=readings,
        config=config,
        problem=problem,
        forecast=forecast,
        fit=fit,
        exact=solve(problem.factor, problem.standard),
    )


def calibrate(
    readings: Any, config: CalibrationConfig | None = None, *, on_epochs: OnEpochs | None = None, **settings: Any
) -> Calibration:
    """Fit `t_c = w * t_u + b` to paired readings and judge the result, without Prefect or MLflow.

    Parameters
    ----------
    readings
        A `Readings`, a DataFrame with the columns that the config names, a path, or a pair of arrays (t_u, t_c).
    config
        A whole `CalibrationConfig`; the defaults when None.
    on_epochs
        Called with a `tempfit.training.Block` after every block of epochs; returns True to stop.
    **settings
        Single settings by name, over those of `config`: `calibrate(df, learning_rate=1e-2, scaling="factor")`.

    Raises
    ------
    ReadingsError
        When the readings cannot carry a line.
    SettingsError
        When a setting is unknown or out of bounds.

    Examples
    --------
    >>> import tempfit
    >>> t_u = [35.7, 55.9, 58.2, 81.9, 56.3, 48.9, 33.9, 21.8, 48.4, 60.4, 68.4]
    >>> t_c = [0.5, 14.0, 15.0, 28.0, 11.0, 8.0, 3.0, -4.0, 6.0, 13.0, 21.0]
    >>> result = tempfit.calibrate((t_u, t_c))
    >>> print(f"{result.status}: t_c = {result.w:.4f} * t_u {result.b:+.3f}")
    converged: t_c = 0.5368 * t_u -17.305
    """
    base = config.model_dump() if config is not None else {}
    checked = parse_config({**base, **settings})
    data = as_readings(readings, checked)
    problem = normalize(data, checked)
    forecast = make_forecast(problem.design, checked)
    (fit,) = train(problem.rows, [checked], on_epochs)
    return judge(data, checked, problem, forecast, fit)


def _digits(value: float, uncertainty: float, *, least: int) -> int:
    """Significant digits down to a hundredth of the standard uncertainty."""
    if value == 0 or not uncertainty > 0:
        return max(least, 6)
    return min(15, max(least, math.floor(math.log10(abs(value))) - math.floor(math.log10(uncertainty)) + 3))


def _finite(value: Any) -> Any:
    """The same nested values with None for what JSON cannot say: NaN and infinities."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
