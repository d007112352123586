"""A problem and the settings to solve it by: the pair that every stage after the readings works on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tempfit.config import CalibrationConfig, TrainingConfig
from tempfit.descent.forecast import Forecast, make_forecast
from tempfit.exact.design import Design
from tempfit.exact.goal import CLOSE_NETWORK, PERFECT, near
from tempfit.exact.large import AnyReadings
from tempfit.exact.problem import Problem, pose
from tempfit.exact.settling import settle


@dataclass(frozen=True, eq=False)
class Setup:
    """A problem and the settings to solve it by.

    config: what was asked for, as `settle` leaves it, which is what is recorded. Several setups may share a problem.
    curvature: of a network's loss where its training starts, if it is known already.
    """

    problem: Problem
    config: CalibrationConfig
    curvature: float | None = None

    @cached_property
    def training(self) -> CalibrationConfig:
        """The config to train with: what was left to the readings is what they made of it.

        That is Huber's delta, and where to start on a loss that is no quadratic. From afar, Huber's takes as many
        epochs as there are deltas on the way, and York's χ² has no valley, but grows flat where w is large.
        """
        settled: dict[str, float] = {}
        problem, config, defaults = self.problem, self.config, TrainingConfig()
        if problem.robust is not None and config.huber_delta is None:
            settled["huber_delta"] = problem.robust.delta
        if problem.start is not None and (config.w_start, config.b_start) == (defaults.w_start, defaults.b_start):
            settled |= {"w_start": float(problem.start[-2]), "b_start": float(problem.start[-1])}
        return config.model_copy(update=settled)

    @cached_property
    def forecast(self) -> Forecast:
        """What the learning rate will do. Raises SettingsError as `make_forecast` does."""
        return make_forecast(self.problem.design, self.training, curvature=self.curvature)

    @property
    def rows(self) -> Design:
        """What the loop runs on."""
        return self.problem.rows

    @property
    def folds(self) -> list[Setup]:
        """Those that each leave one fold out, trained as the whole is."""
        return [Setup(fold, self.training) for fold in self.problem.folds]

    @property
    def goal(self) -> float:
        """The mean squared error that counts as close to the lowest: within 0.1 % of it.

        Of readings that lie on a line exactly, what rounding leaves of their mean square.
        """
        rounding = CLOSE_NETWORK if self.config.model == "mlp" else PERFECT
        return float(near(self.problem.exact.loss, self.problem.mean_square, rounding))


def normalize(readings: AnyReadings, config: CalibrationConfig) -> Setup:
    """Scale the readings and compress them to the few rows that the loop runs on; hold out what is to be held out.

    Raises ReadingsError when too few are left to train on, SettingsError when the config asks for what the readings do
    not have.
    """
    settled = settle(readings, config)
    return Setup(pose(readings, settled), settled)
