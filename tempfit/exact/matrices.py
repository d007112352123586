"""Products and solutions of small matrices, of many members at once.

A library takes the matrices one by one, and spends more on each than on its few numbers. Here loops run over the terms
and every step is one of arrays over all members. They are quickest in Fortran's order, where the neighbours of a number
in memory are the same number of other members.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def product(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(…, i, k) and (…, k, j) → (…, i, j)."""
    total: NDArray[np.float64] = a[..., :, 0, None] * b[..., 0, None, :]
    for k in range(1, a.shape[-1]):
        total += a[..., :, k, None] * b[..., k, None, :]
    return total


def transform(matrix: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """(…, i, k) and (…, k) → (…, i), their product."""
    total: NDArray[np.float64] = matrix[..., :, 0] * vector[..., 0, None]
    for k in range(1, matrix.shape[-1]):
        total += matrix[..., :, k] * vector[..., k, None]
    return total


def solve_upper(upper: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """X (…, k, j) of `upper X = right`, upper triangular (…, k, k), right (…, k, j): from the last row upwards."""
    shape = (*np.broadcast_shapes(upper.shape[:-2], right.shape[:-2]), *right.shape[-2:])
    solution = np.array(np.broadcast_to(right, shape), order="F")
    for i in reversed(range(upper.shape[-1])):
        solution[..., i, :] /= upper[..., i, i, None]
        solution[..., :i, :] -= upper[..., :i, i, None] * solution[..., i, None, :]
    return solution
