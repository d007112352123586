"""Evidence made by torch, held to numpy's: on the CPU, and on a GPU where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tempfit.config import CalibrationConfig
from tempfit.errors import SettingsError
from tempfit.exact.evidence import Evidence, gather
from tempfit.fleet.accelerated import gather_on, pick_gather
from tempfit.fleet.gathered import compress
from tests.fleet.test_gathered import readings_of, rows_of

ROUNDING = 1e-12  # of the largest of a member's numbers: sums of a few thousand, added up in another order

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
on_each_device = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])


def assert_alike(found: Evidence, expected: Evidence) -> None:
    for name in Evidence.__dataclass_fields__:
        one, other = getattr(found, name), getattr(expected, name)
        assert one.shape == other.shape, name
        assert one.dtype == np.float64, name
        axes = tuple(range(1, other.ndim))
        size = np.abs(other).max(axis=axes, keepdims=True)
        np.testing.assert_array_equal(np.isnan(one), np.isnan(other), err_msg=name)
        assert (np.isnan(other) | (np.abs(one - other) <= ROUNDING * size)).all(), name


@on_each_device
@pytest.mark.parametrize("degree", [2, 4])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("partly", [False, True])
def test_it_is_the_evidence_of_numpy(device: str, degree: int, weighted: bool, partly: bool) -> None:
    rng = np.random.default_rng(5)
    t_u = rng.uniform(20, 80, (40, 700))
    t_u[0] = 25.0  # tells nothing
    t_c = 0.5 * t_u - 17 + rng.normal(0, 0.1, t_u.shape)
    t_c[1] = 0.0
    u_c = rng.uniform(0.01, 0.2, t_u.shape) if weighted else None
    counts = rng.integers(1, 701, 40) if partly else None
    if counts is not None:
        for k, n in enumerate(counts):
            for column in [t_u, t_c] if u_c is None else [t_u, t_c, u_c]:
                column[k, n:] = column[k, n - 1]
    found = gather_on(torch.device(device), t_u, t_c, u_c, degree=degree, counts=counts)
    assert_alike(found, gather(t_u, t_c, u_c, degree=degree, counts=counts))


@on_each_device
def test_a_fleets_rows_are_compressed_by_it(device: str) -> None:
    rng = np.random.default_rng(6)
    rows = rows_of({f"s{k}": readings_of(rng, int(rng.integers(3, 60))) for k in range(30)})
    expected, calls = compress(rows).evidence, []

    def on_device(*columns, **settings):
        calls.append(columns)
        return gather_on(torch.device(device), *columns, **settings)

    assert_alike(compress(rows, gather=on_device).evidence, expected)
    assert calls


def test_the_cpu_compresses_by_numpy_and_few_rows_always() -> None:
    assert pick_gather(CalibrationConfig(device="cpu"), 10**9) is gather
    assert pick_gather(CalibrationConfig(), 10) is gather
    if not torch.cuda.is_available():
        assert pick_gather(CalibrationConfig(), 10**9) is gather
        with pytest.raises(SettingsError, match="cuda is not available"):
            pick_gather(CalibrationConfig(device="cuda"), 10)
