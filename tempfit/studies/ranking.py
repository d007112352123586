"""Which of several fits is the best: one order for a sweep, for recorded runs beside each other, and for the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tempfit.exact.goal import CLOSE, PERFECT

LEAST = 1e-300  # what a logarithm can be taken of


@dataclass(frozen=True)
class Merit:
    """What a fit is judged by. loss, rmse, validation_loss: None where it has none that is finite.

    close_at: as `Fit.close_at`. n_epochs: updates made. failed: whether it left nothing to use.
    kind: which loss it made small (`loss_kind`). rounding: the loss below which differences are rounding.
    """

    loss: float | None
    rmse: float | None
    validation_loss: float | None
    close_at: int | None
    n_epochs: int
    failed: bool
    kind: tuple[Any, ...]
    rounding: float

    def value(self, measure: str) -> float | None:
        """What `measure` says, as a mean square, so that all of them are steps of the same size apart."""
        if measure == "rmse":
            return None if self.rmse is None else self.rmse * self.rmse
        return self.validation_loss if measure == "validation_loss" else self.loss


@dataclass(frozen=True)
class Ranking:
    """order: the positions of the fits, the best first. measure: `loss`, `rmse` or `validation_loss`, by which."""

    order: tuple[int, ...]
    measure: str


def rank(merits: Sequence[Merit]) -> Ranking:
    """Order fits: who has the lowest measure first, who left nothing to use last.

    The measure is the RMSE where the fits made losses of different kinds small, as such losses cannot be compared; else
    the validation loss, where all have one; else the loss. Those that failed have no say in it.
    What lies within 0.1 % of the lowest counts as equally good, and so on in such steps; among equals, who came close
    to the lowest loss in fewer epochs goes first, and then who has the lower measure. Fits without a measure come
    after them. Of the failed, who held out longer goes first.
    """
    sound = [merit for merit in merits if not merit.failed and merit.loss is not None]
    measure = _measure(sound)
    values = [value for merit in sound if (value := merit.value(measure)) is not None]
    lowest = max(min(values, default=LEAST), max((merit.rounding for merit in sound), default=0.0), LEAST)

    def place(position: int) -> tuple[float, ...]:
        merit = merits[position]
        value = merit.value(measure)
        if merit.failed:
            return 2, -merit.n_epochs
        if value is None:
            return (1,)
        steps = math.floor(math.log(max(value, lowest) / lowest) / math.log1p(CLOSE))
        return 0, steps, math.inf if merit.close_at is None else merit.close_at, value

    return Ranking(tuple(sorted(range(len(merits)), key=place)), measure)


def loss_kind(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """Equal for settings whose losses can be compared.

    A penalty makes no other kind: what is reported is the loss without it. Huber's loss is another with every scale;
    one that is found is that of the model.
    """
    if settings["loss"] != "huber":
        return (settings["loss"],)
    if settings["huber_delta"] is not None:
        return "huber", settings["huber_delta"]
    return "huber", settings["model"], settings["degree"] if settings["model"] == "polynomial" else None


def rounding_of(largest: float) -> float:
    """`Merit.rounding` of readings whose temperatures are no further from zero than `largest`."""
    return PERFECT * largest * largest


def _measure(sound: Sequence[Merit]) -> str:
    if len({merit.kind for merit in sound}) > 1:
        return "rmse"
    if sound and all(merit.validation_loss is not None for merit in sound):
        return "validation_loss"
    return "loss"
