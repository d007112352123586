"""A finished fit, judged: its outcome, its curve with uncertainty, its checks, from its problem and nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.checks import Check, Descent, is_usable
from tempfit.calibration.outcome import Descents, objective
from tempfit.calibration.scales import REFERENCE_UNIT, Scale, identify
from tempfit.config import CalibrationConfig
from tempfit.descent.forecast import Forecast
from tempfit.descent.history import Fit, gradient_norm
from tempfit.descent.model import build_model
from tempfit.descent.setup import Setup
from tempfit.descent.validation import Validation
from tempfit.exact.curve import Curve
from tempfit.exact.least_squares import LeastSquares
from tempfit.exact.problem import Problem
from tempfit.words import Outcome, Status


@dataclass(frozen=True, eq=False, repr=False)
class Judged:
    """A finished fit beside its problem: what is told of a calibration without looking at a row.

    `w` and `b` are in raw units: `t_c = w * (t_u - t0) + b`. Of a fit that exploded they are the last finite ones.
    reading_checks: what the readings say of the model, whatever the fit. validation: what the readings held out say;
    None where none were. known_outcome: where it was told already, of a fit of which the states that tell it are not
    kept.
    """

    setup: Setup
    fit: Fit
    reading_checks: tuple[Check, ...]
    validation: Validation | None = None
    known_outcome: Outcome | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.status}>"

    @property
    def config(self) -> CalibrationConfig:
        return self.setup.config

    @property
    def problem(self) -> Problem:
        return self.setup.problem

    @property
    def forecast(self) -> Forecast:
        return self.setup.forecast

    @property
    def status(self) -> Status:
        return self.fit.status

    @property
    def exact(self) -> LeastSquares:
        """The least-squares solution of what was trained on; for an mlp, that of a line."""
        return self.problem.exact

    @cached_property
    def curve(self) -> Curve | None:
        """What gradient descent found, with its uncertainty: what to use, unless a check says otherwise.

        None of a network, which has none, and of a fit that exploded. The uncertainty is made from its own residuals
        (or from those stated); after Huber's loss, as `tempfit.exact.huber` says.
        """
        if not self.is_linear or self.exploded:
            return None
        params = self.problem.standard.change_to(self.problem.basis) @ self.fit.params
        best = self.problem.best
        if self.problem.is_stated or self.problem.robust is not None:
            return best.moved(params, best.observation_sd)
        return best.moved(params, self.residual_sd * math.sqrt(self.problem.spread))

    @cached_property
    def scales(self) -> tuple[Scale, ...]:
        """The known scales beside the thermometer, the most probable first: see `tempfit.calibration.scales`.

        By the optimum of the loss, so that they say something of the thermometer and nothing of the descent. Empty for
        other models than lines, for references in another unit than °C, for a perfect fit and for one that exploded.
        """
        if not self.is_linear or self.exploded or self.config.y_unit != REFERENCE_UNIT:
            return ()
        return identify(self.problem.best)

    @property
    def chi_squared(self) -> float:
        """Sum of squared residuals, each in units of its stated uncertainty; NaN where none are stated."""
        return self.exact.n * self.mean_squared_error / self.exact.variance

    @property
    def residual_sd(self) -> float:
        """Standard deviation of the residuals, of mean weight, by their degrees of freedom; NaN without any."""
        return float(self.exact.residual_sd_of(self.rmse))

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        """What speaks against using the result; of a network, only that it exploded."""
        if self.is_linear or self.exploded:
            return (*self.reading_checks, self.descent)
        return ()

    @cached_property
    def descent(self) -> Check:
        """How far gradient descent ended from the exact optimum."""
        best = self.problem.best
        params = np.full(best.basis.n_terms, np.nan) if self.curve is None else self.curve.params
        return Descent(params, best, np.array(self.forecast.condition_number), self.config).tell(0)

    @property
    def usable(self) -> bool:
        """Whether nothing says that it should not be used."""
        return not self.failed and is_usable(self.checks)

    @property
    def exact_name(self) -> str:
        """What `exact` is: a line or a polynomial."""
        return "polynomial" if self.config.model == "polynomial" else "line"

    @property
    def w(self) -> float:
        """The slope of a line in raw units; NaN for other models."""
        return float(self.coefficients[0]) if self.config.model == "line" else math.nan

    @property
    def b(self) -> float:
        """The intercept of a line in raw units; NaN for other models."""
        return float(self.coefficients[1]) if self.config.model == "line" else math.nan

    @property
    def loss(self) -> float:
        """The loss at the final parameters, of the kind that was trained."""
        return self.fit.loss

    @property
    def is_linear(self) -> bool:
        """Whether the model is a sum of terms, so that it has coefficients and an exact optimum."""
        return self.config.model != "mlp"

    @property
    def coefficients(self) -> NDArray[np.float64]:
        """(terms,), of raw powers, the highest first: w and b of a line; empty for an mlp."""
        return self.coefficient_history[-1]

    @cached_property
    def coefficient_history(self) -> NDArray[np.float64]:
        """(states, terms), the coefficients at every state of `fit.history`."""
        if not self.is_linear:
            return np.empty((len(self.fit.history), 0))
        return self.problem.basis.to_raw(self.fit.history.params)

    @cached_property
    def rmse(self) -> float:
        """Root of the mean squared residual of what was trained on, in the unit of t_c; NaN of a network, which takes
        the rows."""
        if self.config.loss == "york":
            return math.sqrt(self.loss)
        if not self.is_linear:
            return math.nan
        return float(self.problem.design.rmse(self.fit.params[None])[0])

    @property
    def excess_loss(self) -> float:
        """Mean squared error above the exact optimum's, relative to it; inf for an imperfect fit of a perfect line.

        Of an mlp it is negative where the network fits the readings closer than any line.
        """
        excess = self.mean_squared_error - self.exact.loss
        if self.is_linear:
            excess = max(excess, 0.0)
        if self.exact.loss > 0:
            return excess / self.exact.loss
        return math.inf if excess > 0 else 0.0

    @property
    def is_close(self) -> bool:
        """Whether the final mean squared error is within 0.1 % of the exact optimum's (an mlp's may be below)."""
        return self.fit.diverged_at is None and self.mean_squared_error <= self.setup.goal

    @property
    def mean_squared_error(self) -> float:
        """Of what was trained on, whatever loss was trained."""
        return self.rmse * self.rmse  # (** would raise where this is inf)

    @cached_property
    def objective(self) -> NDArray[np.float64]:
        """(states,), what the descent makes small: the loss with its penalties, which `fit.history.loss` leaves out."""
        return objective(self.fit.history.loss, self.fit.history.params, self.config)

    @cached_property
    def outcome(self) -> Outcome:
        """How near the fit came to the lowest mean squared error, in a word."""
        if self.known_outcome is not None:
            return self.known_outcome
        curve, forecast, config = self.forecast.loss_curve, self.forecast, self.config
        earlier = int(np.searchsorted(self.fit.history.updates, 0.75 * self.fit.n_epochs))
        descent = Descents(
            status=np.array([self.status.code], dtype=np.int8),
            start=self.objective[:1],
            before=self.objective[earlier : earlier + 1],
            end=self.objective[-1:],
            over_corrects=np.array([forecast.stable is False]),
            goal=np.array([curve.goal if curve is not None and forecast.stable else np.nan]),
            is_close=np.array([self.is_close]),
            lowest=np.array([self.exact.loss if config.loss != "huber" else 0.0]),
            n_epochs=np.array([self.fit.n_epochs]),
            has_another_optimum=self.is_linear and bool(config.l1 or config.l2 or config.loss == "huber"),
        )
        return Outcome.of(descent.outcomes()[0])

    @property
    def exploded(self) -> bool:
        """Whether the loss overflowed, or was on its way there when the epochs were used up."""
        return self.outcome is Outcome.EXPLODES or not math.isfinite(self.mean_squared_error)

    @property
    def failed(self) -> bool:
        """Whether there is nothing to use: it exploded, or a fit that validates it did."""
        seen = self.validation
        return self.exploded or (seen is not None and (seen.diverged > 0 or not math.isfinite(seen.final)))

    def series(self) -> dict[str, NDArray[np.float64]]:
        """What is drawn against the number of updates, (states,) each: name → values at the states of the history."""
        history = self.fit.history
        series = {"loss": history.loss}
        if self.validation is not None:
            series["validation_loss"] = self.validation.loss
        series |= dict(zip(self.coefficient_names, self.coefficient_history.T, strict=True))
        series["gradient_norm"] = history.gradient_norm
        for name, layer in build_model(self.config).layers.items():
            series[f"gradient_norm/{name}"] = gradient_norm(history.gradient[:, layer])
        return series

    @property
    def coefficient_names(self) -> list[str]:
        """w and b of a line; c2, c1, c0 of a polynomial of degree 2."""
        n_terms = self.coefficient_history.shape[1]
        return ["w", "b"] if self.config.model == "line" else [f"c{power}" for power in reversed(range(n_terms))]
