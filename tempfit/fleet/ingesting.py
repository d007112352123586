"""The readings of a fleet, partition by partition, to evidence of every sensor."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock

import numpy as np
import pyarrow as pa

from tempfit.config import CalibrationConfig, FleetConfig
from tempfit.descent.loop import pick_device
from tempfit.errors import ReadingsError
from tempfit.exact.problem import evidence_degree
from tempfit.fleet.accelerated import pick_gather
from tempfit.fleet.engine import Engine
from tempfit.fleet.gathered import Gathered, compress, unite_all
from tempfit.fleet.kept import NOWHERE, Compressed, Kept
from tempfit.fleet.roster import Roster, call_roster
from tempfit.readings.faults import NO_TIME, UNSTEADY
from tempfit.readings.many import read_partition
from tempfit.readings.partitions import Partition, find_partitions
from tempfit.wording import count, printable, without_secrets

MOST_GROUPS = 256  # of partitions: what is kept, sent and merged at the end; a part of a job that is soon done again
LEAST_KEPT = 8  # of a job whose evidence is kept: fewer are soon read again

OnRows = Callable[[int, float], None]  # is told how many rows are read, and what share of the bytes


@dataclass(frozen=True, eq=False)
class Ingested:
    """What the readings of a fleet say.

    source: without the secrets of its URL. sha256: of its partitions' content, in their order. both_uncertain: whether
    readings, too, have uncertainties.
    """

    source: str
    partitions: list[Partition]
    gathered: Gathered
    roster: Roster
    sha256: str
    both_uncertain: bool = False


class Progress:
    """Adds up what several threads read, and tells it."""

    def __init__(self, on_rows: OnRows, n_all: int):
        """n_all: bytes of all partitions."""
        self._on_rows, self._n_all = on_rows, max(1, n_all)
        self._n_rows = self._n_bytes = 0
        self._lock = Lock()

    def add(self, n_rows: int, n_bytes: int) -> None:
        """So many more."""
        with self._lock:
            self._n_rows += n_rows
            self._n_bytes += n_bytes
            self._on_rows(self._n_rows, min(1.0, self._n_bytes / self._n_all))


def ingest_fleet(
    source: str,
    fleet: FleetConfig,
    config: CalibrationConfig,
    engine: Engine,
    on_rows: OnRows | None = None,
    kept: Kept = NOWHERE,
) -> Ingested:
    """Read and compress all partitions of the source.

    kept: where evidence is that was made of them before. Raises ReadingsError, also where no sensor can be calibrated.
    """
    partitions = find_partitions(source, fleet, config)
    progress = Progress(on_rows, sum(partition.n_bytes for partition in partitions)) if on_rows else None
    told_as_read = progress if engine.shares_memory else None
    groups = group(partitions)
    digests: list[str] = []
    uncertain: list[bool] = []

    def parts() -> Iterator[Gathered]:
        work = partial(_compress, fleet, config, kept if len(groups) >= LEAST_KEPT else NOWHERE, told_as_read)
        for some, (part, of_some) in zip(groups, engine.map(work, groups), strict=True):
            digests.extend(of_some)
            uncertain.append(part.both_uncertain)
            if progress is not None and told_as_read is None:
                progress.add(part.gathered.n_rows, sum(partition.n_bytes for partition in some))
            yield part.gathered

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
        reasons = ", ".join(f"{reason['values']} ({reason['counts']:,})" for reason in counted)
        told = f"none of {count(len(roster), 'sensor')} can be calibrated: {reasons}" if reasons else "no sensor in it"
        raise ReadingsError(f"{printable(source)}: {told}; {_what_to_do(gathered.faults)}")
    sha256 = hashlib.sha256("".join(digests).encode()).hexdigest()
    return Ingested(without_secrets(source), partitions, gathered, roster, sha256, any(uncertain))


def _what_to_do(faults: pa.Table) -> str:
    """Where nobody can be calibrated: why most of the rows were left out, where the first of them is, and a way out."""
    most = faults.sort_by([("n", "descending"), ("row", "ascending")]).slice(0, 1).to_pylist()
    if not most or not most[0]["n"]:
        return "add readings"
    first = most[0]
    n = sum(n for why, n in zip(faults["why"].to_pylist(), faults["n"].to_pylist(), strict=True) if why == first["why"])
    way = "add or correct readings"
    if first["why"] == UNSTEADY:
        way = "allow more by `steady`"
    elif first["why"].endswith(NO_TIME):
        way = "say how times are written by `time_format`"
    return f"left out: {count(n, 'row')} ({first['why']}), first {first['file']}, {first['unit']} {first['row']}; {way}"


def group(partitions: Sequence[Partition]) -> list[Sequence[Partition]]:
    """Partitions that are read in one go, a power of two of them.

    So evidence is merged in the same pairs as by one `unite_all` of all of them, whatever their number.
    """
    size = 1
    while len(partitions) > MOST_GROUPS * size:
        size *= 2
    return [partitions[first : first + size] for first in range(0, len(partitions), size)]


def _compress(
    fleet: FleetConfig,
    config: CalibrationConfig,
    kept: Kept,
    progress: Progress | None,
    partitions: Sequence[Partition],
) -> tuple[Compressed, list[str]]:
    """What some partitions say, and the digest of each one's content; progress: is told of each block."""
    digests, degree = [partition.digest() for partition in partitions], evidence_degree(config)
    told = [*digests, *(file.path for partition in partitions for file in partition.files)]  # faults have paths, too
    told.append(pick_device(config, sum(partition.n_bytes for partition in partitions)).type)  # each rounds its own way
    found = kept.load(told, degree)
    if found is not None:
        if progress is not None:
            progress.add(found.gathered.n_rows, sum(partition.n_bytes for partition in partitions))
        return found, digests
    both_uncertain = False

    def blocks(partition: Partition) -> Iterator[Gathered]:
        nonlocal both_uncertain
        n_bytes = n_told = 0

        def on_bytes(n_read: int) -> None:
            nonlocal n_bytes
            n_bytes = n_read

        for rows in read_partition(partition, config, fleet, on_bytes):
            both_uncertain |= rows.u_u is not None
            yield compress(rows, degree, pick_gather(config, rows.n_rows))
            if progress is not None:
                progress.add(rows.n_rows, n_bytes - n_told)
                n_told = n_bytes
        if progress is not None:
            progress.add(0, n_bytes - n_told)

    gathered = unite_all(unite_all(blocks(partition)) for partition in partitions)
    compressed = Compressed(gathered, both_uncertain)
    kept.keep(told, degree, compressed)
    return compressed, digests
