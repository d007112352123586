"""How a fit ended, in a word: a module of its own, since who reads recorded runs has no need of torch."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """How a fit ended."""

    CONVERGED = "converged"  # the gradient fell below the tolerance
    EXHAUSTED = "exhausted"  # n_epochs were used up first
    DIVERGED = "diverged"  # the loss or its gradient stopped being finite
    STOPPED = "stopped"  # on_epochs asked to stop


class Outcome(StrEnum):
    """How near a fit came to the lowest mean squared error of a line or polynomial."""

    ARRIVES = "arrives"  # within 0.1 % of it (a network: of the line's, or below)
    SETTLES = "settles"  # at the optimum of another loss, or of one with penalties
    CRAWLS = "crawls"  # still on its way when the epochs were used up
    STICKS = "sticks"  # no longer moving, and at no optimum that one would want
    EXPLODES = "explodes"  # the loss overflowed, or is on its way there


class Verdict(StrEnum):
    """What a check says of the line."""

    PASSES = "passes"
    DOUBTFUL = "doubtful"
    FAILS = "fails"
    NOT_CHECKED = "not checked"
