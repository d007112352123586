"""Shorter words for what many tests do to one data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from tempfit.config import CalibrationConfig, ScalingConfig, TrainingConfig
from tempfit.descent.configs import Configs
from tempfit.descent.history import Fit
from tempfit.descent.loop import train
from tempfit.descent.model import build_model
from tempfit.exact.basis import Basis, fit_basis, standard_basis
from tempfit.exact.design import Design, compressed
from tempfit.exact.evidence import Evidence, gather
from tempfit.exact.least_squares import LeastSquares, solve
from tempfit.exact.scaling import Scaling, fit_scaling


def descend(design: Design, configs: Sequence[TrainingConfig], *arguments: Any, **keywords: Any) -> list[Fit]:
    """`train` with a member for each config."""
    return list(train(design, Configs.of(configs), *arguments, **keywords))


def evidence_of(t_u: Any, t_c: Any = None, *, degree: int = 2) -> Evidence:
    """Of one data set (rows,); of readings alone where only their scaling or terms are wanted."""
    t_u = np.atleast_2d(np.asarray(t_u, dtype=np.float64))
    return gather(t_u, np.zeros_like(t_u) if t_c is None else np.atleast_2d(np.asarray(t_c, float)), degree=degree)


def line_design(t_u: Any, t_c: Any) -> Design:
    """Three rows that say what all readings of a line in raw units say; (rows,) or (members, rows)."""
    evidence = evidence_of(t_u, t_c)
    n = evidence.members
    return compressed(evidence, Basis(Scaling(np.ones(n), np.zeros(n)), np.tile(np.eye(2), (n, 1, 1))))


def scaling_of(t_u: Any, config: ScalingConfig) -> Scaling:
    return fit_scaling(evidence_of(t_u), config)[0]


def basis_of(t_u: Any, config: CalibrationConfig) -> Basis:
    return fit_basis(evidence_of(t_u, degree=config.degree + 1), config)[0]


def standard_basis_of(t_u: Any, config: CalibrationConfig) -> Basis:
    return standard_basis(evidence_of(t_u, degree=config.degree + 1), config)[0]


def solution_of(t_u: Any, t_c: Any, config: CalibrationConfig | None = None) -> LeastSquares:
    """The exact solution of one data set."""
    config = config or CalibrationConfig()
    evidence = evidence_of(t_u, t_c, degree=config.degree + 1)
    return solve(evidence, standard_basis(evidence, config))[0]


def compress(design: Design) -> Design:
    """The rows of lines, in raw units, as the three that say the same."""
    return line_design(design.features[..., 0], design.targets)


def start_of(config: TrainingConfig) -> torch.Tensor:
    """(n_params,), where one member's training starts."""
    return build_model(config).start(Configs(config, 1))[0]
