"""Evidence of a fleet's partitions on disk until the fleet is recorded: a job that was killed goes on from there.

What some partitions say is in a file of its own, named by the digest of what it was made of, and written by whoever
read them, if that process sees the folder. A file that is damaged is as good as none. Nothing fails because of this
folder: what is not kept is read again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tempfit.exact.evidence import Evidence
from tempfit.fleet.gathered import Gathered
from tempfit.system.files import replaced

SCHEMA = 1  # to be raised with whatever changes the evidence that is made of the same readings
LEAST_ROWS = 32  # for each sensor: of fewer, evidence is not much smaller, and as soon made again as read
MOST_DAYS = 7  # that what is kept waits until its job is started again
_EVIDENCE = "evidence."  # begins the names of its columns
_DIGEST = hashlib.sha256().digest_size  # bytes behind a file's Parquet


@dataclass(frozen=True, eq=False)
class Compressed:
    """What some partitions say; both_uncertain: whether their readings have uncertainties, too."""

    gathered: Gathered
    both_uncertain: bool = False


@dataclass(frozen=True)
class Kept:
    """Where evidence is kept, if anywhere, of partitions that are told by their digests."""

    folder: Path | None = None

    def load(self, digests: Sequence[str], degree: int) -> Compressed | None:
        """What these partitions say together; None where that is not here, or damaged."""
        if self.folder is None:
            return None
        try:
            return read_compressed(self._path(self.folder, digests, degree))
        except (OSError, ValueError):
            return None

    def keep(self, digests: Sequence[str], degree: int, compressed: Compressed) -> None:
        """Keep it, if there is a folder and room in it, and if it is smaller than the readings."""
        gathered = compressed.gathered
        if self.folder is None or not self.folder.is_dir() or gathered.n_rows < LEAST_ROWS * len(gathered):
            return
        with suppress(OSError):
            write_compressed(self._path(self.folder, digests, degree), compressed)

    def _path(self, folder: Path, digests: Sequence[str], degree: int) -> Path:
        made_of = json.dumps([SCHEMA, version("tempfit"), degree, *digests])
        return folder / f"{hashlib.sha256(made_of.encode()).hexdigest()}.evidence"


NOWHERE = Kept()


@contextmanager
def kept(root: Path, source: str) -> Iterator[Kept]:
    """Keep evidence of this source's readings below `root`; it is removed when the block ends without failure.

    What is left there of sources that were not taken up again for days is removed, too.
    """
    folder = root / hashlib.sha256(source.encode()).hexdigest()[:16]
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        folder.touch()
    for other in root.glob("*"):
        with suppress(OSError):
            if time.time() - other.stat().st_mtime > MOST_DAYS * 86_400:
                shutil.rmtree(other)
    yield Kept(folder)
    shutil.rmtree(folder, ignore_errors=True)


def write_compressed(path: Path, compressed: Compressed) -> None:
    """Write it, whole or not at all: Parquet, and the digest of that. Raises OSError."""
    gathered = compressed.gathered
    evidence = pa.table({"thermometer": gathered.names, **_columns(gathered.evidence)})
    table = pa.concat_tables([evidence, gathered.faults], promote_options="default")
    told = {
        "n_sensors": str(len(gathered)),
        "n_rows": str(gathered.n_rows),
        "both_uncertain": str(int(compressed.both_uncertain)),
    }
    table, file = table.replace_schema_metadata(told), BytesIO()
    pq.write_table(table, file, use_dictionary=False, write_statistics=False, compression="none")
    with replaced(path) as part, open(part, "xb") as target:
        target.write(file.getbuffer())
        target.write(hashlib.sha256(file.getbuffer()).digest())


def read_compressed(path: Path) -> Compressed:
    """What was written, bit for bit. Raises OSError where there is none, ValueError where it is damaged."""
    content = memoryview(path.read_bytes())
    parquet = content[:-_DIGEST]
    if hashlib.sha256(parquet).digest() != content[-_DIGEST:]:
        raise ValueError(f"{path} is damaged")
    table = pq.read_table(pa.BufferReader(pa.py_buffer(parquet)))
    told = {key.decode(): int(value) for key, value in table.schema.metadata.items()}
    sensors, faults = table.slice(0, told["n_sensors"]), table.slice(told["n_sensors"])
    gathered = Gathered(
        names=sensors["thermometer"].combine_chunks(),
        evidence=_evidence(sensors),
        faults=faults.select([name for name in table.column_names if not name.startswith(_EVIDENCE)]).combine_chunks(),
        n_rows=told["n_rows"],
    )
    return Compressed(gathered, bool(told["both_uncertain"]))


def _columns(evidence: Evidence) -> dict[str, Any]:
    """A column for each number of a member; of a factor, for each on its diagonal and above."""
    columns = {}
    for field in fields(Evidence):
        values = getattr(evidence, field.name)
        if values.ndim == 1:
            columns[_EVIDENCE + field.name] = values
        else:
            for row, column in zip(*np.triu_indices(values.shape[-1]), strict=True):
                columns[f"{_EVIDENCE}{field.name}.{row}.{column}"] = np.ascontiguousarray(values[:, row, column])
    return columns


def _evidence(table: pa.Table) -> Evidence:
    arrays = {}
    for field in fields(Evidence):
        name = _EVIDENCE + field.name
        if name in table.column_names:
            arrays[field.name] = np.array(table[name])
            continue
        numbers = [table[column] for column in table.column_names if column.startswith(f"{name}.")]
        width = int((2 * len(numbers)) ** 0.5)  # width (width + 1) / 2 of them
        matrices = np.zeros((table.num_rows, width, width))
        for row, column, values in zip(*np.triu_indices(width), numbers, strict=True):
            matrices[:, row, column] = values
        arrays[field.name] = matrices
    return Evidence(**arrays)
