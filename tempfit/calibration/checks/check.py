"""What a check says, and the words that all checks share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tempfit.words import Verdict

LEAST_P = 1e-12  # that is written out
MOST_NAMED = 10  # readings that a sentence lists


@dataclass(frozen=True)
class Check:
    """One check: its figure of merit, what kind of figure that is, its p-value where it has one, and what follows."""

    name: str
    measure: str
    figure: float
    p: float | None
    verdict: Verdict
    sentence: str


@dataclass(frozen=True)
class Names:
    """What sentences call the readings and the references. both_uncertain: whether the readings are uncertain, too."""

    x: str
    y: str
    y_unit: str
    both_uncertain: bool = False


def chosen(*cases: tuple[NDArray[np.bool_], Verdict], otherwise: Verdict) -> NDArray[np.int8]:
    """(members,), the code of the verdict of the first case that holds."""
    codes = np.full(len(cases[0][0]), otherwise.code, dtype=np.int8)
    for condition, verdict in reversed(cases):
        codes[condition] = verdict.code
    return codes


def is_usable(checks: Sequence[Check]) -> bool:
    """Whether no check fails."""
    return all(check.verdict is not Verdict.FAILS for check in checks)


def unchecked(name: str, why: str) -> Check:
    return Check(name, "", math.nan, None, Verdict.NOT_CHECKED, f"not checked: {why}")


def format_share(share: float) -> str:
    return f"{100 * share:.2g} %"


def format_p(p: float) -> str:
    """A p-value as people read it."""
    if p >= 0.001:
        return f"p = {p:.3f}"
    return f"p = {p:.1e}" if p >= LEAST_P else f"p < {LEAST_P:g}"


def name_readings(rows: NDArray[np.int_]) -> str:
    """`reading 6`, `readings 3, 6 and 9`."""
    if len(rows) == 1:
        return f"reading {rows[0]:,}"
    if len(rows) > MOST_NAMED:
        return f"readings {', '.join(f'{row:,}' for row in rows[:MOST_NAMED])} and {len(rows) - MOST_NAMED:,} more"
    return f"readings {', '.join(f'{row:,}' for row in rows[:-1])} and {rows[-1]:,}"
