"""Who does the work of a fleet: threads of this process."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """Does the same with every item."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """The results in the order of the items, a few of which are under way at any time."""


class Threads:
    """As many threads as there are cores: numpy, Arrow and torch leave them to each other in long operations."""

    def __init__(self, n_threads: int | None = None):
        self.n_threads = n_threads or os.cpu_count() or 1

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        under_way: deque[Future[Any]] = deque()
        with ThreadPoolExecutor(self.n_threads) as pool:
            try:
                for item in items:
                    under_way.append(pool.submit(function, item))
                    if len(under_way) > self.n_threads:
                        yield under_way.popleft().result()
                while under_way:
                    yield under_way.popleft().result()
            finally:
                for future in under_way:
                    future.cancel()
