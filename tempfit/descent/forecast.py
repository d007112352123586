"""What a learning rate will do, before training: from the Hessian of the loss, in closed form.

Along each eigenvector of the Hessian, plain gradient descent multiplies the distance to the optimum by
1 - learning_rate * λ per epoch (Nocedal and Wright, Numerical Optimization, 2nd ed., section 3.3). So the loss with its
penalty before update k + 1 is `loss* + ½ Σ λᵢ cᵢ² (1 - learning_rate λᵢ)^(2k)`, and it explodes beyond a learning rate
of 2 / λmax.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tempfit.config import CalibrationConfig
from tempfit.descent.advice import NETWORK_ADVICE, advise, good_start
from tempfit.descent.configs import Configs
from tempfit.descent.loss_curve import LossCurve
from tempfit.descent.losses import build_loss, scaled_rows
from tempfit.descent.model import build_model
from tempfit.descent.quadratic import Quadratic
from tempfit.exact.design import Design
from tempfit.wording import format_limit, format_rate, format_ratio

POWER_ITERATIONS = 50  # towards the largest curvature of a network; an estimate from below


@dataclass(frozen=True, eq=False)
class Forecast:
    """The quadratic that gradient descent walks on, and what the chosen learning rate does on it.

    eigenvalues: (terms,), ascending, of the Hessian with its L2 penalty.
    critical_learning_rate: with the chosen momentum; above it plain gradient descent diverges. The Hessian of a network
    is not constant: its critical rate is that of the start, and of its eigenvalues only λmax there is told, else NaN.
    stable: whether the chosen learning rate is below it; None for a network, and where the update rule (adam, rmsprop)
    or clipping bends the question.
    loss_curve: epoch by epoch, where the closed form holds (sgd without momentum, clipping and L1, squared loss), else
    None. untold: why it does not hold, in a few words; None where it does.
    warns: whether the advice is a warning: it diverges, or the first updates of a network over-correct.
    """

    eigenvalues: NDArray[np.float64]
    critical_learning_rate: float
    stable: bool | None
    loss_curve: LossCurve | None
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
        return self.loss_curve.epochs_needed if self.loss_curve is not None else None

    @property
    def overflow_epoch(self) -> int | None:
        """The first epoch whose loss is not finite; None if none is, or where there is no curve."""
        return self.loss_curve.overflow_epoch if self.loss_curve is not None else None


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
    quadratic = Quadratic(design, config)
    critical = float(quadratic.critical_learning_rate[0])
    plain = config.optimizer == "sgd" and config.clip_norm is None
    stable = config.learning_rate < critical if plain else None
    if config.loss == "york" or (config.loss == "huber" and stable is False):
        stable = None
    untold = why_untold(config)
    curve = _loss_curve(quadratic, config) if untold is None else None
    return Forecast(
        eigenvalues=quadratic.eigenvalues[0],
        critical_learning_rate=critical,
        stable=stable,
        loss_curve=curve,
        untold=untold,
        advice=advise(config, critical, stable, curve),
        warns=stable is False,
    )


def _forecast_network(config: CalibrationConfig, curvature: float) -> Forecast:
    curvature += 2 * config.l2
    critical = 2 * (1 + config.momentum) / curvature if curvature > 0 else math.nan
    warns = config.optimizer == "sgd" and config.clip_norm is None and config.learning_rate >= critical
    start = good_start(config)
    advice = f"{NETWORK_ADVICE}; {start} is a good start." if start else f"{NETWORK_ADVICE}."
    if warns:
        times = f"{format_ratio(config.learning_rate / critical)} times the {format_limit(critical)}"
        advice = (
            f"learning rate {format_rate(config.learning_rate)} is {times} that is critical when training starts: its "
            f"first updates over-correct, it may explode; take {start}."
        )
    untold = "a network's curvature changes as it learns"
    return Forecast(np.array([math.nan, curvature]), critical, None, None, untold, advice, warns)


def _curvature_at_the_start(design: Design, config: CalibrationConfig) -> float:
    """The largest eigenvalue (by size) of the Hessian of a network's loss where its training starts; NaN if not finite.

    Power iteration (Golub and Van Loan, Matrix Computations, 4th ed., section 8.2) on products of the Hessian with a
    vector (Pearlmutter, Fast exact multiplication by the Hessian, Neural Computation 6, 1994).
    """
    alone = Configs(config, 1)
    model, loss = build_model(config), build_loss(alone, torch.from_numpy(design.n_readings))
    features, targets = scaled_rows(design, model, loss)
    params = model.start(alone)[..., None].requires_grad_()
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


def why_untold(config: CalibrationConfig) -> str | None:
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


def _loss_curve(quadratic: Quadratic, config: CalibrationConfig) -> LossCurve:
    """Of the only member."""
    return LossCurve(
        learning_rate=config.learning_rate,
        eigenvalues=quadratic.eigenvalues[0],
        excess=quadratic.excess[0],
        minimum=float(quadratic.minimum[0]),
        moving=quadratic.moving[0],
        resting=quadratic.resting[0],
        floor=float(quadratic.floor[0]),
        mean_square=float(quadratic.mean_square[0]),
        # The loop sums squares that are twice the loss, so it overflows at half the range.
        largest=float(torch.finfo(getattr(torch, config.dtype)).max) / 2,
    )
