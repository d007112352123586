"""Readings made ready to train on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from tempfit.config import (
    CalibrationConfig,
    ModelConfig,
    ScalingConfig,
    TrainingConfig,
    UncertaintyConfig,
    ValidationConfig,
)
from tempfit.errors import ReadingsError, SettingsError
from tempfit.exact.basis import Basis, fit_basis, standard_basis
from tempfit.exact.curve import Curve
from tempfit.exact.design import Design, compress, design_of
from tempfit.exact.goal import CLOSE, CLOSE_NETWORK, PERFECT
from tempfit.exact.holdout import held_out_rows
from tempfit.exact.huber import Robust, fit_huber
from tempfit.exact.least_squares import LeastSquares, solve
from tempfit.exact.weights import Points, weigh
from tempfit.readings.paired import Readings


@dataclass(frozen=True, eq=False)
class Problem:
    """The readings to train on, in the forms that the stages need (one member).

    factor: the problem in `standard`, its best-conditioned terms, compressed; the exact solution comes from it,
    whatever the scaling. design: the same in `basis`, the terms to train in (all rows for a network, which cannot be
    compressed). rows: what the loop runs on: design, or all rows where the loss needs them. held_out: the readings not
    to train on, in `basis`; one design per fold. folds: with k-fold cross-validation, the k problems of which each
    leaves one fold out. mask: (readings,), which of the readings are trained on.
    points: the weighted points of those; None where all weigh the same. variance: of an observation of weight 1, by the
    uncertainties stated; NaN where none are. robust: where Huber's loss is lowest, if it is what is trained, in
    `standard` (a line's, for an mlp). start: (terms,), in `basis`, where the training of a loss that is no quadratic
    starts unless a start is given; None for others. t_u_range: lowest and highest reading trained on.
    """

    standard: Basis
    factor: Design
    basis: Basis
    design: Design
    rows: Design
    held_out: tuple[Design, ...]
    folds: tuple[Problem, ...]
    mask: NDArray[np.bool_]
    points: Points | None
    variance: float
    robust: Robust | None
    start: NDArray[np.float64] | None
    t_u_range: tuple[float, float]
    uncertainty: UncertaintyConfig

    @property
    def is_stated(self) -> bool:
        """Whether the uncertainties of the result are made from those stated, and not from the residuals."""
        wanted = self.uncertainty.uncertainty_from
        return wanted == "stated" or (wanted == "auto" and self.points is not None and self.robust is None)

    @property
    def root_weights(self) -> NDArray[np.float64] | None:
        """(rows,), square roots of the weights; None where all weigh the same."""
        return None if self.points is None else self.points.root_weights(self.variance)

    @property
    def spread(self) -> float:
        """How much larger the variance of an observation is on average than that of one of weight 1."""
        return 1.0 if self.points is None else float(self.points.variances.mean()) / self.variance

    @cached_property
    def exact(self) -> LeastSquares:
        """The least-squares solution, York's where both axes are uncertain; for an mlp, that of a line."""
        solution = solve(self.factor, self.standard, variance=self.variance, stated=self.is_stated)
        return replace(
            solution,
            cofactor=solution.cofactor / self.spread,
            observation_sd=solution.observation_sd * math.sqrt(self.spread),
            u_common=self.uncertainty.u_common,
            coverage=self.uncertainty.coverage,
            t_u_range=self.t_u_range,
        )

    @cached_property
    def best(self) -> Curve:
        """Where the loss that is trained is lowest (without penalties), with its uncertainty; of an mlp, a line's."""
        if self.robust is None:
            return self.exact
        sd = self.robust.observation_sd * math.sqrt(self.spread)
        return self.exact.moved(self.robust.params, sd, self.robust.degrees_of_freedom)

    def start_config(self, config: CalibrationConfig) -> CalibrationConfig:
        """The config to train with: what was left to the readings is what they made of it.

        That is Huber's delta, and where to start on a loss that is no quadratic. From afar, Huber's takes as many
        epochs as there are deltas on the way, and York's χ² has no valley, but grows flat where w is large.
        """
        settled: dict[str, float] = {}
        if self.robust is not None and config.huber_delta is None:
            settled["huber_delta"] = self.robust.delta
        defaults = TrainingConfig()
        if self.start is not None and (config.w_start, config.b_start) == (defaults.w_start, defaults.b_start):
            settled |= {"w_start": float(self.start[-2]), "b_start": float(self.start[-1])}
        return config.model_copy(update=settled)

    def goal(self, config: CalibrationConfig) -> float:
        """The mean squared error that counts as close to the lowest: within 0.1 % of it.

        Of readings that lie on a line exactly, what rounding leaves of their mean square.
        """
        leeway = CLOSE_NETWORK if config.model == "mlp" else PERFECT
        return self.exact.loss + max(CLOSE * self.exact.loss, leeway * self.mean_square)

    @property
    def mean_square(self) -> float:
        """Of the references trained on, weighted as the fit is."""
        targets = self.factor.targets[0].numpy()
        return float(targets @ targets) / float(self.factor.n_readings[0])


def settle(readings: Readings, config: CalibrationConfig) -> CalibrationConfig:
    """The config with what the readings decide: York's loss, where both axes are uncertain.

    Raises SettingsError where it asks for what they do not have, or cannot have.
    """
    if config.loss == "york" and readings.u_u is None:
        raise SettingsError(f"loss: york needs the columns u_c and u_u; {readings.source} has {_stated(readings)}")
    if config.uncertainty_from == "stated" and readings.u_c is None:
        raise SettingsError(f"uncertainty_from: stated needs the column u_c; {readings.source} has no uncertainties")
    if config.uncertainty_from == "stated" and config.loss == "huber":
        raise SettingsError(
            "uncertainty_from: after Huber's loss, which takes outliers into account, uncertainties are made from the "
            "residuals; leave it at auto, or use the squared loss"
        )
    if readings.u_u is None:
        return config
    if config.loss == "huber" or config.model != "line":
        what = "by Huber's loss" if config.loss == "huber" else f"by a {config.model}"
        raise SettingsError(
            f"{readings.source}: readings of which both axes are uncertain (column u_u) cannot be fitted {what}; "
            'ignore the column by `u_u="none"`, or fit a line with the squared loss'
        )
    return config.model_copy(update={"loss": "york"})


def _stated(readings: Readings) -> str:
    return "no uncertainties" if readings.u_c is None else "u_c alone"


def problem_key(config: CalibrationConfig) -> str:
    """Equal for configs of which `normalize` makes the same problem."""
    stages = (ScalingConfig, ModelConfig, ValidationConfig, UncertaintyConfig)
    return config.model_dump_json(include={"loss", "huber_delta"}.union(*(stage.model_fields for stage in stages)))


def normalize(readings: Readings, config: CalibrationConfig) -> Problem:
    """Scale the readings and compress them to the few rows that the loop runs on; hold out what is to be held out.

    config: as `settle` leaves it. Raises ReadingsError when too few are left to train on, SettingsError when there are
    no such rows to hold out.
    """
    masks, none = held_out_rows(readings.n, config), np.zeros(readings.n, dtype=bool)
    if not config.folds:
        return _problem(readings, config, masks[0] if masks else none)
    whole = _problem(readings, config, none)
    folds = tuple(_problem(readings, config, mask, whole.variance) for mask in masks)
    return replace(whole, folds=folds, held_out=tuple(fold.held_out[0] for fold in folds))


def _problem(
    readings: Readings, config: CalibrationConfig, held_out: NDArray[np.bool_], judged_by: float | None = None
) -> Problem:
    """judged_by: the variance that weighs 1 among the readings held out, which folds share, so that their losses add
    up; None for that of the readings trained on."""
    mask = ~held_out
    points = weigh(readings, mask)
    t_u, t_c = (readings.t_u[mask], readings.t_c[mask]) if points is None else (points.t_u, points.t_c)
    _refuse_too_few(t_u, readings, config)
    variance = math.nan if points is None else points.mean_variance
    root_weights = None if points is None else points.root_weights(variance)
    standard, basis = standard_basis(t_u, config, root_weights), fit_basis(t_u, config, root_weights)
    standard_rows = design_of(standard.features(t_u), t_c, root_weights)
    factor = compress(standard_rows)
    by_rows = needs_rows(config)
    rows = _rows(readings, mask, basis, variance) if by_rows else None
    design = rows if rows and config.model == "mlp" else factor.linear_map(standard.change_to(basis))
    validation = _rows(readings, held_out, basis, judged_by or variance) if held_out.any() else None
    if validation is not None and not by_rows:
        validation = compress(validation)
    return Problem(
        standard=standard,
        factor=factor,
        basis=basis,
        design=design,
        rows=rows or design,
        held_out=(validation,) if validation is not None else (),
        folds=(),
        mask=mask,
        points=points,
        variance=variance,
        robust=fit_huber(standard_rows, config.huber_delta) if config.loss == "huber" else None,
        start=_start(factor, standard, basis, rows, config),
        t_u_range=(float(readings.t_u[mask].min()), float(readings.t_u[mask].max())),
        uncertainty=UncertaintyConfig(**config.model_dump(include=set(UncertaintyConfig.model_fields))),
    )


def _start(
    factor: Design, standard: Basis, basis: Basis, rows: Design | None, config: CalibrationConfig
) -> NDArray[np.float64] | None:
    """Least squares' parameters: for York's loss, with the references alone uncertain; for Huber's, if delta is left to
    the readings."""
    if config.loss == "york" and rows is not None:
        return solve(compress(replace(rows, features=rows.features[..., :2])), basis).params
    if config.loss == "huber" and config.huber_delta is None and config.model != "mlp":
        return basis.change_to(standard) @ solve(factor, standard).params
    return None


def _rows(readings: Readings, mask: NDArray[np.bool_], basis: Basis, variance: float) -> Design:
    """A row for each reading of the mask, weighted as in `Problem.root_weights`.

    For York's loss: the line's features and targets weighted by u_c alone, and u_u / u_c in scaled units beside them.
    """
    t_u, t_c = readings.t_u[mask], readings.t_c[mask]
    if readings.u_c is None:
        return design_of(basis.features(t_u), t_c)
    root_weights = math.sqrt(variance) / readings.u_c[mask]
    rows = design_of(basis.features(t_u), t_c, root_weights)
    if readings.u_u is None:
        return rows
    ratio = torch.from_numpy(abs(basis.scaling.factor) * readings.u_u[mask] / readings.u_c[mask])
    return replace(rows, features=torch.cat([rows.features, ratio[None, :, None]], dim=-1))


def _refuse_too_few(t_u: NDArray[np.float64], readings: Readings, config: CalibrationConfig) -> None:
    """Readings carry a line by their own checks: only what is held out, or a higher degree, can ask for more."""
    if len(t_u) == readings.n and (config.model != "polynomial" or config.degree == 1):
        return
    n_terms = config.degree + 1 if config.model == "polynomial" else 2
    n_different = len(np.unique(t_u))
    if len(t_u) > n_terms and n_different >= n_terms:
        return
    what = f"a polynomial of degree {config.degree}" if config.model == "polynomial" else "a line"
    held_out = " that are not held out" if len(t_u) < readings.n else ""
    raise ReadingsError(
        f"{readings.source}: {len(t_u)} readings{held_out}, {n_different} of them different, do not carry {what} and "
        f"its uncertainty: that takes {n_terms + 1}, {n_terms} of them different"
    )


def needs_rows(config: TrainingConfig) -> bool:
    """Whether the loss depends on every single reading, so that the compressed ones do not do."""
    return config.loss != "squared" or config.model == "mlp"
