"""Readings compressed on a GPU, where there is one: `tempfit.exact.evidence.gather` in torch, in float64.

The steps and their order are the same; what differs is the order in which a device sums, so that the evidence is that
of the CPU to the rounding of sums: 1e-12 of the factor.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tempfit.config import TrainingConfig
from tempfit.descent.loop import pick_device
from tempfit.exact.evidence import CURVATURE, Evidence, gather

Gather = Callable[..., Evidence]  # with the arguments of `gather`


def pick_gather(config: TrainingConfig, n_rows: int) -> Gather:
    """What compresses blocks of so many rows: on the device that as many residuals would be trained on.

    Raises SettingsError as `pick_device`.
    """
    device = pick_device(config, n_rows)
    return gather if device.type == "cpu" else partial(gather_on, device)


def gather_on(
    device: torch.device,
    t_u: NDArray[np.float64],
    t_c: NDArray[np.float64],
    u_c: NDArray[np.float64] | None = None,
    *,
    degree: int = CURVATURE,
    counts: NDArray[np.int64] | None = None,
) -> Evidence:
    """As `gather`, on the device: all rows of all members, (members, rows), at once."""
    members, n_rows = t_u.shape
    x, y = (torch.as_tensor(column, device=device) for column in (t_u, t_c))
    n = torch.full((members,), float(n_rows), dtype=torch.float64, device=device)
    there = torch.ones((), dtype=torch.float64, device=device)
    if counts is not None:
        n = torch.as_tensor(counts, device=device).to(torch.float64)
        there = (torch.arange(n_rows, device=device) < n[:, None]).to(torch.float64)
    low, high, largest = x.amin(dim=1), x.amax(dim=1), y.abs().amax(dim=1)
    half = high / 2 - low / 2
    center, scale = low + half, torch.where(half > 0, half, 1.0)
    variance = mean_variance = torch.full_like(n, torch.nan)
    root_weights = there.expand(members, n_rows)
    if u_c is not None:
        u = torch.as_tensor(u_c, device=device)
        variance = n / (there / u.square()).sum(dim=1)
        mean_variance = (there * u.square()).sum(dim=1) / n
        root_weights = variance.sqrt()[:, None] / u * there
    z = (x - center[:, None]) / scale[:, None]
    columns = torch.empty((degree + 2, members, n_rows), dtype=torch.float64, device=device)
    columns[0] = root_weights
    for power in range(1, degree + 1):
        torch.mul(columns[power - 1], z, out=columns[power])
    columns[-1] = y * root_weights
    found = (n, low, high, largest, center, scale, _triangle(columns), variance, mean_variance)
    return Evidence(*(values.cpu().numpy() for values in found))


def _triangle(columns: Tensor) -> Tensor:
    """R of the QR decomposition by modified Gram-Schmidt of columns (columns, members, rows), which are used up:
    (members, columns, columns)."""
    n_columns, members, _ = columns.shape
    factor = torch.zeros((members, n_columns, n_columns), dtype=columns.dtype, device=columns.device)
    for j, column in enumerate(columns):
        square, rest = column.square().sum(dim=1), columns[j + 1 :]
        norm, is_there = square.sqrt(), square > 0
        factor[:, j, j] = norm
        products = torch.einsum("mr,kmr->km", column, rest)
        factor[:, j, j + 1 :] = (products / torch.where(is_there, norm, 1.0)).T
        rest -= column * (products / torch.where(is_there, square, 1.0))[..., None]
    return factor
