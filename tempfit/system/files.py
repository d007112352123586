"""Files written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import BinaryIO

from tempfit.errors import SettingsError
from tempfit.system.interrupts import removed_at_the_end


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Where to write a file that takes the place of `path` when all is written; until then, what was there stays.

    So it does where anything fails. Raises OSError where it cannot take its place.
    """
    target = Path(os.path.realpath(path))
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    with removed_at_the_end(part):
        part.unlink(missing_ok=True)  # of a process that was killed, and had this one's number
        yield part
        part.replace(target)


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """A folder that is gone after the block, and if the process is ended inside of it."""
    folder = Path(mkdtemp(prefix=prefix))
    with removed_at_the_end(folder):
        yield folder


@contextmanager
def whole_path(path: Path) -> Iterator[Path]:
    """Where to write a file for the setting `output`, which takes its place when all is written, as in `replaced`.

    Raises SettingsError where it cannot be written.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():  # a folder, or a device, which root could replace
        raise SettingsError(f"`output`: {path}: this is no file; name one, or leave it out for standard output")
    try:
        with replaced(path) as part:
            yield part
    except OSError as error:
        reason = error.strerror or error
        raise SettingsError(f"`output`: {path}: cannot be written ({reason}); name another file") from None


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """The same, open."""
    with whole_path(path) as part, open(part, "xb") as file:
        yield file
