"""What to do about a forecast, in a sentence or two."""

from __future__ import annotations

from decimal import ROUND_CEILING, Context

from tempfit.config import MOST_EPOCHS, CalibrationConfig
from tempfit.descent.loss_curve import LossCurve
from tempfit.wording import format_limit, format_rate, format_ratio

NETWORK_ADVICE = (
    "the curvature of a network's loss changes as it learns, so no learning rate can be judged for good beforehand"
)


SAFE = 0.9  # of the critical learning rate: the steepest direction still loses a third of its error in an epoch


def good_start(config: CalibrationConfig) -> str:
    """The settings that suit most networks, less those that are chosen already; empty where all are."""
    settings = {"scaling": '"standardize"', "optimizer": '"adam"', "learning_rate": "0.01"}
    chosen = {"scaling": config.scaling == "standardize", "optimizer": config.optimizer == "adam"}
    chosen["learning_rate"] = chosen["optimizer"] and config.learning_rate <= 0.01
    missing = [f"{name}={value}" for name, value in settings.items() if not chosen[name]]
    return f"`{', '.join(missing)}`" if missing else ""


def advise(
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
