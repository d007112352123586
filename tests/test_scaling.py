"""Scaling and its undoing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempfit.config import ScalingConfig
from tempfit.scaling import fit_scaling

SCALINGS = ["none", "factor", "standardize", "minmax"]


@pytest.mark.parametrize("scaling", SCALINGS)
@settings(max_examples=50, deadline=None)
@given(
    t_u=st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=30).filter(lambda x: np.ptp(x) > 1e-3),
    w=st.floats(-10, 10),
    b=st.floats(-100, 100),
)
def test_folded_line_predicts_the_same(scaling, t_u, w, b):
    t_u = np.array(t_u)
    scale = fit_scaling(t_u, ScalingConfig(scaling=scaling, factor=0.1))
    raw_w, raw_b = scale.to_raw(np.array([w, b]))
    size = np.abs(raw_w * t_u).max() + abs(raw_b)
    assert raw_w * t_u + raw_b == pytest.approx(w * scale.apply(t_u) + b, rel=1e-9, abs=1e-12 * size + 1e-12)
    assert scale.fold @ scale.unfold == pytest.approx(np.eye(2), abs=1e-12 * (1 + abs(scale.center)))


def test_what_each_scaling_makes_of_the_readings():
    t_u = np.array([20.0, 30.0, 70.0])
    scaled = {s: fit_scaling(t_u, ScalingConfig(scaling=s, factor=0.1)).apply(t_u) for s in SCALINGS}
    assert scaled["none"].tolist() == [20.0, 30.0, 70.0]
    assert scaled["factor"] == pytest.approx([2.0, 3.0, 7.0], rel=1e-15)
    assert scaled["minmax"] == pytest.approx([0.0, 0.2, 1.0], rel=1e-15)
    # mean 40; population variance (400 + 100 + 900) / 3
    assert scaled["standardize"] == pytest.approx((t_u - 40) / np.sqrt(1400 / 3), rel=1e-15)
