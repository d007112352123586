"""The least-squares problem, and its compression to as many rows as it has parameters, and one.

For squared loss, N rows `[t_u, 1 | t_c]` say no more than the triangular factor R of their QR decomposition, which
has three for a line: `‖A p - y‖² = ‖R₁ p - r‖²` for every p, because Q does not change lengths. Factors of two chunks
merge by a QR of the two stacked (Demmel, Grigori, Hoemmen, Langou: Communication-optimal parallel and sequential QR and
LU factorizations, SIAM J. Sci. Comput. 34, 2012), so any number of rows streams through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CHUNK_ROWS = 16384  # (3 float64 columns of it fit a core's cache)


@dataclass(frozen=True, eq=False)
class Design:
    """Least-squares problems, one per member.

    features: (members, rows, terms), float64: for a line `[t_u, 1]` per row, scaled or raw; virtual rows once
    compressed. A row of zeros stands for no reading.
    targets: (members, rows), float64: t_c.
    n_readings: (members,), float64: how many readings the rows stand for; the divisor of a mean over readings.

    Rows of readings that do not weigh the same are multiplied by the square roots of their weights, whose mean is 1.
    """

    features: Tensor
    targets: Tensor
    n_readings: Tensor

    @property
    def members(self) -> int:
        return self.features.shape[0]

    def linear_map(self, matrix: NDArray[Any]) -> Design:
        """The same problems in other parameters: `features @ matrix` for `p_old = matrix @ p_new`."""
        return Design(self.features @ torch.from_numpy(matrix).to(self.features), self.targets, self.n_readings)


def build_design(t_u: NDArray[Any], t_c: NDArray[Any]) -> Design:
    """Readings and references of shape (rows,) or (members, rows) as the Design of a line with those rows."""
    t_u = np.asarray(t_u, dtype=np.float64)
    return design_of(np.stack([t_u, np.ones_like(t_u)], axis=-1), t_c)


def design_of(features: NDArray[Any], t_c: NDArray[Any], root_weights: NDArray[Any] | None = None) -> Design:
    """Features (rows, terms) or (members, rows, terms) and references (rows,) or (members, rows) as a Design.

    root_weights: of the shape of t_c, the square roots of the readings' weights; None where all weigh the same.
    """
    if root_weights is not None:
        features, t_c = features * root_weights[..., None], t_c * root_weights
    targets = torch.from_numpy(np.atleast_2d(np.array(t_c, dtype=np.float64)))
    members, n_rows = targets.shape
    return Design(
        features=torch.from_numpy(np.ascontiguousarray(features)).reshape(members, n_rows, -1),
        targets=targets,
        n_readings=torch.full((members,), n_rows, dtype=torch.float64),
    )


def stack(designs: Sequence[Design]) -> Design:
    """The members of several designs as those of one; rows of zeros are added where others have more."""
    n_rows = max(design.targets.shape[1] for design in designs)
    missing = [n_rows - design.targets.shape[1] for design in designs]
    pad = torch.nn.functional.pad
    return Design(
        features=torch.cat([pad(d.features, (0, 0, 0, rows)) for d, rows in zip(designs, missing, strict=True)]),
        targets=torch.cat([pad(d.targets, (0, rows)) for d, rows in zip(designs, missing, strict=True)]),
        n_readings=torch.cat([design.n_readings for design in designs]),
    )


def compress(design: Design) -> Design:
    """The same problems in a row more than they have terms: same loss, same gradients, same exact solution."""
    rows = torch.cat([design.features, design.targets[..., None]], dim=-1)  # (members, rows, terms + 1)
    while rows.shape[1] > CHUNK_ROWS:
        rows = _factor_chunks(rows)
    return _from_factor(_triangular_factor(rows), design.n_readings)


def merge(designs: Sequence[Design]) -> Design:
    """Compressed designs of several chunks of the same members' readings as one compressed design."""
    factors = [torch.cat([d.features, d.targets[..., None]], dim=-1) for d in designs]
    n_readings = torch.stack([d.n_readings for d in designs]).sum(dim=0)
    return _from_factor(_triangular_factor(torch.cat(factors, dim=1)), n_readings)


def _factor_chunks(rows: Tensor) -> Tensor:
    """One level of the tree: every chunk of rows replaced by its factor's."""
    members, n_rows, columns = rows.shape
    n_whole = n_rows // CHUNK_ROWS
    whole, rest = rows[:, : n_whole * CHUNK_ROWS], rows[:, n_whole * CHUNK_ROWS :]
    factors = _triangular_factor(whole.reshape(members * n_whole, CHUNK_ROWS, columns))
    return torch.cat([factors.reshape(members, n_whole * columns, columns), rest], dim=1)


def _triangular_factor(rows: Tensor) -> Tensor:
    """R of the QR decomposition of (batch, rows, n), padded to (batch, n, n) when there are fewer rows."""
    factor: Tensor = torch.linalg.qr(rows, mode="r").R
    missing = rows.shape[-1] - factor.shape[-2]
    return torch.nn.functional.pad(factor, (0, 0, 0, missing)) if missing > 0 else factor


def _from_factor(factor: Tensor, n_readings: Tensor) -> Design:
    return Design(features=factor[..., :-1].contiguous(), targets=factor[..., -1].contiguous(), n_readings=n_readings)
