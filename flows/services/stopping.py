"""The end of a process that serves a deployment: whatever signal asks for it, the tick that runs is told first."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from prefect.runner import Runner

from tempfit.system.interrupts import handled

TICK_LIMIT = 5  # seconds that a tick has for its end
STOP_LIMIT = 15  # seconds until all must be over


class Stop:
    """`asked` is set by the first signal; after a second, or an end that takes too long, all is over at once."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self._loop, self._heard = asyncio.get_running_loop(), False

    def hear(self, signum: int, frame: FrameType | None = None) -> None:
        """Take a signal: the tick that runs is told at once."""
        if self._heard:
            _give_up()
        self._heard = True
        for child in multiprocessing.active_children():
            child.terminate()
        watchdog = threading.Timer(STOP_LIMIT, _give_up)
        watchdog.daemon = True
        watchdog.start()
        self._loop.call_soon_threadsafe(self.asked.set)


class TickRunner(Runner):
    """Prefect's Runner, which would set a handler of its own over that of `stop`.

    That would leave the event loop in the middle of its work, and does nothing where SIGINT is ignored.
    """

    def __init__(self, stop: Stop, **options: Any):
        super().__init__(**options)
        self._stop = stop

    def handle_sigterm(self, *_: Any) -> None:
        self._stop.hear(signal.SIGTERM)


@contextmanager
def stopped_by_signals() -> Iterator[Stop]:
    """SIGTERM, SIGINT and SIGHUP stop, but for those that the process was told to ignore."""
    stop = Stop()
    with handled(stop.hear, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)):
        yield stop


async def wait_for_tick() -> None:
    """Wait until the tick that runs has ended, and end it where that takes too long."""
    deadline = time.monotonic() + TICK_LIMIT
    while multiprocessing.active_children() and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    _kill_children()


def _kill_children() -> None:
    for child in multiprocessing.active_children():
        child.kill()


def _give_up() -> None:
    _kill_children()
    os._exit(1)
