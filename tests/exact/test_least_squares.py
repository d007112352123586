"""The exact line against published values and against scipy."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from tempfit.calibration.pipeline import calibrate
from tempfit.exact.design import build_design
from tests.conftest import T_C, T_U

# JCGM 100:2008, table H.6: thermometer readings t_k and observed corrections b_k, in °C.
GUM_T = np.array([21.521, 22.012, 22.512, 23.003, 23.507, 23.999, 24.513, 25.002, 25.503, 26.010, 26.511])
GUM_B = np.array([-0.171, -0.169, -0.166, -0.159, -0.164, -0.165, -0.156, -0.157, -0.159, -0.161, -0.160])


def test_gum_annex_h3():
    """b(t) = y1 + y2 (t - 20 °C); the digits beyond the GUM's own from its sums in more precision."""
    exact = calibrate((GUM_T - 20, GUM_B)).exact
    assert exact.b == pytest.approx(-0.171203790131, rel=1e-11)  # y1 = -0.1712
    assert exact.u_b == pytest.approx(0.002877597836, rel=1e-9)  # 0.0029
    assert exact.w == pytest.approx(0.002182697740, rel=1e-9)  # y2 = 0.00218
    assert exact.u_w == pytest.approx(0.000667938773, rel=1e-9)  # 0.00067
    assert exact.correlation == pytest.approx(-0.930429603, rel=1e-9)  # -0.930
    assert exact.residual_sd == pytest.approx(0.003497563964, rel=1e-9)  # 0.0035
    assert exact.degrees_of_freedom == 9
    assert float(exact.predict(10.0)) == pytest.approx(-0.1494, abs=5e-5)
    assert float(exact.u_mean(10.0)) == pytest.approx(0.004138595753, rel=1e-9)  # 0.0041


def test_uncertainties_at_a_reading():
    """At t_u = 50, from the sums of the tutorial's data in rational arithmetic."""
    exact = calibrate((T_U, T_C)).exact
    assert float(exact.predict(50.0)) == pytest.approx(9.533810542, rel=1e-9)
    assert float(exact.u_mean(50.0)) == pytest.approx(0.573922, rel=1e-6)
    assert float(exact.u_prediction(50.0)) == pytest.approx(1.976770, rel=1e-6)
    assert exact.u_mean(np.array([[40.0], [50.0]])).shape == (2, 1)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 40), offset=st.sampled_from([0.0, 1e3, 1e6]))
def test_agrees_with_scipy(seed, n, offset):
    rng = np.random.default_rng(seed)
    t_u = offset + rng.uniform(-50, 50, n)
    t_c = 0.5 * t_u + rng.normal(size=n)
    exact, reference = calibrate((t_u, t_c)).exact, scipy.stats.linregress(t_u, t_c)
    tolerance = 1e-9 * (1 + offset / 10)  # scipy's own sums lose digits to a large offset
    assert exact.w == pytest.approx(reference.slope, rel=tolerance)
    assert exact.b == pytest.approx(reference.intercept, rel=tolerance, abs=tolerance * (1 + offset))
    scatter = max(tolerance, 1e-8, 1e-14 / (1 - exact.r_squared))  # it takes 1 - r², and loses digits of a small one
    assert exact.u_w == pytest.approx(reference.stderr, rel=scatter)
    assert exact.u_b == pytest.approx(reference.intercept_stderr, rel=scatter)
    assert exact.r_squared == pytest.approx(reference.rvalue**2, rel=max(tolerance, 1e-8))


def test_a_perfect_and_a_flat_line():
    perfect = calibrate(([1.0, 2.0, 3.0], [3.0, 5.0, 7.0])).exact
    assert (perfect.w, perfect.b) == pytest.approx((2.0, 1.0), rel=1e-14)
    assert perfect.u_w < 1e-14
    flat = calibrate(([1.0, 2.0, 3.0], [7.0, 7.0, 7.0])).exact
    assert abs(flat.w) < 1e-14
    assert np.isnan(flat.r_squared)


def test_what_residuals_say_is_the_same_of_one_and_of_many():
    """The rows (0, 0), (1, 0), (2, 3) beside the line t_c = 0 leave 0, 0, 3: root mean square √3,
    s 3 by one degree of freedom, none by none; of numbers whose squares overflow, too."""
    t_u, t_c = np.array([[0.0, 1.0, 2.0]]), np.array([[0.0, 0.0, 3.0]])
    design = build_design(np.repeat(t_u, 2, axis=0), np.concatenate([t_c, 1e200 * t_c]))
    rmse = design.rmse(np.zeros((2, 2)))
    assert rmse == pytest.approx([3**0.5, 3e200 / 3**0.5], rel=1e-15)
    many = dataclasses.replace(calibrate((T_U, T_C)).exact, n=np.array([3.0, 2.0]))
    assert many.residual_sd_of(rmse) == pytest.approx([3.0, np.nan], rel=1e-15, nan_ok=True)
    assert dataclasses.replace(many, n=3).residual_sd_of(rmse[0]) == pytest.approx(3.0, rel=1e-15)
    assert np.isnan(dataclasses.replace(many, n=2).residual_sd_of(rmse[0]))
