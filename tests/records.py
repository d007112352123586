"""Records that were changed after they were made, as a test needs them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tempfit.calibration.calibration import Calibration
from tempfit.calibration.filed import Filed
from tempfit.calibration.json_values import digest_of
from tempfit.calibration.pipeline import calibrate
from tempfit.calibration.record import Record
from tempfit.calibration.recording import record_of
from tests.conftest import THERMOMETER


def filed(data: Any = THERMOMETER, **settings: Any) -> Filed:
    """The calibration of `data`, as it is read back from a file."""
    return Filed(record_of(calibrate(data, **settings)), "file.json")


def changed(record: Record | Calibration, **fields: Any) -> Record:
    """The record with other fields, JSON values each; those of a part beside its others. It may contradict itself."""
    if isinstance(record, Calibration):
        record = record_of(record)
    values = record.model_dump(mode="json", by_alias=True)
    for name, value in fields.items():
        is_part = isinstance(value, Mapping) and isinstance(values[name], dict)
        values[name] = {**values[name], **value} if is_part else value
    return Record.model_validate_json(json.dumps(values))


def write_signed(path: Path, values: Mapping[str, Any]) -> Path:
    """Write JSON values as a calibration.json whose digest is theirs."""
    values = {key: value for key, value in values.items() if key != "digest"}
    path.write_text(json.dumps({**values, "digest": digest_of(values)}), encoding="utf-8")
    return path


def check(name: str, verdict: str, sentence: str, **others: Any) -> dict[str, Any]:
    """A check as JSON values."""
    return {"name": name, "measure": "F", "figure": None, "p": None, **others, "verdict": verdict, "sentence": sentence}
