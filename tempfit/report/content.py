"""What a report says, gathered from a record, the run's readings and the user's fields. How it looks is the template's.

What it says of the curve itself is in `statement`, of the checks in `verdict`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import PurePath

import numpy as np
from markupsafe import Markup

from tempfit.calibration.filed import Filed
from tempfit.calibration.record import Record
from tempfit.exact.curve import Curve
from tempfit.report.fields import Fields
from tempfit.report.figures import Picture, draw_pictures
from tempfit.report.observed import Observed
from tempfit.report.statement import Rows, explain_uncertainty, list_budget, sum_up, write_coefficients, write_equation
from tempfit.report.tables import (
    T_0,
    T_C,
    T_U,
    Table,
    coefficients_table,
    points_table,
    readings_table,
    round_readings,
    scales_table,
)
from tempfit.report.text import short
from tempfit.report.units import Units, unit_of, with_unit
from tempfit.report.verdict import Notice, ToldCheck, give_notice, tell_checks
from tempfit.rounding import NONE, measured_one, state_one
from tempfit.wording import count, format_rate

NEARLY_NONE = 1e-12  # of the largest temperature: a scatter that is nothing but rounding


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
    checks: list[ToldCheck]
    scales: Table | None
    fit: Rows
    readings: Table | None
    provenance: Rows
    running: str


def gather(
    filed: Filed,
    fields: Fields,
    observed: Observed | None = None,
    *,
    at: Sequence[float] | None = None,
    certificate: bool = False,
) -> Content:
    """What there is to say. at: readings to tell the temperature at; None for round ones over the calibrated range.

    Raises RunsError where the calibration has no curve.
    """
    record, units = filed.record, Units.of(filed.record)
    curve = _without_rounding(filed.curve)
    title = "Certificate of calibration" if certificate else "Calibration report"
    number = fields.report.number
    run = f"run {filed.run_id}" if filed.run_id else "from a file, without its run"
    return Content(
        title=title,
        number=number,
        fields=fields,
        notice=give_notice(record, curve),
        result=sum_up(curve, units),
        particulars=_particulars(filed, curve, fields, observed, units),
        is_line=curve.is_line,
        equation=write_equation(curve),
        symbols=_symbols(record, curve, units),
        coefficients=coefficients_table(curve, units),
        exact_coefficients=write_coefficients(curve),
        uncertainty=explain_uncertainty(curve),
        budget=list_budget(record, curve, units),
        points=points_table(curve, units, round_readings(*curve.t_u_range) if at is None else list(at)),
        pictures=draw_pictures(record, curve, observed),
        missing=_missing(filed, observed),
        checks=tell_checks(record),
        scales=scales_table(record),
        fit=_fit(record, curve, observed),
        readings=readings_table(record, curve, observed, units),
        provenance=_provenance(filed),
        running=" · ".join(part for part in (f"{title} {short(number, 40)}".strip(), run) if part),
    )


def _without_rounding(curve: Curve) -> Curve:
    """The curve without a scatter that is nothing but rounding: it would pass for a marvellous uncertainty."""
    largest = float(np.abs(curve.predict(curve.t_u_range)).max())
    if curve.observation_sd > NEARLY_NONE * largest:
        return curve
    return replace(curve, observation_sd=0.0 if curve.u_common else math.nan)


def _symbols(record: Record, curve: Curve, units: Units) -> list[tuple[Markup, str]]:
    symbols = [(T_U, _meaning(record, "x")), (T_C, _meaning(record, "y"))]
    if curve.basis.origin:
        t0 = with_unit(measured_one(curve.basis.origin), units.x)
        symbols.append((T_0, f"reference point {t0}, at which the last coefficient holds"))
    return symbols


def _meaning(record: Record, axis: str) -> str:
    unit = unit_of(record, axis)
    quantity, column = getattr(record.config, f"{axis}_quantity"), getattr(record.config, axis)
    return f"{quantity}, column “{column}”, {f'in {unit}' if unit else 'without a unit'}"


def _particulars(
    filed: Filed, curve: Curve, fields: Fields, observed: Observed | None, units: Units
) -> list[tuple[str, Rows]]:
    """The tables of what was calibrated, with what, for whom, how."""
    reference = fields.reference.rows()
    if curve.u_common:
        common = with_unit(state_one(curve.u_common, 2), units.y)
        reference.append(("Included in this calibration", f"standard uncertainty common to all references: {common}"))
    elif fields.reference.uncertainty:
        what = "no common uncertainty was stated to the calibration; that of the reference is to be added"
        if filed.record.is_stated:
            what = "as far as those stated for each reading hold it; nothing common to all (u_common = 0)"
        reference.append(("Included in this calibration", what))
    people = fields.people.rows()
    due = [("Recalibration due", fields.report.recalibration_due)] if fields.report.recalibration_due else []
    groups = [
        ("Thermometer", [*([("Sensor", filed.sensor)] if filed.sensor else []), *fields.thermometer.rows()]),
        ("Reference", reference),
        ("Client", fields.client.rows()),
        ("Conditions", fields.conditions.rows()),
        ("Procedure", [("Procedure", fields.procedure)] if fields.procedure else []),
        ("Data", _data(filed, observed)),
        ("Responsible", people),
        ("Further particulars", [*fields.extra.items(), *due]),
    ]
    return [(title, rows) for title, rows in groups if rows]


def _data(filed: Filed, observed: Observed | None) -> Rows:
    n, data = filed.record.n, filed.record.data
    rows = [("File", PurePath(data.source).name or data.source)]
    n_held_out = 0 if observed is None else len(observed.t_u) - n
    others = {"held out to validate it": n_held_out, "dropped for a missing value": data.n_dropped}
    rows.append(("Readings", ", ".join([f"{n:,} fitted", *(f"{m:,} {why}" for why, m in others.items() if m)])))
    if filed.made_at is not None:
        rows.append(("Calibrated", f"{filed.made_at:%Y-%m-%d %H:%M} UTC"))
    whose = "" if filed.sensor is None else " of all sensors"
    rows.append((f"SHA-256 of the values{whose}", data.sha256))
    return rows


def _fit(record: Record, curve: Curve, observed: Observed | None) -> Rows:
    """How gradient descent found it, and how far that is from the exact solution."""
    config = record.config
    weighted = "weighted " if record.chi_squared is not None else ""
    losses = {
        "squared": f"{weighted}mean squared error",
        "huber": "Huber’s loss",
        "york": "York’s loss, both axes uncertain",
    }
    rate = format_rate(config.learning_rate)
    method = f"gradient descent ({config.optimizer}, learning rate {rate}, scaling {config.scaling})"
    rows = [
        ("Method", method),
        ("Minimized", losses[config.loss]),
        ("Ended", f"{record.status}, after {count(record.n_epochs, 'epoch')}"),
    ]
    distance = next((check.figure for check in record.checks if check.name == "descent"), None)
    if distance is not None and curve.observation_sd > 0:
        rows.append(("Distance from the exact optimum", _share(distance)))
    seen = record.validation
    if seen is not None:
        rows.append(("Validation", f"{seen.method}: root mean squared residual {_root(seen.loss)}"))
    return rows


def _share(share: float) -> str:
    how_many = "less than a millionth of" if share < 1e-6 else f"{state_one(share, 2)} times"
    return f"{how_many} its standard uncertainty"


def _root(loss: float | None) -> str:
    return NONE if loss is None else state_one(math.sqrt(loss), 3)


def _missing(filed: Filed, observed: Observed | None) -> str:
    """Why there are no readings in the report."""
    if observed is not None:
        return ""
    if filed.sensor is not None:
        return "Calibrated in a fleet, which keeps what readings say of a line, and not the readings: none are shown."
    if filed.run_id is None:
        return "Made from a calibration.json alone: the run’s readings and their residuals are not shown."
    return (
        "The run keeps no residuals (it was recorded by an older tempfit, or has more than 100,000 readings): readings "
        "are not shown."
    )


def _provenance(filed: Filed) -> Rows:
    rows = [("Run", filed.name)]
    if filed.run_id:
        rows.append(("Run id", filed.run_id))
    if filed.versions:
        rows.append(("Calibrated with", filed.versions))
    if commit := filed.tags.get("mlflow.source.git.commit"):
        rows.append(("Commit", commit))
    rows.append(("Report made with", f"tempfit {version('tempfit')}"))
    return rows
