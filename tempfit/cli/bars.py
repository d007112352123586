"""A bar of what is read or done, as a share of all of it."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


def bar_of_shares(stderr: Console) -> Progress:
    """What is done, how much of it, and the time left; on a terminal, and gone at the end.

    A task's description says what, its total is 1.0, and its field `done` says how much.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[done]}"),
        TimeRemainingColumn(),
        console=stderr,
        transient=True,
        disable=not stderr.is_terminal,
    )


def done_of_rows(n_rows: int, seconds: float | None) -> str:
    """How many rows are read, and how many a second."""
    return f"{n_rows:,}, {n_rows / max(seconds or 0.0, 1e-3):,.0f} a second"
