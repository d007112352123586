"""Many problems trained as members of few batches, and validated by their folds, which are members, too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tempfit.descent.configs import Configs, structure
from tempfit.descent.history import Block, Fit, OnEpochs
from tempfit.descent.loop import train
from tempfit.descent.model import build_model
from tempfit.descent.setup import Setup
from tempfit.descent.validation import Validation, validate
from tempfit.exact.design import stack

NETWORK_STATES, FEWEST_STATES = 2000, 20  # kept of an mlp, whose params and gradients would else fill the memory
HISTORY_ELEMENTS = 20_000_000  # params of all states kept: 160 MB of float64, and as much for their gradients
BATCH_ELEMENTS = 2_000_000  # residuals (or a layer's units), or params, of one epoch of a batch: 16 MB of float64


@dataclass(frozen=True, eq=False)
class Trained:
    """A problem's fit, and what the readings held out say of it."""

    fit: Fit
    validation: Validation | None


def fit_setups(setups: Sequence[Setup], on_epochs: OnEpochs | None = None, *, keep: int | None = None) -> list[Trained]:
    """Train every problem by its config, all that share a structure as members of one batch.

    Folds are members, too. on_epochs sees a block's members by their position in `setups`; folds come behind them.
    keep: as for `train`; histories of networks are thinned in any case. Raises SettingsError as `train` does.
    """
    members, seen_by = list(setups), []  # whose positions among the members are those of each problem's folds
    for setup in setups:
        seen_by.append(range(len(members), len(members) + len(setup.folds)))
        members += setup.folds
    fits = _fit_members(members, on_epochs, keep)
    trained = []
    for i, setup in enumerate(setups):
        own = [fits[k] for k in seen_by[i]] or [fits[i]]
        trained.append(Trained(fits[i], validate(fits[i], setup.training, setup.problem.held_out, own)))
    return trained


def _fit_members(members: Sequence[Setup], on_epochs: OnEpochs | None, keep: int | None) -> list[Fit]:
    fits: dict[int, Fit] = {}
    watch = _Watch(on_epochs) if on_epochs is not None else None
    for batch in _batches(members):
        setups = [members[i] for i in batch]
        configs = Configs.of([setup.training for setup in setups])
        thinned = keep
        if configs.shared.model == "mlp":
            affordable = HISTORY_ELEMENTS // (len(members) * build_model(configs.shared).n_params)
            thinned = max(FEWEST_STATES, min(keep or NETWORK_STATES, affordable))
        is_huber = configs.shared.loss == "huber"  # whose loss is not the mean squared error that the goal is of
        goals = [-np.inf if is_huber else setup.goal for setup in setups]
        look = watch.at(batch) if watch is not None else None
        done = train(stack([setup.rows for setup in setups]), configs, look, keep=thinned, goals=goals)
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


def _batches(members: Sequence[Setup]) -> Iterator[list[int]]:
    """Positions of members that share a structure, as many at a time as fit memory."""
    groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for i, setup in enumerate(members):
        groups[structure(setup.training)].append(i)
    for group in groups.values():
        n_rows = max(members[i].rows.targets.shape[1] for i in group)
        model = build_model(members[group[0]].training)
        size = max(1, BATCH_ELEMENTS // max(n_rows * model.width, model.n_params))
        for start in range(0, len(group), size):
            yield group[start : start + size]
