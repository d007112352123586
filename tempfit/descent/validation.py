"""Readings that the fit does not see, and what they say of it.

They are held out once (a fraction or rows by number), or in turn (k-fold cross-validation: Stone, Cross-validatory
choice and assessment of statistical predictions, J. R. Stat. Soc. B 36, 1974).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tempfit.config import CalibrationConfig
from tempfit.descent.configs import Configs
from tempfit.descent.history import Fit
from tempfit.descent.loop import GROWN
from tempfit.descent.losses import build_loss, scaled_rows
from tempfit.descent.model import build_model
from tempfit.exact.design import Design
from tempfit.words import Status

RISE = 0.05  # above its lowest, relative: what a validation loss must have risen to speak of overfitting
GAP = 4.0  # times the training loss, or above: errors on readings not seen twice as large as on those seen
ROUNDING = 1e-12  # of the first validation loss: below it, losses are rounding and say nothing
STATE_ELEMENTS = 1_000_000  # values (residuals, or a layer's units) computed at once: 8 MB of float64


@dataclass(frozen=True, eq=False)
class Validation:
    """The loss on readings that the fit did not see, at every state of the fit's history.

    method: how they were held out, in words. n: how many readings were held out, each once. updates: (states,), as in
    the fit's history. loss: (states,), over all that were held out, each judged by a fit that did not see it.
    training_loss: the fit's own at its end. diverged: how many of those fits overflowed or were on the way to it, so
    that the validation loss says nothing.
    """

    method: str
    n: int
    updates: NDArray[np.int_]
    loss: NDArray[np.float64]
    training_loss: float
    diverged: int = 0

    @property
    def final(self) -> float:
        """The validation loss of the final fit."""
        return float(self.loss[-1])

    @property
    def lowest_at(self) -> int:
        """After how many updates the validation loss was lowest."""
        return int(self.updates[np.argmin(self.loss)])

    @property
    def has_risen(self) -> bool:
        """Whether the validation loss has risen by more than 5 % since it was lowest."""
        return self.final > (1 + RISE) * float(self.loss.min()) and self._tells

    @property
    def has_gap(self) -> bool:
        """Whether the validation loss is more than four times the training loss."""
        return self.final > GAP * self.training_loss and self._tells

    @property
    def overfits(self) -> bool:
        """Whether the fit learned the readings it saw better than the thermometer."""
        return self.has_risen or self.has_gap

    @property
    def _tells(self) -> bool:
        return not self.diverged and self.final > ROUNDING * float(self.loss[0])

    def verdict(self) -> str:
        """A sentence: whether the fit learned the readings instead of the thermometer, and how that shows."""
        if self.diverged:
            fits = f"{self.diverged} of {self.method}" if "folds" in self.method else "the fit"
            return f"no telling: {fits} diverged; use a smaller learning rate"
        if self.has_gap and not self.has_risen:
            return (
                f"overfits: the validation loss, {self.final:.4g}, is more than {GAP:g} times the training loss, "
                f"{self.training_loss:.4g}"
            )
        if self.has_risen:
            return (
                f"overfits: the validation loss was lowest, {self.loss.min():.4g}, after {self.lowest_at:,} updates "
                f"and has risen to {self.final:.4g} since"
            )
        return f"no overfitting seen: validation loss {self.final:.4g}, training loss {self.training_loss:.4g}"


def validate(
    fit: Fit, config: CalibrationConfig, held_out: Sequence[Design], blind: Sequence[Fit]
) -> Validation | None:
    """The validation loss at the states of `fit`; None where nothing was held out.

    held_out: one design per fold, in the units of the fit that did not see it. blind: those fits, one per fold;
    `fit` itself where there was a single hold-out. One that ended before `fit` did counts with its last state.
    """
    if not held_out:
        return None
    total, n = np.zeros(len(fit.history)), 0
    for design, other in zip(held_out, blind, strict=True):
        n_readings = int(design.n_readings[0])
        states = np.searchsorted(other.history.updates, fit.history.updates, side="right") - 1
        with np.errstate(over="ignore"):
            total += n_readings * loss_of_states(other.history.params, design, config)[states]
        n += n_readings
    method = f"{config.folds} folds" if config.folds else f"{n} reading{'s' if n > 1 else ''} held out"
    diverged = sum(
        other.status is Status.DIVERGED or other.loss > GROWN * float(other.history.loss[0]) for other in blind
    )
    return Validation(method, n, fit.history.updates, total / n, fit.loss, diverged)


def loss_of_states(params: NDArray[np.float64], design: Design, config: CalibrationConfig) -> NDArray[np.float64]:
    """(states,), the loss of one member's design at params (states, n_params), without penalties."""
    model, loss = build_model(config), build_loss(Configs(config, 1), torch.from_numpy(design.n_readings))
    features, targets = scaled_rows(design, model, loss)
    losses = []
    for part in torch.split(torch.from_numpy(params), max(1, STATE_ELEMENTS // (targets.numel() * model.width))):
        n_states = len(part)
        residual = model.residual(features.expand(n_states, -1, -1), targets.expand(n_states, -1, -1), part[..., None])
        losses.append(loss.value(residual[..., 0]))
    return torch.cat(losses).numpy()
