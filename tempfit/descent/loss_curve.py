"""The loss that plain gradient descent will have, epoch by epoch, in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tempfit.exact.goal import CLOSE, PERFECT


@dataclass(frozen=True, eq=False)
class LossCurve:
    """The loss that plain gradient descent will have, epoch by epoch, without training.

    All (terms,) arrays are along the eigenvectors of the Hessian, in the order of its eigenvalues.

    eigenvalues: (terms,), ascending, of the Hessian with its L2 penalty. excess: (terms,), the parts of the loss with
    its penalty that lie above its minimum at the start. minimum: of the loss with its penalty.
    moving, resting: (terms,), unit of t_c: the residual at the start, as a root mean square, is `moving + resting`;
    training takes `moving` to 0 and leaves `resting`, which an L2 penalty holds back (0 without).
    floor: the mean squared error of exact least squares, which no parameters can lower.
    mean_square: of the references.
    largest: the largest loss that the dtype to train in can report.
    """

    learning_rate: float
    eigenvalues: NDArray[np.float64]
    excess: NDArray[np.float64]
    minimum: float
    moving: NDArray[np.float64]
    resting: NDArray[np.float64]
    floor: float
    mean_square: float
    largest: float

    def at(self, learning_rate: float) -> LossCurve:
        """The same loss with another learning rate."""
        return replace(self, learning_rate=learning_rate)

    def loss_after(self, updates: ArrayLike) -> NDArray[np.float64]:
        """The mean squared error after `updates` updates, any shape: what `History.loss` records, without penalties.

        inf from the epoch of overflow on.
        """
        updates = np.asarray(updates)
        with np.errstate(over="ignore", invalid="ignore"):
            factor = (1 - self.learning_rate * self.eigenvalues) ** updates[..., None]
            moving = np.where(self.moving == 0, 0.0, self.moving * factor)
            losses = self.floor + np.square(moving + self.resting).sum(axis=-1)
        never = self.overflow_epoch is None
        return losses if never else np.where(updates + 1 < self.overflow_epoch, losses, np.inf)

    @property
    def goal(self) -> float:
        """The loss with its penalty that is within 0.1 % of its minimum (of a perfect fit, what rounding leaves)."""
        return self.minimum + self._small_excess

    @cached_property
    def epochs_needed(self) -> int | None:
        """The first epoch to report a loss with its penalty no larger than `goal`; None if never (or beyond 2^62).

        Counted as `Fit.close_at` is: epoch k reports the loss after k - 1 updates, so 1 is the start.
        """
        log_excess, log_factor = _log(self.excess), self._log_factor
        log_goal = float(_log(self._small_excess))
        if np.logaddexp.reduce(log_excess) <= log_goal:
            return 1
        if not bool((log_factor < 0).all()):
            return None
        updates = _first_epoch(lambda k: bool(np.logaddexp.reduce(log_excess + k * log_factor) <= log_goal))
        return None if updates is None else 1 + updates

    @cached_property
    def overflow_epoch(self) -> int | None:
        """The first epoch that reports a loss beyond the dtype's range; None if it never grows."""
        log_loss, log_factor = 2 * _log(np.abs(self.moving)), self._log_factor
        if not bool((log_factor[self.moving != 0] > 0).any()):
            return None
        limit = math.log(self.largest)
        updates = _first_epoch(lambda k: bool(np.logaddexp.reduce(log_loss + k * log_factor) > limit))
        return None if updates is None else 1 + updates

    @cached_property
    def best_learning_rate(self) -> float | None:
        """The fixed learning rate that reaches `goal` in the fewest epochs; None if the start is there already.

        The classic 2 / (λmin + λmax) (Polyak, Introduction to Optimization, 1987, section 1.4) is the best for the
        worst start. Most starts are kinder: raw tutorial data take 111,777 epochs with it, and a third less with the
        best one, which is a little smaller. After k epochs the excess of the loss, Σ eᵢ (1 - rate λᵢ)^(2k), is convex
        in the rate, and it shrinks with k: so the best rate for k epochs is found by bisection, and so is the
        smallest k for which it is good enough. None, too, if not even 2^62 epochs are.
        """
        log_goal = float(_log(self._small_excess))
        if np.logaddexp.reduce(_log(self.excess)) <= log_goal:
            return None

        def good_enough(k: int) -> bool:
            log_factor = 2 * _log(np.abs(1 - self._best_for(k) * self.eigenvalues))
            return bool(np.logaddexp.reduce(_log(self.excess) + k * log_factor) <= log_goal)

        epochs = _first_epoch(good_enough)
        return None if epochs is None else self._best_for(epochs)

    def _best_for(self, k: int) -> float:
        """The stable learning rate that makes the loss after k updates smallest: where its derivative changes sign."""
        low, high = 1 / self.eigenvalues[-1], 2 / self.eigenvalues[-1]
        log_slope = _log(self.excess) + _log(self.eigenvalues)
        for _ in range(52):  # bits of a float64
            middle = (low + high) / 2
            left = 1 - middle * self.eigenvalues  # of the distance to the optimum; negative where it over-corrects
            terms = log_slope + (2 * k - 1) * _log(np.abs(left))
            too_large = np.logaddexp.reduce(terms[left < 0]) > np.logaddexp.reduce(terms[left > 0])
            low, high = (low, middle) if too_large else (middle, high)
        return float(low)

    @property
    def _small_excess(self) -> float:
        return max(CLOSE * self.minimum, PERFECT * self.mean_square)

    @property
    def _log_factor(self) -> NDArray[np.float64]:
        """(terms,), log of what an epoch multiplies the squared distances to the optimum by."""
        return 2 * _log(np.abs(1 - self.learning_rate * self.eigenvalues))


def _log(values: Any) -> NDArray[np.float64]:
    """The natural logarithm; of 0, −inf without a warning."""
    with np.errstate(divide="ignore"):
        return np.log(values)


def _first_epoch(reached: Callable[[int], bool]) -> int | None:
    """The smallest k with `reached(k)`, which stays true from there on: doubling, then bisection; None beyond 2^62."""
    high = 1
    while not reached(high):
        high *= 2
        if high > 2**62:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high
