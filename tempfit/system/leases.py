"""Leases: marks on disk that end with the process that holds them, however it ends.

A lease is an OS file lock beside a note. Whoever finds a lease whose lock is free knows that its process is gone
without having released it, or gave it up. Leases are made, ended and looked at under one lock per folder, so none is
seen half made. Notes are for their owner's eyes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

_SUFFIX = ".lease"
_held: set[Lease] = set()  # a lease ends with its process, not with the variable that it was in


@dataclass(frozen=True, eq=False)
class Lease:
    """A lease that this process holds, until `release` or the process's end."""

    path: Path
    lock: FileLock

    def release(self) -> None:
        """End the lease and remove its mark. Does nothing the second time."""
        with _whole(self.path.parent):
            if self.lock.is_locked:
                self._remove()

    def note(self, note: str) -> None:
        """Leave another note for whoever finds the lease abandoned."""
        _write_note(self.path, note)

    def give_up(self) -> None:
        """Leave the lease to be found, as if the process had ended. Does nothing once it is released."""
        with _whole(self.path.parent):
            if self.lock.is_locked:
                _held.discard(self)
                self.lock.release()

    def _remove(self) -> None:
        _held.discard(self)
        self.lock.release()
        self.path.unlink(missing_ok=True)
        _lock_path(self.path).unlink(missing_ok=True)


def hold(folder: Path, name: str, note: str = "") -> Lease:
    """Take the lease `name` in `folder`, which is made as needed; `note` is for whoever finds it abandoned.

    Raises FileExistsError when another holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}{_SUFFIX}"
    with _whole(folder):
        lease = _try_to_lock(path)
        if lease is None:
            raise FileExistsError(f"another process holds the lease {path}")
        _write_note(path, note)
        _held.add(lease)
    return lease


def abandoned(folder: Path) -> Iterator[tuple[str, str]]:
    """(name, note) of every lease whose process is gone; each is given to one caller only.

    A lease goes away once the caller asks for the next; one that its caller did not live to handle is found again.
    """
    if not folder.is_dir():
        return
    with _whole(folder):
        claimed = [lease for path in sorted(folder.glob(f"*{_SUFFIX}")) if (lease := _try_to_lock(path)) is not None]
    for lease in claimed:
        yield lease.path.name.removesuffix(_SUFFIX), lease.path.read_text(encoding="utf-8")
        lease.release()


def note(folder: Path, name: str) -> str:
    """What whoever took the lease `name` noted in it; nothing where there is none."""
    path = folder / f"{name}{_SUFFIX}"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def is_held(folder: Path, name: str) -> bool:
    """Whether a living process holds the lease `name`."""
    return _count_locked(folder, f"{name}{_SUFFIX}") > 0


def any_held(folder: Path) -> bool:
    """Whether a living process holds any lease in `folder`."""
    return count_held(folder) > 0


def count_held(folder: Path) -> int:
    """How many leases in `folder` living processes hold, this one's among them."""
    return _count_locked(folder, f"*{_SUFFIX}")


def _count_locked(folder: Path, pattern: str) -> int:
    if not folder.is_dir():
        return 0
    n_locked = 0
    with _whole(folder):
        for path in folder.glob(pattern):
            lease = _try_to_lock(path)
            if lease is None:
                n_locked += 1
            else:
                lease.lock.release()
    return n_locked


def _try_to_lock(path: Path) -> Lease | None:
    # Not thread-local: a task's thread may end what another began.
    lock = FileLock(_lock_path(path), thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return Lease(path, lock)


def _write_note(path: Path, note: str) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)  # one that an older tempfit made
    path.write_text(note, encoding="utf-8")


def _lock_path(path: Path) -> Path:
    return path.with_suffix(".lock")


def _whole(folder: Path) -> FileLock:
    return FileLock(folder / ".folder-lock", timeout=60)
