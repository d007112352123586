"""Work that other threads do a little ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tempfit.system.threads import WORKERS, ahead


def test_results_come_in_order_a_few_ahead_of_whoever_takes_them() -> None:
    taken = []

    def items() -> Iterator[int]:
        for k in range(100):
            taken.append(k)
            yield k

    later = threading.Event()

    def square(k: int) -> int:
        if k == 0:
            later.wait(5)
        else:
            later.set()  # the first ends last
        return k * k

    results = ahead(square, items())
    assert next(results) == 0
    assert len(taken) == WORKERS + 1
    assert list(results) == [k * k for k in range(1, 100)]


def test_what_goes_wrong_is_told_to_whoever_takes_the_results() -> None:
    with pytest.raises(ZeroDivisionError):
        list(ahead(lambda k: 1 // k, [1, 0]))
