"""A fleet in words: what a person wants to know of many calibrations, and of the odd ones among them."""

from __future__ import annotations

from typing import Any

from tempfit.fleet.summing import FleetSummary
from tempfit.wording import count, printable

LEAST_Q = 1e-300  # below it, float64 has no p-value
LONGEST = 40  # characters of a sensor's name
LABELS = {"w": "w", "b": "b", "s": "s (scatter)"}


def fleet_summary(summary: FleetSummary) -> list[tuple[str, str]]:
    """As (label, text) lines."""
    fewest, most = summary.readings
    each = f"{fewest:,} readings each" if fewest == most else f"{fewest:,} to {most:,} readings each"
    lines = [
        ("fleet", summary.headline()),
        ("readings", f"{summary.n_rows:,} rows from {printable(summary.source)} (sha256 {summary.sha256[:12]}…)"),
        ("sensors", f"{summary.n_calibrated:,} of {summary.n_sensors:,} calibrated, of {each}"),
    ]
    lines += [
        ("left out", f"{count(n, 'row')}: {printable(why)}" if n else printable(why))
        for why, n in summary.left_out.items()
    ]
    lines += [("not calibrated", f"{count(n, 'sensor')}: {why}") for why, n in summary.not_calibrated.items()]
    if summary.n_diverged:
        lines.append(("diverged", f"{count(summary.n_diverged, 'sensor')}: nothing to use"))
    lines.append(("usable", f"{summary.n_usable:,} by their own checks, each tested as if it were alone"))
    lines += [("do not use", f"{count(n, 'sensor')}: {check} fails") for check, n in summary.failing.items()]
    for name, quantiles in summary.spread.items():
        unit = f" {summary.y_unit}" if name != "w" else ""
        low, middle, high = (f"{value:.5g}" for value in quantiles.values())
        lines.append((LABELS[name], f"median {middle}{unit}, 5 % below {low}, 5 % above {high}"))
    lines.append(("odd", describe_accused(summary)))
    lines += [(_label_of(row["thermometer"]), describe_odd(row)) for row in summary.worst]
    return lines


def _label_of(thermometer: str) -> str:
    """A label as wide as others: all lines stand behind the widest."""
    name = printable(thermometer)
    half = LONGEST // 2
    return name if len(name) <= LONGEST else f"{name[: half - 1]}…{name[-half:]}"


def describe_accused(summary: FleetSummary) -> str:
    """How many are odd, and how often that is expected to be wrong."""
    alone = "" if summary.is_compared else "; too few sensors to compare them with each other"
    if not summary.n_accused:
        return f"no sensor{alone}"
    of_what = ", ".join(f"{name} {n:,}" for name, n in summary.accused.items())
    share = f"at most {100 * summary.fdr:.2g} % of those told are expected to be good"
    return f"{count(summary.n_accused, 'sensor')} ({of_what}); {share}{alone}"


def describe_odd(row: dict[str, Any]) -> str:
    """Why a sensor is odd, in a sentence."""
    clauses = []
    for what in row["fleet_accused_by"]:
        z = row.get(f"fleet_{what}_z")
        if z is None:
            clauses.append(f"{what} fails")
        else:
            side = "above" if z > 0 else "below"
            clauses.append(f"{what} lies {abs(z):.3g} standard deviations {side} its siblings'")
    *others, last = clauses
    told = f"{', '.join(others)} and {last}" if others else last
    q = f"= {row['fleet_q']:.1e}" if row["fleet_q"] > LEAST_Q else f"< {LEAST_Q:g}"
    return f"{told} (q {q}, {row['n']:,} readings)"
