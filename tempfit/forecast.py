"""What a learning rate will do, before training: from the Hessian of the loss, in closed form.

Along each eigenvector of the Hessian, plain gradient descent multiplies the distance to the optimum by
1 - learning_rate * λ per epoch (Nocedal and Wright, Numerical Optimization, 2nd ed., section 3.3). So the loss before
update k + 1 is `loss* + ½ Σ λᵢ cᵢ² (1 - learning_rate λᵢ)^(2k)`, and it explodes beyond a learning rate of 2 / λmax.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tempfit.config import CalibrationConfig, format_rate
from tempfit.design import Design
from tempfit.model import build_model

CLOSE = 1e-3  # within 0.1 % of the lowest loss
NETWORK_ADVICE = (
    "the curvature of a network's loss changes as it learns, so no learning rate can be judged beforehand; "
    "--optimizer adam --learning-rate 0.01 is a good start."
)


@dataclass(frozen=True, eq=False)
class Forecast:
    """The quadratic that gradient descent walks on, and what the chosen learning rate does on it.

    eigenvalues: (terms,), ascending, of the Hessian with its L2 penalty.
    critical_learning_rate: with the chosen momentum; above it plain gradient descent diverges. NaN, as the
    eigenvalues, for a network, whose Hessian is not constant.
    stable: whether the chosen learning rate is below it; None where the update rule (adam, rmsprop) or clipping bends
    the question.
    epochs_needed: until the loss is within 0.1 % of its minimum. overflow_epoch: the first whose loss is not finite.
    Both only where the closed form holds (sgd without momentum, clipping and L1, squared loss), else None.
    """

    eigenvalues: NDArray[np.float64]
    critical_learning_rate: float
    stable: bool | None
    epochs_needed: int | None
    overflow_epoch: int | None
    advice: str

    @property
    def condition_number(self) -> float:
        """λmax / λmin: how much longer the valley of the loss is than wide, squared."""
        return float(self.eigenvalues[-1] / self.eigenvalues[0])


def hessian(design: Design) -> NDArray[np.float64]:
    """(terms, terms), the Hessian of one member's mean squared error: 2 FᵀF / n."""
    features = design.features[0]
    matrix: NDArray[np.float64] = (2.0 * features.T @ features / design.n_readings[0]).numpy()
    return matrix


def make_forecast(design: Design, config: CalibrationConfig) -> Forecast:
    """The forecast for one member's compressed design, scaled as it will be trained.

    For Huber's loss the Hessian is the quadratic part's, half the squared loss's; where readings are set aside it is
    smaller, so the critical learning rate is then a lower bound.
    """
    if config.model == "mlp":
        return Forecast(np.full(2, np.nan), math.nan, None, None, None, NETWORK_ADVICE)
    curvature = 0.5 if config.loss == "huber" else 1.0
    matrix = curvature * hessian(design)
    matrix += 2 * config.l2 * np.eye(len(matrix))
    eigenvalues, eigenvectors = np.linalg.eigh(matrix)
    eigenvalues = np.maximum(eigenvalues, np.finfo(np.float64).tiny)
    critical = 2 * (1 + config.momentum) / eigenvalues[-1]
    plain = config.optimizer == "sgd" and config.clip_norm is None
    stable = bool(config.learning_rate < critical) if plain else None
    epochs_needed = overflow_epoch = None
    if plain and not config.momentum and not config.l1 and config.loss == "squared":
        curve = _LossCurve(design, config, eigenvalues, eigenvectors)
        epochs_needed, overflow_epoch = curve.epochs_needed(), curve.overflow_epoch()
    return Forecast(
        eigenvalues=eigenvalues,
        critical_learning_rate=float(critical),
        stable=stable,
        epochs_needed=epochs_needed,
        overflow_epoch=overflow_epoch,
        advice=_advice(config, float(critical), stable, epochs_needed, overflow_epoch),
    )


class _LossCurve:
    """The loss that plain gradient descent will have, epoch by epoch, without training."""

    def __init__(
        self,
        design: Design,
        config: CalibrationConfig,
        eigenvalues: NDArray[np.float64],
        eigenvectors: NDArray[np.float64],
    ):
        n = float(design.n_readings[0])
        features, targets = design.features[0].numpy(), design.targets[0].numpy()
        linear = 2 / n * features.T @ targets
        optimum = eigenvectors @ ((eigenvectors.T @ linear) / eigenvalues)
        residual = features @ optimum - targets
        self.minimum = float(residual @ residual) / n + config.l2 * float(optimum @ optimum)
        distance = eigenvectors.T @ (build_model(config).start(config).numpy() - optimum)
        with np.errstate(divide="ignore"):  # a start at the optimum has log 0
            self.log_start = np.log(0.5 * eigenvalues) + 2 * np.log(np.abs(distance))
            self.log_factor = 2 * np.log(np.abs(1 - config.learning_rate * eigenvalues))
        self.log_overflow = math.log(torch.finfo(getattr(torch, config.dtype)).max)

    def log_excess(self, k: int) -> float:
        """log of the loss above its minimum, before update k + 1."""
        growth = k * self.log_factor if k else 0.0
        return float(np.logaddexp.reduce(self.log_start + growth))

    def epochs_needed(self) -> int | None:
        """Updates until the loss is within 0.1 % of its minimum (of its start, for a perfect fit); None if never."""
        start = self.log_excess(0)
        goal = max(math.log(CLOSE * self.minimum) if self.minimum > 0 else -math.inf, start + math.log(1e-12))
        if start <= goal:
            return 0
        if not bool((self.log_factor < 0).all()):
            return None
        return _first_epoch(lambda k: self.log_excess(k) <= goal)

    def overflow_epoch(self) -> int | None:
        """The first epoch that reports a loss beyond the dtype's range; None if it never grows."""
        growing = self.log_factor[np.isfinite(self.log_start)]
        if not bool((growing > 0).any()):
            return None
        # The loop sums squares that are twice the loss at most, so it overflows at half the range.
        return 1 + _first_epoch(lambda k: self.log_excess(k) > self.log_overflow - math.log(2))


def _first_epoch(reached: Callable[[int], bool]) -> int:
    """The smallest k with `reached(k)`, which stays true from there on: doubling, then bisection."""
    high = 1
    while not reached(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def _advice(
    config: CalibrationConfig,
    critical: float,
    stable: bool | None,
    epochs_needed: int | None,
    overflow_epoch: int | None,
) -> str:
    """One or two sentences: what will happen, and which option changes it."""
    rate, limit = f"learning rate {format_rate(config.learning_rate)}", f"the critical {format_rate(critical)}"
    times = f"{rate} is {config.learning_rate / critical:.3g} times {limit}"
    smaller = f"--learning-rate {format_rate(critical / 2)}"
    scaled = config.scaling == "standardize"
    if config.optimizer != "sgd":
        return (
            f"{config.optimizer} adapts its step, so {limit} of plain gradient descent does not bound it; "
            "how close it comes to the optimum depends on how small the learning rate is."
        )
    if stable is None and config.learning_rate >= critical:
        cure = f"use {smaller}." if scaled else "scaling the readings cures it: --scaling standardize."
        return (
            f"{times}: clipping stops the overflow but not the over-correction, so the fit hovers away from the "
            f"optimum; {cure}"
        )
    if stable is False:
        when = f", and the loss overflows at epoch {overflow_epoch:,}" if overflow_epoch else ""
        cure = "" if scaled else "scale the readings (--scaling standardize) or "
        return f"{times}: every update over-corrects{when}. To cure it, {cure}take a smaller step ({smaller})."
    if epochs_needed is None:
        return f"{rate} is below {limit}: no over-correction."
    epochs = "1 epoch" if epochs_needed <= 1 else f"about {epochs_needed:,} epochs"
    needed = f"{rate} is stable ({limit}) and needs {epochs} to come within 0.1 % of the lowest loss"
    if epochs_needed <= config.n_epochs:
        return f"{needed}."
    cure = f"try {smaller}" if scaled else "scaling the readings makes it fast: --scaling standardize"
    return f"{needed}, more than the {config.n_epochs:,} given; {cure}."
