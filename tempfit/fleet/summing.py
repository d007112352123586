"""What came of a fleet, in numbers that a person reads: how many, which not and why, how they spread, the worst few."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tempfit.calibration.spread import CHECKS
from tempfit.config import ReadingsConfig
from tempfit.fleet.ingesting import Ingested
from tempfit.fleet.judging import FleetJudgement
from tempfit.readings.columns import as_numpy
from tempfit.system.threads import ahead
from tempfit.words import Outcome, Status, Verdict

WORST = 12  # sensors that are told, and drawn, one by one
COLUMNS = {"w": "w", "b": "b", "s": "uncertainty_observation_sd"}
MIDDLE = {"5 %": 0.05, "median": 0.5, "95 %": 0.95}
SHOWN = ("thermometer", "w", "b", "n", "uncertainty_observation_sd", "fleet_w_z", "fleet_b_z", "fleet_s_z", "fleet_q")


@dataclass(frozen=True)
class FleetSummary:
    """A fleet in plain numbers.

    source, sha256, y_unit, n_rows: what was read. left_out: rows not used, by reason. n_sensors: who was seen.
    n_calibrated; not_calibrated: the others, by reason. n_diverged: of those calibrated. n_usable: by their own checks.
    failing: of how many a check fails, by its name. fdr, n_accused, accused: at which rate how many are accused of
    anything, and of what. is_compared: whether there were siblings enough. spread: of w, b and s, quantiles. readings:
    fewest and most of a sensor. worst: the sensors that are most certainly odd, a dict of figures each.
    """

    source: str
    sha256: str
    y_unit: str
    n_rows: int
    left_out: dict[str, int]
    n_sensors: int
    n_calibrated: int
    not_calibrated: dict[str, int]
    n_diverged: int
    n_usable: int
    failing: dict[str, int]
    fdr: float
    n_accused: int
    accused: dict[str, int]
    is_compared: bool
    spread: dict[str, dict[str, float]]
    readings: tuple[int, int]
    worst: tuple[dict[str, Any], ...]

    def headline(self) -> str:
        """In a line."""
        return (
            f"{self.n_calibrated:,} of {self.n_sensors:,} sensors calibrated, {self.n_usable:,} usable by their own "
            f"checks, {self.n_accused:,} odd"
        )

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "readings": list(self.readings), "worst": list(self.worst)}

    def metrics(self) -> dict[str, float]:
        """What fleets are compared by in MLflow."""
        counts = {name: getattr(self, name) for name in ("n_rows", "n_sensors", "n_calibrated", "n_usable")}
        counts |= {"n_diverged": self.n_diverged, "n_accused": self.n_accused}
        middle = {f"{name}_median": quantiles["median"] for name, quantiles in self.spread.items()}
        return {name: float(value) for name, value in (counts | middle).items()}


class Summing:
    """Makes the summary of a fleet from the rows of its table, as they pass."""

    def __init__(self, ingested: Ingested, config: ReadingsConfig, judgement: FleetJudgement):
        self.ingested, self.config, self.judgement = ingested, config, judgement
        self._failing: Counter[str] = Counter()
        self._figures: dict[str, list[NDArray[np.float64]]] = {name: [] for name in COLUMNS}
        self._n_seen = self._n_usable = self._n_diverged = 0
        self._fewest, self._most = np.iinfo(np.int64).max, 0
        self._chosen = _worst_of(judgement)
        self._places = np.flatnonzero(ingested.roster.is_calibrated)[self._chosen]  # in the roster
        self._worst: dict[int, dict[str, Any]] = {}

    def watch(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """The same tables, of which the summary is made."""
        for rows in tables:
            self._add(rows)
            yield rows

    def _add(self, rows: pa.Table) -> None:
        self._n_usable += pc.sum(rows["usable"]).as_py() or 0
        gone = pc.or_(
            pc.equal(rows["status"].cast(pa.string()), Status.DIVERGED.value),
            pc.equal(rows["outcome"].cast(pa.string()), Outcome.EXPLODES.value),
        )
        self._n_diverged += pc.sum(gone).as_py() or 0
        is_gone = gone.fill_null(True).to_numpy()
        lowest, highest = pc.min_max(rows["n"]).as_py().values()
        if lowest is not None:
            self._fewest, self._most = min(self._fewest, lowest), max(self._most, highest)
        self._failing.update(_failing(rows))
        for name, column in COLUMNS.items():
            if column in rows.column_names:
                values = as_numpy(rows[column])
                self._figures[name].append(values[~(np.isnan(values) | is_gone)])
        shown = rows.select([name for name in SHOWN if name in rows.column_names])
        for place in self._places[(self._places >= self._n_seen) & (self._places < self._n_seen + len(rows))].tolist():
            (self._worst[place],) = shown.slice(place - self._n_seen, 1).to_pylist()
        self._n_seen += len(rows)

    def result(self) -> FleetSummary:
        """The summary, when all rows have passed."""
        ingested, judgement, roster = self.ingested, self.judgement, self.ingested.roster
        n_accused_of = judgement.accused.sum(axis=0)
        figures = {name: np.concatenate(parts) for name, parts in self._figures.items() if any(map(len, parts))}
        return FleetSummary(
            source=ingested.source,
            sha256=ingested.sha256,
            y_unit=self.config.y_unit,
            n_rows=ingested.gathered.n_rows,
            left_out=_left_out(ingested.gathered.faults),
            n_sensors=len(roster),
            n_calibrated=int(roster.is_calibrated.sum()),
            not_calibrated=_counts(roster.reasons(slice(None)).drop_null()),
            n_diverged=self._n_diverged,
            n_usable=self._n_usable,
            failing=dict(self._failing.most_common()),
            fdr=judgement.fdr,
            n_accused=int(judgement.is_accused.sum()),
            accused={name: int(n) for name, n in zip(judgement.tests, n_accused_of, strict=True) if n},
            is_compared=judgement.is_compared,
            spread=dict(zip(figures, ahead(_quantiles, figures.values()), strict=True)),
            readings=(int(self._fewest), int(self._most)),
            worst=tuple(self._tell_worst()),
        )

    def _tell_worst(self) -> Iterator[dict[str, Any]]:
        judged = pa.table(self.judgement.columns()).take(pa.array(self._chosen)).to_pylist()
        for place, beside in zip(self._places.tolist(), judged, strict=True):
            told = self._worst[place] | beside
            yield {name: told[name] for name in (*SHOWN, "fleet_accused_by", "fleet_p") if name in told}


def _worst_of(judgement: FleetJudgement) -> NDArray[np.int64]:
    """The sensors accused that are most certainly odd, those first: of those as certain, who is farthest away."""
    accused = np.flatnonzero(judgement.is_accused)
    z = np.stack([judgement.w_z, judgement.b_z, judgement.s_z])[:, accused]
    farthest = np.fmax.reduce(np.abs(z), initial=0.0)
    return accused[np.lexsort((-farthest, judgement.p[accused]))][:WORST]


def _failing(rows: pa.Table) -> dict[str, int]:
    """How many fail of each check."""
    found = {}
    for column in rows.column_names:
        if column.startswith(f"{CHECKS}_") and column.endswith("_verdict"):
            n = pc.sum(pc.equal(rows[column].cast(pa.string()), Verdict.FAILS.value)).as_py()
            found[column.removeprefix(f"{CHECKS}_").removesuffix("_verdict")] = n or 0
    return {name: n for name, n in found.items() if n}


def _left_out(faults: pa.Table) -> dict[str, int]:
    summed = faults.group_by("why").aggregate([("n", "sum")]).sort_by([("n_sum", "descending")])
    return dict(zip(summed["why"].to_pylist(), summed["n_sum"].to_pylist(), strict=True))


def _counts(words: pa.Array) -> dict[str, int]:
    found = [(it["values"], it["counts"]) for it in pc.value_counts(words.cast(pa.string())).to_pylist()]
    return dict(sorted(found, key=lambda item: -item[1]))


def _quantiles(values: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(MIDDLE, map(float, np.quantile(values, list(MIDDLE.values()))), strict=True))
