"""Many configurations on one data set: trained as members of few batches, judged each, and ranked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tempfit.calibration import Calibration, judge
from tempfit.config import CalibrationConfig, ModelConfig, ScalingConfig, ValidationConfig
from tempfit.explain import Outcome, outcome, why
from tempfit.forecast import CLOSE, make_forecast
from tempfit.grid import Axis, Grid, Trial
from tempfit.problem import Problem, fit_problems, normalize
from tempfit.readings import Readings
from tempfit.training import OnEpochs

STATES = 100  # of each member's history: what a chart of hundreds of curves can show
SHAPES_PROBLEM = frozenset().union(*(m.model_fields for m in (ScalingConfig, ModelConfig, ValidationConfig))) | {"loss"}


@dataclass(frozen=True, eq=False)
class Member:
    """A trial and what came of it."""

    trial: Trial
    calibration: Calibration

    @property
    def name(self) -> str:
        return self.trial.name

    @cached_property
    def diverged(self) -> bool:
        """Whether the loss overflowed, or was on its way there when the epochs were used up."""
        return outcome(self.calibration) is Outcome.EXPLODES

    @property
    def mean_squared_error(self) -> float:
        """Of the final fit on the readings trained on, whatever loss was trained."""
        return self.calibration.rmse**2

    @property
    def judged_by(self) -> float:
        """What members are ranked by: the validation loss where there is one, else the mean squared error."""
        seen = self.calibration.validation
        return seen.final if seen is not None else self.mean_squared_error


@dataclass(frozen=True, eq=False)
class Sweep:
    """What a grid of configurations made of the readings.

    members: in the order of the grid's trials.
    """

    readings: Readings
    grid: Grid
    members: tuple[Member, ...]

    @property
    def axes(self) -> tuple[Axis, ...]:
        return self.grid.axes

    @cached_property
    def ranked(self) -> tuple[Member, ...]:
        """Best first, the diverged last.

        What lies within 0.1 % of the best counts as equally good, and so on in such steps; among equals, who came
        close to the lowest loss in fewer epochs goes first. The diverged: who held out longer goes first.
        """
        sound = [member for member in self.members if not member.diverged]
        lowest = min((member.judged_by for member in sound), default=0.0)

        def place(member: Member) -> tuple[float, float]:
            fit = member.calibration.fit
            if not lowest > 0:
                return member.judged_by, fit.n_epochs
            return math.floor(math.log(member.judged_by / lowest) / math.log1p(CLOSE)), fit.close_at or math.inf

        return (*sorted(sound, key=place), *sorted(self.diverged, key=lambda m: -m.calibration.fit.n_epochs))

    @property
    def best(self) -> Member | None:
        """The first in rank; None where all diverged."""
        first = self.ranked[0]
        return None if first.diverged else first

    @property
    def diverged(self) -> list[Member]:
        return [member for member in self.members if member.diverged]

    def headline(self) -> str:
        """The result in a line."""
        n, n_diverged = len(self.members), len(self.diverged)
        failed = f", {n_diverged:,} of them diverged" if n_diverged else ""
        best = f"best: {self.best.name}" if self.best else "none to use"
        return f"{n:,} configurations{failed}; {best}"

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON values: the axes, and every member's settings that were varied, status and figures."""
        varied = varied_settings([member.calibration.config for member in self.members])
        return {
            "n_members": len(self.members),
            "n_diverged": len(self.diverged),
            "n_invalid": self.grid.n_invalid,
            "axes": {axis.name: list(axis.values) for axis in self.axes},
            "best": self.best.name if self.best else None,
            "members": [_describe(member, varied) for member in self.members],
        }


def run_sweep(readings: Readings, grid: Grid, on_epochs: OnEpochs | None = None) -> Sweep:
    """Train every trial of the grid, all that share a structure in one loop.

    on_epochs sees members by their number among the trials, and behind them the folds that validate them.
    Raises ReadingsError and SettingsError when a trial's model cannot be fitted to the readings.
    """
    configs = [trial.config for trial in grid.trials]
    problems = _problems(readings, configs)
    trained = fit_problems(problems, configs, on_epochs, keep=STATES)
    return Sweep(
        readings,
        grid,
        tuple(
            Member(trial, judge(readings, trial.config, problem, make_forecast(problem.design, trial.config), result))
            for trial, problem, result in zip(grid.trials, problems, trained, strict=True)
        ),
    )


def _problems(readings: Readings, configs: Sequence[CalibrationConfig]) -> list[Problem]:
    """The problem of every config, made once for all that share it."""
    made: dict[str, Problem] = {}
    keys = [config.model_dump_json(include=set(SHAPES_PROBLEM)) for config in configs]
    for key, config in zip(keys, configs, strict=True):
        if key not in made:
            made[key] = normalize(readings, config)
    return [made[key] for key in keys]


def varied_settings(configs: Sequence[CalibrationConfig]) -> list[str]:
    """Names of the settings that are not the same in all configs, in their order of declaration."""
    dumps = [config.hyperparameters() for config in configs]
    return [name for name, value in dumps[0].items() if any(dump[name] != value for dump in dumps)]


def _describe(member: Member, varied: Sequence[str]) -> dict[str, Any]:
    result = member.calibration.as_dict()
    kept = ("status", "loss", "rmse", "close_at", "n_epochs", "diverged_at", "w", "b", "coefficients", "validation")
    return {
        "name": member.name,
        "settings": {name: result["config"][name] for name in varied},
        "outcome": outcome(member.calibration).value,
        "why": why(member.calibration),
        **{key: result[key] for key in kept},
    }
