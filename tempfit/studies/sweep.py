"""Many configurations on one data set: planned, trained as members of few batches, judged each, and ranked."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from tempfit.calibration.calibration import Calibration
from tempfit.calibration.checks import check_readings
from tempfit.calibration.pipeline import judge
from tempfit.calibration.recording import record_of
from tempfit.config import CalibrationConfig
from tempfit.descent.batches import fit_setups
from tempfit.descent.history import OnEpochs
from tempfit.descent.loop import check_start
from tempfit.descent.setup import Setup
from tempfit.errors import InputError, SettingsError
from tempfit.exact.problem import Problem, pose, problem_key
from tempfit.exact.settling import settle
from tempfit.readings.paired import Readings
from tempfit.studies.grid import Axis, Grid, Trial
from tempfit.studies.ranking import Merit, Ranking, loss_kind, rank, rounding_of
from tempfit.wording import count
from tempfit.words import Outcome

TOLD = (  # of each member: fields of its Record
    *("why", "outcome", "status", "loss", "rmse", "close_at", "n_epochs", "diverged_at"),
    *("w", "b", "coefficients", "validation"),
)
STATES = 100  # of each member's history: what a chart of hundreds of curves can show


@dataclass(frozen=True, eq=False)
class Plan:
    """A grid of which every trial can be tried on the readings, and the setup of each."""

    readings: Readings
    grid: Grid
    setups: tuple[Setup, ...]


@dataclass(frozen=True, eq=False)
class Member:
    """A trial and what came of it."""

    trial: Trial
    calibration: Calibration

    @property
    def name(self) -> str:
        return self.trial.name

    @property
    def failed(self) -> bool:
        return self.calibration.failed

    @cached_property
    def merit(self) -> Merit:
        """What it is judged by."""
        calibration = self.calibration
        seen = calibration.validation
        return Merit(
            loss=calibration.loss,
            rmse=calibration.rmse,
            validation_loss=None if seen is None else seen.final,
            close_at=calibration.fit.close_at,
            n_epochs=calibration.fit.n_epochs,
            failed=self.failed,
            kind=loss_kind(calibration.config.model_dump()),
            rounding=rounding_of(max(map(abs, calibration.readings.t_c_range))),
        )


@dataclass(frozen=True, eq=False, repr=False)
class Sweep:
    """What a grid of configurations made of the readings.

    members: in the order of the grid's trials.
    """

    readings: Readings
    grid: Grid
    members: tuple[Member, ...]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.headline()}>"

    @property
    def axes(self) -> tuple[Axis, ...]:
        return self.grid.axes

    @cached_property
    def _ranking(self) -> Ranking:
        return rank([member.merit for member in self.members])

    @property
    def measure(self) -> str:
        """What members are judged by: `loss`, `rmse` or `validation_loss` (`tempfit.studies.ranking.rank`)."""
        return self._ranking.measure

    def score(self, member: Member) -> float:
        """The member's `measure`, as a mean square; NaN where it has none."""
        value = member.merit.value(self.measure)
        return math.nan if value is None else value

    @cached_property
    def ranked(self) -> tuple[Member, ...]:
        """Best first, the failed last (`tempfit.studies.ranking.rank`)."""
        return tuple(self.members[position] for position in self._ranking.order)

    @property
    def best(self) -> Member | None:
        """The first in rank; None where all failed."""
        first = self.ranked[0]
        return None if first.failed else first

    @cached_property
    def failed(self) -> tuple[Member, ...]:
        return tuple(member for member in self.members if member.failed)

    def headline(self) -> str:
        """The result in a line: how many came to what, and of a grid, the best."""
        found = Counter(member.calibration.outcome for member in self.members)
        words = [(n, word.value if n == 1 else word.value.removesuffix("s")) for word in Outcome if (n := found[word])]
        counts = ", ".join(f"{n:,} {word}" for n, word in words)
        best = f"; best: {self.best.name}" if self.best and self.axes else ""
        return f"{count(len(self.members), 'configuration')}: {counts}{best}"

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON values: the axes, and every member's settings that were varied, outcome and figures."""
        varied = varied_settings([member.calibration.config for member in self.members])
        return {
            "n_members": len(self.members),
            "n_failed": len(self.failed),
            "measure": self.measure,
            "axes": {axis.name: list(axis.values) for axis in self.axes},
            "best": self.best.name if self.best else None,
            "members": [_describe(member, varied) for member in self.members],
            "left_out": [{"name": name, "reason": reason} for name, reason in self.grid.left_out],
        }


def plan_sweep(readings: Readings, grid: Grid) -> Plan:
    """Normalize the readings for every trial; leave out those that they, or this machine, cannot carry.

    Raises the first reason (a ReadingsError or SettingsError) when none is left.
    """
    problems: dict[str, Problem | InputError] = {}
    trials: list[tuple[Trial, Setup]] = []
    left_out, first = list(grid.left_out), None
    for trial in grid.trials:
        key = problem_key(trial.config)
        try:
            settled = settle(readings, trial.config)
            if settled.loss != trial.config.loss:
                trial = Trial(trial.name.replace("loss squared", "loss york"), settled)
                key = problem_key(settled)
            if any(trial.name == other.name for other, _ in trials):  # squared and york are one here
                continue
            if key not in problems:
                problems[key] = pose(readings, trial.config)
            problem = problems[key]
            if isinstance(problem, InputError):
                raise problem
            setup = Setup(problem, trial.config)
            check_start(setup.rows, setup.training)
        except InputError as error:
            problems.setdefault(key, error)
            first = first or error
            left_out.append((trial.name, str(error)))
        else:
            trials.append((trial, setup))
    if not trials:
        raise first or SettingsError("the grid has no trials")
    axes = tuple(_settle_axis(axis, readings) for axis in grid.axes)
    kept = replace(grid, axes=axes, trials=tuple(trial for trial, _ in trials), left_out=tuple(left_out))
    return Plan(readings, kept, tuple(setup for _, setup in trials))


def _settle_axis(axis: Axis, readings: Readings) -> Axis:
    """The axis as `settle` leaves its values: with both axes uncertain, the squared loss is York's."""
    if axis.name != "loss" or readings.u_u is None:
        return axis
    return replace(axis, values=tuple(dict.fromkeys("york" if loss == "squared" else loss for loss in axis.values)))


def run_sweep(plan: Plan, on_epochs: OnEpochs | None = None) -> Sweep:
    """Train every trial, all that share a structure in one loop.

    on_epochs sees members by their number among the trials, and behind them the folds that validate them.
    """
    setups = _with_curvatures(plan.setups)
    trained = fit_setups(setups, on_epochs, keep=STATES)
    lines = {id(setup.problem): setup.problem for setup in setups if setup.config.model != "mlp"}
    checks = {key: check_readings(plan.readings, problem) for key, problem in lines.items()}
    members = [
        Member(trial, judge(plan.readings, setup, result, checks.get(id(setup.problem))))
        for trial, setup, result in zip(plan.grid.trials, setups, trained, strict=True)
    ]
    return Sweep(plan.readings, plan.grid, tuple(members))


def _with_curvatures(setups: Sequence[Setup]) -> list[Setup]:
    """The setups, those of networks with the curvature where training starts: found once for all learning rates."""
    curvatures: dict[tuple[Any, ...], float] = {}
    told = []
    for setup in setups:
        config = setup.config
        if config.model == "mlp":
            key = id(setup.problem), config.seed, config.hidden, config.activation, config.loss, config.huber_delta
            if key not in curvatures:
                curvatures[key] = float(setup.forecast.eigenvalues[-1]) - 2 * config.l2
            setup = replace(setup, curvature=curvatures[key])
        told.append(setup)
    return told


def varied_settings(configs: Sequence[CalibrationConfig]) -> list[str]:
    """Names of the settings that are not the same in all configs, in their order of declaration."""
    dumps = [config.hyperparameters() for config in configs]
    return [name for name, value in dumps[0].items() if any(dump[name] != value for dump in dumps)]


def _describe(member: Member, varied: Sequence[str]) -> dict[str, Any]:
    record = record_of(member.calibration)
    told = record.model_dump(mode="json", by_alias=True, include=set(TOLD))
    return {
        "name": member.name,
        "settings": {name: getattr(record.config, name) for name in varied},
        **{key: told[key] for key in TOLD},
    }
