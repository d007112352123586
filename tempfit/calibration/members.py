"""Many thermometers under one setting, calibrated and judged in arrays; nothing is made for one until asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.checks import Check, Consistency, Curvature, Descent, Footing, Names, Slope, without_rows
from tempfit.calibration.judged import Judged
from tempfit.calibration.outcome import Descents, objective
from tempfit.config import CalibrationConfig
from tempfit.descent.configs import Configs
from tempfit.descent.forecast import why_untold
from tempfit.descent.history import Fits
from tempfit.descent.loop import train
from tempfit.descent.quadratic import Quadratic
from tempfit.descent.recording import ENDS
from tempfit.descent.setup import Setup
from tempfit.errors import SettingsError
from tempfit.exact.basis import Basis, fit_basis, standard_basis
from tempfit.exact.curve import Curve
from tempfit.exact.design import Design, compressed
from tempfit.exact.evidence import Evidence
from tempfit.exact.goal import near
from tempfit.exact.least_squares import LeastSquares, solve
from tempfit.exact.matrices import transform
from tempfit.exact.problem import Problem, needs_rows
from tempfit.words import Outcome, Verdict


@dataclass(frozen=True, eq=False)
class Solved:
    """What the readings of all members say, (members,) each, before any descent.

    evidence: of each. config: of all. exact: the least-squares solutions. alike: whether residuals are like their
    neighbours', where somebody looked at a member's rows (autocorrelation).
    """

    evidence: Evidence
    config: CalibrationConfig
    exact: LeastSquares
    alike: NDArray[np.bool_] | bool = False

    def __len__(self) -> int:
        return self.evidence.members

    @cached_property
    def footing(self) -> Footing:
        return Footing(self.evidence, self.exact.basis.n_terms)

    @cached_property
    def accusing(self) -> dict[str, Curvature | Consistency]:
        """The checks of readings that fail by a small p, by name, in the order in which they are told."""
        curvature = Curvature(self.footing, self.alike)
        return {"curvature": curvature} | ({"consistency": Consistency(self.exact)} if self.is_stated else {})

    @property
    def is_stated(self) -> bool:
        """Whether uncertainties are made from those stated, and not from the residuals."""
        return bool(np.isinf(self.exact.degrees_of_freedom).all())


@dataclass(frozen=True, eq=False)
class Calibrations:
    """The calibrations of all members, (members,) each; they answer as `Calibration` does of one.

    solved: what was trained on. basis: the terms trained in, design: the evidence in these. fits: how they ended.
    known_outcome: `Outcome.code`, where it was told already, of fits of which the states that tell it are not kept.
    """

    solved: Solved
    basis: Basis
    design: Design
    fits: Fits
    known_outcome: NDArray[np.int8] | None = None

    def __len__(self) -> int:
        return len(self.solved)

    @property
    def evidence(self) -> Evidence:
        return self.solved.evidence

    @property
    def config(self) -> CalibrationConfig:
        return self.solved.config

    @property
    def exact(self) -> LeastSquares:
        return self.solved.exact

    @cached_property
    def quadratic(self) -> Quadratic:
        """What the descent walked on."""
        return Quadratic(self.design, self.config)

    @cached_property
    def rmse(self) -> NDArray[np.float64]:
        """Root of the mean squared residual, of mean weight, in the unit of t_c."""
        return self.design.rmse(self.fits.params)

    @cached_property
    def outcome(self) -> NDArray[np.int8]:
        """`Outcome.code`: how near each fit came to the lowest mean squared error."""
        if self.known_outcome is not None:
            return self.known_outcome
        config, fits, lowest = self.config, self.fits, self.exact.loss
        plain = config.optimizer == "sgd" and config.clip_norm is None
        too_large = config.learning_rate >= self.quadratic.critical_learning_rate
        is_told = why_untold(config) is None
        with np.errstate(over="ignore", invalid="ignore"):
            error = np.square(self.rmse)
        return Descents(
            status=fits.status,
            start=objective(fits.first.loss, fits.first.params, config),
            before=objective(fits.before.loss, fits.before.params, config),
            end=objective(fits.loss, fits.params, config),
            over_corrects=plain & too_large,
            goal=np.where(is_told & ~too_large, self.quadratic.goal, np.nan),
            is_close=error <= near(lowest, self.evidence.mean_square),
            lowest=lowest,
            n_epochs=fits.n_epochs,
            has_another_optimum=bool(config.l1 or config.l2),
        ).outcomes()

    @cached_property
    def exploded(self) -> NDArray[np.bool_]:
        """Whether the loss overflowed, or was on its way there."""
        with np.errstate(over="ignore"):
            return (self.outcome == Outcome.EXPLODES.code) | ~np.isfinite(np.square(self.rmse))

    @cached_property
    def curve(self) -> Curve:
        """What gradient descent found, with its uncertainty; NaN where it exploded."""
        params = transform(self.exact.basis.change_to(self.basis), self.fits.params)
        params = np.where(self.exploded[:, None], np.nan, params)
        if self.solved.is_stated:
            return self.exact.moved(params, self.exact.observation_sd)
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = self.evidence.mean_variance / self.evidence.variance
        sd = self.exact.residual_sd_of(self.rmse)
        return self.exact.moved(params, sd * np.sqrt(np.where(np.isnan(spread), 1.0, spread)))

    @cached_property
    def checks(self) -> dict[str, Slope | Curvature | Consistency | Descent]:
        """The checks that evidence carries, by name, in the order in which they are told."""
        condition = self.quadratic.condition_number
        of_readings = {"slope": Slope(self.solved.footing), **self.solved.accusing}
        return {**of_readings, "descent": Descent(self.curve.params, self.exact, condition, self.config)}

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """Whether no check that evidence carries fails."""
        fails = [check.verdict == Verdict.FAILS.code for check in self.checks.values()]
        return ~np.logical_or.reduce([self.exploded, *fails])

    def tell(self, member: int, names: Names) -> tuple[Check, ...]:
        """The checks of one member in words."""
        return tuple(check.tell(member, names) for check in self.checks.values())

    def __getitem__(self, member: int) -> Judged:
        """One member's, as it would be alone, but for the checks that need its rows: those say that they were not
        made."""
        names = Names(self.config.x, self.config.y, self.config.y_unit)
        of_readings = [check.tell(member, names) for name, check in self.checks.items() if name != "descent"]
        one = slice(member, member + 1)
        evidence, exact = self.evidence[one], self.exact[member]
        problem = Problem(
            evidence=evidence,
            judged=evidence,
            standard=exact.basis,
            basis=self.basis[member],
            design=self.design[one],
            rows=self.design[one],
            held_out=(),
            folds=(),
            mask=np.empty(0, dtype=bool),
            exact=exact,
            best=exact,
            points=None,
            robust=None,
            start=None,
            t_u_range=exact.t_u_range,
            is_stated=self.solved.is_stated,
            is_single_accepted=self.config.accept_single_reading,
        )
        checks = without_rows(of_readings, Footing(evidence, self.basis.n_terms), is_stated=self.solved.is_stated)
        outcome = Outcome.of(self.outcome[member])
        return Judged(Setup(problem, self.config), self.fits[member], checks, known_outcome=outcome)


def solve_members(evidence: Evidence, config: CalibrationConfig, *, alike: NDArray[np.bool_] | bool = False) -> Solved:
    """The exact solution of every member, by one config. alike: as in `Solved`.

    Raises SettingsError for what evidence alone cannot carry: a network, Huber's or York's loss, readings held out.
    """
    if needs_rows(config) or config.holdout or config.holdout_rows is not None or config.folds:
        raise SettingsError("many thermometers at once are fitted by the squared loss, without a network or a hold-out")
    evidence = replace(evidence, factor=np.asfortranarray(evidence.factor))  # in which small matrices are quickest
    stated = config.uncertainty_from == "stated"
    if config.uncertainty_from == "auto":
        stated = not np.isnan(evidence.variance).any()
    standard = standard_basis(evidence, config)
    exact = solve(evidence, standard, stated=stated, u_common=config.u_common, coverage=config.coverage)
    return Solved(evidence, config, exact, alike)


def calibrate_members(
    evidence: Evidence, config: CalibrationConfig, *, alike: NDArray[np.bool_] | bool = False
) -> Calibrations:
    """Fit a line or polynomial to the evidence of every member, by one config, and judge each.

    Raises SettingsError as `solve_members` and `train` do, and where the Hessian is beyond what numbers can say.
    """
    solved = solve_members(evidence, config, alike=alike)
    basis = fit_basis(solved.evidence, config)
    design = compressed(solved.evidence, basis)
    goals = near(solved.exact.loss, evidence.mean_square)
    fits = train(design, Configs(config, evidence.members), keep=ENDS, goals=goals)
    return Calibrations(solved, basis, design, fits)


def recall_members(
    evidence: Evidence,
    config: CalibrationConfig,
    outcome: NDArray[np.int8],
    find_fits: Callable[[Design], Fits],
) -> Calibrations:
    """What `calibrate_members` made of the evidence, from how the fits ended, without training them again.

    outcome: (members,), as it was told. find_fits: how they ended, of the compressed evidence trained on.
    """
    solved = solve_members(evidence, config)
    basis = fit_basis(solved.evidence, config)
    design = compressed(solved.evidence, basis)
    return Calibrations(solved, basis, design, find_fits(design), known_outcome=outcome)
