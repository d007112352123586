"""What came of a fleet, in numbers that a person reads: how many, which not and why, how they spread, the worst few."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tempfit.config import ReadingsConfig
from tempfit.fleet.ingesting import Ingested
from tempfit.fleet.judging import SIBLINGS, FleetJudgement
from tempfit.fleet.lookup import FleetTable
from tempfit.words import Outcome, Status, Verdict

WORST = 12  # sensors that are told, and drawn, one by one
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


def sum_up(ingested: Ingested, config: ReadingsConfig, judgement: FleetJudgement, table: FleetTable) -> FleetSummary:
    """The summary of a fleet, from its table."""
    is_line = "w" in table.columns
    names = [
        "status",
        "outcome",
        "usable",
        "n",
        "uncertainty_observation_sd",
        "checks",
        *(("w", "b") if is_line else ()),
    ]
    counted: Counter[str] = Counter()
    figures: dict[str, list[NDArray[np.float64]]] = {name: [] for name in ("w", "b", "s")}
    n_usable = n_diverged = 0
    fewest, most = np.iinfo(np.int64).max, 0
    for block in table.blocks(names):
        block = block.filter(pc.is_valid(block["status"]))
        if not block.num_rows:
            continue
        n_usable += pc.sum(block["usable"]).as_py()
        gone = pc.or_(
            pc.equal(block["status"].cast(pa.string()), Status.DIVERGED.value),
            pc.equal(block["outcome"].cast(pa.string()), Outcome.EXPLODES.value),
        )
        n_diverged += pc.sum(gone).as_py()
        fewest = min(fewest, pc.min(block["n"]).as_py())
        most = max(most, pc.max(block["n"]).as_py())
        counted.update(_failing(block["checks"].combine_chunks()))
        kept = block.filter(pc.invert(gone))
        for name, column in {"w": "w", "b": "b", "s": "uncertainty_observation_sd"}.items():
            if column in block.column_names:
                figures[name].append(kept[column].drop_null().to_numpy())
    roster = ingested.roster
    n_accused_of = judgement.accused.sum(axis=0)
    return FleetSummary(
        source=ingested.source,
        sha256=ingested.sha256,
        y_unit=config.y_unit,
        n_rows=ingested.gathered.n_rows,
        left_out=_left_out(ingested.gathered.faults),
        n_sensors=len(roster),
        n_calibrated=int(roster.is_calibrated.sum()),
        not_calibrated=_counts(roster.reasons(slice(None)).drop_null()),
        n_diverged=n_diverged,
        n_usable=n_usable,
        failing=dict(counted.most_common()),
        fdr=judgement.fdr,
        n_accused=int(judgement.is_accused.sum()),
        accused={name: int(n) for name, n in zip(judgement.tests, n_accused_of, strict=True) if n},
        is_compared=judgement.is_compared,
        spread={name: _quantiles(np.concatenate(parts)) for name, parts in figures.items() if any(map(len, parts))},
        readings=(int(fewest), int(most)),
        worst=_worst(table),
    )


def _failing(checks: pa.ListArray) -> dict[str, int]:
    """How many fail of each check."""
    each = checks.flatten()
    verdict = each.field("verdict").cast(pa.string())
    return _counts(each.field("name").cast(pa.string()).filter(pc.equal(verdict, Verdict.FAILS.value)))


def _left_out(faults: pa.Table) -> dict[str, int]:
    summed = faults.group_by("why").aggregate([("n", "sum")]).sort_by([("n_sum", "descending")])
    return dict(zip(summed["why"].to_pylist(), summed["n_sum"].to_pylist(), strict=True))


def _counts(words: pa.Array) -> dict[str, int]:
    found = [(it["values"], it["counts"]) for it in pc.value_counts(words.cast(pa.string())).to_pylist()]
    return dict(sorted(found, key=lambda item: -item[1]))


def _quantiles(values: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(MIDDLE, map(float, np.quantile(values, list(MIDDLE.values()))), strict=True))


def _worst(table: FleetTable) -> tuple[dict[str, Any], ...]:
    """The sensors accused that are most certainly odd, those first."""
    columns = [name for name in (*SHOWN, "fleet_accused_by", "fleet_p") if name in table.columns]
    found = [row for block in table.blocks(columns) for row in _accused(block)]
    found.sort(key=lambda row: (row["fleet_p"], -_farthest(row)))
    return tuple(found[:WORST])


def _accused(block: pa.Table) -> list[dict[str, Any]]:
    """Rows of a block that may be among the worst: where all are accused, a million, so that few are made objects."""
    is_accused = pc.greater(pc.fill_null(pc.list_value_length(block["fleet_accused_by"]), 0), 0)
    accused = block.filter(is_accused)
    z = [pc.negate(pc.abs(accused[f"fleet_{name}_z"])) for name in SIBLINGS]
    accused = accused.append_column("near", pc.fill_null(pc.min_element_wise(*z), 0.0))
    first = accused.sort_by([("fleet_p", "ascending"), ("near", "ascending")]).slice(0, WORST)
    return first.drop_columns("near").to_pylist()


def _farthest(row: dict[str, Any]) -> float:
    return max(abs(row.get(f"fleet_{name}_z") or 0.0) for name in SIBLINGS)
