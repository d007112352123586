"""What a report says, gathered from a record, the run's readings and the user's fields. How it looks is the template's.

Figures are stated after JCGM 100:2008 (GUM): 7.2 for the form, H.3 for the line, G.4 for degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import PurePath
from typing import Any, Literal

import numpy as np
from markupsafe import Markup

from tempfit.config import count, format_rate
from tempfit.curve import Curve
from tempfit.record import Record
from tempfit.report.fields import Fields
from tempfit.report.figures import Picture, draw_pictures
from tempfit.report.observed import Observed
from tempfit.report.rounding import (
    NO_BREAK,
    NONE,
    Stated,
    last_place,
    measured,
    measured_one,
    state,
    state_one,
    whole,
)
from tempfit.report.tables import (
    T_0,
    T_C,
    T_U,
    Table,
    coefficients_table,
    names,
    points_table,
    readings_table,
    round_readings,
    scales_table,
    smallest_place,
)
from tempfit.report.text import short
from tempfit.report.units import Units, unit_of, with_unit
from tempfit.status import Outcome, Status

NEARLY_NONE = 1e-12  # of the largest temperature: a scatter that is nothing but rounding
VERDICTS = {"passes": "✓", "doubtful": "!", "fails": "✗", "not checked": "–"}

Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Check:
    """sign: the verdict's, for those who see no colours."""

    name: str
    verdict: str
    sign: str
    sentence: str


@dataclass(frozen=True)
class Notice:
    """What has to be read before anything else."""

    level: Literal["fails", "doubtful"]
    headline: str
    sentences: list[str]


@dataclass(frozen=True, eq=False, kw_only=True)
class Content:
    """Everything that the template sets, in its order."""

    title: str
    number: str
    fields: Fields
    notice: Notice | None
    result: Rows
    particulars: list[tuple[str, Rows]]
    is_line: bool
    equation: Markup
    symbols: list[tuple[Markup, str]]
    coefficients: Table
    exact_coefficients: str
    uncertainty: list[Markup]
    budget: Rows
    points: Table | None
    pictures: list[Picture]
    missing: str
    checks: list[Check]
    scales: Table | None
    fit: Rows
    readings: Table | None
    provenance: Rows
    running: str


def gather(
    record: Record,
    fields: Fields,
    observed: Observed | None = None,
    *,
    at: Sequence[float] | None = None,
    certificate: bool = False,
) -> Content:
    """What there is to say. at: readings to tell the temperature at; None for round ones over the calibrated range.

    Raises RunsError where the calibration has no curve.
    """
    curve, units = _without_rounding(record.curve), Units.of(record)
    title = "Certificate of calibration" if certificate else "Calibration report"
    number = fields.report.number
    run = f"run {record.run_id}" if record.run_id else "from a file, without its run"
    return Content(
        title=title,
        number=number,
        fields=fields,
        notice=_notice(record, curve),
        result=_result(curve, units),
        particulars=_particulars(record, fields, observed, units),
        is_line=curve.is_line,
        equation=_equation(curve),
        symbols=_symbols(record, curve, units),
        coefficients=coefficients_table(curve, units),
        exact_coefficients=_exact_coefficients(curve),
        uncertainty=_uncertainty(curve),
        budget=_budget(record, curve, units),
        points=points_table(curve, units, round_readings(*curve.t_u_range) if at is None else list(at)),
        pictures=draw_pictures(record, curve, observed),
        missing=_missing(record, observed),
        checks=_checks(record),
        scales=scales_table(record),
        fit=_fit(record, curve, observed),
        readings=readings_table(record, curve, observed, units),
        provenance=_provenance(record),
        running=" · ".join(part for part in (f"{title} {short(number, 40)}".strip(), run) if part),
    )


def _without_rounding(curve: Curve) -> Curve:
    """The curve without a scatter that is nothing but rounding: it would pass for a marvellous uncertainty."""
    largest = float(np.abs(curve.predict([end for end in curve.t_u_range if math.isfinite(end)])).max(initial=0.0))
    if curve.observation_sd > NEARLY_NONE * largest:
        return curve
    return replace(curve, observation_sd=0.0 if curve.u_common else math.nan)


def _equation(curve: Curve) -> Markup:
    """The curve with as many digits as make no difference to its uncertainty."""
    t0 = curve.basis.origin
    x = T_U if not t0 else Markup(f"({T_U} {'−' if t0 > 0 else '+'} {measured_one(abs(t0))})")
    coefficients = curve.coefficients
    if not np.isfinite(coefficients).all():
        return Markup(f"{T_C} = polynomial of degree {len(coefficients) - 1} in {T_U}")
    largest = _largest(curve)
    terms = Markup("")
    for i, (value, u, (_, power)) in enumerate(zip(coefficients, curve.uncertainties, names(curve), strict=True)):
        # Uncertain together, coefficients need more digits than each alone: for the largest reading, too.
        telling = min(u, curve.observation_sd / largest**power) if largest else u
        stated = state([abs(value)], last_place(telling, 3))
        number = f"{stated.texts[0]}{stated.factor}"
        sign = "−" if value < 0 else ("+" if i else "")
        raised = Markup(f"<sup>{power}</sup>") if power > 1 else ""
        reading = Markup(f"{NO_BREAK}·{NO_BREAK}{x}{raised}") if power else ""
        space = " " if i else ""
        terms += Markup(f"{space}{sign}{NO_BREAK if i else ''}{number}{reading}")
    return Markup(f"{T_C} = {terms}")


def _largest(curve: Curve) -> float:
    """The largest distance of a calibrated reading from t0."""
    ends = [abs(end - curve.basis.origin) for end in curve.t_u_range]
    return max(ends) if math.isfinite(max(ends)) else 0.0


def _symbols(record: Record, curve: Curve, units: Units) -> list[tuple[Markup, str]]:
    symbols = [(T_U, _meaning(record, "x")), (T_C, _meaning(record, "y"))]
    if curve.basis.origin:
        t0 = with_unit(measured_one(curve.basis.origin), units.x)
        symbols.append((T_0, f"reference point {t0}, at which the last coefficient holds"))
    return symbols


def _meaning(record: Record, axis: str) -> str:
    unit = unit_of(record, axis)
    quantity, column = record.setting(f"{axis}_quantity"), record.setting(axis)
    return f"{quantity}, column “{column}”, {f'in {unit}' if unit else 'without a unit'}"


def _exact_coefficients(curve: Curve) -> Markup:
    """As float64 has them, for computing: what is rounded in the table is not meant for that."""
    written = [
        Markup(f"{symbol} = {whole(value)}")
        for (symbol, _), value in zip(names(curve), curve.coefficients, strict=True)
    ]
    return Markup(", ").join(written)


def _result(curve: Curve, units: Units) -> Rows:
    """The range that was calibrated, and how uncertain the curve is in it."""
    low, high = curve.t_u_range
    if not (math.isfinite(low) and math.isfinite(high)):
        return []
    ends, at = measured([low, high]), np.linspace(low, high, 101)
    u, u_single = curve.u_mean(at), curve.u_prediction(at)
    expanded, single = curve.coverage_factor(u) * u, curve.coverage_factor(u_single) * u_single
    t_c = state(curve.predict([low, high]), smallest_place(expanded))
    readings, temperatures = _range(ends, units.x), _range(t_c, units.y)
    rows = [("Calibrated range", f"readings {readings}, that is {temperatures}")]
    if not np.isfinite(expanded).all():
        return rows
    told = [
        _range(state([values.min(), values.max()], smallest_place(values)), units.y) for values in (expanded, single)
    ]
    share = f"coverage probability {100 * curve.coverage:g}{NO_BREAK}%"
    rows.append(
        ("Expanded uncertainty in this range", f"{told[0]} of the curve, {told[1]} of a single observation; {share}")
    )
    return rows


def _range(ends: Stated, unit: str) -> str:
    """`21.8 to 81.9 mV`, `(1 to 2) × 10⁹ mV`, or one number where both are the same."""
    low, high = ends.texts
    both = low if low == high else f"{low} to {high}"
    return with_unit(f"({both}){ends.factor}" if ends.power and low != high else f"{both}{ends.factor}", unit)


def _uncertainty(curve: Curve) -> list[Markup]:
    """What the uncertainties mean, in the sense of GUM 7.2.4, and how those of the coefficients go together."""
    k, freedom = state_one(float(curve.coverage_factor()), 3), curve.degrees_of_freedom
    if math.isfinite(freedom):
        why = f"which for Student’s <i>t</i> distribution with <i>ν</i> = {freedom:g} degrees of freedom gives"
    else:
        why = "which for a normal distribution gives"
    sentences = (
        "Each expanded uncertainty <i>U</i> is a standard uncertainty <i>u</i> multiplied by a coverage factor "
        f"<i>k</i> = {k}, {why} a coverage probability of approximately {100 * curve.coverage:g}{NO_BREAK}% "
        "(JCGM 100:2008)."
    )
    if curve.u_common and math.isfinite(freedom):
        sentences += (
            " Where the uncertainty common to all references is a part of <i>u</i>, the effective degrees of freedom "
            "are more (Welch–Satterthwaite) and <i>k</i> is smaller; it is given beside <i>U</i>."
        )
    together = "The coefficients are correlated; the uncertainty of a temperature is tabulated below."
    if curve.is_line:
        x = f"({T_U} − {T_0})" if curve.basis.origin else T_U
        together = (
            "<i>w</i> and <i>b</i> are correlated, so that the uncertainty of a temperature is that of both together: "
            f"<i>u</i>²({T_C}) = {x}² <i>u</i>²(<i>w</i>) + <i>u</i>²(<i>b</i>) + "
            f"2{NO_BREAK}{x}{NO_BREAK}<i>u</i>(<i>w</i>,{NO_BREAK}<i>b</i>), "
            "as tabulated below."
        )
    return [Markup(sentences), Markup(together)]


def _budget(record: Record, curve: Curve, units: Units) -> Rows:
    told: Mapping[str, Any] = record.values.get("uncertainty") or {}
    stated = told.get("from") == "stated"
    if stated:
        columns = "u_c and u_u" if record.setting("loss") == "york" else "u_c"
        source = f"the standard uncertainties stated for each reading ({columns})"
    elif record.setting("loss") == "huber":
        source = "the scatter of the residuals, by Huber’s robust estimate"
    else:
        source = "the scatter of the residuals about the curve"
    freedom = f"ν = {curve.degrees_of_freedom:g}" if math.isfinite(curve.degrees_of_freedom) else "ν = ∞"
    rows = [("Made from", source)]
    residual_sd = told.get("residual_sd")
    if residual_sd is not None and record.setting("loss") != "huber":
        sd = with_unit(state_one(residual_sd, 2), units.y)
        rows.append(("Standard deviation of the residuals", f"s = {sd}"))
    if curve.observation_sd > 0 and (stated or curve.observation_sd != residual_sd):
        sd = with_unit(state_one(curve.observation_sd, 2), units.y)
        rows.append(("Standard uncertainty of one observation", sd))
    rows.append(("Degrees of freedom", freedom))
    rows.append(("Coverage probability", f"{100 * curve.coverage:g}{NO_BREAK}%"))
    if curve.is_line and curve.observation_sd > 0:
        covariance = state_one(float(curve.covariance[0, 1]), 3)
        unit = f"{units.y}²/{units.x or 'unit'}"
        r = state([curve.correlation], -3).texts[0]
        rows.append(("Covariance, correlation", f"u(w, b) = {with_unit(covariance, unit)}, r(w, b) = {r}"))
    if curve.u_common:
        common = with_unit(state_one(curve.u_common, 2), units.y)
        rows.append(
            (
                "Common to all references",
                f"u_common = {common}; included in u(b) and in the uncertainty of every temperature",
            )
        )
    elif stated:
        rows.append(("Common to all references", "nothing stated beside what those of each reading hold"))
    else:
        missing = "none stated (u_common = 0): the reference’s own uncertainty comes in addition"
        rows.append(("Common to all references", missing))
    return rows


def _particulars(record: Record, fields: Fields, observed: Observed | None, units: Units) -> list[tuple[str, Rows]]:
    """The tables of what was calibrated, with what, for whom, how."""
    reference = fields.reference.rows()
    if record.curve.u_common:
        common = with_unit(state_one(record.curve.u_common, 2), units.y)
        reference.append(("Included in this calibration", f"standard uncertainty common to all references: {common}"))
    elif fields.reference.uncertainty:
        what = "no common uncertainty was stated to the calibration; that of the reference is to be added"
        if (record.values.get("uncertainty") or {}).get("from") == "stated":
            what = "as far as those stated for each reading hold it; nothing common to all (u_common = 0)"
        reference.append(("Included in this calibration", what))
    people = fields.people.rows()
    due = [("Recalibration due", fields.report.recalibration_due)] if fields.report.recalibration_due else []
    groups = [
        ("Thermometer", fields.thermometer.rows()),
        ("Reference", reference),
        ("Client", fields.client.rows()),
        ("Conditions", fields.conditions.rows()),
        ("Procedure", [("Procedure", fields.procedure)] if fields.procedure else []),
        ("Data", _data(record, observed)),
        ("Responsible", people),
        ("Further particulars", [*fields.extra.items(), *due]),
    ]
    return [(title, rows) for title, rows in groups if rows]


def _data(record: Record, observed: Observed | None) -> Rows:
    data = record.values["data"]
    n = record.values.get("n")
    rows = [("File", PurePath(str(data.get("source", ""))).name or str(data.get("source", "")))]
    if n is not None:
        n_held_out = 0 if observed is None else len(observed.t_u) - n
        others = {"held out to validate it": n_held_out, "dropped for a missing value": data.get("n_dropped")}
        rows.append(("Readings", ", ".join([f"{n:,} fitted", *(f"{m:,} {why}" for why, m in others.items() if m)])))
    if record.made_at is not None:
        rows.append(("Calibrated", f"{record.made_at:%Y-%m-%d %H:%M} UTC"))
    rows.append(("SHA-256 of the values", str(data.get("sha256", NONE))))
    return rows


def _checks(record: Record) -> list[Check]:
    return [
        Check(
            name=_capital(str(check.get("name", ""))),
            verdict=str(check.get("verdict", "")),
            sign=VERDICTS.get(str(check.get("verdict")), "?"),
            sentence=_sentence(check),
        )
        for check in record.values.get("checks") or ()
    ]


def _sentence(check: Mapping[str, Any]) -> str:
    text = _capital(str(check.get("sentence") or ""))
    said, colon, advice = text.rpartition(": ")
    text = said if colon and " --" in f" {advice}" else text  # what to type is not for who reads the report
    return f"{text}." if text[-1:].isalnum() or text[-1:] == ")" else text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _notice(record: Record, curve: Curve) -> Notice | None:
    """Why the curve should not be used, or not without a second look."""
    what = "line" if curve.is_line else "curve"
    checks = record.values.get("checks") or ()
    failed = [_sentence(check) for check in checks if check.get("verdict") == "fails"]
    doubtful = [_sentence(check) for check in checks if check.get("verdict") == "doubtful"]
    lost = [] if checks else _lost(record)  # checks judge the descent, too
    if record.values.get("usable") is False or lost:
        reasons = [*lost, *failed] or ["Its checks say so."]
        return Notice("fails", f"This {what} should not be used", reasons)
    doubts = [*failed, *doubtful, *_doubts(record, curve)]
    return Notice("doubtful", f"Use this {what} with care", doubts) if doubts else None


def _lost(record: Record) -> list[str]:
    """Fits that did not come to where they were meant to."""
    outcome = record.values.get("outcome")
    why = {
        Outcome.CRAWLS: "The fit was still on its way to the best curve when its epochs were used up.",
        Outcome.STICKS: "The fit stopped moving, and not at the best curve.",
        Outcome.EXPLODES: "The fit was exploding when its epochs were used up.",
    }
    return [f"{why[outcome]} {record.values.get('advice') or ''}".strip()] if outcome in why else []


def _doubts(record: Record, curve: Curve) -> list[str]:
    doubts = []
    if not curve.observation_sd > 0:
        doubts.append(
            "The readings lie on the curve to within rounding: their scatter tells nothing of how uncertain it is."
        )
    if "checks" not in record.values:
        doubts.append("Its checks are not recorded.")
    if record.setting("l1") or record.setting("l2"):
        doubts.append("It was fitted with a penalty (l1 or l2), which draws the coefficients towards 0.")
    if record.values.get("status") == Status.STOPPED:
        doubts.append("Its training was stopped before it ended.")
    return doubts


def _fit(record: Record, curve: Curve, observed: Observed | None) -> Rows:
    """How gradient descent found it, and how far that is from the exact solution."""
    values = record.values
    rate = format_rate(record.setting("learning_rate"))
    weighted = "weighted " if values.get("chi_squared") is not None else ""
    losses = {
        "squared": f"{weighted}mean squared error",
        "huber": "Huber’s loss",
        "york": "York’s loss, both axes uncertain",
    }
    method = (
        f"gradient descent ({record.setting('optimizer')}, learning rate {rate}, scaling {record.setting('scaling')})"
    )
    rows = [
        ("Method", method),
        ("Minimized", losses.get(record.setting("loss"), str(record.setting("loss")))),
        ("Ended", f"{values.get('status')}, after {count(values.get('n_epochs') or 0, 'epoch')}"),
    ]
    figures = {check.get("name"): check.get("figure") for check in values.get("checks") or ()}
    if figures.get("descent") is not None and curve.observation_sd > 0:
        rows.append(("Distance from the exact optimum", _share(float(figures["descent"]))))
    seen = values.get("validation")
    if seen:
        rows.append(("Validation", f"{seen.get('method')}: root mean squared residual {_root(seen.get('loss'))}"))
    return rows


def _share(share: float) -> str:
    how_many = "less than a millionth of" if share < 1e-6 else f"{state_one(share, 2)} times"
    return f"{how_many} its standard uncertainty"


def _root(loss: float | None) -> str:
    return NONE if loss is None else state_one(math.sqrt(loss), 3)


def _missing(record: Record, observed: Observed | None) -> str:
    """Why there are no readings in the report."""
    if observed is not None:
        return ""
    if record.run_id is None:
        return "Made from a calibration.json alone: the run’s readings and their residuals are not shown."
    return (
        "The run keeps no residuals (it was recorded by an older tempfit, or has more than 100,000 readings): readings "
        "are not shown."
    )


def _provenance(record: Record) -> Rows:
    versions = {key.removeprefix("version."): value for key, value in record.tags.items() if key.startswith("version.")}
    rows = [("Run", record.name)]
    if record.run_id:
        rows.append(("Run id", record.run_id))
    if versions:
        rows.append(("Calibrated with", ", ".join(f"{name} {number}" for name, number in versions.items())))
    if commit := record.tags.get("mlflow.source.git.commit"):
        rows.append(("Commit", commit))
    rows.append(("Report made with", f"tempfit {version('tempfit')}"))
    return rows
