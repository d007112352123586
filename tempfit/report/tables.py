"""The tables of numbers in a report: coefficients, temperatures at readings, the readings themselves, known scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from tempfit.calibration.filed import Record
from tempfit.exact.curve import Curve
from tempfit.report.observed import Observed
from tempfit.report.units import Units, unit_of
from tempfit.rounding import NO_BREAK, NONE, last_place, measured, power_of_ten, state, state_one, state_pair
from tempfit.wording import format_ratio

MOST_ROWS, EXTREMES = 200, 10  # readings listed; of more, the largest residuals
T_U, T_C = Markup("<i>t</i><sub>u</sub>"), Markup("<i>t</i><sub>c</sub>")
T_0, T_P = Markup("<i>t</i><sub>0</sub>"), Markup("<i>t</i><sub>fit</sub>")
ALIGN = str.maketrans("0123456789.", "\u2007" * 10 + "\u2008")  # spaces as wide as what they stand for


@dataclass(frozen=True)
class Row:
    """Cells of a table; mark: a word for how it is set apart, which the cells say too."""

    cells: tuple[str, ...]
    mark: str = ""


@dataclass(frozen=True)
class Table:
    """n_text: columns that hold words and not numbers, at the end. named: whether the first one does, too."""

    headings: tuple[str, ...]
    rows: list[Row]
    n_text: int = 0
    named: bool = False
    note: str = ""


def names(curve: Curve) -> list[tuple[Markup, int]]:
    """Symbol and power of each coefficient, the highest first."""
    if curve.is_line:
        return [(Markup("<i>w</i>"), 1), (Markup("<i>b</i>"), 0)]
    powers = reversed(range(curve.basis.n_terms))
    return [(Markup(f"<i>c</i><sub>{power}</sub>"), power) for power in powers]


def round_readings(low: float, high: float) -> list[float]:
    """5 to 10 multiples of 1, 2, 2.5 or 5 times a power of ten from low to high; evenly spread where there are none."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return []
    power = math.floor(math.log10(high - low)) - 2
    for step in (500, 250, 200, 100, 50, 25, 20, 10):
        width = step * 10.0**power
        first, last = math.ceil(low / width - 1e-9), math.floor(high / width + 1e-9)
        values = [float(f"{k * step}e{power}") for k in range(first, last + 1)]  # what 7 * 0.1 is not: 0.7
        if len(set(values)) >= 5:
            return values
    return [float(value) for value in np.linspace(low, high, 5)]


def coefficients_table(curve: Curve, units: Units) -> Table:
    rows, columns = [], []
    for i, (value, u) in enumerate(zip(curve.coefficients, curve.uncertainties, strict=True)):
        k = float(curve.coverage_factor(u if i == curve.basis.n_terms - 1 else 0.0))
        stated, stated_u = state_pair(value, u)
        _, stated_expanded = state_pair(value, k * u)
        columns.append(
            [f"{part.texts[0]}{part.factor}" for part in (stated, stated_u)]
            + [state_one(k, 3), f"{stated_expanded.texts[0]}{stated_expanded.factor}"]
        )
    aligned = list(zip(*(_align(column) for column in zip(*columns, strict=True)), strict=True))
    for (symbol, power), cells in zip(names(curve), aligned, strict=True):
        rows.append(Row((symbol, *cells, units.per(power))))
    headings = ("Coefficient", "Value", "Standard uncertainty <i>u</i>", "<i>k</i>", "<i>U</i> = <i>k</i> · <i>u</i>")
    return Table((*(Markup(heading) for heading in headings), "Unit"), rows, n_text=1, named=True)


def _align(texts: Sequence[str]) -> list[str]:
    """Numbers padded at the right, so that their decimal points are below each other; with a power of ten, as is."""
    plain = [text for text in texts if "×" not in text]
    decimals = ["." + text.partition(".")[2] if "." in text else "" for text in plain]
    longest = max(decimals, key=len, default="")
    padding = {text: longest[len(decimal) :].translate(ALIGN) for text, decimal in zip(plain, decimals, strict=True)}
    return [f"{text}{padding.get(text, '')}" for text in texts]


def points_table(curve: Curve, units: Units, at: Sequence[float]) -> Table | None:
    """The temperature at readings, with what is uncertain of the curve there, and of a single observation."""
    if not at:
        return None
    t_u = np.asarray(at, dtype=np.float64)
    t_c, u, u_single = curve.predict(t_u), curve.u_mean(t_u), curve.u_prediction(t_u)
    k, k_single = curve.coverage_factor(u), curve.coverage_factor(u_single)
    place = smallest_place(k * u)
    columns = [
        (measured(at), T_U, units.x),
        (state(t_c, place), T_C, units.y),
        (state(u, smallest_place(u)), Markup("<i>u</i>"), units.y),
        (state(k, -2), Markup("<i>k</i>"), ""),
        (state(k * u, place), Markup("<i>U</i>, curve"), units.y),
        (state(k_single * u_single, smallest_place(k_single * u_single)), Markup("<i>U</i>, single"), units.y),
    ]
    outside = curve.is_extrapolated(t_u)
    remarks = ["outside the calibrated range" if out else "" for out in outside]
    headings = [_heading(symbol, unit, stated.power) for stated, symbol, unit in columns]
    cells = list(zip(*(stated.texts for stated, _, _ in columns), strict=True))
    if outside.any():
        headings.append(Markup("Remark"))
        cells = [(*row, remark) for row, remark in zip(cells, remarks, strict=True)]
    rows = [Row(row, "outside" if out else "") for row, out in zip(cells, outside, strict=True)]
    note = Markup(
        "“Curve”: where the mean temperature lies at that reading. “Single”: where one further observation lies. "
        "Uncertainties are rounded to the second digit of the smallest in their column, temperatures as <i>U</i> of "
        "the curve."
    )
    return Table(tuple(headings), rows, n_text=int(outside.any()), note=note)


def smallest_place(values: NDArray[np.float64]) -> int | None:
    places = [place for place in map(last_place, values.tolist()) if place is not None]
    return min(places, default=None)


def _heading(symbol: str, unit: str, power: int = 0) -> Markup:
    """`U, curve (°C)`, `t_c (10³ °C)`; the unit may be anything."""
    parts = [part for part in (power_of_ten(power) if power else "", unit) if part]
    return Markup("{} <span class='unit'>({})</span>").format(symbol, NO_BREAK.join(parts)) if parts else Markup(symbol)


def readings_table(record: Record, curve: Curve, observed: Observed | None, units: Units) -> Table | None:
    """All readings with their residuals; of many, the extremes."""
    if observed is None:
        return None
    n = len(observed.t_u)
    chosen = np.arange(n) if n <= MOST_ROWS else _extremes(observed)
    place = last_place(curve.observation_sd, 3)
    columns = [
        (measured(observed.t_u), T_U, units.x),
        (measured(observed.t_c), T_C, units.y),
        (state(observed.t_p, place), T_P, units.y),
        (state(observed.residual, place), Markup(f"{T_C} − {T_P}"), units.y),
    ]
    remarks = _remarks(record, observed)
    headings = ["No.", *(_heading(symbol, unit, stated.power) for stated, symbol, unit in columns)]
    has_remarks = any(remarks[i] for i in chosen)
    headings += ["Remark"] if has_remarks else []
    rows = []
    for i in chosen:
        cells = (f"{i + 1:,}", *(stated.texts[i] for stated, _, _ in columns))
        rows.append(Row((*cells, remarks[i]) if has_remarks else cells, "remarked" if remarks[i] else ""))
    note = ""
    if n > MOST_ROWS:
        note = (
            f"Of {n:,} readings, the lowest, the highest and the {EXTREMES} with the largest residuals; all are in the "
            "run’s artifact residuals.parquet."
        )
    return Table(tuple(headings), rows, n_text=int(has_remarks), note=note)


def _extremes(observed: Observed) -> NDArray[np.intp]:
    largest = np.argsort(-np.abs(observed.residual), kind="stable")[:EXTREMES]
    return np.unique([*largest, observed.t_u.argmin(), observed.t_u.argmax()])


def _remarks(record: Record, observed: Observed) -> list[str]:
    set_aside = set((record.values.get("robust") or {}).get("set_aside") or ())
    return [
        ", ".join(remark for remark, applies in (("held out", not trained), ("set aside", row in set_aside)) if applies)
        for row, trained in enumerate(observed.trained_on, start=1)
    ]


def scales_table(record: Record) -> Table | None:
    scales = record.values.get("scales") or ()
    if not scales or unit_of(record, "x"):  # where the unit is known, there is no question
        return None
    rows = []
    for scale in scales:
        w, b, f, p = (scale.get(key) for key in ("w", "b", "F", "p"))
        told = ((w, lambda x: state_one(x, 5)), (b, lambda x: state_one(x, 5)), (f, _f_value), (p, _p_value))
        cells = [NONE if value is None else write(value) for value, write in told]
        verdict = "yes" if scale.get("compatible") else "no"
        rows.append(Row((f"{scale.get('scale', '')} ({scale.get('symbol', '')})", *cells, verdict)))
    headings = ("Scale", "<i>w</i>", "<i>b</i>", "<i>F</i>", "<i>p</i>", "Compatible")
    return Table(tuple(Markup(heading) for heading in headings), rows, n_text=1, named=True)


def _f_value(f: float) -> str:
    return format_ratio(f) if f < 1e6 else state_one(f, 3)


def _p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
