"""Small matrices of many members, held to numpy's of each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempfit.exact.matrices import product, solve_upper, transform


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 10), members=st.integers(1, 5), order=st.sampled_from("CF"))
def test_of_every_member_what_numpy_makes_of_it_alone(seed, n, members, order):
    rng = np.random.default_rng(seed)
    a, b = (np.asarray(rng.normal(size=(members, n, n)), order=order) for _ in range(2))
    upper = np.triu(a, 1) + np.eye(n) * rng.uniform(n, 2 * n, (members, 1, n))  # well conditioned
    together = product(a, b), transform(a, b[..., 0]), solve_upper(upper, b), solve_upper(upper, np.eye(n))
    for member in range(members):
        x, y, u = a[member], b[member], upper[member]
        alone = x @ y, x @ y[:, 0], np.linalg.solve(u, y), np.linalg.inv(u)
        for many, one in zip(together, alone, strict=True):
            assert many[member] == pytest.approx(one, rel=1e-12, abs=1e-13)


def test_what_a_member_comes_to_does_not_depend_on_its_company():
    """To the last bit, whatever the number of members and their order in memory."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 1000, 3, 3))
    for order in "CF":
        together = product(np.asarray(a, order=order), np.asarray(b, order=order))
        assert all((product(a[m : m + 1], b[m : m + 1]) == together[m]).all() for m in range(0, 1000, 37))
