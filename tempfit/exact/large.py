"""Readings of one thermometer that are too many to be held: their evidence, and a way through their rows again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tempfit.config import MOST_DEGREE, ReadingsConfig
from tempfit.exact.evidence import Evidence, gather, merge
from tempfit.readings.columns import Columns
from tempfit.readings.digest import RowDigest
from tempfit.readings.paired import (
    Readings,
    Uncertainty,
    axis_label,
    refuse_lone_uncertainties,
    thermometer_of,
    wanted_columns,
)
from tempfit.readings.refusals import refuse_identical, refuse_vanishing
from tempfit.readings.rows import Rows, Thinned
from tempfit.readings.tables import Table, name_of
from tempfit.system.threads import ahead
from tempfit.wording import printable

OnRows = Callable[[int, float], None]
"""Called with the number of rows read so far, and the share of the file that they are."""

MOST_THINNED = 100_000
"""Rows that are kept of a table that streams by, or up to twice as many. A table without more is held whole."""


@dataclass(frozen=True, eq=False)
class LargeReadings:
    """Paired readings of one thermometer, of which the evidence is held, and of the rows a few.

    It answers as `tempfit.readings.paired.Readings` does, but for the rows.

    table: where all rows are. config: what its columns are called. n: how many readings there are, n_dropped: that a
    value was missing of. sha256: as that of `Readings`. evidence: of all rows. n_different: how many readings differ,
    counted as far as a polynomial needs them to. t_c_range: the lowest and the highest reference. thinned: evenly
    spread rows, for pictures. on_rows: called after every block, each time that all are read.
    """

    table: Table
    config: ReadingsConfig
    thermometer: str
    n: int
    n_dropped: int
    sha256: str
    evidence: Evidence
    n_different: int
    t_c_range: tuple[float, float]
    thinned: Rows
    on_rows: OnRows

    @property
    def source(self) -> str:
        return name_of(self.table.source)

    @property
    def x(self) -> str:
        return self.config.x

    @property
    def y(self) -> str:
        return self.config.y

    @property
    def y_unit(self) -> str:
        return self.config.y_unit

    @property
    def x_label(self) -> str:
        return axis_label(self.config.x_quantity, self.config.x, self.config.x_unit)

    @property
    def y_label(self) -> str:
        return axis_label(self.config.y_quantity, self.config.y, self.config.y_unit)

    @property
    def weighted_by(self) -> tuple[Uncertainty, ...]:
        return ("u_c",) if self.thinned.u_c is not None else ()

    @property
    def t_u_range(self) -> tuple[float, float]:
        return float(self.evidence.low[0]), float(self.evidence.high[0])

    def blocks(self) -> Iterator[Rows]:
        """All rows in their order, at least one in a block. Raises ReadingsError where the file has changed."""
        n = 0
        for columns in self.table.blocks(self.config, wanted_columns(self.config)):
            rows = _rows(columns, self.config)
            if len(rows):
                yield rows
            n += len(rows)
            self.on_rows(n, self.table.share)

    def evidence_to(self, degree: int) -> Evidence:
        """The evidence with powers of the reading up to this one; of another degree than was asked for, read again."""
        return self.evidence if degree == self.evidence.degree else merge(_gather_blocks(self.blocks(), degree))


AnyReadings = Readings | LargeReadings


def read_large(
    table: Table, config: ReadingsConfig, degree: int, thermometer: str | None, on_rows: OnRows
) -> LargeReadings | None:
    """Read a table block by block, once; None where its rows have to be held, or may as well.

    That is where it states uncertainties of the readings, as York's line needs the rows, and where it turns out to have
    few of them. degree: of the evidence. thermometer: its name; None for that of the file. on_rows: as in
    `LargeReadings`.
    Raises ReadingsError as `tempfit.readings.paired.load_readings`.
    """
    place = printable(name_of(table.source))
    seen = _Seen(MOST_THINNED)

    def blocks() -> Iterator[Rows]:
        for columns in table.blocks(config, wanted_columns(config)):
            refuse_lone_uncertainties(place, columns.values.get(config.u_c), columns.values.get(config.u_u))
            if config.u_u in columns.values:
                return
            rows = _rows(columns, config)
            seen.add(rows, columns.n_dropped)
            if len(rows):
                yield rows
            on_rows(seen.thinned.n, table.share)

    parts = _gather_blocks(blocks(), degree)
    if seen.digest is None or seen.thinned.is_whole:
        return None
    evidence, rows = merge(parts), seen.thinned.rows()
    low, high, n = float(evidence.low[0]), float(evidence.high[0]), seen.thinned.n
    refuse_identical(place, config.x, n, float(rows.t_u[0]), max(abs(low), abs(high)), _spread(evidence))
    refuse_vanishing(place, config.y, float(evidence.largest[0]))
    return LargeReadings(
        table=table,
        config=config,
        thermometer=thermometer or thermometer_of(name_of(table.source)),
        n=n,
        n_dropped=seen.n_dropped,
        sha256=seen.digest.hexdigest(),
        evidence=evidence,
        n_different=len(seen.different),
        t_c_range=seen.t_c_range,
        thinned=rows,
        on_rows=on_rows,
    )


class _Seen:
    """What is told of rows as they stream by, but their evidence."""

    def __init__(self, most: int):
        self.thinned = Thinned(most)
        self.digest: RowDigest | None = None
        self.n_dropped = 0
        self.different: NDArray[np.float64] = np.empty(0)  # as many readings as a polynomial needs, that differ
        self.t_c_range = np.inf, -np.inf

    def add(self, rows: Rows, n_dropped: int) -> None:
        self.n_dropped += n_dropped
        self.digest = self.digest or RowDigest(rows.columns)
        self.digest.update(rows.columns)
        self.thinned.add(rows)
        if len(self.different) <= MOST_DEGREE:
            self.different = np.union1d(self.different, rows.t_u)[: MOST_DEGREE + 1]
        low, high = self.t_c_range
        self.t_c_range = min(low, float(rows.t_c.min(initial=low))), max(high, float(rows.t_c.max(initial=high)))


def _rows(columns: Columns, config: ReadingsConfig) -> Rows:
    return Rows(columns.values[config.x], columns.values[config.y], columns.values.get(config.u_c))


def _gather_blocks(blocks: Iterable[Rows], degree: int) -> list[Evidence]:
    """In few parts: merged in pairs, then pairs of pairs, as `tempfit.exact.evidence.merge` does, on the way."""
    held: list[tuple[int, Evidence]] = []  # of how many blocks, each half as many as the one before it, or less
    for evidence in ahead(lambda rows: _gather(rows, degree), blocks):
        n_blocks = 1
        while held and held[-1][0] == n_blocks:
            evidence, n_blocks = merge([held.pop()[1], evidence]), 2 * n_blocks
        held.append((n_blocks, evidence))
    return [evidence for _, evidence in held]


def _gather(rows: Rows, degree: int) -> Evidence:
    return gather(rows.t_u[None], rows.t_c[None], None if rows.u_c is None else rows.u_c[None], degree=degree)


def _spread(evidence: Evidence) -> float:
    """Standard deviation of the readings; of weighted ones, no less than it."""
    half = float(evidence.high[0] / 2 - evidence.low[0] / 2)
    if not np.isnan(evidence.variance[0]):
        return half
    return float(evidence.scale[0] * evidence.factor[0, 1, 1]) / float(np.sqrt(evidence.n[0]))
