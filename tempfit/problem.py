"""Readings made ready to train on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from tempfit.basis import Basis, fit_basis, standard_basis
from tempfit.config import (
    CalibrationConfig,
    ModelConfig,
    ScalingConfig,
    TrainingConfig,
    UncertaintyConfig,
    ValidationConfig,
)
from tempfit.design import Design, compress, design_of
from tempfit.errors import ReadingsError, SettingsError
from tempfit.forecast import CLOSE
from tempfit.model import build_model
from tempfit.readings import Readings
from tempfit.robust import Robust, fit_huber
from tempfit.statistics import LeastSquares, solve
from tempfit.training import needs_rows
from tempfit.validation import held_out_rows
from tempfit.york import adjust

ROUNDING = 1e-12  # of the mean squared error at the start: what rounding leaves of it in a perfect fit


@dataclass(frozen=True, eq=False)
class Problem:
    """The readings to train on, in the forms that the stages need (one member).

    factor: the problem in `standard`, its best-conditioned terms, compressed; the exact solution comes from it,
    whatever the scaling. design: the same in `basis`, the terms to train in (all rows for a network, which cannot be
    compressed). rows: what the loop runs on: design, or all rows where the loss needs them. held_out: the readings not
    to train on, in `basis`; one design per fold. folds: with k-fold cross-validation, the k problems of which each
    leaves one fold out. mask: (readings,), which of the readings are trained on.
    root_weights: (rows,), square roots of the weights of those; None where all weigh the same. variance: of an
    observation of mean weight, by the uncertainties stated; NaN where none are. robust: where Huber's loss is lowest,
    if it is what is trained, in `standard` (a line's, for an mlp). t_u_range: lowest and highest reading trained on.
    """

    standard: Basis
    factor: Design
    basis: Basis
    design: Design
    rows: Design
    held_out: tuple[Design, ...]
    folds: tuple[Problem, ...]
    mask: NDArray[np.bool_]
    root_weights: NDArray[np.float64] | None
    variance: float
    robust: Robust | None
    t_u_range: tuple[float, float]
    uncertainty: UncertaintyConfig

    @property
    def is_stated(self) -> bool:
        """Whether the uncertainties of the result are made from those stated, and not from the residuals."""
        wanted = self.uncertainty.uncertainty_from
        return wanted == "stated" or (wanted == "auto" and not math.isnan(self.variance) and self.robust is None)

    @cached_property
    def exact(self) -> LeastSquares:
        """The least-squares solution, York's where both axes are uncertain; for an mlp, that of a line."""
        solution = solve(self.factor, self.standard, variance=self.variance, stated=self.is_stated)
        return replace(
            solution,
            u_common=self.uncertainty.u_common,
            coverage=self.uncertainty.coverage,
            t_u_range=self.t_u_range,
        )

    @property
    def optimum(self) -> NDArray[np.float64]:
        """(terms,), in `standard`, where the loss that is trained is lowest without penalties; of an mlp, a line's."""
        return self.exact.params if self.robust is None else self.robust.params

    def settle(self, config: CalibrationConfig) -> CalibrationConfig:
        """The config to train with: a huber_delta that was left to the readings is what they made of it.

        Huber's gradient is at most delta, so from afar a small one takes many thousand epochs: unless a start is given,
        training then starts where least squares ends.
        """
        if self.robust is None or config.huber_delta is not None:
            return config
        settled: dict[str, float] = {"huber_delta": self.robust.delta}
        defaults = TrainingConfig()
        if config.model != "mlp" and (config.w_start, config.b_start) == (defaults.w_start, defaults.b_start):
            start = self.basis.change_to(self.standard) @ self.exact.params
            settled |= {"w_start": float(start[-2]), "b_start": float(start[-1])}
        return config.model_copy(update=settled)

    def goal(self, config: CalibrationConfig) -> float:
        """The mean squared error that counts as close to the lowest: within 0.1 % of it.

        Of readings that lie on a line exactly, 1e-12 of where training starts (of the mean of t_c², for an mlp).
        """
        return self.exact.loss + max(CLOSE * self.exact.loss, ROUNDING * self.start_error(config))

    def start_error(self, config: CalibrationConfig) -> float:
        """The mean squared error where training starts; the mean of t_c² for an mlp, and where it is beyond float64."""
        targets, n_readings = self.design.targets[0].numpy(), float(self.design.n_readings[0])
        start = float(targets @ targets) / n_readings
        if config.model != "mlp":
            residual = self.design.features[0].numpy() @ build_model(config).start(config).numpy() - targets
            with np.errstate(over="ignore"):
                squares = float(residual @ residual) / n_readings
            start = squares if math.isfinite(squares) else start
        return start


def settle(readings: Readings, config: CalibrationConfig) -> CalibrationConfig:
    """The config with what the readings decide: York's loss, where both axes are uncertain.

    Raises SettingsError where it asks for what they do not have, or cannot have.
    """
    if config.loss == "york" and readings.u_u is None:
        raise SettingsError(f"loss: york needs the columns u_c and u_u; {readings.source} has {_stated(readings)}")
    if config.uncertainty_from == "stated" and readings.u_c is None:
        raise SettingsError(f"uncertainty_from: stated needs the column u_c; {readings.source} has no uncertainties")
    if readings.u_u is None:
        return config
    if config.loss == "huber" or config.model != "line":
        what = "by Huber's loss" if config.loss == "huber" else f"by a {config.model}"
        raise SettingsError(
            f"{readings.source}: readings of which both axes are uncertain (column u_u) cannot be fitted {what}; "
            "ignore the column by --u-u none, or fit a line with the squared loss"
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
    folds = tuple(_problem(readings, config, mask) for mask in masks)
    return _problem(readings, config, none, folds)


def _problem(
    readings: Readings, config: CalibrationConfig, held_out: NDArray[np.bool_], folds: tuple[Problem, ...] = ()
) -> Problem:
    points, variance = _points(readings, ~held_out)
    _refuse_too_few(points.t_u, readings, config)
    t_u, t_c, root_weights = points.t_u, points.t_c, points.root_weights
    standard, basis = standard_basis(t_u, config, root_weights), fit_basis(t_u, config, root_weights)
    standard_rows = design_of(standard.features(t_u), t_c, root_weights)
    factor = compress(standard_rows)
    by_rows = needs_rows(config)
    rows = _rows(readings, ~held_out, basis, variance) if by_rows else None
    design = rows if rows and config.model == "mlp" else factor.linear_map(standard.change_to(basis))
    validation = _rows(readings, held_out, basis, variance) if held_out.any() else None
    if validation is not None and not by_rows:
        validation = compress(validation)
    return Problem(
        standard=standard,
        factor=factor,
        basis=basis,
        design=design,
        rows=rows or design,
        held_out=(validation,) if validation is not None else tuple(fold.held_out[0] for fold in folds),
        folds=folds,
        mask=~held_out,
        root_weights=root_weights,
        variance=variance,
        robust=fit_huber(standard_rows, config.huber_delta) if config.loss == "huber" else None,
        t_u_range=(float(readings.t_u[~held_out].min()), float(readings.t_u[~held_out].max())),
        uncertainty=UncertaintyConfig(**config.model_dump(include=set(UncertaintyConfig.model_fields))),
    )


@dataclass(frozen=True, eq=False)
class _Points:
    """What least squares fits a line to: (rows,) each; root_weights as in Problem."""

    t_u: NDArray[np.float64]
    t_c: NDArray[np.float64]
    root_weights: NDArray[np.float64] | None


def _points(readings: Readings, mask: NDArray[np.bool_]) -> tuple[_Points, float]:
    """The readings of the mask, adjusted to York's line where both axes are uncertain; and the stated variance of an
    observation of mean weight, NaN where none is stated."""
    t_u, t_c = readings.t_u[mask], readings.t_c[mask]
    if readings.u_c is None:
        return _Points(t_u, t_c, None), math.nan
    variances = readings.u_c[mask] ** 2
    if readings.u_u is not None:
        adjusted = adjust(t_u, t_c, readings.u_u[mask], readings.u_c[mask])
        t_u, t_c, variances = adjusted.t_u, adjusted.t_c, adjusted.variance
    variance = 1 / float((1 / variances).mean())
    _refuse_one_sided(t_u, variances, readings)
    return _Points(t_u, t_c, np.sqrt(variance / variances)), variance


def _refuse_one_sided(t_u: NDArray[np.float64], variances: NDArray[np.float64], readings: Readings) -> None:
    """Raise ReadingsError where the uncertainties leave all the weight to readings at one place."""
    weights = 1 / variances
    center = float(np.average(t_u, weights=weights))
    spread = math.sqrt(float(np.average((t_u - center) ** 2, weights=weights)))
    if spread <= 1e-12 * float(np.abs(t_u).max()) or spread <= 1e-6 * float(np.ptp(t_u)):
        raise ReadingsError(
            f"{readings.source}: by the uncertainties in column u_c, (nearly) all the weight is on readings of "
            f"{center:g}; a line needs weight at different temperatures: correct the column, or use --u-c none"
        )


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
