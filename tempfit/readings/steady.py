"""Readings taken while the reference was changing, told by the time of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tempfit.errors import ReadingsError
from tempfit.readings.sensors import Places, Series, join
from tempfit.wording import shown

WINDOW = 300_000_000  # microseconds before a reading, and after it, in which the reference is looked at
_FAR = 4 * WINDOW  # what is farther apart is no neighbour of anything
_ROUNDING = 1e-9  # of the sums, which depend on where a table is cut: a rate is not above the limit for it
_TOLD = ""  # the column of rows that are kept for those after them; no column of a table is called so


class SteadyGate:
    """Parts steady readings from others, as the rows of each sensor come, in the order of their times.

    The reference's rate at a reading is how far its mean over the five minutes from there on lies from its mean over
    the five minutes up to there, over the time between the two: a single step of noise in it, or a single outlier,
    counts for little where readings are many. Where there are none within five minutes, the next one counts, or the
    last one. A reading is unsteady where the rate is above the limit at any reading of the sensor within five minutes:
    a thermometer lags, so that it has not yet followed a ramp that has just ended, and on top of a hill, where the rate
    is none, it shows what was before.

    rate: the limit, per minute. time: the column of times, in seconds. reference: the column of references. place: as
    messages call the file; unit: what rows are numbered by.
    """

    def __init__(self, rate: float, time: str, reference: str, place: str, unit: str):
        self.rate, self.time, self.reference, self.place, self.unit = rate, time, reference, place, unit
        self._held: list[Series] = []

    def feed(self, rows: Series) -> tuple[Series, NDArray[np.bool_]]:
        """Rows of which it is known now, and which of them are steady; the rest is kept until more are known.

        Raises ReadingsError where the times of a sensor go back.
        """
        import pyarrow.compute as pc

        if len(rows.names) == 0:
            return rows, np.empty(0, dtype=bool)
        first, last = rows.names[0].as_py(), rows.names[-1].as_py()
        parts, held = [], []
        for series in self._held:
            if series.names[0].as_py() <= last and series.names[-1].as_py() >= first:
                goes_on = pc.is_in(series.names, rows.names).to_numpy(zero_copy_only=False)
                of_rows = np.repeat(goes_on, np.diff(series.starts))
                parts.append(series.where(of_rows))
                series = series.where(~of_rows)
            if len(series.names):
                held.append(series)
        is_told = np.zeros(int(rows.starts[-1]), dtype=bool)
        parts = [part for part in parts if len(part.names)]
        whole = join([*parts, replace(rows, columns={**rows.columns, _TOLD: is_told})])
        clock = self._clock(whole)
        ends = clock[whole.starts[1:] - 1]
        unknown = np.searchsorted(clock, ends - 2 * WINDOW)
        kept = np.maximum(whole.starts[:-1], np.searchsorted(clock, clock[unknown] - 2 * WINDOW) - 1)
        places, owners = np.arange(len(clock)), whole.owners()
        is_known, is_told = places < unknown[owners], whole.columns[_TOLD]
        steady = self._are_steady(whole, clock)
        after = replace(whole, columns={**whole.columns, _TOLD: is_told | is_known}).where(places >= kept[owners])
        self._held = [*held, after]
        return _without_told(whole, is_known), steady[is_known & ~is_told]

    def finish(self) -> Iterator[tuple[Series, NDArray[np.bool_]]]:
        """The rows that were kept: none are to come."""
        held, self._held = self._held, []
        for series in held:
            steady = self._are_steady(series, self._clock(series))
            yield _without_told(series), steady[~series.columns[_TOLD]]

    def _clock(self, rows: Series) -> Places:
        """Of each row, microseconds, which ascend from sensor to sensor, and are right for what is not far apart."""
        steps = np.diff(np.rint(rows.columns[self.time] * 1e6).astype(np.int64), prepend=0)
        steps[rows.starts[:-1]] = _FAR
        if (back := np.flatnonzero(steps < 0)).size:
            place = back[np.argmin(rows.rows[back])] if rows.rows is not None else back[0]
            name = rows.names[np.searchsorted(rows.starts, place, side="right") - 1].as_py()
            where = f"{self.place}: {self.unit} {rows.rows[place]}" if rows.rows is not None else self.place
            raise ReadingsError(
                f"{where}, column {shown(self.time)}: the time of {shown(name)} goes back, so that nobody can say how "
                "fast the reference changes; sort the table by its times"
            )
        return np.cumsum(np.minimum(steps, _FAR))

    def _are_steady(self, rows: Series, clock: Places) -> NDArray[np.bool_]:
        """(rows,)."""
        starts, ends = (np.repeat(some, np.diff(rows.starts)) for some in (rows.starts[:-1], rows.starts[1:]))
        low, now = np.searchsorted(clock, clock - WINDOW), np.searchsorted(clock, clock)
        then, high = np.searchsorted(clock, clock, side="right"), np.searchsorted(clock, clock + WINDOW, side="right")
        before, after = np.maximum(np.minimum(low, now - 1), starts), np.minimum(np.maximum(high, then + 1), ends)
        change, minutes = (
            _means(values, now, after) - _means(values, before, then)
            for values in (self._from_first(rows, self.reference), self._from_first(rows, self.time) / 60)
        )
        is_fast = np.abs(change) > self.rate * (1 + _ROUNDING) * minutes
        n_fast = np.concatenate([[0], np.cumsum(is_fast)])
        return n_fast[high] == n_fast[low]

    def _from_first(self, rows: Series, name: str) -> NDArray[np.float64]:
        """Differences to the sensor's first row, so that sums of many keep their digits."""
        values = rows.columns[name]
        return values - np.repeat(values[rows.starts[:-1]], np.diff(rows.starts))


def _means(values: NDArray[np.float64], starts: Places, ends: Places) -> NDArray[np.float64]:
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return (sums[ends] - sums[starts]) / (ends - starts)


def _without_told(rows: Series, chosen: NDArray[np.bool_] | None = None) -> Series:
    """The rows, of those that are chosen, which were not told before."""
    news = ~rows.columns[_TOLD]
    columns = {name: column for name, column in rows.columns.items() if name != _TOLD}
    return replace(rows, columns=columns).where(news if chosen is None else news & chosen)
