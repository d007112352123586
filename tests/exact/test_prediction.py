"""Predictions from a curve: their columns, block by block as at once, there and back, and where an interval ends."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tempfit.calibration.pipeline import calibrate
from tempfit.errors import SettingsError
from tempfit.exact.basis import Basis
from tempfit.exact.curve import Curve
from tempfit.exact.prediction import FORWARD, INVERSE, Predictor
from tempfit.exact.scaling import Scaling
from tests.conftest import T_C, T_U, THERMOMETER


def curve(**settings: object) -> Curve:
    found = calibrate(THERMOMETER, **settings).curve
    assert found is not None
    return found


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    """Lines as calibrations leave them: scaled readings about 0, a slope that may be uncertain."""
    number = st.floats(-1, 1)
    root = np.array([[draw(st.floats(0.01, 1)), 0.0], [draw(number), draw(st.floats(0.01, 1))]])
    return Curve(
        basis=Basis(Scaling(draw(st.floats(1e-3, 1e3)), 100 * draw(number)), np.eye(2)),
        params=np.array([draw(st.floats(0.1, 100)) * draw(st.sampled_from([-1, 1])), 100 * draw(number)]),
        cofactor=root @ root.T,
        observation_sd=draw(st.floats(1e-6, 10)),
        degrees_of_freedom=draw(st.sampled_from([1.0, 9.0, math.inf])),
        u_common=draw(st.sampled_from([0.0, 0.5])),
        coverage=draw(st.sampled_from([0.5, 0.95, 0.999])),
    )


def test_of_readings():
    line = curve()
    t_u = np.array([21.7, 21.8, 50.0, 81.9, 82.0])
    table = Predictor(line, "t_u", "t_c")(t_u)
    assert list(table) == ["t_u", "t_c", *FORWARD]
    # Least squares of the tutorial's rows, by the textbook's sums: prediction interval t(0.975, 9) s sqrt(1 + 1/n + …)
    w = 152075 / 283314
    b = T_C.mean() - w * T_U.mean()
    s = math.sqrt(2.92764557089563972 * 11 / 9)
    spread = ((T_U - T_U.mean()) ** 2).sum()
    u_mean = s * np.sqrt(1 / 11 + (t_u - T_U.mean()) ** 2 / spread)
    half = 2.262157162798205 * np.sqrt(u_mean**2 + s**2)
    assert table["t_c"] == pytest.approx(w * t_u + b, rel=1e-9)
    assert table["u_mean"] == pytest.approx(u_mean, rel=1e-9)
    assert table["u_prediction"] == pytest.approx(np.hypot(u_mean, s), rel=1e-9)
    assert table["upper"] - table["t_c"] == pytest.approx(half, rel=1e-9)
    assert table["t_c"] - table["lower"] == pytest.approx(half, rel=1e-9)
    assert table["extrapolated"].tolist() == [True, False, False, False, True]


def test_of_temperatures():
    line = curve()
    table = Predictor(line, "t_u", "t_c", inverse=True)(np.array([-20.0, 10.0, 40.0]))
    assert list(table) == ["t_c", "t_u", *INVERSE]
    assert table["extrapolated"].tolist() == [True, False, True]
    assert line.predict(table["t_u"]) == pytest.approx([-20.0, 10.0, 40.0])
    assert (table["lower"] < table["t_u"]).all()
    assert (table["t_u"] < table["upper"]).all()


@settings(max_examples=200, deadline=None)
@given(line=curves(), t_u=st.lists(st.floats(-1e4, 1e4), max_size=20), size=st.integers(1, 5), inverse=st.booleans())
def test_block_by_block_is_as_at_once(line, t_u, size, inverse):
    """To rounding: BLAS adds up in an order that depends on the number of rows."""
    predictor = Predictor(line, "t_u", "t_c", inverse)
    values = np.array(t_u)
    whole = predictor(values)
    blocks = [predictor.empty(), *(predictor(values[k : k + size]) for k in range(0, len(values), size))]
    for name, column in whole.items():
        found = np.concatenate([block[name] for block in blocks])
        assert found.dtype == column.dtype
        finite = np.abs(column[np.isfinite(column)].astype(float))
        assert found == pytest.approx(column, rel=1e-12, abs=1e-13 * finite.max(initial=1.0))


@settings(max_examples=200, deadline=None)
@given(line=curves(), t_u=st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=5))
def test_there_and_back(line, t_u):
    t_c = Predictor(line, "t_u", "t_c")(np.array(t_u))["t_c"]
    found = Predictor(line, "t_u", "t_c", inverse=True)(t_c)["t_u"]
    rounding = 1e-12 * (np.abs(t_c).max() + 1e4 + abs(line.b)) / abs(line.w)
    assert found == pytest.approx(t_u, rel=1e-9, abs=rounding)


@settings(max_examples=300, deadline=None)
@given(line=curves(), t_c=st.floats(-200, 200))
def test_an_inverse_interval_ends_where_the_prediction_band_does(line, t_c):
    """|t_c − (w t + b)| = k u_prediction(t), with the k of the reading found; or nowhere."""
    found = line.invert(t_c)
    k = line.coverage_factor(line.u_prediction(found.t_u))
    if k * line.u_w >= abs(line.w):
        assert (found.low, found.high) == (-math.inf, math.inf)
        return
    assume(k * line.u_w < 0.999 * abs(line.w))
    assert found.low <= found.t_u <= found.high
    for end in (found.low, found.high):
        distance = abs(t_c - line.predict(end))
        rounding = 1e-12 * (abs(t_c) + abs(line.w * end) + abs(line.b))
        assert distance == pytest.approx(k * line.u_prediction(end), rel=1e-9, abs=rounding)


def test_an_inverse_interval_of_a_perfect_thermometer_has_no_width():
    line = replace(curve(), observation_sd=1e-12)
    found = line.invert([0.0, 10.0, 1000.0])
    width = found.high - found.low
    assert width == pytest.approx(2 * line.coverage_factor() * found.u, rel=0.1, abs=1e-11)


def test_a_slope_that_may_be_zero_leaves_every_reading_possible():
    table = Predictor(curve(coverage=1 - 1e-9), "t_u", "t_c", inverse=True)(np.array([10.0]))
    assert (table["lower"][0], table["upper"][0]) == (-math.inf, math.inf)
    assert np.isfinite([table["t_u"][0], table["u"][0]]).all()


def test_where_nothing_tells_the_uncertainty():
    unknown = replace(curve(), observation_sd=math.nan)
    forward = Predictor(unknown, "t_u", "t_c")(T_U)
    assert np.isfinite(forward["t_c"]).all()
    assert all(np.isnan(forward[name]).all() for name in FORWARD[:-1])
    inverse = Predictor(unknown, "t_u", "t_c", inverse=True)(T_C)
    assert np.isfinite(inverse["t_u"]).all()
    assert all(np.isnan(inverse[name]).all() for name in INVERSE[:-1])


@pytest.mark.filterwarnings("error")
def test_readings_far_out_raise_no_warnings():
    far = np.array([-1e100, 1e100])
    for settings_ in ({"model": "polynomial", "degree": 9}, {"u_common": 1.0}):
        assert Predictor(curve(**settings_), "t_u", "t_c")(far)["extrapolated"].all()
    assert Predictor(curve(), "t_u", "t_c", inverse=True)(far)["extrapolated"].all()


def test_a_polynomial_has_no_inverse():
    polynomial = curve(model="polynomial")
    with pytest.raises(SettingsError, match="a polynomial of degree 2 is not inverted"):
        Predictor(polynomial, "t_u", "t_c", inverse=True)


def test_columns_have_one_name_each():
    for x, y, words in (("u_mean", "t_c", "`x`: the predictions have a column 'u_mean'"), ("t_u", "upper", "`y`: the")):
        with pytest.raises(SettingsError, match=words):
            Predictor(curve(), x, y)
    Predictor(curve(), "u", "t_c")
    with pytest.raises(SettingsError, match="`x`: the predictions have a column 'u'"):
        Predictor(curve(), "u", "t_c", inverse=True)


def test_stated_uncertainties_have_the_normal_distributions_interval():
    stated = calibrate(pd.DataFrame({"t_u": T_U, "t_c": T_C, "u_c": np.full(11, 2.0)})).curve
    table = Predictor(stated, "t_u", "t_c")(np.array([50.0]))
    half = table["upper"] - table["t_c"]
    assert half == pytest.approx(1.959963984540054 * table["u_prediction"], rel=1e-9)
    assert table["u_prediction"] == pytest.approx(math.hypot(2.0, table["u_mean"][0]), rel=1e-12)
