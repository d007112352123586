"""What a configuration really did, in a word and in a sentence: the words of a sweep's table."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from tempfit.calibration import Calibration
from tempfit.config import format_rate
from tempfit.forecast import CLOSE

SETTLED = 0.01  # of its distance to the lowest: a loss that fell less in the last quarter of its epochs sticks
VANISHED = 0.1  # of the last layer's gradient norm: what reaches the first layer of a network that hinders it
MEAN_ALONE = 0.99  # of the variance of t_c: a mean squared error from there on knows the mean temperature and no more


class Outcome(StrEnum):
    """How near a fit came to the lowest loss of a line or polynomial."""

    ARRIVES = "arrives"  # within 0.1 % of it (a network: or below)
    CRAWLS = "crawls"  # still on its way when the epochs were used up
    STICKS = "sticks"  # no longer moving, elsewhere
    EXPLODES = "explodes"  # the loss overflowed, or is on its way there: above where it started


def outcome(calibration: Calibration) -> Outcome:
    """The word for a fit. `arrives` is for good: the final loss is close, too (or the line's is passed)."""
    fit, lowest = calibration.fit, calibration.exact.loss
    if calibration.is_close:
        return Outcome.ARRIVES
    if fit.diverged_at is not None or fit.loss > (1 + CLOSE) * fit.history.loss[0]:
        return Outcome.EXPLODES
    history = fit.history
    earlier = int(np.searchsorted(history.updates, 0.75 * fit.n_epochs))
    before, now = float(history.loss[earlier]) - lowest, fit.loss - lowest
    return Outcome.STICKS if before - now < SETTLED * abs(before) else Outcome.CRAWLS


def why(calibration: Calibration) -> str:
    """One sentence: what the remedy does to the descent, and what came of it."""
    return f"{_cause(calibration)}; {_result(calibration)}"


def _result(calibration: Calibration) -> str:
    fit, lowest = calibration.fit, calibration.exact.loss
    match outcome(calibration):
        case Outcome.EXPLODES if fit.diverged_at is None:
            return f"the loss has grown {fit.loss / fit.history.loss[0]:.3g}-fold in {fit.n_epochs:,} epochs"
        case Outcome.EXPLODES:
            return f"the loss overflows at epoch {fit.diverged_at:,}"
        case Outcome.ARRIVES if fit.close_at is None:
            return "it arrives"
        case Outcome.ARRIVES if not calibration.is_linear:
            return f"it passes the line's lowest loss at epoch {fit.close_at:,}"
        case Outcome.ARRIVES:
            return "one update does it" if fit.close_at == 2 else f"within 0.1 % at epoch {fit.close_at:,}"
        case Outcome.CRAWLS:
            return f"after {fit.n_epochs:,} epochs the loss is still {fit.loss / lowest:.3g} times the lowest"
        case Outcome.STICKS:
            return f"it stays at {fit.loss / lowest:.3g} times the lowest loss"


def _cause(calibration: Calibration) -> str:
    """What the settings do to the descent, the most telling one first."""
    config, forecast = calibration.config, calibration.forecast
    critical = format_rate(forecast.critical_learning_rate) if calibration.is_linear else ""
    too_large = calibration.is_linear and config.learning_rate >= forecast.critical_learning_rate
    if not calibration.is_linear:
        return _cause_in_a_network(calibration)
    if config.optimizer == "adam":
        return "every parameter's step is divided by the size of its own gradient, so their ratio does not matter"
    if config.optimizer == "rmsprop":
        return "steps are divided by the gradient's size, so they do not get shorter on the way"
    if config.clip_norm is not None:
        if too_large:
            return "clipping hides the explosion: shortened steps still over-correct, to and fro across the valley"
        return "clipping shortens steps that were none too long"
    if too_large and config.l2:
        return (
            f"L2 adds {2 * config.l2:g} to a curvature of {forecast.eigenvalues[-1]:.4g}, so the critical learning "
            f"rate stays {critical}"
        )
    if too_large and config.l1:
        return f"L1 adds a constant pull and no curvature, so the critical learning rate stays {critical}"
    if too_large:
        times = config.learning_rate / forecast.critical_learning_rate
        return f"the learning rate is {times:.3g} times the critical {critical}, so every update over-corrects"
    condition = forecast.condition_number
    if condition < 1.001:
        return "the condition number is 1, so the gradient points straight at the optimum"
    number = f"{condition:,.0f}" if condition >= 100 else f"{condition:.3g}"
    if config.momentum:
        return f"momentum helps along the valley, whose condition number is {number} all the same"
    if config.scaling != "none":
        return f"with scaled readings the condition number is {number}"
    return f"stable, being below the critical {critical}, but slow: the condition number is {number}"


def _cause_in_a_network(calibration: Calibration) -> str:
    config = calibration.config
    mask = calibration.problem.mask
    variance = float(calibration.readings.t_c[mask].var())
    saturates = config.activation in ("tanh", "sigmoid")
    if calibration.fit.diverged_at is not None:
        return f"{config.activation} lets large units through unchanged, so the gradient grows from layer to layer"
    if not calibration.is_close and calibration.rmse**2 >= MEAN_ALONE * variance:
        dead = "saturated" if saturates else "dead"
        return f"it hides the explosion: the units are {dead}, no gradient passes, and only the mean is learned"
    units = f"{config.hidden} {config.activation} units"
    norms = [norm[0] for name, norm in calibration.series().items() if name.startswith("gradient_norm/")]
    if norms[0] < VANISHED * norms[-1]:
        times = norms[-1] / norms[0]
        return f"the gradient shrinks {times:.0f}-fold on its way back through {units}"
    return f"the gradient reaches all layers of {units}"
