"""Some of the readings of one thermometer: a block of them, or every so many-th."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Rows:
    """Readings in their order, (rows,) float64 each, as in `Readings`; u_c None where none are stated."""

    t_u: NDArray[np.float64]
    t_c: NDArray[np.float64]
    u_c: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.t_u)

    def __getitem__(self, rows: slice) -> Rows:
        return Rows(self.t_u[rows], self.t_c[rows], None if self.u_c is None else self.u_c[rows])

    @property
    def columns(self) -> dict[str, NDArray[np.float64]]:
        """Those that there are, by name, in the order of a digest."""
        columns = {"t_u": self.t_u, "t_c": self.t_c}
        return columns if self.u_c is None else {**columns, "u_c": self.u_c}


def join(parts: Sequence[Rows]) -> Rows:
    """One part's rows behind the other's."""
    if len(parts) == 1:
        return parts[0]
    names = parts[0].columns
    return Rows(**{name: np.concatenate([part.columns[name] for part in parts]) for name in names})


class Thinned:
    """Evenly spread rows of a table that streams by: all of it up to twice `most`, then every other, and so on.

    They depend on the rows and `most` alone.
    """

    def __init__(self, most: int):
        self.most = most
        self.n = 0  # rows seen
        self.every = 1  # of which every so many-th is kept
        self._kept: list[Rows] = []

    def add(self, rows: Rows) -> None:
        """Rows that come behind those seen."""
        first = -self.n % self.every
        self.n += len(rows)
        if first >= len(rows):
            return
        self._kept.append(_copied(rows[first :: self.every]))
        while sum(map(len, self._kept)) > 2 * self.most:
            self._kept = [_copied(join(self._kept)[::2])]
            self.every *= 2

    @property
    def is_whole(self) -> bool:
        """Whether all rows were kept."""
        return self.every == 1

    def rows(self) -> Rows:
        """Those kept."""
        return join(self._kept)


def _copied(rows: Rows) -> Rows:
    """In memory of their own, lest a few rows hold all of a block's."""
    return Rows(**{name: column.copy() for name, column in rows.columns.items()})
