"""The console script, and `python -m tempfit`: quick to start and quick to leave."""

from __future__ import annotations

import atexit
import os
import sys


def script() -> None:
    """`tempfit.cli.main`, and out without the interpreter's tear-down, which takes a second after torch."""
    code: int | str | None = 0

    def leave() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)

    atexit.register(leave)  # the first to be registered is the last to be called: libraries end in order before it
    # pydantic looks through every installed distribution for plugins, which --help would wait for.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from tempfit.cli import main

    try:
        main()
    except SystemExit as ended:
        code = ended.code or 0


if __name__ == "__main__":
    script()
