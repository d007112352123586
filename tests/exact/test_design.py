"""Compression: three rows that say what all rows say."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempfit.exact.design import CHUNK_ROWS, build_design, compress, merge
from tests.tools import line_design


def squared_residuals(design, params) -> np.ndarray:
    """(members,), ‖F p − y‖²."""
    residual = design.features @ params - design.targets
    return (residual**2).sum(axis=1)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 200), members=st.integers(1, 4))
def test_factor_has_the_loss_of_the_rows_for_every_line(seed, rows, members):
    rng = np.random.default_rng(seed)
    design = build_design(rng.normal(size=(members, rows)), rng.normal(size=(members, rows)))
    factor = compress(design)
    assert factor.features.shape == (members, 3, 2)
    assert (factor.n_readings == rows).all()
    for _ in range(3):
        params = rng.normal(size=2)
        assert squared_residuals(factor, params) == pytest.approx(squared_residuals(design, params), rel=1e-11)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(1, 40), min_size=2, max_size=5))
def test_merged_chunks_are_the_whole(seed, cuts):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=sum(cuts)), rng.normal(size=sum(cuts))
    ends = np.cumsum([0, *cuts])
    parts = [line_design(x[i:j], y[i:j]) for i, j in pairwise(ends)]
    whole, merged = line_design(x, y), merge(parts)
    assert merged.n_readings.item() == len(x)
    for params in rng.normal(size=(3, 2)):
        assert squared_residuals(merged, params) == pytest.approx(squared_residuals(whole, params), rel=1e-10)


@pytest.mark.parametrize("rows", [CHUNK_ROWS, CHUNK_ROWS + 1, 3 * CHUNK_ROWS + 7])
def test_more_rows_than_a_chunk(rows):
    rng = np.random.default_rng(rows)
    design = build_design(rng.normal(size=rows), rng.normal(size=rows))
    params = rng.normal(size=2)
    assert squared_residuals(compress(design), params) == pytest.approx(squared_residuals(design, params), rel=1e-11)


def test_linear_map_changes_parameters_not_the_problem():
    rng = np.random.default_rng(0)
    design = build_design(rng.normal(size=10), rng.normal(size=10))
    matrix, params = rng.normal(size=(2, 2)), rng.normal(size=2)
    assert squared_residuals(design.linear_map(matrix), params) == pytest.approx(
        squared_residuals(design, matrix @ params), rel=1e-12
    )
