"""Readings made ready to train on, and the training of many such problems as members of few batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempfit.basis import Basis, fit_basis, standard_basis
from tempfit.config import CalibrationConfig
from tempfit.design import Design, compress, design_of, stack
from tempfit.errors import ReadingsError
from tempfit.forecast import CLOSE
from tempfit.model import build_model
from tempfit.readings import Readings
from tempfit.statistics import LeastSquares, solve
from tempfit.training import Block, Fit, OnEpochs, needs_rows, structure, train
from tempfit.validation import Validation, held_out_rows, validate

NETWORK_STATES, FEWEST_STATES = 2000, 20  # kept of an mlp, whose params and gradients would else fill the memory
HISTORY_ELEMENTS = 20_000_000  # params of all states kept: 160 MB of float64, and as much for their gradients
BATCH_ELEMENTS = 2_000_000  # residuals (or a layer's units), or params, of one epoch of a batch: 16 MB of float64


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


@dataclass(frozen=True, eq=False)
class Trained:
    """A problem's fit, and what the readings held out say of it."""

    fit: Fit
    validation: Validation | None


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


def fit_problems(
    problems: Sequence[Problem],
    configs: Sequence[CalibrationConfig],
    on_epochs: OnEpochs | None = None,
    *,
    keep: int | None = None,
) -> list[Trained]:
    """Train every problem by its config, all that share a structure as members of one batch.

    Folds are members, too. on_epochs sees a block's members by their position in `problems`; folds come behind them.
    keep: as for `train`; histories of networks are thinned in any case. Raises SettingsError as `train` does.
    """
    members = list(zip(problems, configs, strict=True))
    judges: list[range] = []  # positions of each problem's folds among the members
    for problem, config in zip(problems, configs, strict=True):
        judges.append(range(len(members), len(members) + len(problem.folds)))
        members += [(fold, config) for fold in problem.folds]
    fits = _fit_members(members, on_epochs, keep)
    trained = []
    for i, (problem, config) in enumerate(zip(problems, configs, strict=True)):
        own = [fits[k] for k in judges[i]] or [fits[i]]
        trained.append(Trained(fits[i], validate(fits[i], config, problem.held_out, own)))
    return trained


def _fit_members(
    members: Sequence[tuple[Problem, CalibrationConfig]], on_epochs: OnEpochs | None, keep: int | None
) -> list[Fit]:
    fits: dict[int, Fit] = {}
    watch = _Watch(on_epochs) if on_epochs is not None else None
    for batch in _batches(members):
        configs = [members[i][1] for i in batch]
        thinned = keep
        if configs[0].model == "mlp":
            affordable = HISTORY_ELEMENTS // (len(members) * build_model(configs[0]).n_params)
            thinned = max(FEWEST_STATES, min(keep or NETWORK_STATES, affordable))
        goals = [_goal(*members[i]) for i in batch]
        look = watch.at(batch) if watch is not None else None
        done = train(stack([members[i][0].rows for i in batch]), configs, look, keep=thinned, goals=goals)
        fits.update(zip(batch, done, strict=True))
    return [fits[i] for i in range(len(members))]


class _Watch:
    """Shows blocks of several batches to one onlooker, members by their position among all; a stop holds for all."""

    def __init__(self, on_epochs: OnEpochs):
        self.on_epochs, self.stopped = on_epochs, False

    def at(self, batch: Sequence[int]) -> OnEpochs:
        positions = np.array(batch)

        def look(block: Block) -> bool:
            if not self.stopped:
                self.stopped = bool(self.on_epochs(replace(block, members=positions[block.members])))
            return self.stopped

        return look


def _batches(members: Sequence[tuple[Problem, CalibrationConfig]]) -> Iterator[list[int]]:
    """Positions of members that share a structure, as many at a time as fit memory."""
    groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for i, (_, config) in enumerate(members):
        groups[structure(config)].append(i)
    for group in groups.values():
        n_rows = max(members[i][0].rows.targets.shape[1] for i in group)
        model = build_model(members[group[0]][1])
        size = max(1, BATCH_ELEMENTS // max(n_rows * model.width, model.n_params))
        for start in range(0, len(group), size):
            yield group[start : start + size]


def _goal(problem: Problem, config: CalibrationConfig) -> float:
    """The loss that counts as close to the lowest; none for Huber's, whose lowest is not known."""
    return (1 + CLOSE) * problem.exact.loss if config.loss == "squared" else -np.inf
