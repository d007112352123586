"""A fleet calibrated and judged: what is printed, drawn and stored."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tempfit.config import CalibrationConfig, FleetConfig
from tempfit.fleet.by_rows import need_rows, train_by_rows
from tempfit.fleet.calibrating import OnSensors, Trained, train_by_evidence
from tempfit.fleet.engine import Engine
from tempfit.fleet.ingesting import Ingested
from tempfit.fleet.judging import FleetJudgement, judge_fleet
from tempfit.fleet.lookup import FLEET_FILE
from tempfit.fleet.summing import FleetSummary, sum_up
from tempfit.fleet.table import write_fleet


@dataclass(frozen=True, eq=False)
class Fleet:
    """All calibrations of a fleet.

    table: the file with a row for each sensor, as `tempfit.fleet.table` writes it. judgement: (calibrated,).
    """

    ingested: Ingested
    settings: FleetConfig
    config: CalibrationConfig
    table: Path
    judgement: FleetJudgement
    summary: FleetSummary

    @property
    def exploded(self) -> bool:
        """Whether the descent of every sensor diverged, so that there is nothing to use."""
        return self.summary.n_diverged == self.summary.n_calibrated

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return self.summary.as_dict()


def train_fleet(
    ingested: Ingested,
    settings: FleetConfig,
    config: CalibrationConfig,
    engine: Engine,
    on_sensors: OnSensors | None = None,
) -> Trained:
    """Calibrate every sensor that can be: all by their evidence in one loop, or each by its rows where these are
    needed. Raises ReadingsError and SettingsError as these do."""
    if need_rows(config, ingested):
        return train_by_rows(ingested, settings, config, engine, on_sensors)
    return train_by_evidence(ingested, config, engine, on_sensors)


def judge_and_file(
    ingested: Ingested, trained: Trained, settings: FleetConfig, config: CalibrationConfig, folder: Path
) -> Fleet:
    """Judge all sensors beside each other, and write their table into the folder."""
    ingested = replace(ingested, roster=trained.roster)
    judgement = judge_fleet(trained.figures, settings.fdr)
    table = folder / FLEET_FILE
    with ThreadPoolExecutor(1) as beside:  # to write takes one thread
        summary = beside.submit(sum_up, ingested, config, trained, judgement)
        write_fleet(table, ingested, trained, judgement)
    return Fleet(ingested, settings, config, table, judgement, summary.result())
