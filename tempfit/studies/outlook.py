"""What one learning rate does under every scaling of the readings: foretold, and trained where that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np

from tempfit.calibration.json_values import finite
from tempfit.choices import refuse_idle
from tempfit.config import CalibrationConfig, ScalingConfig
from tempfit.descent.advice import NETWORK_ADVICE
from tempfit.descent.batches import fit_setups
from tempfit.descent.forecast import Forecast
from tempfit.descent.history import Fit
from tempfit.descent.loss_curve import LossCurve
from tempfit.descent.setup import Setup, normalize
from tempfit.errors import SettingsError
from tempfit.exact.settling import settle
from tempfit.readings.paired import Readings
from tempfit.wording import count

SCALINGS: tuple[str, ...] = get_args(ScalingConfig.model_fields["scaling"].annotation)


@dataclass(frozen=True, eq=False)
class Prospect:
    """What the learning rate does under one scaling.

    setup: with the config as chosen, but for the scaling. fit: what really happened; None where nothing was trained.
    """

    setup: Setup
    fit: Fit | None = None

    @property
    def config(self) -> CalibrationConfig:
        return self.setup.config

    @property
    def forecast(self) -> Forecast:
        return self.setup.forecast

    @property
    def epochs_taken(self) -> int | None:
        """The first epoch that reported a trained loss within 0.1 % of the lowest; None if none did.

        The lowest is that of the loss with its L2 penalty, as in `Forecast.epochs_needed`; where there is no closed
        form, the lowest mean squared error (none for Huber's loss).
        """
        if self.fit is None or self.fit.diverged_at is not None:
            return None
        curve, history = self.forecast.loss_curve, self.fit.history
        if curve is None:
            return self.fit.close_at
        close = history.loss + self.config.l2 * np.square(history.params).sum(axis=1) <= curve.goal
        return 1 + int(history.updates[np.argmax(close)]) if close.any() else None

    @property
    def best(self) -> LossCurve | None:
        """The forecast with the best fixed learning rate; None where there is none (`LossCurve.best_learning_rate`)."""
        curve = self.forecast.loss_curve
        rate = curve.best_learning_rate if curve is not None else None
        return curve.at(rate) if curve is not None and rate is not None else None

    @property
    def foretold(self) -> str:
        """The forecast in a few words."""
        forecast = self.forecast
        if forecast.untold is not None:
            return {None: "not told", True: "stable", False: "over-corrects"}[forecast.stable]
        if forecast.overflow_epoch is not None:
            return _overflow(forecast.overflow_epoch)
        if forecast.epochs_needed is not None:
            return _close(forecast.epochs_needed)
        return "stable, but never close" if forecast.stable else "neither settles nor explodes"

    @property
    def seen(self) -> str:
        """What training did, in a few words; empty where nothing was trained."""
        if self.fit is None:
            return ""
        if self.fit.diverged_at is not None:
            return _overflow(self.fit.diverged_at)
        if self.epochs_taken is not None:
            return _close(self.epochs_taken)
        return f"loss {self.fit.loss:.4g} after {count(self.fit.n_epochs, 'epoch')}"

    def as_dict(self) -> dict[str, Any]:
        """The numbers by name, `trained` None where nothing was."""
        forecast, best = self.forecast, self.best
        trained = self.fit and {
            "status": self.fit.status.value,
            "n_epochs": self.fit.n_epochs,
            "diverged_at": self.fit.diverged_at,
            "loss": self.fit.loss,
            "epochs_taken": self.epochs_taken,
        }
        return {
            "eigenvalues": forecast.eigenvalues.tolist(),
            "critical_learning_rate": forecast.critical_learning_rate,
            "condition_number": forecast.condition_number,
            "stable": forecast.stable,
            "epochs_needed": forecast.epochs_needed,
            "overflow_epoch": forecast.overflow_epoch,
            "best_learning_rate": best and best.learning_rate,
            "best_epochs_needed": best and best.epochs_needed,
            "advice": forecast.advice,
            "trained": trained,
        }


@dataclass(frozen=True, eq=False)
class Outlook:
    """The learning rate of `config` under every scaling; prospects stand in the order of the setting."""

    readings: Readings
    config: CalibrationConfig
    prospects: Sequence[Prospect]

    @property
    def chosen(self) -> Prospect:
        """The prospect with the scaling of `config`."""
        return next(prospect for prospect in self.prospects if prospect.config.scaling == self.config.scaling)

    @property
    def untold(self) -> str | None:
        """Why epochs cannot be told under any scaling; None where they can."""
        return self.chosen.forecast.untold

    @property
    def lowest_loss(self) -> float | None:
        """The mean squared error of exact least squares; None for Huber's loss, whose lowest is not known."""
        return self.chosen.setup.problem.exact.loss if self.config.loss != "huber" else None

    def as_dict(self) -> dict[str, Any]:
        """The outlook as JSON values: finite numbers, or None where there is none."""
        values = {
            "learning_rate": self.config.learning_rate,
            "scaling": self.config.scaling,
            "advice": self.chosen.forecast.advice,
            "untold": self.untold,
            "lowest_loss": self.lowest_loss,
            "scalings": {prospect.config.scaling: prospect.as_dict() for prospect in self.prospects},
            "data": {
                "source": self.readings.source,
                "sha256": self.readings.sha256,
                "n_dropped": self.readings.n_dropped,
            },
            "config": self.config.model_dump(),
        }
        result: dict[str, Any] = finite(values)
        return result


def make_outlook(readings: Readings, config: CalibrationConfig, *, train: bool = False) -> Outlook:
    """Forecast what the settings do under every scaling; with `train`, also train all of them as one batch.

    Raises SettingsError for a network, which has no forecast, and as `normalize`, `make_forecast` and `fit_setups`
    do under any of the scalings; ReadingsError as `normalize` does.
    """
    if config.model == "mlp":
        raise SettingsError(f"model: nothing to forecast for mlp: {NETWORK_ADVICE}")
    refuse_idle(config)
    prospects = []
    for scaling in SCALINGS:
        scaled = config.model_copy(update={"scaling": scaling, "folds": 0})  # folds judge; here nothing is judged
        setup = normalize(readings, scaled)
        _ = setup.forecast  # raises before anything is trained
        prospects.append(Prospect(setup))
    if train:
        trained = fit_setups([prospect.setup for prospect in prospects])
        prospects = [replace(p, fit=result.fit) for p, result in zip(prospects, trained, strict=True)]
    return Outlook(readings, settle(readings, config), prospects)


def _close(epoch: int) -> str:
    return f"close at epoch {epoch:,}"


def _overflow(epoch: int) -> str:
    return f"overflows at epoch {epoch:,}"
