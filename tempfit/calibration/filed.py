"""Records read back, without training anything: each whole and as it was written, or refused in one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tempfit.calibration.contradictions import contradiction
from tempfit.calibration.json_values import digest_of
from tempfit.calibration.record import SCHEMA, Record
from tempfit.errors import RunsError
from tempfit.exact.curve import Curve
from tempfit.wording import printable

CALIBRATION_FILE = "calibration.json"  # the artifact of a run that holds it
VERSIONS_TAG = "versions"  # of a run: the software that made it, `tempfit 0.1.0, torch 2.13.0`
RESIDUALS_FILE = "residuals.parquet"  # the artifact with its readings, where there are not too many
DELIVERED = {"run_id", "artifacts", "not_recorded"}  # what `--json` says beside, of where it is recorded
MOST_SHOWN = 30  # characters of a value


@dataclass(frozen=True, eq=False)
class Filed:
    """A Record, and where it is filed.

    name: of the run, or the file's. run_id, made_at: None of a file alone. tags: the run's. sensor: which of a fleet.
    """

    record: Record
    name: str
    run_id: str | None = None
    made_at: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    sensor: str | None = None

    @property
    def versions(self) -> str | None:
        """Of the software that made it; None where they are not recorded."""
        return self.tags.get(VERSIONS_TAG)

    @cached_property
    def curve(self) -> Curve:
        """The line or polynomial with its uncertainty. Raises RunsError where the calibration has none."""
        if self.record.exploded:
            raise RunsError(f"{self.name}: its fit diverged, so that there is nothing to use")
        if self.record.curve is None:
            way = "`mlflow models predict` gives its temperatures without"
            if self.sensor is not None:
                way = "a fleet does not keep what it learned: calibrate the sensor by itself"
            raise RunsError(f"{self.name}: a network has no uncertainty; {way}")
        return self.record.curve.to_curve()


def read_file(path: Path) -> Filed:
    """The record in a file: the artifact calibration.json of a run. Raises RunsError where it is none."""
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise RunsError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from None
    except (ValueError, RecursionError) as error:
        raise RunsError(f"{path}: not JSON ({error}); name a run, or its {CALIBRATION_FILE}") from None
    return Filed(as_record(values, str(path)), str(path))


def as_record(values: Any, name: str) -> Record:
    """JSON values as a Record, which `Record.as_dict` or `tempfit calibrate --json` made them from.

    name: of where it is from. Raises RunsError, in one line that names the field, for what no Record can have, what
    contradicts the rest of it, and what was changed since it was written.
    """
    _refuse_foreign(values, name)
    values = {key: value for key, value in values.items() if key not in DELIVERED}
    digest = values.pop("digest", None)
    try:
        record = Record.model_validate_json(json.dumps(values))
    except ValidationError as error:
        raise damaged(name, describe_fault(error)) from None
    if found := contradiction(record):
        raise damaged(name, found)
    if digest != digest_of(values):
        what = "is missing" if digest is None else "is that of other values: some were changed since they were written"
        raise damaged(name, f"digest {what}")
    return record


def _refuse_foreign(values: Any, name: str) -> None:
    """What was never a Record, or is one of another tempfit."""
    schema = values.get("schema") if isinstance(values, dict) else None
    if type(schema) is int and schema > SCHEMA:
        raise RunsError(f"{name}: schema {schema} is of a newer tempfit, this one reads {SCHEMA}: update tempfit")
    if not isinstance(values, dict) or not {"config", "data"} & set(values):
        raise RunsError(f"{name}: holds no calibration; name a run, or its {CALIBRATION_FILE}")
    if "schema" not in values:
        raise RunsError(f"{name}: schema is missing: it was written by an older tempfit; calibrate again")


def damaged(name: str, what: str) -> RunsError:
    """What is said of a Record that is not as it was written. what: begins with the name of the field."""
    return RunsError(f"{name}: {printable(what)}; it is damaged: calibrate again")


def describe_fault(error: ValidationError) -> str:
    """The first thing that is wrong: `curve.factor should be greater than 0, got 0`."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    match first["type"]:
        case "json_invalid":  # its structure is sound, or it would not have come here
            return "a text in it is no Unicode, or it is nested too deep"
        case "missing":
            return f"{place} is missing"
        case "extra_forbidden":
            return f"{place} is no field of a calibration"
        case "literal_error" | "enum":
            return f"{place} {_lower(first['msg'])}, got {_short(first['input'])}"
    return f"{place}: {_lower(first['msg'])}, got {_short(first['input'])}"


def _lower(message: str) -> str:
    text = message.removeprefix("Value error, ").removeprefix("Input ")
    return text[:1].lower() + text[1:]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
