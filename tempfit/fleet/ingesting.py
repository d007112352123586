"""The readings of a fleet, partition by partition, to evidence of every sensor."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from tempfit.config import CalibrationConfig, FleetConfig
from tempfit.errors import ReadingsError
from tempfit.exact.problem import evidence_degree
from tempfit.fleet.engine import Engine
from tempfit.fleet.gathered import Gathered, compress, unite_all
from tempfit.fleet.roster import Roster, call_roster
from tempfit.readings.many import read_partition
from tempfit.readings.partitions import Partition, find_partitions
from tempfit.wording import count, printable

OnRows = Callable[[int, float], None]  # is told how many rows are read, and what share of the bytes


@dataclass(frozen=True, eq=False)
class Ingested:
    """What the readings of a fleet say.

    sha256: of its partitions' content, in their order. both_uncertain: whether readings, too, have uncertainties.
    """

    source: str
    partitions: list[Partition]
    gathered: Gathered
    roster: Roster
    sha256: str
    both_uncertain: bool = False


def ingest_fleet(
    source: str, fleet: FleetConfig, config: CalibrationConfig, engine: Engine, on_rows: OnRows | None = None
) -> Ingested:
    """Read and compress all partitions of the source. Raises ReadingsError, also where no sensor can be calibrated."""
    partitions = find_partitions(source, fleet, config)
    digests: list[str] = []
    uncertain: list[bool] = []

    def parts() -> Iterator[Gathered]:
        n_rows = n_bytes = 0
        work = partial(_compress, fleet, config)
        for partition, (part, digest, both) in zip(partitions, engine.map(work, partitions), strict=True):
            digests.append(digest)
            uncertain.append(both)
            n_rows, n_bytes = n_rows + part.n_rows, n_bytes + partition.n_bytes
            if on_rows is not None:
                on_rows(n_rows, n_bytes / max(1, sum(it.n_bytes for it in partitions)))
            yield part

    gathered = unite_all(parts())
    is_stated = ~np.isnan(gathered.evidence.variance)
    if is_stated.any() and not is_stated.all():
        raise ReadingsError(
            f"{printable(source)}: the uncertainties of some references are stated, those of others are not: state "
            'them everywhere, or ignore them by `u_c="none"`'
        )
    roster = call_roster(gathered)
    if not roster.is_calibrated.any():
        counted = roster.reasons(slice(None)).value_counts().to_pylist()
        reasons = ", ".join(f"{reason['values']} ({reason['counts']:,})" for reason in counted) or "there is none"
        raise ReadingsError(
            f"{printable(source)}: none of {count(len(roster), 'sensor')} can be calibrated: {reasons}; add readings"
        )
    sha256 = hashlib.sha256("".join(digests).encode()).hexdigest()
    return Ingested(source, partitions, gathered, roster, sha256, any(uncertain))


def _compress(fleet: FleetConfig, config: CalibrationConfig, partition: Partition) -> tuple[Gathered, str, bool]:
    """What a partition says, the digest of its content, and whether its readings have uncertainties, too."""
    both_uncertain = False

    def parts() -> Iterator[Gathered]:
        nonlocal both_uncertain
        for rows in read_partition(partition, config, fleet, lambda n_bytes: None):
            both_uncertain |= rows.u_u is not None
            yield compress(rows, evidence_degree(config))

    return unite_all(parts()), partition.digest(), both_uncertain
