"""A calibration as it was recorded: what predictions, reports and devices are made from, without training anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tempfit.calibration.record import CurveRecord
from tempfit.config import CalibrationConfig
from tempfit.errors import RunsError
from tempfit.exact.curve import Curve
from tempfit.words import Outcome

CALIBRATION_FILE = "calibration.json"  # the artifact of a run that holds it
VERSIONS_TAG = "versions"  # of a run: the software that made it, `tempfit 0.1.0, torch 2.13.0`
RESIDUALS_FILE = "residuals.parquet"  # the artifact with its readings, where there are not too many


@dataclass(frozen=True, eq=False)
class Record:
    """The content of a calibration.json, and the run that it is from.

    values: as README, `--json`, describes. name: of the run, or the file's. run_id, made_at: None of a file alone.
    tags: the run's, such as the versions of the software.
    """

    values: Mapping[str, Any]
    name: str
    run_id: str | None = None
    made_at: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def versions(self) -> str | None:
        """Of the software that made it; None where they are not recorded. (Older runs have a tag for each.)"""
        each = [
            f"{key.removeprefix('version.')} {text}" for key, text in self.tags.items() if key.startswith("version.")
        ]
        return self.tags.get(VERSIONS_TAG) or ", ".join(each) or None

    @cached_property
    def curve(self) -> Curve:
        """The line or polynomial with its uncertainty. Raises RunsError where the calibration has none."""
        values = self.values.get("curve")
        if self.values.get("outcome") == Outcome.EXPLODES:
            raise RunsError(f"{self.name}: its fit diverged, so that there is nothing to use")
        if values is not None:
            try:
                return CurveRecord.model_validate_json(json.dumps(values)).to_curve()
            except ValidationError as error:
                reason = str(error.errors()[0]["msg"])
                raise RunsError(f"{self.name}: its curve is damaged ({reason}); calibrate again") from None
        if self.values.get("model") == "mlp":
            why = "a network has no uncertainty; `mlflow models predict` gives its temperatures without"
        else:
            why = "it was recorded by a tempfit without uncertainties; calibrate again"
        raise RunsError(f"{self.name}: {why}")

    @property
    def warnings(self) -> list[str]:
        """Why the calibration should not be used, by its own checks; empty where they have nothing against it."""
        if self.values.get("usable") is not False:
            return []
        failed = [check for check in self.values.get("checks") or [] if str(check.get("verdict")).startswith("fail")]
        reasons = [f"{check.get('name')}: {check.get('sentence')}" for check in failed]
        return ["by its own checks, this calibration should not be used", *reasons]

    def setting(self, name: str) -> Any:
        """A setting of the calibration; the default where it was recorded before there was such a setting."""
        return self.values["config"].get(name, CalibrationConfig.model_fields[name].default)


def read_record(path: Path) -> Record:
    """The record in a file: the artifact calibration.json of a run. Raises RunsError where it is none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunsError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from None
    except ValueError as error:
        raise RunsError(f"{path}: not JSON ({error}); name a run, or its calibration.json") from None
    return as_record(values, str(path))


def as_record(values: Any, name: str, **run: Any) -> Record:
    """`values`, read from JSON, as a Record. Raises RunsError where they are no calibration's."""
    if not isinstance(values, dict) or not isinstance(values.get("config"), dict) or "data" not in values:
        raise RunsError(f"{name}: holds no calibration; name a run, or its calibration.json")
    checks = values.get("checks") or []
    if not isinstance(checks, list) or not all(isinstance(check, dict) for check in checks):
        raise RunsError(f"{name}: its checks are damaged; calibrate again")
    return Record(values, name, **run)
