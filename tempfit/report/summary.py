"""A Calibration in words: for a terminal, for Prefect's run page, for a notebook."""

from __future__ import annotations

import base64
import math
from html import escape

import numpy as np

from tempfit.calibration.calibration import Calibration
from tempfit.calibration.explain import why
from tempfit.calibration.scales import describe_scales
from tempfit.config import CalibrationConfig
from tempfit.exact.curve import Curve
from tempfit.exact.goal import CLOSE
from tempfit.wording import count, format_limit, format_rate, format_ratio
from tempfit.words import Outcome, Status, Verdict

LABELS = {Verdict.FAILS: "do not use", Verdict.DOUBTFUL: "doubtful"}  # of checks that did not pass, the worst first
UNKNOWN_UNIT = CalibrationConfig.model_fields["x_unit"].default


def summary(calibration: Calibration) -> list[tuple[str, str]]:
    """What a person wants to know of a calibration, as (label, text) lines."""
    readings, fit, forecast = calibration.readings, calibration.fit, calibration.forecast
    dropped = f", {readings.n_dropped:,} dropped" if readings.n_dropped else ""
    n_held_out = readings.n - calibration.exact.n
    held_out = f", {n_held_out:,} of them held out" if n_held_out else ""
    stated = {(True, False): ", weighted by u_c", (True, True): ", uncertain by u_c and u_u"}
    weighted = stated.get((readings.u_c is not None, readings.u_u is not None), "")
    origin = f"{readings.n:,} from {readings.source}{dropped}{held_out}{weighted}"
    lines = [("readings", f"{origin} (sha256 {readings.sha256[:12]}…)")]
    lines.append(("status", describe_status(calibration)))
    if calibration.outcome is not Outcome.ARRIVES:
        lines.append(("why", why(calibration)))
    if calibration.exploded:
        lines.append((f"exact {calibration.exact_name}", calibration.equation(calibration.exact.coefficients)))
    else:
        unit = readings.y_unit
        lines.append((calibration.config.model, calibration.equation()))
        if calibration.curve is not None:
            lines.append(("uncertainty", describe_uncertainty(calibration, calibration.curve)))
            lines.append(("expanded", describe_expanded(calibration, calibration.curve)))
        if calibration.scales and calibration.config.x_unit == UNKNOWN_UNIT:
            lines.append(("scale", describe_scales(calibration.scales)))
        lines += _describe_checks(calibration)
        lines.append(("loss", f"{fit.loss:.6g} {unit}²"))
        lines.append(("RMSE", f"{calibration.rmse:.4g} {unit}"))
        lines.append(("to exact optimum" if calibration.is_linear else "to exact line", describe_distance(calibration)))
        if calibration.validation is not None:
            seen = calibration.validation
            lines.append(("validation loss", f"{seen.final:.6g} {unit}² ({seen.method})"))
            lines.append(("validation", seen.verdict()))
    lines.append(("epochs", f"{fit.n_epochs:,} of {calibration.config.n_epochs:,}"))
    rate, critical = format_rate(calibration.config.learning_rate), format_limit(forecast.critical_learning_rate)
    if calibration.is_linear:
        condition = f"condition number {format_ratio(forecast.condition_number)}"
        lines.append(("critical learning rate", f"{critical} (chosen {rate}, {condition})"))
    else:
        lines.append(("learning rate", f"{rate} (critical where training starts: {critical})"))
    return lines


def describe_uncertainty(calibration: Calibration, curve: Curve) -> str:
    """Standard uncertainties of the coefficients, and what they are made of."""
    unit = f" {calibration.readings.y_unit}"
    names = calibration.coefficient_names
    parts = [f"u({name}) = {u:.2g}" for name, u in zip(names, curve.uncertainties, strict=True)]
    parts[-1] += unit
    if curve.is_line:
        parts.append(f"r(w, b) = {curve.correlation:.4f}".replace("-", "−"))
    if calibration.problem.is_stated:
        parts.append(f"as stated: χ² = {calibration.chi_squared:.4g}, ν = {calibration.exact.residual_freedom:,}")
    else:
        robust = calibration.problem.robust
        sd, whose = (calibration.residual_sd, "") if robust is None else (robust.observation_sd, " (Huber’s)")
        parts.append(f"s = {sd:.4g}{unit}{whose}, ν = {curve.degrees_of_freedom:,.10g}")
    if curve.u_common:
        parts.append(f"with {curve.u_common:g}{unit} common to all references")
    return ", ".join(parts)


def describe_expanded(calibration: Calibration, curve: Curve) -> str:
    """The expanded uncertainties of the curve and of a single observation in the middle of the readings."""
    unit = calibration.readings.y_unit
    low, high = curve.t_u_range
    middle = round(low + (high - low) / 2, 2 - math.floor(math.log10(high - low)))
    u_mean, u_prediction = float(curve.u_mean(middle)), float(curve.u_prediction(middle))
    k_mean, k_prediction = (float(curve.coverage_factor(u)) for u in (u_mean, u_prediction))
    alike = math.isclose(k_mean, k_prediction, rel_tol=5e-3)
    k = f"k = {k_prediction:.3g}" if alike else f"k = {k_mean:.3g} and {k_prediction:.3g}"
    return (
        f"at {middle:.15g}: {calibration.config.model} ±{k_mean * u_mean:.2g} {unit}, single observation "
        f"±{k_prediction * u_prediction:.2g} {unit} ({100 * curve.coverage:.6g} % coverage, {k})"
    )


def _describe_checks(calibration: Calibration) -> list[tuple[str, str]]:
    """What passed in a line, and a line for everything that did not, or was not checked for the same reason."""
    found = {verdict: [check for check in calibration.checks if check.verdict is verdict] for verdict in Verdict}
    lines = [(LABELS[verdict], check.sentence) for verdict in LABELS for check in found[verdict]]
    if found[Verdict.PASSES]:
        lines.append(("checks passed", ", ".join(check.name for check in found[Verdict.PASSES])))
    reasons: dict[str, list[str]] = {}
    for check in found[Verdict.NOT_CHECKED]:
        reasons.setdefault(check.sentence.removeprefix("not checked: "), []).append(check.name)
    return lines + [("not checked", f"{', '.join(names)}: {reason}") for reason, names in reasons.items()]


def describe_status(calibration: Calibration) -> str:
    """How the fit ended and why, in a sentence."""
    fit, config = calibration.fit, calibration.config
    if calibration.exploded and fit.diverged_at is None:
        grown = format_ratio(calibration.objective[-1] / calibration.objective[0])
        return f"diverging: in {count(fit.n_epochs, 'epoch')} the loss has grown {grown}-fold"
    match calibration.status:
        case Status.CONVERGED:
            return f"converged: the gradient fell below the tolerance after {count(fit.n_epochs, 'epoch')}"
        case Status.EXHAUSTED:
            return f"exhausted: {count(config.n_epochs, 'epoch')} did not bring the gradient below the tolerance"
        case Status.STOPPED:
            return f"stopped on request after {count(fit.n_epochs, 'epoch')}"
        case Status.DIVERGED:
            return f"diverged: the loss overflowed at epoch {fit.diverged_at:,}"


def describe_distance(calibration: Calibration) -> str:
    """How far the fit is from the exact optimum: of least squares, or of Huber's loss."""
    if not calibration.is_linear:
        excess = calibration.excess_loss
        if excess > 1:
            return f"mean squared error {1 + excess:.3g} times that of the best line"
        return f"mean squared error {abs(excess):.2%} {'above' if excess > 0 else 'below'} that of the best line"
    problem = calibration.problem
    off = np.abs(calibration.coefficients - problem.standard.to_raw(problem.best.params))
    names = calibration.coefficient_names
    parts = [
        f"{name} {'off by' if i == 0 else 'by'} {d:.2g}" for i, (name, d) in enumerate(zip(names, off, strict=True))
    ]
    if calibration.config.loss != "huber":
        excess = calibration.excess_loss
        if calibration.is_close and excess > CLOSE:  # of a perfect fit, all that is left is rounding
            excess = 0.0
        parts.append(f"loss {excess:.2%} above" if 1e-6 < excess < math.inf else f"relative excess loss {excess:.2g}")
    return ", ".join(parts)


def to_markdown(calibration: Calibration, picture: bytes, links: dict[str, str]) -> str:
    """A page for Prefect's artifact view: summary, picture, advice, links (title → URL)."""
    rows = "\n".join(f"| {label} | {_cell(text)} |" for label, text in summary(calibration))
    body = f"| | |\n|---|---|\n{rows}\n\n{calibration.forecast.advice}"
    return to_page(calibration.headline, picture, "the fitted line over the readings", body, links)


def to_page(headline: str, picture: bytes, what: str, body: str, links: dict[str, str]) -> str:
    """A page for Prefect's artifact view: headline, picture and what it shows, markdown, links (title → URL)."""
    addresses = "\n".join(f"- [{title}]({url})" for title, url in links.items())
    return f"# {headline}\n\n![{what}]({data_uri(picture)})\n\n{body}\n\n{addresses}\n"


def _cell(text: str) -> str:
    return escape(text).replace("|", "\\|")


def data_uri(png: bytes) -> str:
    """A picture as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
