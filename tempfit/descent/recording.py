"""What is kept of a batch's states while it trains: how every member ended, and histories where they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tempfit.descent.configs import Configs
from tempfit.descent.history import Block, Ending, Fits, History, log_spaced
from tempfit.descent.stopping import Stop
from tempfit.words import Status

ENDS = 2  # states of a history: its first and its last


class Ends:
    """How every member ended, in arrays."""

    def __init__(self, configs: Configs, stop: Stop, goals: NDArray[np.float64], n_params: int):
        self.n_epochs = configs.column("n_epochs")
        self.stop, self.goals = stop, goals
        members = configs.members
        self.status = np.full(members, Status.STOPPED.code, dtype=np.int8)  # until another end is seen
        self.close_at = np.zeros(members, dtype=np.int_)
        self.quarter_left = np.ceil(0.75 * self.n_epochs).astype(np.int_)
        self.first = Ending.empty(members, n_params)
        self.before = Ending.empty(members, n_params)
        self.last = Ending.empty(members, n_params)

    def add(self, block: Block) -> NDArray[np.intp]:
        """(members of the block,), the last of the block's states that is a member's; their number if it goes on.

        −1 where not even the first one is: what the last block ended with was not finite.
        """
        never, members = len(block.loss), block.members
        with np.errstate(invalid="ignore"):
            close = _first(block.loss <= self.goals[members])
        not_finite = _first(~(np.isfinite(block.loss) & np.isfinite(block.gradient).all(axis=-1)))
        converged = _first(self.stop.reached(block))
        exhausted = self.n_epochs[members] - block.first  # state n_epochs is the last one
        diverged = np.where(not_finite < never, not_finite - 1, never)
        last: NDArray[np.intp] = np.minimum(np.minimum(converged, exhausted), diverged)
        for ended, status in (
            (diverged == last, Status.DIVERGED),
            (exhausted == last, Status.EXHAUSTED),
            (converged == last, Status.CONVERGED),
        ):
            self.status[members[ended & (last < never)]] = status.code
        seen = np.minimum(last, never - 1)
        near = (close <= seen) & (self.close_at[members] == 0)
        self.close_at[members[near]] = block.first + close[near] + 1
        if block.first == 0:
            self.first = Ending.of(block, 0)
        before = self.quarter_left[members] - block.first
        there = np.flatnonzero((before >= 0) & (before <= seen))
        self.before.take(block, before[there], there)
        if block.first == 0 and seen[0] >= 0 and (seen == seen[0]).all():  # as of a fleet, which scaling makes alike
            self.last = Ending.of(block, int(seen[0]))
        else:
            some = np.flatnonzero(seen >= 0)
            self.last.take(block, seen[some], some)
        return last

    def fits(self, histories: Histories | None) -> Fits:
        """histories: None where only the ends were kept."""
        whole = None if histories is None else histories.whole(self.last)
        return Fits(self.status, self.close_at, self.first, self.before, self.last, whole)


class Histories:
    """The states of every member, all of them or a sample."""

    def __init__(self, n_epochs: NDArray[np.int_], keep: int | None):
        self.n_epochs = n_epochs
        self.kept = {n: None if keep is None else log_spaced(n + 1, keep) for n in set(n_epochs.tolist())}
        self.states: list[list[History]] = [[] for _ in n_epochs]

    def add(self, block: Block, last: NDArray[np.intp]) -> None:
        """Keep what is to be kept of the block's states, up to the last of each member."""
        for column, (member, end) in enumerate(zip(block.members, np.minimum(last + 1, len(block.loss)), strict=True)):
            kept = self.kept[int(self.n_epochs[member])]
            if kept is None:
                self.states[member].append(_take(block, slice(0, end), column))
                continue
            low, high = np.searchsorted(kept, [block.first, block.first + end])
            if low < high:
                self.states[member].append(_take(block, kept[low:high] - block.first, column))

    def whole(self, last: Ending) -> list[History]:
        """Every member's history; its last state is in it, whatever the sample."""
        return [_join(states, last[member]) for member, states in enumerate(self.states)]


def trim(block: Block, last: NDArray[np.intp]) -> Block:
    """The block with NaN for the states behind each member's last."""
    beyond = np.arange(len(block.loss))[:, None] > last
    return replace(
        block,
        loss=np.where(beyond, np.nan, block.loss),
        params=np.where(beyond[..., None], np.nan, block.params),
        gradient=np.where(beyond[..., None], np.nan, block.gradient),
    )


def _take(block: Block, states: slice | NDArray[np.int_], column: int) -> History:
    """Some states of one member, copied: views would keep torch's memory, and small pieces of it between large ones
    break the heap up."""
    return History(
        updates=block.first + np.arange(len(block.loss))[states],
        params=block.params[states, column].copy(),
        loss=block.loss[states, column].copy(),
        gradient=block.gradient[states, column].copy(),
    )


def _join(states: Sequence[History], latest: History) -> History:
    """Consecutive parts of a history as one, with the latest state if it is not the end of them already."""
    parts = [part for part in states if len(part)]
    if latest.updates[0] > parts[-1].updates[-1]:
        parts.append(latest)
    columns = zip(*((part.updates, part.params, part.loss, part.gradient) for part in parts), strict=True)
    return History(*(np.concatenate(column) for column in columns))


def _first(found: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(states, members) → (members,), the first state where `found`, or the number of states."""
    return np.where(found.any(axis=0), found.argmax(axis=0), len(found))
