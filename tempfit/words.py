"""What came of a fit, in words: how it ended, how near it came, and what its checks say."""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import Self


class Word(StrEnum):
    """A word of a few, which stands as a code where there is one for each of many members."""

    @property
    def code(self) -> int:
        """Its place among the words of its kind."""
        return _places(type(self))[self]

    @classmethod
    def of(cls, code: int) -> Self:
        return list(cls)[code]


@cache
def _places(kind: type[Word]) -> dict[Word, int]:
    return {word: place for place, word in enumerate(kind)}


class Status(Word):
    """How a fit ended."""

    CONVERGED = "converged"  # the gradient fell below the tolerance
    EXHAUSTED = "exhausted"  # n_epochs were used up first
    DIVERGED = "diverged"  # the loss or its gradient stopped being finite
    STOPPED = "stopped"  # on_epochs asked to stop


class Outcome(Word):
    """How near a fit came to the lowest mean squared error of a line or polynomial."""

    ARRIVES = "arrives"  # within 0.1 % of it (a network: of the line's, or below)
    SETTLES = "settles"  # at the optimum of another loss, or of one with penalties
    CRAWLS = "crawls"  # still on its way when the epochs were used up
    STICKS = "sticks"  # no longer moving, and at no optimum that one would want
    EXPLODES = "explodes"  # the loss overflowed, or is on its way there


class Verdict(Word):
    """What a check says of the line."""

    PASSES = "passes"
    DOUBTFUL = "doubtful"
    FAILS = "fails"
    NOT_CHECKED = "not checked"
