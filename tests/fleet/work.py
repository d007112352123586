"""What workers are given to do in tests: a module of its own, which a process imports quickly."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tempfit.errors import ReadingsError


def double(number: int) -> int:
    time.sleep(0.02 * (3 - number % 4))  # those that come later are ready first
    return 2 * number


def refuse(number: int) -> int:
    raise ReadingsError(f"{number}: no such thing")


def die_once(mark: Path) -> str:
    """The first process that is asked to do it dies."""
    if not mark.exists():
        mark.touch()
        os._exit(9)
    return "done"


def die(_: int) -> None:
    os._exit(9)


def threads_here(_: int) -> tuple[int, str | None]:
    import torch

    return torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")


def mark_one(path: Path) -> None:
    time.sleep(0.05)
    path.touch()
