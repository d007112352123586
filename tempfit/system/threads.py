"""Work done by other threads, a little ahead of whoever waits for it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

WORKERS = min(4, os.cpu_count() or 1)

Item = TypeVar("Item")
Done = TypeVar("Done")


def ahead(function: Callable[[Item], Done], items: Iterable[Item], n_threads: int = WORKERS) -> Iterator[Done]:
    """The function's results in the items' order, a few of them under way at any time."""
    under_way: deque[Future[Done]] = deque()
    pool = ThreadPoolExecutor(n_threads)
    try:
        for item in items:
            under_way.append(pool.submit(function, item))
            if len(under_way) > n_threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C has the run ended before the threads have
