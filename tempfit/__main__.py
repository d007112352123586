"""The console script, and `python -m tempfit`: quick to start and quick to leave."""

from __future__ import annotations

import atexit
import io
import os
import sys
import threading
from typing import TextIO

ORDERLY = 5  # seconds that libraries have to end in order: Prefect would tell a server that is gone for minutes
FAILURE, INTERRUPTED, BROKEN_PIPE = 1, 130, 141  # of docs/exit-codes.md, those known before any import


def script() -> None:
    """`tempfit.cli.main`, and out without the interpreter's tear-down, which takes a second after torch."""
    code: int | str | None = FAILURE  # of whatever escapes

    def leave() -> None:
        nonlocal code
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except SystemExit as ended:
            code = ended.code
        os._exit(code if isinstance(code, int) else FAILURE)

    atexit.register(leave)  # the first to be registered is the last to be called: libraries end in order before it
    # pydantic looks through every installed distribution for plugins, which --help would wait for.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        sys.stdout, sys.stderr = _into_pipe(sys.stdout), _into_pipe(sys.stderr)
        from tempfit.system.interrupts import end_in_time

        end_in_time()
        from tempfit.cli import main

        main()
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:  # of an import: what `main` runs ends in a line of its own
        if os.environ.get("TEMPFIT_TRACEBACK"):
            raise
        reason = " ".join(str(error).split())
        print(f"error: tempfit does not start ({type(error).__name__}: {reason}); install it anew", file=sys.stderr)
    late = threading.Timer(ORDERLY, leave)
    late.daemon = True
    late.start()


class _Pipe(io.FileIO):
    """A standard stream that ends the program once whoever read it has gone (`| head`), quietly and whoever writes."""

    def write(self, data: object) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)  # type: ignore[arg-type]
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())  # where what is still buffered may go
            raise SystemExit(BROKEN_PIPE) from None


def _into_pipe(stream: TextIO) -> TextIO:
    """The same stream with a `_Pipe` at its end."""
    if not isinstance(stream, io.TextIOWrapper):  # none, or somebody's own
        return stream
    file = io.BufferedWriter(_Pipe(stream.fileno(), "w", closefd=False))
    return io.TextIOWrapper(
        file, stream.encoding, stream.errors, line_buffering=stream.line_buffering, write_through=stream.write_through
    )


if __name__ == "__main__":
    script()
