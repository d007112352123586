"""What a report says of the checks, and what has to be read before anything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tempfit.calibration.filed import Record
from tempfit.exact.curve import Curve
from tempfit.words import Outcome, Status

VERDICTS = {"passes": "✓", "doubtful": "!", "fails": "✗", "not checked": "–"}


@dataclass(frozen=True)
class ToldCheck:
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


def tell_checks(record: Record) -> list[ToldCheck]:
    """All checks of the calibration, in their order."""
    return [
        ToldCheck(
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
    text = said if colon and ("`" in advice or "--" in advice) else text  # what to type is not for who reads the report
    return f"{text}." if text[-1:].isalnum() or text[-1:] == ")" else text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def give_notice(record: Record, curve: Curve) -> Notice | None:
    """Why the curve should not be used, or not without a second look."""
    what = "line" if curve.is_line else "curve"
    checks = record.values.get("checks") or ()
    failed = [_sentence(check) for check in checks if check.get("verdict") == "fails"]
    doubtful = [_sentence(check) for check in checks if check.get("verdict") == "doubtful"]
    lost = [] if checks else _lost(record)  # checks judge the descent, too
    if record.values.get("usable") is False or lost:
        reasons = [*lost, *failed] or ["Its checks say so."]
        return Notice("fails", f"This {what} should not be used", reasons)
    doubts = [*failed, *doubtful, *_doubts(record)]
    return Notice("doubtful", f"Use this {what} with care", doubts) if doubts else None


def _lost(record: Record) -> list[str]:
    """Fits that did not come to where they were meant to."""
    outcome = record.values.get("outcome")
    why = {
        Outcome.CRAWLS: "The fit was still on its way to the best curve when its epochs were used up.",
        Outcome.STICKS: "The fit stopped moving, and not at the best curve.",
    }
    return [f"{why[outcome]} {record.values.get('advice') or ''}".strip()] if outcome in why else []


def _doubts(record: Record) -> list[str]:
    """What the checks do not tell."""
    doubts = []
    if "checks" not in record.values:
        doubts.append("Its checks are not recorded.")
    if record.setting("l1") or record.setting("l2"):
        doubts.append("It was fitted with a penalty (l1 or l2), which draws the coefficients towards 0.")
    if record.values.get("status") == Status.STOPPED:
        doubts.append("Its training was stopped before it ended.")
    return doubts
