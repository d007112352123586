"""A fleet calibrated and judged: what is printed, drawn and stored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tempfit.config import CalibrationConfig, FleetConfig
from tempfit.fleet.ingesting import Ingested
from tempfit.fleet.judging import Figures, FleetJudgement
from tempfit.fleet.summing import FleetSummary


@dataclass(frozen=True, eq=False)
class Fleet:
    """All calibrations of a fleet.

    table: the file with a row for each sensor, as `tempfit.fleet.table` writes it. figures, judgement: (calibrated,).
    """

    ingested: Ingested
    settings: FleetConfig
    config: CalibrationConfig
    table: Path
    figures: Figures
    judgement: FleetJudgement
    summary: FleetSummary

    @property
    def exploded(self) -> bool:
        """Whether there is nothing to use of any sensor."""
        return self.summary.n_usable == 0

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return self.summary.as_dict()
