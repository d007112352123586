"""How a fit ended, in a word: a module of its own, since who reads recorded runs has no need of torch."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """How a fit ended."""

    CONVERGED = "converged"  # the gradient fell below the tolerance
    EXHAUSTED = "exhausted"  # n_epochs were used up first
    DIVERGED = "diverged"  # the loss or its gradient stopped being finite
    STOPPED = "stopped"  # on_epochs asked to stop
