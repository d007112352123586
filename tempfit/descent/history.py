"""What a fit went through, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tempfit.words import Status


@dataclass(frozen=True, eq=False)
class History:
    """States that a fit went through: `loss[i]` is the loss after `updates[i]` updates, `params[i]` gave it.

    So epoch k of the tutorial reports the loss and gradient of the state with k - 1 updates and, after its own, the
    params of the state with k. All states are kept, or a sample (`train(keep=…)`) with the first and the last.
    Finite throughout: a diverged fit's history ends before the overflow.

    updates: (states,), increasing from 0. params: (states, n_params), in the units trained in (w and b of a line).
    loss: (states,), unit of t_c squared (for squared loss). gradient: (states, n_params), of the loss with its
    penalties, before clipping.
    """

    updates: NDArray[np.int_]
    params: NDArray[np.float64]
    loss: NDArray[np.float64]
    gradient: NDArray[np.float64]

    @property
    def gradient_norm(self) -> NDArray[np.float64]:
        """(states,), Euclidean norm of the gradient."""
        return gradient_norm(self.gradient)

    def __len__(self) -> int:
        return len(self.loss)

    def sample(self, most: int) -> NDArray[np.int_]:
        """Positions of at most `most` states, spaced evenly on a log axis of updates, with the first and the last."""
        return np.unique(np.searchsorted(self.updates, log_spaced(int(self.updates[-1]) + 1, most)))


@dataclass(frozen=True, eq=False)
class Fit:
    """The result of training one member; a diverged one ends with the last finite state.

    close_at: the first epoch that reported a loss no larger than the goal it was trained with; None if none did. Epochs
    count as in the tutorial: epoch k reports the loss after k - 1 updates, so 1 is the start.
    """

    status: Status
    history: History
    close_at: int | None = None

    @property
    def n_epochs(self) -> int:
        """Updates made to reach the final params."""
        return int(self.history.updates[-1])

    @property
    def diverged_at(self) -> int | None:
        """The epoch that reported a loss or gradient that is not finite; None unless diverged."""
        return self.n_epochs + 2 if self.status is Status.DIVERGED else None

    @property
    def params(self) -> NDArray[np.float64]:
        """(n_params,), the final parameters in the units trained in: w and b of a line."""
        return self.history.params[-1]

    @property
    def loss(self) -> float:
        """The loss at the final params."""
        return float(self.history.loss[-1])


@dataclass(frozen=True, eq=False)
class Ending:
    """One state of every member: after `updates` (members,) updates, loss (members,), params and gradient (members,
    n_params)."""

    updates: NDArray[np.int_]
    params: NDArray[np.float64]
    loss: NDArray[np.float64]
    gradient: NDArray[np.float64]

    @classmethod
    def empty(cls, members: int, n_params: int) -> Self:
        updates, loss = np.zeros(members, dtype=np.int_), np.full(members, np.nan)
        vectors = (np.full((members, n_params), np.nan, order="F") for _ in range(2))
        return cls(updates, next(vectors), loss, next(vectors))

    @classmethod
    def of(cls, block: Block, state: int) -> Self:
        """A state of the block, whose members are all of the batch; copied, so that the block can go."""
        updates = np.full(len(block.members), block.first + state)
        return cls(updates, block.params[state].copy("K"), block.loss[state].copy(), block.gradient[state].copy("K"))

    def take(self, block: Block, states: NDArray[np.intp], columns: NDArray[np.intp]) -> None:
        """Overwrite some members' by states of the block, those of its columns."""
        members = block.members[columns]
        self.updates[members] = block.first + states
        self.params[members] = block.params[states, columns]
        self.loss[members] = block.loss[states, columns]
        self.gradient[members] = block.gradient[states, columns]

    def __getitem__(self, member: int) -> History:
        """One member's, as a history of one state."""
        one = slice(member, member + 1)
        return History(self.updates[one], self.params[one], self.loss[one], self.gradient[one])


@dataclass(frozen=True, eq=False)
class Fits:
    """The results of training every member of a batch, in arrays.

    status: (members,), `Status.code`. close_at: (members,), as `Fit.close_at`, 0 where it is None. first, last: the
    states that every member began and ended with; before: that after three quarters of the epochs given, NaN where it
    ended sooner. histories: one a member; None where only the ends were kept.
    """

    status: NDArray[np.int8]
    close_at: NDArray[np.int_]
    first: Ending
    before: Ending
    last: Ending
    histories: Sequence[History] | None = None

    @property
    def params(self) -> NDArray[np.float64]:
        """(members, n_params), the final parameters in the units trained in."""
        return self.last.params

    @property
    def loss(self) -> NDArray[np.float64]:
        """(members,), the loss at the final params."""
        return self.last.loss

    @property
    def n_epochs(self) -> NDArray[np.int_]:
        """(members,), updates made to reach the final params."""
        return self.last.updates

    def __len__(self) -> int:
        return len(self.status)

    def __iter__(self) -> Iterator[Fit]:
        return (self[member] for member in range(len(self)))

    def __getitem__(self, member: int) -> Fit:
        """One member's fit. Raises IndexError where there is none."""
        history = self.histories[member] if self.histories is not None else self._ends(range(len(self))[member])
        return Fit(Status.of(self.status[member]), history, int(self.close_at[member]) or None)

    def _ends(self, member: int) -> History:
        first, last = self.first[member], self.last[member]
        if last.updates[0] == 0:
            return first
        names = ("updates", "params", "loss", "gradient")
        return History(*(np.concatenate([getattr(first, name), getattr(last, name)]) for name in names))


@dataclass(frozen=True, eq=False)
class Block:
    """What `on_epochs` is shown after each block: states as in History, with a trailing members axis.

    first: updates of the block's first state. members: (members,), which of the batch they are.
    loss: (states, members). params, gradient: (states, members, n_params). NaN behind the end of a member that ended.
    """

    first: int
    members: NDArray[np.intp]
    loss: NDArray[np.float64]
    params: NDArray[np.float64]
    gradient: NDArray[np.float64]


OnEpochs = Callable[[Block], bool | None]  # returns True to stop


def log_spaced(n: int, most: int) -> NDArray[np.int_]:
    """At most `most` of the numbers from 0 to n - 1, evenly spaced on a log axis of number + 1, with both ends."""
    if n <= most:
        return np.arange(n)
    return np.unique(np.geomspace(1, n, most).round().astype(np.int_) - 1)


def gradient_norm(gradient: NDArray[np.float64]) -> NDArray[np.float64]:
    """Euclidean norm over the last axis; hypot, because squares of a diverging gradient overflow before it does."""
    norm: NDArray[np.float64] = np.hypot.reduce(gradient, axis=-1)
    return norm
