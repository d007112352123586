"""What a learning rate will do, before training: from the Hessian of the loss, in closed form.

Along each eigenvector of the Hessian, plain gradient descent multiplies the distance to the optimum by
1 - learning_rate * λ per epoch (Nocedal and Wright, Numerical Optimization, 2nd ed., section 3.3). So the loss with its
penalty before update k + 1 is `loss* + ½ Σ λᵢ cᵢ² (1 - learning_rate λᵢ)^(2k)`, and it explodes beyond a learning rate
of 2 / λmax.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Context
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from tempfit.config import MOST_EPOCHS, CalibrationConfig, format_limit, format_rate, format_ratio
from tempfit.design import Design
from tempfit.errors import SettingsError
from tempfit.model import build_loss, build_model
from tempfit.status import CLOSE, PERFECT

POWER_ITERATIONS = 50  # towards the largest curvature of a network; an estimate from below
NETWORK_ADVICE = (
    "the curvature of a network's loss changes as it learns, so no learning rate can be judged for good beforehand"
)
SAFE = 0.9  # of the critical learning rate: the steepest direction still loses a third of its error in an epoch


@dataclass(frozen=True, eq=False)
class Forecast:
    """The quadratic that gradient descent walks on, and what the chosen learning rate does on it.

    eigenvalues: (terms,), ascending, of the Hessian with its L2 penalty.
    critical_learning_rate: with the chosen momentum; above it plain gradient descent diverges. The Hessian of a network
    is not constant: its critical rate is that of the start, and of its eigenvalues only λmax there is told, else NaN.
    stable: whether the chosen learning rate is below it; None for a network, and where the update rule (adam, rmsprop)
    or clipping bends the question.
    curve: the loss, epoch by epoch, where the closed form holds (sgd without momentum, clipping and L1, squared loss),
    else None. untold: why it does not hold, in a few words; None where it does.
    warns: whether the advice is a warning: it diverges, or the first updates of a network over-correct.
    """

    eigenvalues: NDArray[np.float64]
    critical_learning_rate: float
    stable: bool | None
    curve: LossCurve | None
    untold: str | None
    advice: str
    warns: bool = False

    @property
    def condition_number(self) -> float:
        """λmax / λmin: how much longer the valley of the loss is than wide, squared."""
        return float(self.eigenvalues[-1] / self.eigenvalues[0])

    @property
    def epochs_needed(self) -> int | None:
        """The first epoch to report a loss within 0.1 % of its minimum; None if never, or where there is no curve."""
        return self.curve.epochs_needed if self.curve is not None else None

    @property
    def overflow_epoch(self) -> int | None:
        """The first epoch whose loss is not finite; None if none is, or where there is no curve."""
        return self.curve.overflow_epoch if self.curve is not None else None


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


def make_forecast(design: Design, config: CalibrationConfig, *, curvature: float | None = None) -> Forecast:
    """The forecast for one member's design, scaled as it will be trained: compressed, or all rows for a network.

    York's loss is taken for the quadratic that fits it at its optimum. For Huber's loss the Hessian is the quadratic
    part's, half the squared loss's; where readings are set aside it is smaller, so the critical learning rate is then a
    lower bound, above which nothing is certain.
    curvature: of a network where its training starts, if it is known already.
    Raises SettingsError when the Hessian is beyond what numbers can say, as that of high raw powers can be.
    """
    if config.model == "mlp":
        return _forecast_network(config, _curvature_at_the_start(design, config) if curvature is None else curvature)
    axes = _principal_axes(design, config)
    critical = float(2 * (1 + config.momentum) / axes.eigenvalues[-1])
    plain = config.optimizer == "sgd" and config.clip_norm is None
    stable = config.learning_rate < critical if plain else None
    if config.loss == "york" or (config.loss == "huber" and stable is False):
        stable = None
    untold = _untold(config)
    curve = _loss_curve(axes, design, config) if untold is None else None
    return Forecast(
        eigenvalues=axes.eigenvalues,
        critical_learning_rate=critical,
        stable=stable,
        curve=curve,
        untold=untold,
        advice=_advice(config, critical, stable, curve),
        warns=stable is False,
    )


def _forecast_network(config: CalibrationConfig, curvature: float) -> Forecast:
    curvature += 2 * config.l2
    critical = 2 * (1 + config.momentum) / curvature if curvature > 0 else math.nan
    warns = config.optimizer == "sgd" and config.clip_norm is None and config.learning_rate >= critical
    start = _good_start(config)
    advice = f"{NETWORK_ADVICE}; {start} is a good start." if start else f"{NETWORK_ADVICE}."
    if warns:
        times = f"{format_ratio(config.learning_rate / critical)} times the {format_limit(critical)}"
        advice = (
            f"learning rate {format_rate(config.learning_rate)} is {times} that is critical when training starts: its "
            f"first updates over-correct, it may explode; take {start}."
        )
    untold = "a network's curvature changes as it learns"
    return Forecast(np.array([math.nan, curvature]), critical, None, None, untold, advice, warns)


def _good_start(config: CalibrationConfig) -> str:
    """The settings that suit most networks, less those that are chosen already; empty where all are."""
    settings = {"scaling": '"standardize"', "optimizer": '"adam"', "learning_rate": "0.01"}
    chosen = {"scaling": config.scaling == "standardize", "optimizer": config.optimizer == "adam"}
    chosen["learning_rate"] = chosen["optimizer"] and config.learning_rate <= 0.01
    missing = [f"{name}={value}" for name, value in settings.items() if not chosen[name]]
    return f"`{', '.join(missing)}`" if missing else ""


def _curvature_at_the_start(design: Design, config: CalibrationConfig) -> float:
    """The largest eigenvalue (by size) of the Hessian of a network's loss where its training starts; NaN if not finite.

    Power iteration (Golub and Van Loan, Matrix Computations, 4th ed., section 8.2) on products of the Hessian with a
    vector (Pearlmutter, Fast exact multiplication by the Hessian, Neural Computation 6, 1994).
    """
    model, loss = build_model(config), build_loss([config], design.n_readings)
    features, targets = model.scale_rows(design.features, design.targets[..., None], loss.row_scale(design.n_readings))
    params = model.start(config)[None, :, None].requires_grad_()
    value = loss.value(model.residual(features, targets, params)[..., 0]).sum()
    (gradient,) = torch.autograd.grad(value, params, create_graph=True)
    direction = torch.ones_like(params) / math.sqrt(params.numel())
    curvature = 0.0
    for _ in range(POWER_ITERATIONS):
        (product,) = torch.autograd.grad(gradient, params, direction, retain_graph=True)
        curvature = float(product.norm())
        if not 0 < curvature < math.inf:
            break
        direction = product / curvature
    return curvature if math.isfinite(curvature) else math.nan


def _untold(config: CalibrationConfig) -> str | None:
    """Why the closed form does not hold for these settings; None where it does."""
    if config.optimizer != "sgd":
        return f"{config.optimizer} adapts its step"
    if config.clip_norm is not None:
        return "clipping shortens the step"
    if config.momentum:
        return "momentum adds to the step"
    if config.l1:
        return "L1 puts kinks into the loss"
    return None if config.loss == "squared" else f"{config.loss.capitalize()}'s loss is no quadratic"


@dataclass(frozen=True, eq=False)
class _Axes:
    """The Hessian by the singular values of the features: forming it would square their condition number.

    eigenvalues: (terms,), ascending, of the Hessian with its penalty. left: (rows, terms); singular: (terms,);
    right: (terms, terms), the eigenvectors as columns.
    """

    eigenvalues: NDArray[np.float64]
    left: NDArray[np.float64]
    singular: NDArray[np.float64]
    right: NDArray[np.float64]


def _principal_axes(design: Design, config: CalibrationConfig) -> _Axes:
    features = design.features[0].numpy()
    if np.isfinite(features).all():
        left, singular, right = np.linalg.svd(features, full_matrices=False)
        curvature = 1.0 if config.loss == "huber" else 2.0
        with np.errstate(over="ignore"):
            eigenvalues = curvature * singular**2 / float(design.n_readings[0]) + 2 * config.l2
        if np.isfinite(eigenvalues).all():
            smallest = np.finfo(np.float64).tiny
            return _Axes(np.maximum(eigenvalues, smallest)[::-1], left[:, ::-1], singular[::-1], right[::-1].T)
    raise SettingsError(
        f'the curvature of the loss is not finite with `scaling="{config.scaling}"`: '
        'scale the readings (`scaling="standardize"`)'
    )


def _loss_curve(axes: _Axes, design: Design, config: CalibrationConfig) -> LossCurve:
    n = float(design.n_readings[0])
    targets = design.targets[0].numpy()
    start = axes.right.T @ build_model(config).start(config).numpy()
    target = axes.left.T @ targets  # (terms,), the part of it that the terms can make
    rest = targets - axes.left @ target
    residual = axes.singular * start - target
    gradient = 2 / n * axes.singular * residual + 2 * config.l2 * start
    # A penalty keeps the share n l2 / (σ² + n l2) of the target as residual; 2 σ² / n + 2 l2 is the eigenvalue.
    resting = -2 * config.l2 / axes.eigenvalues * target
    optimum = 2 / n * axes.singular * target / axes.eigenvalues
    floor = float(rest @ rest) / n
    return LossCurve(
        learning_rate=config.learning_rate,
        eigenvalues=axes.eigenvalues,
        excess=gradient * (gradient / (2 * axes.eigenvalues)),  # the square alone may overflow
        minimum=floor + float(resting @ resting) / n + config.l2 * float(optimum @ optimum),
        moving=(residual - resting) / math.sqrt(n),
        resting=resting / math.sqrt(n),
        floor=floor,
        mean_square=float(targets @ targets) / n,
        # The loop sums squares that are twice the loss, so it overflows at half the range.
        largest=float(torch.finfo(getattr(torch, config.dtype)).max) / 2,
    )


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


def _advice(
    config: CalibrationConfig,
    critical: float,
    stable: bool | None,
    curve: LossCurve | None,
) -> str:
    """One or two sentences: what will happen, and which settings change it, the better cure first."""
    epochs_needed = curve.epochs_needed if curve is not None else None
    overflow_epoch = curve.overflow_epoch if curve is not None else None
    rate, limit = f"learning rate {format_rate(config.learning_rate)}", f"the critical {format_limit(critical)}"
    times = f"{rate} is {format_ratio(config.learning_rate / critical)} times {limit}"
    half = f"`learning_rate={format_limit(critical / 2)}`"
    cure = f"take {half}" if config.scaling == "standardize" else f"scale the readings: {_standardized(config)}"
    if config.optimizer != "sgd":
        return (
            f"{config.optimizer} adapts its step, so {limit} of plain gradient descent does not bound it; "
            "how close it comes to the optimum depends on how small the learning rate is."
        )
    if config.loss == "york":
        if config.learning_rate < critical:
            return f"{rate} is below {limit} where York's loss is lowest: near it, no over-correction."
        return f"{times} where York's loss is lowest: near it, updates over-correct. To be safe, {cure}."
    if config.loss == "huber" and config.learning_rate >= critical:
        return (
            f"{times}, below which Huber's loss cannot explode; above it, that depends on the readings that it sets "
            f"aside. To be safe, {cure}."
        )
    if stable is None and config.learning_rate >= critical:
        if config.scaling == "standardize":
            cure = f"take `learning_rate={format_limit(critical / 2)}, clip_norm=None`"
        return (
            f"{times}: clipping stops the overflow but not the over-correction, so the fit crawls, to and fro; {cure}."
        )
    if stable is False:
        when = f", and the loss overflows at epoch {overflow_epoch:,}" if overflow_epoch else ""
        return f"{times}: every update over-corrects{when}. To cure it, {cure}{_smaller_step(config, critical, curve)}."
    if epochs_needed is None:
        return f"{rate} is below {limit}: no over-correction."
    needed = f"{rate} is stable ({limit}) and comes within 0.1 % of the lowest loss at epoch {epochs_needed:,}"
    if epochs_needed - 1 <= config.n_epochs:  # updates: the last epoch's loss is reported, too
        return f"{needed}."
    return f"{needed}, more than the {config.n_epochs:,} given; to make it fast, {cure}."


def _standardized(config: CalibrationConfig) -> str:
    """The settings under which all of the Hessian's eigenvalues are alike, and half the critical learning rate there.

    With standardized terms they are 2 (for Huber's loss 1), and twice the L2 penalty more. Clipping, which would
    shorten steps that are none too long there, is taken back.
    """
    eigenvalue = (1 if config.loss == "huber" else 2) + 2 * config.l2
    clipping = "" if config.clip_norm is None else ", clip_norm=None"
    return f'`scaling="standardize", learning_rate={format_limit((1 + config.momentum) / eigenvalue)}{clipping}`'


def _smaller_step(config: CalibrationConfig, critical: float, curve: LossCurve | None) -> str:
    """The other cure, where it is one: a learning rate below the critical, with the epochs that it takes."""
    if curve is None or config.scaling == "standardize":
        return ""
    rate = format_limit(SAFE * critical)
    needed = curve.at(float(rate)).epochs_needed
    if needed is None or (n_epochs := max(_round_up(needed), config.n_epochs)) > MOST_EPOCHS:
        return ""
    return f"; or take a smaller step: `learning_rate={rate}, n_epochs={n_epochs}`"


def _round_up(n: int) -> int:
    """A number of epochs with two digits, no less than it is: 84,917 as 85,000."""
    return int(Context(prec=2, rounding=ROUND_CEILING).create_decimal(n))
