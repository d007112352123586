"""How near fits came to the lowest mean squared error, in a word for each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tempfit.config import TrainingConfig
from tempfit.descent.loop import GROWN
from tempfit.exact.goal import CLOSE
from tempfit.words import Outcome, Status

STILL = 1e-3  # of the distance to the lowest loss: what gains less in the last quarter of its epochs does not move


@dataclass(frozen=True, eq=False)
class Descents:
    """What outcomes are told from, (members,) each.

    status: `Status.code`. start, before, end: the objective (the loss with its penalties) where training started, after
    three quarters of its updates, and where it ended. over_corrects: whether the learning rate is too large for sure.
    goal: an objective that counts as close to its minimum; NaN where the minimum is not known in closed form.
    is_close: whether the mean squared error is close to the lowest; lowest: that one, or of a loss whose lowest is not
    known, 0. n_epochs: updates made. has_another_optimum: whether a penalty or the loss moves the optimum.
    """

    status: NDArray[np.int8]
    start: NDArray[np.float64]
    before: NDArray[np.float64]
    end: NDArray[np.float64]
    over_corrects: NDArray[np.bool_]
    goal: NDArray[np.float64]
    is_close: NDArray[np.bool_]
    lowest: NDArray[np.float64]
    n_epochs: NDArray[np.int_]
    has_another_optimum: bool

    def outcomes(self) -> NDArray[np.int8]:
        """(members,), `Outcome.code`."""
        converged = self.status == Status.CONVERGED.code
        with np.errstate(invalid="ignore", over="ignore"):
            # (at the critical rate itself the loss swings, to and fro)
            grows = (self.end > (1 + CLOSE) * self.start) & ~converged
            explodes = grows & (self.over_corrects | (self.end > GROWN * self.start))
        other = Outcome.SETTLES if self.has_another_optimum else Outcome.STICKS
        conditions = [(self.status == Status.DIVERGED.code) | explodes, self.is_close, converged | self.is_still]
        words = [Outcome.EXPLODES.code, Outcome.ARRIVES.code, other.code]
        return np.select(conditions, words, Outcome.CRAWLS.code).astype(np.int8)

    @property
    def is_still(self) -> NDArray[np.bool_]:
        """(members,), whether further epochs would hardly lower the objective: by the closed form of its minimum, or by
        the last quarter."""
        with np.errstate(invalid="ignore", over="ignore"):
            gained = self.before - self.end
            rests = (self.n_epochs >= 4) & (gained < STILL * np.abs(self.end - self.lowest))
            return np.where(np.isnan(self.goal), rests, self.end <= self.goal)


def objective(loss: NDArray[np.float64], params: NDArray[np.float64], config: TrainingConfig) -> NDArray[np.float64]:
    """What the descent makes small: the loss (…,) with the penalties of params (…, n_params)."""
    with np.errstate(over="ignore"):  # (squares of parameters may overflow before the loss does)
        if config.l1:
            loss = loss + config.l1 * np.abs(params).sum(axis=-1)
        if config.l2:
            loss = loss + config.l2 * np.square(params).sum(axis=-1)
    return loss
