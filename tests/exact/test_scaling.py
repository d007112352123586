"""Scaling and its undoing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempfit.config import ScalingConfig
from tempfit.exact.scaling import Scaling
from tests.tools import scaling_of

SCALINGS = ["none", "factor", "standardize", "minmax"]


@settings(max_examples=100, deadline=None)
@given(
    first=st.tuples(st.floats(0.01, 100), st.floats(-1e3, 1e3)),
    second=st.tuples(st.floats(0.01, 100), st.floats(-1e3, 1e3)),
    t_u=st.floats(-1e3, 1e3),
)
def test_one_scaling_after_another(first, second, t_u):
    first, second = Scaling(*first), Scaling(*second)
    reading, scale = np.float64(t_u), 1 + second.factor * 3e3
    between = second.after(first)
    assert between.apply(first.apply(reading)) == pytest.approx(second.apply(reading), abs=1e-12 * scale)


def test_what_each_scaling_makes_of_the_readings():
    t_u = np.array([20.0, 30.0, 70.0])
    scaled = {s: scaling_of(t_u, ScalingConfig(scaling=s, factor=0.1)).apply(t_u) for s in SCALINGS}
    assert scaled["none"].tolist() == [20.0, 30.0, 70.0]
    assert scaled["factor"] == pytest.approx([2.0, 3.0, 7.0], rel=1e-15)
    assert scaled["minmax"] == pytest.approx([0.0, 0.2, 1.0], rel=1e-15)
    # mean 40; population variance (400 + 100 + 900) / 3
    assert scaled["standardize"] == pytest.approx((t_u - 40) / np.sqrt(1400 / 3), rel=1e-15)
