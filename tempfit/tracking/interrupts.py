"""Ctrl-C and SIGTERM while a run is open: turned into exceptions, but not in the middle of a transaction."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from tempfit.tracking.store import Store

Handler = Callable[[int, FrameType | None], None]


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """SIGTERM raises SystemExit in the main thread; elsewhere no handler can be set, nor is one needed."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + signum)

    with _handled((signal.SIGTERM,), stop):
        yield


@contextmanager
def uninterrupted(store: Store) -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the block is done, where the store is an SQLite database.

    MLflow does not roll a transaction back that such an exception leaves, and whoever writes next, to mark the run as
    killed, would wait for its lock in vain.
    """
    if store.is_server:
        yield
        return
    received: list[int] = []
    try:
        with _handled((signal.SIGINT, signal.SIGTERM), lambda signum, frame: received.append(signum)):
            yield
    finally:
        for signum in received[:1]:  # whatever else went wrong: who presses Ctrl-C wants no retries
            signal.raise_signal(signum)


@contextmanager
def _handled(signals: tuple[signal.Signals, ...], handler: Handler) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {signum: signal.signal(signum, handler) for signum in signals}
    try:
        yield
    finally:
        for signum, before in previous.items():
            signal.signal(signum, before)
