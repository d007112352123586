"""The terms of lines and polynomials, and the way back to raw powers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempfit.calibration.pipeline import calibrate
from tempfit.config import CalibrationConfig
from tempfit.errors import ReadingsError
from tempfit.words import Status
from tests.conftest import T_C, T_U
from tests.tools import basis_of, standard_basis_of

SCALINGS = ["none", "factor", "standardize", "minmax"]
readings = st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=30).filter(lambda x: np.ptp(x) > 1e-3)


@pytest.mark.parametrize("scaling", SCALINGS)
@settings(max_examples=50, deadline=None)
@given(t_u=readings, w=st.floats(-10, 10), b=st.floats(-100, 100))
def test_folded_line_predicts_the_same(scaling, t_u, w, b):
    t_u = np.array(t_u)
    basis = basis_of(t_u, CalibrationConfig(scaling=scaling))
    raw_w, raw_b = basis.to_raw(np.array([w, b]))
    size = np.abs(raw_w * t_u).max() + abs(raw_b)
    assert raw_w * t_u + raw_b == pytest.approx(basis.features(t_u) @ [w, b], rel=1e-9, abs=1e-12 * size + 1e-12)


@pytest.mark.parametrize("scaling", SCALINGS)
@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), degree=st.integers(1, 6))
def test_folded_polynomial_predicts_the_same(scaling, seed, degree):
    """In raw powers, in powers of the scaled reading, and in the terms themselves."""
    rng = np.random.default_rng(seed)
    t_u, params = rng.normal(1, 2, degree + 5), rng.normal(size=degree + 1)
    basis = basis_of(t_u, CalibrationConfig(scaling=scaling, model="polynomial", degree=degree))
    value = basis.features(t_u) @ params
    scale = np.abs(basis.to_raw(params)).max() * np.abs(t_u).max() ** degree + 1
    assert np.polyval(basis.to_raw(params), t_u) == pytest.approx(value, rel=1e-9, abs=1e-10 * scale)
    assert np.polyval(basis.to_powers(params), basis.scaling.apply(t_u)) == pytest.approx(value, abs=1e-9 * scale)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), degree=st.integers(1, 6), scaling=st.sampled_from(SCALINGS))
def test_change_of_basis_keeps_the_function(seed, degree, scaling):
    rng = np.random.default_rng(seed)
    t_u = rng.normal(1, 2, degree + 5)
    config = CalibrationConfig(scaling=scaling, model="polynomial", degree=degree)
    basis, standard = basis_of(t_u, config), standard_basis_of(t_u, config)
    mapped = standard.features(t_u) @ standard.change_to(basis)
    scale = np.abs(basis.features(t_u)).max()
    assert mapped == pytest.approx(basis.features(t_u), rel=1e-8, abs=1e-9 * scale)


@pytest.mark.parametrize("degree", range(1, 10))
def test_standardized_terms_are_orthogonal_with_mean_square_one(degree):
    rng = np.random.default_rng(degree)
    t_u = 1e6 + rng.uniform(0, 3, 40)
    features = basis_of(t_u, CalibrationConfig(model="polynomial", degree=degree)).features(t_u)
    assert features.T @ features / len(t_u) == pytest.approx(np.eye(degree + 1), abs=1e-9)


@pytest.mark.parametrize("degree", [2, 3, 5])
def test_the_default_settings_solve_a_polynomial_in_one_update(degree):
    """numpy.polyfit's coefficients, in raw powers."""
    result = calibrate((T_U, T_C), model="polynomial", degree=degree)
    assert result.status is Status.CONVERGED
    assert result.fit.n_epochs <= 3
    assert result.forecast.critical_learning_rate == pytest.approx(1.0, rel=1e-9)
    scaled = (T_U - 50) / 30  # polyfit's own raw powers would have few digits
    reference = np.polyval(np.polyfit(scaled, T_C, degree), scaled)
    assert result.predict(T_U) == pytest.approx(reference, rel=1e-9)
    assert np.polyval(result.coefficients, T_U) == pytest.approx(reference, rel=1e-7)
    assert result.exact.predict(T_U) == pytest.approx(reference, rel=1e-9)


def test_a_polynomial_of_degree_1_is_the_line():
    line, polynomial = calibrate((T_U, T_C)), calibrate((T_U, T_C), model="polynomial", degree=1)
    assert polynomial.coefficients.tolist() == [line.w, line.b]


def test_raw_powers_are_as_badly_conditioned_as_they_are():
    raw = calibrate((T_U, T_C), model="polynomial", scaling="none", learning_rate=1e-9)
    powers = np.vander(T_U, 3)
    assert raw.forecast.condition_number == pytest.approx(np.linalg.cond(powers) ** 2, rel=1e-4)
    assert raw.forecast.condition_number > 1e8


def test_a_polynomial_wants_more_readings_than_terms():
    with pytest.raises(ReadingsError, match="degree 3 and its uncertainty: that takes 5, 4 of them different"):
        calibrate((T_U[:4], T_C[:4]), model="polynomial", degree=3)
    with pytest.raises(ReadingsError, match="2 of them different"):
        calibrate(([1.0, 1.0, 2.0, 2.0, 2.0], [1.0, 2.0, 3.0, 4.0, 5.0]), model="polynomial", degree=2)
