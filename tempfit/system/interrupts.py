"""Ctrl-C and SIGTERM: remembered, because an exception raised in the middle of a library's code can be lost there (in a
callback of the garbage collector), disguised as another, or leave a database locked; and obeyed in time, because a
library may be waiting for a server that never answers.
"""

from __future__ import annotations

import _thread
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM)
GRACE = 1.7  # seconds from a signal to the end of the process, whatever it hangs in; a written database is waited for
LAST_GRACE = 3.5  # seconds from a second signal to the end, whatever is being written

Handler = Callable[[int, FrameType | None], None]

_received: list[int] = []  # by the `stoppable` that is open
_open: list[bool] = []  # whether there is one
_writing: list[bool] = []  # whether a database is being written
_leftovers: list[Path] = []  # files that are of no use unless they are whole, and folders of such
_repeated: list[int] = []  # signals that are raised once more by us, because their exception was lost


@contextmanager
def stoppable() -> Iterator[None]:
    """Both signals raise in the main thread: KeyboardInterrupt, SystemExit; also where a library made them another."""

    def stop(signum: int, frame: FrameType | None) -> None:
        _received.append(signum)
        _raise(signum)

    _open.append(True)
    try:
        with handled(stop), _none_lost():
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
        with handled(lambda signum, frame: held.append(signum)), _database_written(True):
            yield
    finally:
        if held:  # whatever else went wrong: who presses Ctrl-C wants no retries
            if _open:
                _received.extend(held)
            _raise(held[0])


@contextmanager
def deaf(*, writing: bool) -> Iterator[None]:
    """Hear neither signal: for the last words of a run, which are said because of one; writing: into a database."""
    with handled(lambda signum, frame: None), _database_written(writing):
        yield


@contextmanager
def handled(handler: Handler, signals: Sequence[signal.Signals] = STOPS) -> Iterator[None]:
    """Let `handler` take the signals inside, but for those that the process was told to ignore."""
    if threading.current_thread() is not threading.main_thread():  # no handler can be set there, nor is one needed
        yield
        return
    # What the process was told to ignore stays ignored: Ctrl-C, for a job that a shell started in the background.
    heard = [signum for signum in signals if signal.getsignal(signum) is not signal.SIG_IGN]
    previous = {signum: signal.signal(signum, handler) for signum in heard}
    try:
        yield
    finally:
        for signum, before in previous.items():
            signal.signal(signum, before)


def end_in_time() -> None:
    """From now on, a signal ends the process within 2 seconds, or once no database is being written; a second within 5.

    Both raise, as in `stoppable`. What has not ended by then, because it waits for a server or is deep in a library,
    is ended with the process, without clean-up: leases tell the next command what was left behind. A thread of its own
    sees the signals, whatever handlers libraries set for them meanwhile. For a process that is a command.
    """
    listening, woken = socket.socketpair()
    woken.setblocking(False)
    signal.set_wakeup_fd(woken.detach(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(listening,), daemon=True).start()
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _stop)


def take_time() -> None:
    """Undo `end_in_time`: for a command that ends others in order, and knows how long that takes."""
    descriptor = signal.set_wakeup_fd(-1)
    if descriptor != -1:
        os.close(descriptor)
    if signal.getsignal(signal.SIGTERM) is _stop:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def removed_at_the_end(path: Path) -> Iterator[None]:
    """Remove a file, or a folder, after the block, and if the process is ended inside of it."""
    _leftovers.append(path)
    try:
        yield
    finally:
        _remove(path)
        _leftovers.remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def raise_if_stopped() -> None:
    """Raises what the first signal asks for, if `stoppable` received one."""
    if _received:
        _raise(_received[0])


def stopped_by() -> str | None:
    """The name of the first signal that `stoppable` received, if there was one."""
    return signal.Signals(_received[0]).name if _received else None


def _stop(signum: int, frame: FrameType | None) -> None:
    _raise(signum)


def _raise(signum: int) -> None:
    raise KeyboardInterrupt if signum == signal.SIGINT else SystemExit(128 + signum)


@contextmanager
def _database_written(writing: bool) -> Iterator[None]:
    _writing.append(writing)
    try:
        yield
    finally:
        _writing.pop()


@contextmanager
def _none_lost() -> Iterator[None]:
    """Raise again what a callback of the garbage collector swallowed, which Python would only print."""
    previous = sys.unraisablehook

    def hook(lost: sys.UnraisableHookArgs) -> None:
        if _received and isinstance(lost.exc_value, (KeyboardInterrupt, SystemExit)):
            signum, returning = _received[0], threading.Event()
            _repeated.append(signum)

            def again() -> None:  # not in the hook, where it would be lost as well
                returning.wait()
                time.sleep(0.05)
                _thread.interrupt_main(signal.Signals(signum))

            threading.Thread(target=again, daemon=True).start()
            returning.set()
        else:
            previous(lost)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = previous


def _watch(listening: socket.socket) -> None:
    """End the process in time after the signals that arrive there, each as a byte."""
    first = _next_signal(listening, None)
    deadline = time.monotonic() + GRACE
    told = False
    while (left := deadline - time.monotonic()) > 0 or any(_writing):
        second = _next_signal(listening, max(left, 0.1))
        if second:
            time.sleep(0.5)  # which is enough, unless something is being waited for
            _tell("stopping within 5 seconds, whatever is being written; the next command puts the runs in order")
            time.sleep(LAST_GRACE)
            break
        if left <= 0:
            deadline = time.monotonic() + GRACE  # for the last words, once it is written
            if not told:
                _tell("stopping as soon as the database is written; once more to stop within 5 seconds")
            told = True
    for path in _leftovers:
        _remove(path)
    if sys.stderr.isatty():
        _tell("\x1b[?25h")  # the cursor, which a progress bar hides
    os._exit(128 + first)


def _next_signal(listening: socket.socket, timeout: float | None) -> int:
    """The next signal that somebody sent; 0 if there is none within `timeout` seconds."""
    listening.settimeout(timeout)
    try:
        while received := listening.recv(1):
            signum = received[0]
            if signum in _repeated:
                _repeated.remove(signum)
            elif signum in STOPS:
                return signum
    except TimeoutError:
        return 0
    threading.Event().wait()  # nobody watches any more: `take_time`
    return 0


def _tell(text: str) -> None:
    """Onto standard error without its buffer, which the main thread may be writing into."""
    with suppress(OSError):
        os.write(2, text.encode() if text.startswith("\x1b") else f"{text}\n".encode())
