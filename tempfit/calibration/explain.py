"""Why a configuration did what it did, in a sentence: what the settings do to the descent, and what came of it."""

from __future__ import annotations

import numpy as np

from tempfit.calibration.judged import Judged
from tempfit.wording import count, format_limit, format_ratio
from tempfit.words import Outcome

VANISHED = 0.1  # of the last layer's gradient norm: what reaches the first layer of a network that hinders it
MEAN_ALONE = 0.01  # relative: a mean squared error so near the variance of t_c knows the mean temperature alone
NO_GRADIENT = 1e-3  # of the first layer's largest gradient norm: with less, it has stopped learning


def why(calibration: Judged) -> str:
    """One sentence: what the remedy does to the descent, and what came of it."""
    cause = _cause(calibration) if calibration.is_linear else _cause_in_a_network(calibration)
    return f"{cause}; {_result(calibration)}"


def _result(calibration: Judged) -> str:
    fit = calibration.fit
    match calibration.outcome:
        case Outcome.EXPLODES if fit.diverged_at is None:
            grown = calibration.objective[-1] / calibration.objective[0]
            return f"the loss has grown {format_ratio(grown)}-fold in {count(fit.n_epochs, 'epoch')}"
        case Outcome.EXPLODES:
            return f"the loss overflows at epoch {fit.diverged_at:,}"
        case Outcome.ARRIVES if fit.close_at is None:
            return "it arrives"
        case Outcome.ARRIVES if not calibration.is_linear:
            return f"it reaches the line's lowest loss at epoch {fit.close_at:,}"
        case Outcome.ARRIVES:
            return "one update does it" if fit.close_at == 2 else f"within 0.1 % at epoch {fit.close_at:,}"
        case Outcome.SETTLES:
            return f"it settles at {_error(calibration)}"
        case Outcome.CRAWLS:
            return f"after {count(fit.n_epochs, 'epoch')} it is still at {_error(calibration)}"
        case Outcome.STICKS:
            return f"it stays at {_error(calibration)}"


def _error(calibration: Judged) -> str:
    """The mean squared error beside the lowest; alone where the lowest is rounding."""
    error, lowest = calibration.mean_squared_error, calibration.exact.loss
    if calibration.setup.goal >= 1.01 * lowest:  # (the goal has to be above rounding)
        return f"a mean squared error of {error:.3g} {calibration.config.y_unit}²"
    return f"{format_ratio(error / lowest)} times the lowest mean squared error"


def _cause(calibration: Judged) -> str:
    """What the settings do to the descent of a line or polynomial: the first that is seen to have mattered."""
    config, forecast, outcome = calibration.config, calibration.forecast, calibration.outcome
    limit, critical = forecast.critical_learning_rate, format_limit(forecast.critical_learning_rate)
    too_large = config.learning_rate >= limit
    if config.optimizer == "adam":
        return "every parameter's step is divided by the size of its own gradient, so their ratio does not matter"
    if config.optimizer == "rmsprop":
        return "steps are divided by the gradient's size, so they do not get shorter on the way"
    clipped = config.clip_norm is not None and bool((calibration.fit.history.gradient_norm > config.clip_norm).any())
    if clipped and too_large and outcome is not Outcome.EXPLODES:
        return "clipping hides the explosion: shortened steps still over-correct, to and fro across the valley"
    if clipped and not too_large:
        return "clipping shortens steps that were none too long"
    if too_large:
        return _cause_of_over_correction(calibration)
    if outcome is Outcome.SETTLES:
        what = "the penalty moves the optimum" if config.l1 or config.l2 else "Huber's loss has another optimum"
        return f"{what} away from that of least squares"
    condition = forecast.condition_number
    if condition < 1.001:
        return "the condition number is 1, so the gradient points straight at the optimum"
    if config.momentum:
        return f"momentum helps along the valley, whose condition number is {format_ratio(condition)} all the same"
    if config.scaling != "none":
        return f"with scaled readings the condition number is {format_ratio(condition)}"
    slow = ", but slow" if outcome is Outcome.CRAWLS else ""
    return f"stable{slow}: below the critical {critical}, with condition number {format_ratio(condition)}"


def _cause_of_over_correction(calibration: Judged) -> str:
    """Why the learning rate is beyond the critical one: by itself, or by a penalty; and what did not help."""
    config, forecast = calibration.config, calibration.forecast
    critical, rate = forecast.critical_learning_rate, config.learning_rate
    curvature = forecast.eigenvalues[-1] - 2 * config.l2
    alone = 2 * (1 + config.momentum) / curvature
    if config.loss == "york":
        return (
            f"the learning rate is {format_ratio(rate / critical)} times what is critical where York's loss is lowest"
        )
    if config.loss == "huber":
        times = f"{format_ratio(rate / critical)} times {format_limit(critical)}"
        return f"the learning rate is {times}, below which Huber's loss is safe"
    if config.l2 and rate < alone:
        return f"L2 brings the critical learning rate down from {format_limit(alone)} to {format_limit(critical)}"
    if config.l2:
        return (
            f"L2 adds {2 * config.l2:g} to a curvature of {curvature:.4g}, which only lowers the critical learning "
            f"rate, to {format_limit(critical)}"
        )
    if config.l1:
        return f"L1 adds a constant pull and no curvature, so the critical learning rate stays {format_limit(critical)}"
    over_corrects = f"the learning rate is {format_ratio(rate / critical)} times the critical {format_limit(critical)}"
    return f"{over_corrects}, so every update over-corrects"


def _cause_in_a_network(calibration: Judged) -> str:
    config, critical = calibration.config, calibration.forecast.critical_learning_rate
    too_large = config.optimizer == "sgd" and config.learning_rate >= critical
    if calibration.outcome is Outcome.EXPLODES and too_large:
        times = f"{format_ratio(config.learning_rate / critical)} times the {format_limit(critical)}"
        return f"the learning rate is {times} that is critical when training starts"
    if calibration.outcome is Outcome.EXPLODES:
        return "the network's curvature grew as it learned"
    norms = [norm for name, norm in calibration.series().items() if name.startswith("gradient_norm/")]
    evidence = calibration.problem.evidence
    variance = float(np.square(evidence.targets[0, 1:]).sum() / evidence.n[0])
    knows_the_mean = abs(calibration.mean_squared_error - variance) < MEAN_ALONE * variance
    if knows_the_mean and norms[0][-1] <= NO_GRADIENT * norms[0].max():
        dead = "saturated" if config.activation in ("tanh", "sigmoid") else "dead"
        hides = "it hides the explosion: " if too_large else ""
        return f"{hides}the units are {dead}, no gradient passes, and only the mean temperature is learned"
    units = f"{config.hidden} {config.activation} units"
    first, last = norms[0][0], norms[-1][0]
    if first == 0:
        return f"no gradient reaches the first of {units}"
    if first < VANISHED * last:
        return f"the gradient shrinks {last / first:.0f}-fold on its way back through {units}"
    return f"the gradient reaches all of {units}"
