"""A Record in words: for a terminal, for Prefect's run page, for a notebook."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from html import escape

import numpy as np

from tempfit.calibration.equation import equation, headline, write_sum
from tempfit.calibration.parts import UncertaintyRecord
from tempfit.calibration.record import Record, ScaleRecord
from tempfit.calibration.scales import KNOWN
from tempfit.config import CalibrationConfig
from tempfit.exact.curve import Curve
from tempfit.exact.goal import CLOSE
from tempfit.wording import count, format_limit, format_rate, format_ratio
from tempfit.words import Outcome, Status, Verdict

LABELS = {Verdict.FAILS: "do not use", Verdict.DOUBTFUL: "doubtful"}  # of checks that did not pass, the worst first
UNKNOWN_UNIT = CalibrationConfig.model_fields["x_unit"].default


def summary(record: Record) -> list[tuple[str, str]]:
    """What a person wants to know of a calibration, as (label, text) lines."""
    config, unit = record.config, record.config.y_unit
    lines = [("readings", describe_readings(record)), ("status", describe_status(record))]
    if record.outcome is not Outcome.ARRIVES:
        lines.append(("why", record.why))
    if record.exploded:
        what = "polynomial" if record.model == "polynomial" else "line"
        lines.append((f"exact {what}", write_sum(record, record.exact.coefficients)))
    else:
        lines.append((record.model, equation(record)))
        if record.curve is not None and record.uncertainty is not None:
            lines.append(("uncertainty", describe_uncertainty(record, record.uncertainty)))
            lines.append(("expanded", describe_expanded(record, record.curve.to_curve())))
        if record.scales and config.x_unit == UNKNOWN_UNIT:
            lines.append(("scale", describe_scales(record.scales)))
        lines += _describe_checks(record)
        lines.append(("loss", f"{_figure(record.loss):.6g} {unit}²"))
        lines.append(("RMSE", f"{_figure(record.rmse):.4g} {unit}"))
        lines.append(("to exact optimum" if record.is_linear else "to exact line", describe_distance(record)))
        if record.validation is not None:
            seen = record.validation
            lines.append(("validation loss", f"{_figure(seen.loss):.6g} {unit}² ({seen.method})"))
            lines.append(("validation", seen.sentence))
    lines.append(("epochs", f"{record.n_epochs:,} of {config.n_epochs:,}"))
    rate, critical = format_rate(config.learning_rate), format_limit(_figure(record.critical_learning_rate, math.nan))
    if record.is_linear:
        condition = f"condition number {format_ratio(_figure(record.condition_number))}"
        lines.append(("critical learning rate", f"{critical} (chosen {rate}, {condition})"))
    else:
        lines.append(("learning rate", f"{rate} (critical where training starts: {critical})"))
    return lines


def _figure(value: float | None, otherwise: float = math.inf) -> float:
    """A figure that JSON cannot say is `otherwise`."""
    return otherwise if value is None else value


def describe_readings(record: Record) -> str:
    """How many readings from where, and what became of them."""
    data = record.data
    dropped = f", {data.n_dropped:,} dropped" if data.n_dropped else ""
    n_held_out = data.n - record.n
    held_out = f", {n_held_out:,} of them held out" if n_held_out else ""
    weighted = {1: ", weighted by u_c", 2: ", uncertain by u_c and u_u"}.get(len(data.weighted_by), "")
    return f"{data.n:,} from {data.source}{dropped}{held_out}{weighted} (sha256 {data.sha256[:12]}…)"


def describe_uncertainty(record: Record, told: UncertaintyRecord) -> str:
    """Standard uncertainties of the coefficients, and what they are made of."""
    unit = f" {record.config.y_unit}"
    values = [_figure(u, math.nan) for u in told.coefficients]
    parts = [f"u({name}) = {u:.2g}" for name, u in zip(record.coefficient_names, values, strict=True)]
    parts[-1] += unit
    if len(values) == 2:
        parts.append(f"r(w, b) = {_figure(told.correlation, math.nan):.4f}".replace("-", "−"))
    if record.is_stated:
        parts.append(f"as stated: χ² = {record.found_chi_squared:.4g}, ν = {record.residual_freedom:,}")
    else:
        robust = record.robust
        sd, whose = (told.residual_sd, "") if robust is None else (robust.observation_sd, " (Huber’s)")
        freedom = _figure(told.degrees_of_freedom)
        parts.append(f"s = {_figure(sd, math.nan):.4g}{unit}{whose}, ν = {freedom:,.10g}")
    if told.common:
        parts.append(f"with {told.common:g}{unit} common to all references")
    return ", ".join(parts)


def describe_expanded(record: Record, curve: Curve) -> str:
    """The expanded uncertainties of the curve and of a single observation in the middle of the readings."""
    unit = record.config.y_unit
    low, high = curve.t_u_range
    middle = round(low + (high - low) / 2, 2 - math.floor(math.log10(high - low)))
    u_mean, u_prediction = float(curve.u_mean(middle)), float(curve.u_prediction(middle))
    k_mean, k_prediction = (float(curve.coverage_factor(u)) for u in (u_mean, u_prediction))
    alike = math.isclose(k_mean, k_prediction, rel_tol=5e-3)
    k = f"k = {k_prediction:.3g}" if alike else f"k = {k_mean:.3g} and {k_prediction:.3g}"
    return (
        f"at {middle:.15g}: {record.model} ±{k_mean * u_mean:.2g} {unit}, single observation "
        f"±{k_prediction * u_prediction:.2g} {unit} ({100 * curve.coverage:.6g} % coverage, {k})"
    )


def describe_scales(scales: Sequence[ScaleRecord]) -> str:
    """`compatible with °F (Fahrenheit): F = 0.524, p = 0.609; not with °C, K, °R, °Ré`; of one scale or more."""
    compatible = [scale for scale in scales if scale.compatible]
    others = ", ".join(symbol for symbol in KNOWN if symbol not in [scale.symbol for scale in compatible])
    if not compatible:
        return f"compatible with none of {others} (name a unit that is known by `x_unit`)"
    told = "; ".join(f"{s.symbol} ({s.scale}): F = {_figure(s.statistic):.3g}, p = {s.p:.3g}" for s in compatible)
    return f"compatible with {told}" + (f"; not with {others}" if others else "")


def _describe_checks(record: Record) -> list[tuple[str, str]]:
    """What passed in a line, and a line for everything that did not, or was not checked for the same reason."""
    found = {verdict: [check for check in record.checks if check.verdict is verdict] for verdict in Verdict}
    lines = [(LABELS[verdict], check.sentence) for verdict in LABELS for check in found[verdict]]
    if found[Verdict.PASSES]:
        lines.append(("checks passed", ", ".join(check.name for check in found[Verdict.PASSES])))
    reasons: dict[str, list[str]] = {}
    for check in found[Verdict.NOT_CHECKED]:
        reasons.setdefault(check.sentence.removeprefix("not checked: "), []).append(check.name)
    return lines + [("not checked", f"{', '.join(names)}: {reason}") for reason, names in reasons.items()]


def describe_status(record: Record) -> str:
    """How the fit ended and why, in a sentence."""
    n_epochs = record.n_epochs
    if record.exploded and record.diverged_at is None:
        grown = format_ratio(_figure(record.grown))
        return f"diverging: in {count(n_epochs, 'epoch')} the loss has grown {grown}-fold"
    match record.status:
        case Status.CONVERGED:
            return f"converged: the gradient fell below the tolerance after {count(n_epochs, 'epoch')}"
        case Status.EXHAUSTED:
            most = count(record.config.n_epochs, "epoch")
            return f"exhausted: {most} did not bring the gradient below the tolerance"
        case Status.STOPPED:
            return f"stopped on request after {count(n_epochs, 'epoch')}"
        case Status.DIVERGED:
            return f"diverged: the loss overflowed at epoch {record.diverged_at:,}"


def describe_distance(record: Record) -> str:
    """How far the fit is from the exact optimum: of least squares, or of Huber's loss."""
    excess = _figure(record.excess_loss)
    if record.coefficients is None:
        if excess > 1:
            return f"mean squared error {1 + excess:.3g} times that of the best line"
        return f"mean squared error {abs(excess):.2%} {'above' if excess > 0 else 'below'} that of the best line"
    found, best = (np.array(c, dtype=np.float64) for c in (record.coefficients, record.optimum.coefficients))
    off = np.abs(found - best)
    parts = [
        f"{name} {'off by' if i == 0 else 'by'} {d:.2g}"
        for i, (name, d) in enumerate(zip(record.coefficient_names, off, strict=True))
    ]
    if record.config.loss != "huber":
        if record.outcome is Outcome.ARRIVES and excess > CLOSE:  # of a perfect fit, all that is left is rounding
            excess = 0.0
        parts.append(f"loss {excess:.2%} above" if 1e-6 < excess < math.inf else f"relative excess loss {excess:.2g}")
    return ", ".join(parts)


def to_markdown(record: Record, picture: bytes, links: dict[str, str]) -> str:
    """A page for Prefect's artifact view: summary, picture, advice, links (title → URL)."""
    body = f"{to_table(summary(record))}\n\n{record.advice}"
    return to_page(headline(record), picture, "the fitted line over the readings", body, links)


def to_table(lines: Sequence[tuple[str, str]]) -> str:
    """Labels and their texts as a table in Markdown."""
    rows = "\n".join(f"| {label} | {_cell(text)} |" for label, text in lines)
    return f"| | |\n|---|---|\n{rows}"


def to_page(headline: str, picture: bytes, what: str, body: str, links: dict[str, str]) -> str:
    """A page for Prefect's artifact view: headline, picture and what it shows, markdown, links (title → URL)."""
    addresses = "\n".join(f"- [{title}]({url})" for title, url in links.items())
    return f"# {headline}\n\n![{what}]({data_uri(picture)})\n\n{body}\n\n{addresses}\n"


def _cell(text: str) -> str:
    return escape(text).replace("|", "\\|")


def data_uri(png: bytes) -> str:
    """A picture as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
