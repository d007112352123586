"""A source of many sensors' readings in partitions, each of which is read by itself, wherever that is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from tempfit.config import FleetConfig, ReadingsConfig
from tempfit.errors import ReadingsError
from tempfit.readings.parquet import read_metadata
from tempfit.readings.storage import list_files, opened, pieces_of, size_of
from tempfit.wording import printable, shown

PARTITION_ROWS = 1_000_000  # of a Parquet file that is parted, about
PARTITION_BYTES = 32 * 1024 * 1024  # of small files that are put together, and of Parquet that is parted
PARTITION_FILES = 1_000
PIECE_BYTES = 1024 * 1024  # at a time, which memory that is used again has room for

_PARQUET, _TEXT = (".parquet", ".pq"), (".csv", ".tsv")
_NOBODY = "__HIVE_DEFAULT_PARTITION__"  # what other programs call the folder of rows without a key


@dataclass(frozen=True)
class File:
    """A file of a partition. thermometer: whose all of it is, as its place says; empty for nobody's, None where its
    rows say it."""

    path: str
    n_bytes: int
    thermometer: str | None = None


@dataclass(frozen=True)
class Partition:
    """A part of a source that is read by itself, as plain values: it travels to other processes.

    files: as the source names them. row_groups: of the only one, if it is a part of Parquet, the first and the one
    behind the last. n_bytes: of all. how: the settings that decide what is read, as JSON.
    """

    files: tuple[File, ...]
    row_groups: tuple[int, int] | None
    n_bytes: int
    how: str

    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the partition's bytes, of whose they are where the files' places say it, and of
        what decides how they are read: the same wherever the files are, and whatever else they are called.

        Of row groups, the bytes are those of the columns that are looked at. They are read for this, of a store, too:
        an ETag tells versions of an object, but copies of it may have others, and times and sizes tell no content. So
        all is read twice; the second time from the system's cache, as far as it has room. Raises ReadingsError.
        """
        files = [(None if self.row_groups else file.n_bytes, file.thermometer) for file in self.files]
        digest = hashlib.sha256(json.dumps([files, self.row_groups, self.how]).encode())
        for file in self.files:
            with opened(file.path) as source:
                if self.row_groups is None:
                    pieces = pieces_of(source, PIECE_BYTES, file.n_bytes)
                else:
                    pieces = _columns_of(source, range(*self.row_groups), json.loads(self.how), printable(file.path))
                for piece in pieces:
                    digest.update(piece)
        return digest.hexdigest()


def _columns_of(file: BufferedIOBase, row_groups: range, how: dict[str, Any], place: str) -> Iterator[bytes]:
    """What row groups of Parquet hold in the columns that are looked at, and how it is to be understood."""
    metadata = read_metadata(file, place, row_groups)
    names = {how[name] for name in ("x", "y", "u_c", "u_u", "by", "time")}
    chosen = [k for k in range(metadata.num_columns) if how["wide"] or metadata.schema.column(k).path.strip() in names]
    yield str([metadata.schema.column(k) for k in chosen]).encode()
    yield str([metadata.row_group(group).num_rows for group in range(row_groups.stop)]).encode()
    for group in (metadata.row_group(group) for group in row_groups):
        for column in (group.column(k) for k in chosen):
            starts = (column.data_page_offset, column.dictionary_page_offset)
            file.seek(min(start for start in starts if start is not None))
            yield from _next_bytes(file, column.total_compressed_size)


def _next_bytes(file: BufferedIOBase, n_bytes: int) -> Iterator[bytes]:
    while n_bytes > 0 and (piece := file.read(min(n_bytes, PIECE_BYTES))):
        n_bytes -= len(piece)
        yield piece


def find_partitions(source: str | Path, fleet: FleetConfig, config: ReadingsConfig) -> list[Partition]:
    """The partitions of a source, in an order that is always the same: by path, then by row group.

    source: a file; or a folder, where each file is a sensor's, named as the file without its ending, unless `by` names
    a column that all files have, or a key of folders in it (`sensor=abc/part-0.parquet`), or they are wide; or an
    fsspec URL of either. Of a folder, the files that end in .csv, .tsv, .parquet or .pq are taken.
    A large Parquet file becomes several partitions, unless readings are told by whether they are steady, which needs
    those before and after; small files are put together.
    Raises ReadingsError, before anything is read.
    """
    path = str(source)
    if path == "-":
        raise ReadingsError("<stdin>: readings of many sensors are read more than once; name a file or a folder")
    listed = list_files(path)
    if listed is None:
        if fleet.by is None and not fleet.wide:
            raise ReadingsError(
                f"{printable(path)}: it is not said whose the rows are; name the column that says it by `by`, or, if "
                "each sensor has a column of its own, say `wide=True`"
            )
        files = [File(path, size_of(path))]
    else:
        files = _named(path, listed, fleet)
    return list(_parted(files, fleet, _decisive(fleet, config)))


def _named(folder: str, listed: Sequence[tuple[str, int]], fleet: FleetConfig) -> list[File]:
    """The files of a folder that hold readings, and whose."""
    place, files = printable(folder), []
    tables = [(path, n_bytes) for path, n_bytes in listed if path.lower().endswith(_PARQUET + _TEXT)]
    if not tables:
        there = f" (there is {shown(_below(folder, listed[0][0]))})" if listed else ""
        raise ReadingsError(f"{place}: no file in this folder ends in .csv, .tsv, .parquet or .pq{there}; name another")
    seen: dict[str, str] = {}
    for path, n_bytes in tables:
        inner = _below(folder, path)
        keys = dict(part.split("=", 1) for part in inner.split("/")[:-1] if "=" in part)
        if fleet.wide or (fleet.by is not None and fleet.by not in keys):
            files.append(File(path, n_bytes))
        elif fleet.by is not None:
            value = keys[fleet.by]
            files.append(File(path, n_bytes, "" if value == _NOBODY else unquote(value).strip()))
        elif keys:
            key = next(iter(keys))
            raise ReadingsError(
                f"{place}: the folder of {shown(inner)} has a key, {shown(key)}; name the key, or the column, that "
                f'says whose the rows are: `by="{printable(key)}"`'
            )
        else:
            name = PurePosixPath(inner).stem.strip()
            if name in seen:
                raise ReadingsError(
                    f"{place}: {shown(seen[name])} and {shown(inner)} would both be of a sensor {shown(name)}; rename "
                    "one, or name the column that says whose the rows are by `by`"
                )
            seen[name] = inner
            files.append(File(path, n_bytes, name))
    return files


def _below(folder: str, path: str) -> str:
    """The path in its folder, with / between."""
    inner = path.removeprefix(folder) if path.startswith(folder) else path.partition("://")[2]
    return inner.replace("\\", "/").lstrip("/")


def _decisive(fleet: FleetConfig, config: ReadingsConfig) -> str:
    """The settings that decide what is read, as JSON."""
    read = {"x", "y", "u_c", "u_u", "delimiter", "decimal", "drop_missing"}
    told = {"by", "wide", "without", "strict", "time", "time_format", "steady"}
    return json.dumps(config.model_dump(include=read) | fleet.model_dump(include=told), sort_keys=True)


def _parted(files: Sequence[File], fleet: FleetConfig, how: str) -> Iterator[Partition]:
    some: list[File] = []
    for file in files:
        counts = [] if file.n_bytes < PARTITION_BYTES or fleet.steady is not None else _rows_of_groups(file.path)
        if len(counts) > 1:
            if some:
                yield _together(some, how)
                some = []
            yield from _row_groups(file, counts, how)
            continue
        some.append(file)
        if sum(it.n_bytes for it in some) >= PARTITION_BYTES or len(some) == PARTITION_FILES:
            yield _together(some, how)
            some = []
    if some:
        yield _together(some, how)


def _together(files: Sequence[File], how: str) -> Partition:
    return Partition(tuple(files), None, sum(file.n_bytes for file in files), how)


def _row_groups(file: File, counts: Sequence[int], how: str) -> Iterator[Partition]:
    start, n_rows = 0, 0
    for stop, count in enumerate(counts, 1):
        n_rows += count
        if n_rows >= PARTITION_ROWS or stop == len(counts):
            yield Partition((file,), (start, stop), file.n_bytes * n_rows // max(1, sum(counts)), how)
            start, n_rows = stop, 0


def _rows_of_groups(path: str) -> list[int]:
    """How many rows each row group has; empty if it is no Parquet."""
    with opened(path) as file:
        if file.read(4) != b"PAR1":
            return []
        metadata = read_metadata(file, printable(path))
    return [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
