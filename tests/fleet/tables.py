"""Fleet's tables, as tests need them: made from arrays, without a flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tempfit.calibration.members import calibrate_members
from tempfit.calibration.record_arrays import tabulate
from tempfit.config import CalibrationConfig, FleetConfig
from tempfit.exact.evidence import gather
from tempfit.fleet.engine import Engine
from tempfit.fleet.fleet import Fleet, solve_fleet, train_fleet
from tempfit.fleet.ingesting import Ingested
from tempfit.fleet.judging import figures_of, judge_fleet

SHA256 = "a" * 64
WHY = "2 readings: a line and its uncertainty take 3"


def write_fleet(
    path: Path,
    names: list[str],
    t_u: np.ndarray,
    t_c: np.ndarray,
    u_c: np.ndarray | None = None,
    *,
    failed: dict[str, str] | None = None,
    rows: int = 100,
    **settings: Any,
) -> Path:
    """The table of readings (sensors, rows), and of sensors that could not be calibrated; `rows` in a row group."""
    config = CalibrationConfig(**settings)
    degree = config.degree + 1 if config.model == "polynomial" else 2
    calibrations = calibrate_members(gather(t_u, t_c, u_c, degree=degree), config)
    table = tabulate(calibrations, names)
    members = len(names)
    table = table.append_column("data_source", pa.array(["readings.parquet"] * members))
    table = table.append_column("data_sha256", pa.array([SHA256] * members))
    table = table.append_column("data_n_dropped", pa.array([0] * members))
    table = table.append_column("fleet_not_calibrated", pa.nulls(members, pa.string()))
    for name, column in judge_fleet(figures_of(calibrations.solved), 0.01).columns().items():
        table = table.append_column(name, column)
    others = {"thermometer": list(failed or {}), "fleet_not_calibrated": list((failed or {}).values())}
    table = pa.concat_tables([table, pa.table(others)], promote_options="default").sort_by("thermometer")
    pq.write_table(table, path, row_group_size=rows, write_page_checksum=True)
    return path


def calibrate_ingested(
    ingested: Ingested, settings: FleetConfig, config: CalibrationConfig, engine: Engine, folder: Path
) -> Fleet:
    """What the flow does between ingest and visualize."""
    findings = solve_fleet(ingested, settings, config, engine)
    judgement = judge_fleet(findings.figures, settings.fdr)
    return train_fleet(ingested, findings, judgement, settings, config, engine, folder)


def random_fleet(seed: int, sensors: int, rows: int, bend: float = 0.0) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names, readings and references (sensors, rows) of lines; each seventh is bent, each fiftieth tells nothing."""
    rng = np.random.default_rng(seed)
    t_u = rng.uniform(0, 100, (sensors, rows))
    bends = np.where(np.arange(sensors) % 7 == 3, bend, 0.0)[:, None]
    t_c = rng.uniform(0.9, 1.1, (sensors, 1)) * t_u + rng.normal(0, 2, (sensors, 1)) + bends * (t_u - 50) ** 2
    t_c[1::50] = 20.0
    return [f"s{k:05}" for k in range(sensors)], t_u, t_c + rng.normal(0, 0.1, t_u.shape)
