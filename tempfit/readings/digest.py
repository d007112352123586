"""The fingerprint of rows of numbers: the same however they come, and told of any number of them on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

DIGEST_ROWS = 65_536
"""Rows of a block. It is part of what the digest means: with another number, every digest would be another."""


class RowDigest:
    """SHA-256 of rows of numbers, fed in pieces of any size.

    Rows are taken in blocks of `DIGEST_ROWS`, the last of what is left. A block's digest is that of the columns' names,
    joined by commas, and of its rows, one after the other, as little-endian float64, -0.0 as 0.0. The digest of one
    block is that of the rows; of more blocks, it is the digest of their digests in their order.

    What can be told of two sets of rows: whether the longer begins with the shorter, of which no more is known than n
    and digest, by whoever has the longer one's rows, or reads them: `hexdigest` when n rows were fed is the shorter
    one's. From two digests alone, it cannot be told.
    """

    def __init__(self, names: Iterable[str]):
        self.names = tuple(names)
        self.n = 0
        self._whole: list[bytes] = []
        self._block = self._begin()

    def update(self, columns: Mapping[str, NDArray[np.float64]]) -> None:
        """Add rows: of each name, its column, (rows,) float64, all of the same length."""
        n_rows = len(columns[self.names[0]])
        start = 0
        while start < n_rows:
            if self.n and self.n % DIGEST_ROWS == 0:
                self._whole.append(self._block.digest())
                self._block = self._begin()
            stop = min(n_rows, start + DIGEST_ROWS - self.n % DIGEST_ROWS)
            rows = np.stack([columns[name][start:stop] for name in self.names], axis=1)
            rows += 0.0  # -0.0 + 0.0 is 0.0
            self._block.update(rows.astype("<f8", copy=False).data)
            self.n += stop - start
            start = stop

    def hexdigest(self) -> str:
        """Of the rows so far; more may follow."""
        if not self._whole:
            return self._block.hexdigest()
        return hashlib.sha256(b"".join([*self._whole, self._block.digest()])).hexdigest()

    def _begin(self) -> hashlib._Hash:
        return hashlib.sha256(",".join(self.names).encode())
