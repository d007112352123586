"""Evidence: a few numbers that say what all rows say, however the rows were dealt into blocks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempfit.config import CalibrationConfig, TrainingConfig
from tempfit.exact.basis import Basis, fit_basis, standard_basis
from tempfit.exact.design import build_design, compressed
from tempfit.exact.evidence import BLOCK_ELEMENTS, Evidence, concatenate, gather, merge
from tempfit.exact.least_squares import solve
from tests.tools import descend, line_design


def readings(seed: int, members: int, rows: int, *, level: float = 50.0, weighted: bool = False):
    """Lines with a bend and scatter, at places of their own; u_c where they are weighted."""
    rng = np.random.default_rng(seed)
    t_u = level + rng.normal(0, 20, (members, rows))
    t_c = 0.5 * t_u - 17 + 1e-3 * (t_u - level) ** 2 + rng.normal(0, 0.3, (members, rows))
    return t_u, t_c, rng.uniform(0.1, 2, (members, rows)) if weighted else None


def cut(columns, ends):
    """The evidence of the rows between neighbouring ends, a part each."""
    return [gather(*(None if c is None else c[:, i:j] for c in columns)) for i, j in pairwise(ends)]


def assert_same(one: Evidence, other: Evidence, rel: float = 1e-9) -> None:
    """In themselves, and in what is derived from them."""
    config = CalibrationConfig()
    for name in ("n", "low", "high", "largest"):
        assert (getattr(one, name) == getattr(other, name)).all(), name
    exact, merged = (solve(e, standard_basis(e, config)) for e in (one, other))
    for name in ("coefficients", "covariance", "loss", "residual_sd", "r_squared", "variance"):
        # An intercept far from the readings is a difference of terms as large as t_c, with their rounding.
        least = 1e-13 * one.largest.max() if name == "coefficients" else 0.0
        assert getattr(merged, name) == pytest.approx(getattr(exact, name), rel=rel, abs=least, nan_ok=True), name
    for e, f in zip(one.factor, other.factor, strict=True):
        assert np.abs(f) == pytest.approx(np.abs(e), rel=rel, abs=rel * np.abs(e).max())
    for scaling in ("none", "standardize", "minmax"):
        told = CalibrationConfig(scaling=scaling)
        first, second = (fit_basis(e, told).scaling for e in (one, other))
        assert second.factor == pytest.approx(first.factor, rel=rel)
        assert second.center == pytest.approx(first.center, rel=rel)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(3, 60),
    cuts=st.lists(st.integers(1, 59), max_size=5),
    members=st.integers(1, 4),
    weighted=st.booleans(),
    level=st.sampled_from([0.0, 50.0, -273.15, 1e5]),
)
def test_blocks_in_any_split_and_order_say_what_the_rows_say(seed, rows, cuts, members, weighted, level):
    columns = readings(seed, members, rows, level=level, weighted=weighted)
    ends = sorted({0, rows, *(c for c in cuts if c < rows)})
    parts = cut(columns, ends)
    np.random.default_rng(seed).shuffle(parts)
    assert_same(gather(*columns), merge(parts))


@pytest.mark.parametrize("rows", [BLOCK_ELEMENTS, BLOCK_ELEMENTS + 1, 3 * BLOCK_ELEMENTS + 7])
def test_more_rows_than_a_block(rows):
    """Against Householder's QR of all rows (LAPACK)."""
    t_u, t_c, _ = readings(1, 1, rows)
    evidence = gather(t_u, t_c)
    z = (t_u[0] - evidence.center[0]) / evidence.scale[0]
    expected = np.linalg.qr(np.stack([np.ones(rows), z, z**2, t_c[0]], axis=1), mode="r")
    signs = np.sign(np.diag(expected))[:, None]
    assert evidence.factor[0] == pytest.approx(signs * expected, rel=1e-9, abs=1e-9 * np.abs(expected).max())


def test_more_members_than_a_block():
    t_u, t_c, _ = readings(2, 2 * BLOCK_ELEMENTS // 6 + 1, 6)
    together = gather(t_u, t_c)
    assert together.members == len(t_u)
    apart = concatenate([gather(t_u[:1000], t_c[:1000]), gather(t_u[1000:], t_c[1000:])])
    for name in Evidence.__dataclass_fields__:
        assert np.array_equal(getattr(apart, name), getattr(together, name), equal_nan=True)
    alone = gather(t_u[-1:], t_c[-1:])
    assert together[-1:].factor == pytest.approx(alone.factor, rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), degree=st.integers(1, 9), weighted=st.booleans())
def test_polynomials_of_any_degree(seed, degree, weighted):
    """The loss at any parameters is that of the rows."""
    t_u, t_c, u_c = readings(seed, 2, 40, weighted=weighted)
    half = [None if column is None else column[:, :17] for column in (t_u, t_c, u_c)]
    rest = [None if column is None else column[:, 17:] for column in (t_u, t_c, u_c)]
    evidence = merge([gather(*half, degree=degree), gather(*rest, degree=degree)])
    z = (t_u - evidence.center[:, None]) / evidence.scale[:, None]
    root_weights = 1 if u_c is None else np.sqrt(evidence.variance)[:, None] / u_c
    params = np.random.default_rng(seed).normal(size=degree + 1)
    of_rows = np.square(root_weights * (np.polynomial.polynomial.polyval(z, params) - t_c)).sum(axis=1)
    of_evidence = np.square(evidence.factor @ np.append(params, -1.0)).sum(axis=1)
    assert of_evidence == pytest.approx(of_rows, rel=1e-9)


def test_orthogonal_terms_of_merged_evidence_are_orthogonal_over_all_rows():
    t_u, t_c, _ = readings(3, 1, 50)
    parts = [gather(t_u[:, i : i + 10], t_c[:, i : i + 10], degree=4) for i in range(0, 50, 10)]
    basis = standard_basis(merge(parts), CalibrationConfig(model="polynomial", degree=3))[0]
    features = basis.features(t_u[0])
    assert features.T @ features / 50 == pytest.approx(np.eye(4), abs=1e-12)


def test_a_small_scatter_far_from_zero_keeps_its_digits():
    """A scatter of 1 mK on 30 K, at 300 K and read in parts: s of rows rounded to float64, to 1e-9.

    A difference of sums of squares would leave seven digits of it.
    """
    rng = np.random.default_rng(4)
    t_u = np.linspace(285, 315, 240)[None]
    error = rng.normal(0, 1e-3, t_u.shape)
    t_c = t_u + error
    x = np.stack([np.ones(240), t_u[0] - 300], axis=1)
    residual = (t_c - t_u)[0] - x @ np.linalg.lstsq(x, (t_c - t_u)[0], rcond=None)[0]
    merged = merge([gather(t_u[:, i : i + 24], t_c[:, i : i + 24]) for i in range(0, 240, 24)])
    exact = solve(merged, standard_basis(merged, CalibrationConfig()))[0]
    assert exact.residual_sd == pytest.approx(np.sqrt(residual @ residual / 238), rel=1e-9)


def test_readings_that_are_all_the_same_in_a_block():
    """Each block at one place: none carries a line, all together do."""
    t_u = np.repeat([[20.0, 50.0, 80.0]], 4, axis=1)
    t_c = 0.5 * t_u + np.tile([[0.1, -0.1, 0.2, -0.2]], (1, 3))
    parts = [gather(t_u[:, i : i + 4], t_c[:, i : i + 4]) for i in (0, 4, 8)]
    assert_same(gather(t_u, t_c), merge(parts), rel=1e-11)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(3, 200), members=st.integers(1, 4))
def test_the_rows_to_train_on_have_the_loss_of_all_rows(seed, rows, members):
    t_u, t_c, _ = readings(seed, members, rows)
    design, factor = build_design(t_u / 10, t_c), line_design(t_u / 10, t_c)
    assert factor.features.shape == (members, 3, 2)
    assert (factor.n_readings == rows).all()
    for params in np.random.default_rng(seed).normal(size=(3, 2)):
        losses = [np.square(d.features @ params - d.targets).sum(axis=1) for d in (design, factor)]
        assert losses[1] == pytest.approx(losses[0], rel=1e-11)


def test_the_loop_on_merged_evidence_is_the_loop_on_all_rows():
    t_u, t_c, _ = readings(5, 3, 40)
    merged = merge(cut((t_u, t_c, None), [0, 3, 11, 40]))
    config = CalibrationConfig(scaling="factor", factor=0.01)
    training = TrainingConfig(learning_rate=0.1, n_epochs=300, tolerance=0)
    basis = fit_basis(merged, config)
    ours = descend(compressed(merged, basis), [training] * 3)
    plain = descend(build_design(0.01 * t_u, t_c), [training] * 3)
    for fit, expected in zip(ours, plain, strict=True):
        assert fit.history.loss == pytest.approx(expected.history.loss, rel=1e-9)
        assert fit.params == pytest.approx(expected.params, rel=1e-9)


def test_a_basis_of_several_members_is_those_of_each():
    t_u, t_c, _ = readings(6, 3, 20)
    evidence = gather(t_u, t_c, degree=4)
    config = CalibrationConfig(model="polynomial", degree=3, t0=40.0)
    together = fit_basis(evidence, config)
    params = np.random.default_rng(6).normal(size=(3, 4))
    assert isinstance(together[0], Basis)
    for i in range(3):
        alone = together[i]
        assert together.features(t_u)[i] == pytest.approx(alone.features(t_u[i]), rel=1e-12)
        assert together.to_raw(params)[i] == pytest.approx(alone.to_raw(params[i]), rel=1e-12)
        assert together.to_powers(params)[i] == pytest.approx(alone.to_powers(params[i]), rel=1e-12)
