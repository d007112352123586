"""Ctrl-C and SIGTERM while a run is open: remembered, because an exception raised in the middle of a library's code can
be lost there (in a callback of the garbage collector), disguised as another, or leave a database locked.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM)
_received: list[int] = []  # by the `stoppable` that is open
_open: list[bool] = []  # whether there is one


@contextmanager
def stoppable() -> Iterator[None]:
    """Both signals raise in the main thread: KeyboardInterrupt, SystemExit; also where a library made them another."""

    def stop(signum: int, frame: FrameType | None) -> None:
        _received.append(signum)
        _raise(signum)

    _open.append(True)
    try:
        with _handled(stop):
            yield
    except Exception:
        raise_if_stopped()
        raise
    finally:
        _open.pop()
        _received.clear()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold both signals back until the block is done, then raise; at once, if one was lost before.

    For MLflow's transactions in SQLite, which it does not roll back when such an exception leaves them: whoever writes
    next, to mark the run as killed, would wait for the lock in vain.
    """
    raise_if_stopped()
    held: list[int] = []
    try:
        with _handled(lambda signum, frame: held.append(signum)):
            yield
    finally:
        if held:  # whatever else went wrong: who presses Ctrl-C wants no retries
            if _open:
                _received.extend(held)
            _raise(held[0])


@contextmanager
def deaf() -> Iterator[None]:
    """Hear neither signal: for the last words of a run, which are said because of one."""
    with _handled(lambda signum, frame: None):
        yield


def raise_if_stopped() -> None:
    """Raises what the first signal asks for, if `stoppable` received one."""
    if _received:
        _raise(_received[0])


def stopped_by() -> str | None:
    """The name of the first signal that `stoppable` received, if there was one."""
    return signal.Signals(_received[0]).name if _received else None


def _raise(signum: int) -> None:
    raise KeyboardInterrupt if signum == signal.SIGINT else SystemExit(128 + signum)


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # no handler can be set there, nor is one needed
        yield
        return
    # What the process was told to ignore stays ignored: Ctrl-C, for a job that a shell started in the background.
    heard = [signum for signum in STOPS if signal.getsignal(signum) is not signal.SIG_IGN]
    previous = {signum: signal.signal(signum, handler) for signum in heard}
    try:
        yield
    finally:
        for signum, before in previous.items():
            signal.signal(signum, before)
