"""Files written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tempfit.errors import SettingsError
from tempfit.system.interrupts import removed_at_the_end


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that takes its place when all is written; until then, and where anything fails, what was there stays.

    Raises SettingsError where it cannot be written.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():  # a folder, or a device, which root could replace
        raise SettingsError(f"`output`: {path}: this is no file; name one, or leave it out for standard output")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with removed_at_the_end(part):
            with open(part, "xb") as file:
                yield file
            part.replace(target)
    except OSError as error:
        reason = error.strerror or error
        raise SettingsError(f"`output`: {path}: cannot be written ({reason}); name another file") from None
