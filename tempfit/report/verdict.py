"""What a report says of the checks, and what has to be read before anything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tempfit.calibration.record import CheckRecord, Record
from tempfit.exact.curve import Curve
from tempfit.words import Status, Verdict

SIGNS = {Verdict.PASSES: "✓", Verdict.DOUBTFUL: "!", Verdict.FAILS: "✗", Verdict.NOT_CHECKED: "–"}


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
            name=_capital(check.name), verdict=check.verdict, sign=SIGNS[check.verdict], sentence=_sentence(check)
        )
        for check in record.checks
    ]


def _sentence(check: CheckRecord) -> str:
    text = _capital(check.sentence)
    said, colon, advice = text.rpartition(": ")
    text = said if colon and ("`" in advice or "--" in advice) else text  # what to type is not for who reads the report
    return f"{text}." if text[-1:].isalnum() or text[-1:] == ")" else text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def give_notice(record: Record, curve: Curve) -> Notice | None:
    """Why the curve should not be used, or not without a second look."""
    what = "line" if curve.is_line else "curve"
    failed, doubtful = (
        [_sentence(check) for check in record.checks if check.verdict is verdict]
        for verdict in (Verdict.FAILS, Verdict.DOUBTFUL)
    )
    if not record.usable:
        return Notice("fails", f"This {what} should not be used", failed or ["Its checks say so."])
    doubts = [*doubtful, *_doubts(record)]
    return Notice("doubtful", f"Use this {what} with care", doubts) if doubts else None


def _doubts(record: Record) -> list[str]:
    """What the checks do not tell."""
    doubts = []
    if record.config.l1 or record.config.l2:
        doubts.append("It was fitted with a penalty (l1 or l2), which draws the coefficients towards 0.")
    if record.status is Status.STOPPED:
        doubts.append("Its training was stopped before it ended.")
    return doubts
