"""The columns of a fleet's table: those that docs/fleet-table.md lists, with their types."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.parquet as pq

from tests.conftest import ROOT
from tests.fleet.tables import WHY, random_fleet, write_fleet


def told(kind: pa.DataType) -> str:
    """A type as the page calls it."""
    if pa.types.is_dictionary(kind):
        return told(kind.value_type)
    if pa.types.is_list(kind):
        return f"{told(kind.value_type)}s"
    return {pa.string(): "text", pa.float64(): "number", pa.int64(): "whole number", pa.bool_(): "truth value"}[kind]


def as_listed(column: str) -> str:
    """The name of a column as the page has it: for all places of a list, and all checks."""
    return re.sub(r"_\d+", "_…", re.sub(r"^checks_\w+_(\w+)$", r"checks_…_\1", column))


def test_the_page_lists_every_column_with_its_type(tmp_path):
    page = (ROOT / "docs" / "fleet-table.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `([\w…]+)` \| ([^|]+) \|", page, re.MULTILINE))
    path = write_fleet(tmp_path / "fleet.parquet", *random_fleet(1, 3, 9), failed={"z": WHY})
    assert listed == {as_listed(field.name): told(field.type) for field in pq.read_schema(path)}
