"""Readings of many sensors, written down and read back, as tests of them need it."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from tempfit.config import FleetConfig, ReadingsConfig
from tempfit.readings.many import read_partition
from tempfit.readings.partitions import find_partitions
from tempfit.readings.sensors import SensorRows

Pairs = dict[str, list[tuple[float, float]]]


def read(source: str | Path, fleet: FleetConfig, **settings: object) -> list[SensorRows]:
    """All blocks of all partitions of a source."""
    config = ReadingsConfig(**settings)
    return [
        rows
        for partition in find_partitions(source, fleet, config)
        for rows in read_partition(partition, config, fleet, lambda n_bytes: None)
    ]


def read_text(folder: Path, content: str | bytes, fleet: FleetConfig, **settings: object) -> list[SensorRows]:
    """Of one file with this content, called `fleet`."""
    path = folder / "fleet"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(path, fleet, **settings)


def by_sensor(blocks: Iterable[SensorRows]) -> Pairs:
    """The pairs of every sensor in their order; blocks are held to what is said of them."""
    found = defaultdict(list)
    for block in blocks:
        names = block.names.to_pylist()
        assert names == sorted(set(names))
        assert len(block.starts) == len(names) + 1
        assert block.starts[-1] == len(block.t_u) == len(block.t_c)
        assert block.n_rows == len(block.t_u) + sum(block.faults["n"].to_pylist())
        pairs = list(zip(block.t_u.tolist(), block.t_c.tolist(), strict=True))
        for name, (start, stop) in zip(names, itertools.pairwise(block.starts), strict=True):
            assert stop > start
            found[name] += pairs[start:stop]
    return dict(found)


def faults_of(blocks: Iterable[SensorRows]) -> dict[tuple[str, str], tuple[int, int]]:
    """By sensor and reason, how many rows there are, and the number of the first."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for fault in (fault for block in blocks for fault in block.faults.to_pylist()):
        key = (fault["thermometer"], fault["why"])
        n, first = found.get(key, (0, fault["row"]))
        found[key] = (n + fault["n"], first)
    return found
