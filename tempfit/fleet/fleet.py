"""A fleet calibrated and judged: what is printed, drawn and stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tempfit.config import CalibrationConfig, FleetConfig
from tempfit.fleet.by_rows import calibrate_by_rows, need_rows
from tempfit.fleet.calibrating import Findings, OnSensors, solve_by_evidence, train_by_evidence
from tempfit.fleet.engine import Engine
from tempfit.fleet.ingesting import Ingested
from tempfit.fleet.judging import FleetJudgement
from tempfit.fleet.lookup import FLEET_FILE
from tempfit.fleet.summing import FleetSummary, Summing
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


def solve_fleet(
    ingested: Ingested,
    settings: FleetConfig,
    config: CalibrationConfig,
    engine: Engine,
    on_sensors: OnSensors | None = None,
) -> Findings:
    """What every sensor is judged by: its exact solution by its evidence, or, where that needs its rows, by these.

    Raises ReadingsError and SettingsError as these do.
    """
    if need_rows(config, ingested):
        return calibrate_by_rows(ingested, settings, config, engine, on_sensors)
    return solve_by_evidence(ingested, config)


def train_fleet(
    ingested: Ingested,
    findings: Findings,
    judgement: FleetJudgement,
    settings: FleetConfig,
    config: CalibrationConfig,
    engine: Engine,
    folder: Path,
    on_sensors: OnSensors | None = None,
) -> Fleet:
    """Train all sensors in one loop, unless that is done, and write their table into the folder meanwhile."""
    ingested = replace(ingested, roster=findings.roster)
    trained = findings.rows or train_by_evidence(ingested, config, engine, on_sensors)
    summing, table = Summing(ingested, config, judgement), folder / FLEET_FILE
    write_fleet(table, ingested, summing.watch(trained), judgement)
    return Fleet(ingested, settings, config, table, judgement, summing.result())
