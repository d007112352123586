"""Rows that stream by: which of them are kept."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tempfit.readings.rows import Rows, Thinned


@given(ends=st.lists(st.integers(1, 400), max_size=8), n=st.integers(1, 400), most=st.integers(1, 50))
def test_kept_rows_are_even_and_depend_on_no_blocks(ends: list[int], n: int, most: int):
    thinned, t_u = Thinned(most), np.arange(float(n))
    cuts = sorted({0, n, *(end for end in ends if end < n)})
    for first, end in pairwise(cuts):
        thinned.add(Rows(t_u[first:end], -t_u[first:end], 2 * t_u[first:end]))
    rows = thinned.rows()
    assert (thinned.n, thinned.is_whole) == (n, n <= 2 * most)
    assert len(rows) == n if n <= 2 * most else most <= len(rows) <= 2 * most
    assert (rows.t_u == t_u[:: thinned.every]).all()
    assert (rows.t_c == -rows.t_u).all()
    assert (rows.u_c == 2 * rows.t_u).all()
