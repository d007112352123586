"""Readings made ready to train on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
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
from tempfit.exact.design import Design, compressed, design_of
from tempfit.exact.evidence import Evidence, gather
from tempfit.exact.holdout import held_out_rows
from tempfit.exact.huber import Robust, fit_huber
from tempfit.exact.large import AnyReadings, LargeReadings
from tempfit.exact.least_squares import LeastSquares, solve
from tempfit.exact.weights import Points, refuse_lone_weight, weigh
from tempfit.readings.paired import Readings


@dataclass(frozen=True, eq=False)
class Problem:
    """The readings to train on, in the forms that the stages need (one member).

    evidence: what they say (of York's loss: the points adjusted to his line). judged: what the best fit is judged by:
    the same, or for Huber's loss with the weights by which least squares ends where it does. standard: the
    best-conditioned terms, whatever the scaling. basis: the terms to train in. design: the evidence in these (all rows
    for a network, which cannot be compressed). rows: what the loop runs on: design, or all rows where the loss needs
    them. held_out: the readings not to train on, in `basis`; one design per fold. folds: with k-fold cross-validation,
    the k problems of which each leaves one fold out. mask: (readings,), which of the readings are trained on (of
    those thinned, where not all rows are held). exact: the least-squares solution, York's where both axes are
    uncertain; for an mlp, that of a line. best: where the loss that is trained is lowest (without penalties), with its
    uncertainty; of an mlp, a line's. points: the weighted points of those trained on; None where all weigh the same,
    and where not all rows are held. robust: where Huber's loss is lowest, if it is what is trained, in `standard` (a
    line's, for an mlp). start: (terms,), in `basis`, where the training of a loss that is no quadratic starts unless a
    start is given; None for others. t_u_range: lowest and highest reading trained on. is_stated: whether the
    uncertainties of the result are made from those stated, and not from the residuals. is_single_accepted: whether the
    user answers for a line that rests on a single reading.
    """

    evidence: Evidence
    judged: Evidence
    standard: Basis
    basis: Basis
    design: Design
    rows: Design
    held_out: tuple[Design, ...]
    folds: tuple[Problem, ...]
    mask: NDArray[np.bool_]
    exact: LeastSquares
    best: Curve
    points: Points | None
    robust: Robust | None
    start: NDArray[np.float64] | None
    t_u_range: tuple[float, float]
    is_stated: bool
    is_single_accepted: bool

    @property
    def variance(self) -> float:
        """Of an observation of weight 1, by the uncertainties stated; NaN where none are."""
        return float(self.evidence.variance[0])

    @property
    def root_weights(self) -> NDArray[np.float64] | None:
        """(rows,), square roots of the weights; None where all weigh the same."""
        return None if self.points is None else self.points.root_weights(self.variance)

    @property
    def spread(self) -> float:
        """How much larger the variance of an observation is on average than that of one of weight 1."""
        return _spread(self.evidence)

    @property
    def mean_square(self) -> float:
        """Of the references trained on, weighted as the fit is."""
        return float(self.evidence.mean_square[0])


def _spread(evidence: Evidence) -> float:
    return 1.0 if np.isnan(evidence.variance[0]) else float(evidence.mean_variance[0] / evidence.variance[0])


def problem_key(config: CalibrationConfig) -> str:
    """Equal for configs of which `normalize` makes the same problem."""
    stages = (ScalingConfig, ModelConfig, ValidationConfig, UncertaintyConfig)
    return config.model_dump_json(include={"loss", "huber_delta"}.union(*(stage.model_fields for stage in stages)))


def pose(readings: AnyReadings, config: CalibrationConfig) -> Problem:
    """Gather the evidence of the readings, scaled as they are to be trained on; hold out what is to be held out.

    config: as `settle` leaves it. Raises ReadingsError when too few are left to train on, SettingsError when there are
    no such rows to hold out, or rows are asked for that are not held.
    """
    if isinstance(readings, LargeReadings):
        if must_hold_rows(config):
            raise SettingsError(
                f"{readings.source}: a network, Huber's loss and readings held out need every row, which these "
                "readings are without; calibrate the file itself"
            )
        return _problem_of_evidence(readings, config)
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
    _refuse_too_few(len(t_u), lambda: len(np.unique(t_u)), readings, config)
    u_c = None if points is None else np.sqrt(points.variances)
    evidence = _evidence(t_u, t_c, u_c, config)
    standard, basis = standard_basis(evidence, config), fit_basis(evidence, config)
    t_u_range = float(readings.t_u[mask].min()), float(readings.t_u[mask].max())
    is_stated = _is_stated(config, points is not None)
    exact = solve(evidence, standard, stated=is_stated, u_common=config.u_common, coverage=config.coverage)[0]
    exact = replace(exact, t_u_range=t_u_range)  # of the readings themselves, not of points adjusted
    judged, best, robust = evidence, cast(Curve, exact), None
    if config.loss == "huber":
        root_weights = None if points is None else points.root_weights(float(evidence.variance[0]))
        robust = fit_huber(design_of(standard[0].features(t_u), t_c, root_weights), config.huber_delta)
        sd = robust.observation_sd * math.sqrt(_spread(evidence))
        best = exact.moved(robust.params, sd, robust.degrees_of_freedom)
        root_weights = np.sqrt(robust.weights) if root_weights is None else root_weights * np.sqrt(robust.weights)
        judged = _evidence(t_u, t_c, 1 / root_weights, config)
    variance = float(evidence.variance[0])
    rows = _rows(readings, mask, basis[0], variance) if needs_rows(config) else None
    design = rows if rows and config.model == "mlp" else compressed(evidence, basis)
    validation = None
    if held_out.any() and rows is not None:
        validation = _rows(readings, held_out, basis[0], judged_by or variance)
    elif held_out.any():
        validation = _compressed_rows(readings, held_out, basis, judged_by or variance, config)
    return Problem(
        evidence=evidence,
        judged=judged,
        standard=standard[0],
        basis=basis[0],
        design=design,
        rows=rows or design,
        held_out=(validation,) if validation is not None else (),
        folds=(),
        mask=mask,
        exact=exact,
        best=best,
        points=points,
        robust=robust,
        start=_start(readings, mask, basis[0], exact, config),
        t_u_range=t_u_range,
        is_stated=is_stated,
        is_single_accepted=config.accept_single_reading,
    )


def _problem_of_evidence(readings: LargeReadings, config: CalibrationConfig) -> Problem:
    """Of readings whose rows are not held: of the squared loss, with none held out."""
    _refuse_too_few(readings.n, lambda: readings.n_different, readings, config)
    evidence, is_weighted = readings.evidence_to(evidence_degree(config)), bool(readings.weighted_by)
    if is_weighted:
        constant, mean, deviation = (float(evidence.factor[0, i, j]) for i, j in ((0, 0), (0, 1), (1, 1)))
        center, scale = float(evidence.center[0]), float(evidence.scale[0])
        refuse_lone_weight(
            readings.source, center + scale * mean / constant, scale * deviation / constant, readings.t_u_range
        )
    standard, basis = standard_basis(evidence, config), fit_basis(evidence, config)
    is_stated = _is_stated(config, is_weighted)
    exact = solve(evidence, standard, stated=is_stated, u_common=config.u_common, coverage=config.coverage)[0]
    design = compressed(evidence, basis)
    return Problem(
        evidence=evidence,
        judged=evidence,
        standard=standard[0],
        basis=basis[0],
        design=design,
        rows=design,
        held_out=(),
        folds=(),
        mask=np.ones(len(readings.thinned), dtype=bool),
        exact=exact,
        best=exact,
        points=None,
        robust=None,
        start=None,
        t_u_range=readings.t_u_range,
        is_stated=is_stated,
        is_single_accepted=config.accept_single_reading,
    )


def _is_stated(config: CalibrationConfig, is_weighted: bool) -> bool:
    wanted = config.uncertainty_from
    return wanted == "stated" or (wanted == "auto" and is_weighted and config.loss != "huber")


def _evidence(
    t_u: NDArray[np.float64], t_c: NDArray[np.float64], u_c: NDArray[np.float64] | None, config: CalibrationConfig
) -> Evidence:
    """Of one member."""
    return gather(t_u[None], t_c[None], None if u_c is None else u_c[None], degree=evidence_degree(config))


def _start(
    readings: Readings, mask: NDArray[np.bool_], basis: Basis, exact: LeastSquares, config: CalibrationConfig
) -> NDArray[np.float64] | None:
    """Least squares' parameters: for York's loss, with the references alone uncertain; for Huber's, if delta is left to
    the readings."""
    if config.loss == "york":
        assert readings.u_c is not None
        evidence = _evidence(readings.t_u[mask], readings.t_c[mask], readings.u_c[mask], config)
        exact = solve(evidence, standard_basis(evidence, config))[0]
    elif config.loss != "huber" or config.huber_delta is not None or config.model == "mlp":
        return None
    return basis.change_to(exact.basis) @ exact.params


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
    ratio = abs(basis.scaling.factor) * readings.u_u[mask] / readings.u_c[mask]
    return replace(rows, features=np.concatenate([rows.features, ratio[None, :, None]], axis=-1))


def _compressed_rows(
    readings: Readings, mask: NDArray[np.bool_], basis: Basis, variance: float, config: CalibrationConfig
) -> Design:
    """The readings of the mask, compressed, weighted as in `Problem.root_weights`."""
    evidence = _evidence(
        readings.t_u[mask], readings.t_c[mask], None if readings.u_c is None else readings.u_c[mask], config
    )
    design = compressed(evidence, basis)
    if readings.u_c is None:
        return design
    weight = math.sqrt(variance / float(evidence.variance[0]))
    return Design(weight * design.features, weight * design.targets, design.n_readings)


def _refuse_too_few(
    n: int, count_different: Callable[[], int], readings: AnyReadings, config: CalibrationConfig
) -> None:
    """Readings carry a line by their own checks: only what is held out, or a higher degree, can ask for more."""
    if n == readings.n and (config.model != "polynomial" or config.degree == 1):
        return
    n_terms, n_different = evidence_degree(config), count_different()
    if n > n_terms and n_different >= n_terms:
        return
    what = f"a polynomial of degree {config.degree}" if config.model == "polynomial" else "a line"
    held_out = " that are not held out" if n < readings.n else ""
    raise ReadingsError(
        f"{readings.source}: {n} readings{held_out}, {n_different} of them different, do not carry {what} and "
        f"its uncertainty: that takes {n_terms + 1}, {n_terms} of them different"
    )


def evidence_degree(config: ModelConfig) -> int:
    """The highest power of the reading that evidence has to carry: one more than the model's, to tell a bend."""
    return config.degree + 1 if config.model == "polynomial" else 2


def needs_rows(config: TrainingConfig) -> bool:
    """Whether the loss depends on every single reading, so that the compressed ones do not do."""
    return config.loss != "squared" or config.model == "mlp"


def must_hold_rows(config: CalibrationConfig) -> bool:
    """Whether rows have to be held for what is asked of them, whatever their number."""
    return needs_rows(config) or bool(config.holdout or config.holdout_rows is not None or config.folds)
