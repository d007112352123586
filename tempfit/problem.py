"""Readings made ready to train on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tempfit.basis import Basis, fit_basis, standard_basis
from tempfit.config import CalibrationConfig, ModelConfig, ScalingConfig, ValidationConfig
from tempfit.design import Design, compress, design_of
from tempfit.errors import ReadingsError
from tempfit.forecast import CLOSE
from tempfit.model import build_model
from tempfit.readings import Readings
from tempfit.statistics import LeastSquares, solve
from tempfit.training import needs_rows
from tempfit.validation import held_out_rows

ROUNDING = 1e-12  # of the mean squared error at the start: what rounding leaves of it in a perfect fit


@dataclass(frozen=True, eq=False)
class Problem:
    """The readings to train on, in the forms that the stages need (one member).

    factor: the problem in `standard`, its best-conditioned terms, compressed; the exact solution comes from it,
    whatever the scaling. design: the same in `basis`, the terms to train in (all rows for a network, which cannot be
    compressed). rows: what the loop runs on: design, or all rows where the loss needs them. held_out: the readings not
    to train on, in `basis`; one design per fold. folds: with k-fold cross-validation, the k problems of which each
    leaves one fold out. mask: (readings,), which of the readings are trained on.
    """

    standard: Basis
    factor: Design
    basis: Basis
    design: Design
    rows: Design
    held_out: tuple[Design, ...]
    folds: tuple[Problem, ...]
    mask: NDArray[np.bool_]

    @cached_property
    def exact(self) -> LeastSquares:
        """The least-squares solution; for an mlp, that of a line."""
        return solve(self.factor, self.standard)

    def goal(self, config: CalibrationConfig) -> float:
        """The mean squared error that counts as close to the lowest: within 0.1 % of it.

        Of readings that lie on a line exactly, 1e-12 of where training starts (of the mean of t_c², for an mlp).
        """
        targets, n_readings = self.design.targets[0].numpy(), float(self.design.n_readings[0])
        start = float(targets @ targets) / n_readings
        if config.model != "mlp":
            residual = self.design.features[0].numpy() @ build_model(config).start(config).numpy() - targets
            with np.errstate(over="ignore"):
                squares = float(residual @ residual) / n_readings
            start = squares if math.isfinite(squares) else start
        return self.exact.loss + max(CLOSE * self.exact.loss, ROUNDING * start)


def problem_key(config: CalibrationConfig) -> str:
    """Equal for configs of which `normalize` makes the same problem."""
    stages = (ScalingConfig, ModelConfig, ValidationConfig)
    return config.model_dump_json(include={"loss"}.union(*(stage.model_fields for stage in stages)))


def normalize(readings: Readings, config: CalibrationConfig) -> Problem:
    """Scale the readings and compress them to the few rows that the loop runs on; hold out what is to be held out.

    Raises ReadingsError when too few are left to train on, SettingsError when there are no such rows to hold out.
    """
    masks, none = held_out_rows(readings.n, config), np.zeros(readings.n, dtype=bool)
    if not config.folds:
        return _problem(readings, config, masks[0] if masks else none)
    folds = tuple(_problem(readings, config, mask) for mask in masks)
    return _problem(readings, config, none, folds)


def _problem(
    readings: Readings, config: CalibrationConfig, held_out: NDArray[np.bool_], folds: tuple[Problem, ...] = ()
) -> Problem:
    t_u, t_c = readings.t_u[~held_out], readings.t_c[~held_out]
    _refuse_too_few(t_u, readings, config)
    standard, basis = standard_basis(t_u, config), fit_basis(t_u, config)
    factor = compress(design_of(standard.features(t_u), t_c))
    by_rows = needs_rows(config)
    rows = design_of(basis.features(t_u), t_c) if by_rows else None
    design = rows if rows and config.model == "mlp" else factor.linear_map(standard.change_to(basis))
    hidden = [readings.t_u[held_out], readings.t_c[held_out]]
    validation = design_of(basis.features(hidden[0]), hidden[1]) if held_out.any() else None
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
    )


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
