"""The curve and its uncertainty, as a report states them after JCGM 100:2008 (GUM): 7.2 for the form, H.3 for the line,
G.4 for degrees of freedom."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from tempfit.calibration.filed import Record
from tempfit.exact.curve import Curve
from tempfit.report.tables import T_0, T_C, T_U, names, smallest_place
from tempfit.report.units import Units, with_unit
from tempfit.rounding import NO_BREAK, Stated, last_place, measured, measured_one, state, state_one, whole

Rows = list[tuple[str, str]]
"""Labels and what belongs to them."""


def write_equation(curve: Curve) -> Markup:
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


def write_coefficients(curve: Curve) -> Markup:
    """As float64 has them, for computing: what is rounded in the table is not meant for that."""
    written = [
        Markup(f"{symbol} = {whole(value)}")
        for (symbol, _), value in zip(names(curve), curve.coefficients, strict=True)
    ]
    return Markup(", ").join(written)


def sum_up(curve: Curve, units: Units) -> Rows:
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


def explain_uncertainty(curve: Curve) -> list[Markup]:
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


def list_budget(record: Record, curve: Curve, units: Units) -> Rows:
    """What the uncertainties are made from, and how large each part is."""
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
