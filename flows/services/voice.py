"""What a lasting command says, and what the libraries in it print: the one on the terminal, the other in a log."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

Say = Callable[[str], None]


@contextmanager
def own_voice(log: Path) -> Iterator[Say]:
    """What libraries print here and in the ticks' processes goes to the log; what is said goes to standard output."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    with open(log, "wb") as file:
        for number in kept:
            os.dup2(file.fileno(), number)

    def say(text: str) -> None:
        with suppress(OSError):  # a terminal that was closed ends no schedule
            os.write(kept[1], f"{text}\n".encode())

    try:
        yield say
    finally:
        for number, saved in kept.items():
            os.dup2(saved, number)
            os.close(saved)


def clock(moment: datetime | None = None) -> str:
    """A moment, this one if none is given, in the timezone of this machine."""
    return (moment or datetime.now(UTC)).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def innermost(error: BaseException | None) -> str:
    """The first line of what lies at the bottom of a group of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error).strip().partition("\n")[0] or type(error).__name__
