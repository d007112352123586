"""Sensors one by one, each as `tempfit calibrate` does it: for what evidence cannot carry.

That is a loss that depends on every reading, Huber's or York's, a network, and readings held out. All rows of a sensor
have to be met together, so the readings must be sorted by sensor, or parted by it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tempfit.calibration.checks.descent import MOST_ROUNDING
from tempfit.calibration.pipeline import calibrate
from tempfit.calibration.record import Record
from tempfit.calibration.record_table import make_table
from tempfit.calibration.recording import record_of
from tempfit.calibration.spread import spread_table
from tempfit.config import CalibrationConfig, FleetConfig
from tempfit.errors import InputError, ReadingsError
from tempfit.exact.problem import needs_rows
from tempfit.exact.settling import settle
from tempfit.fleet.calibrating import Findings, OnSensors, with_gaps
from tempfit.fleet.engine import Engine
from tempfit.fleet.ingesting import Ingested
from tempfit.fleet.judging import BY_SMALL_P, Figures
from tempfit.fleet.sorting import command_that_sorts
from tempfit.readings.many import read_partition
from tempfit.readings.paired import Readings
from tempfit.readings.partitions import File
from tempfit.readings.sensors import SensorRows
from tempfit.wording import printable, shown
from tempfit.words import Verdict

TOGETHER = 50  # sensors that are calibrated by one call of the engine
MOST_ROWS = 20_000_000  # of sensors that are not complete: beyond it, the readings are in another order


@dataclass(frozen=True, eq=False)
class Sensor:
    """All usable rows of one sensor, (rows,) each; None where no uncertainties are stated."""

    name: str
    t_u: NDArray[np.float64]
    t_c: NDArray[np.float64]
    u_c: NDArray[np.float64] | None
    u_u: NDArray[np.float64] | None


def need_rows(config: CalibrationConfig, ingested: Ingested) -> bool:
    """Whether evidence does not do."""
    held_out = config.holdout or config.holdout_rows is not None or config.folds
    return needs_rows(config) or bool(held_out) or ingested.both_uncertain


def calibrate_by_rows(
    ingested: Ingested,
    fleet: FleetConfig,
    config: CalibrationConfig,
    engine: Engine,
    on_sensors: OnSensors | None = None,
) -> Findings:
    """Calibrate every sensor that can be, in the order of the readings.

    Raises ReadingsError where a sensor's rows are not together, and as `calibrate` does where it refuses all of them.
    """
    roster, records = ingested.roster, []
    refused: dict[str, InputError] = {}
    calibrated = set(roster.names.filter(pa.array(roster.is_calibrated)).to_pylist())
    files = [file for part in ingested.partitions for file in part.files]
    refusal = partial(_not_together, ingested.source, list(dict.fromkeys(files)), fleet, config)

    def sensors() -> Iterator[Sensor]:
        blocks = (rows for part in ingested.partitions for rows in read_partition(part, config, fleet, lambda n: None))
        return (it for it in whole_sensors(blocks, refusal) if it.name in calibrated)

    for _ in sensors():
        pass  # what is not together is told before any is calibrated: to read takes far less
    for some in engine.map(partial(_calibrate_some, config, ingested.source), _together(sensors())):
        records += [found for _, found in some if isinstance(found, Record)]
        refused |= {name: found for name, found in some if isinstance(found, InputError)}
        if on_sensors is not None:
            on_sensors(len(records) + len(refused), len(calibrated))
    if not records:
        raise next(iter(refused.values()))
    records.sort(key=lambda record: record.thermometer)
    roster = roster.without({name: str(error) for name, error in refused.items()})
    rows = with_gaps(spread_table(make_table(records)).combine_chunks(), roster.is_calibrated)
    return Findings(figures_of_records(records), roster, [rows])


def whole_sensors(blocks: Iterable[SensorRows], refusal: Callable[[str], ReadingsError]) -> Iterator[Sensor]:
    """Each sensor with all of its rows, as soon as a block comes that has none of them.

    Raises the `refusal` of the sensor that comes back, or of one of too many rows that have to be held until all are
    complete.
    """
    held: dict[str, list[Sensor]] = {}
    done: set[str] = set()
    for rows in blocks:
        here = {sensor.name: sensor for sensor in _sensors(rows)}
        for name in [name for name in held if name not in here]:
            done.add(name)
            yield _joined(held.pop(name))
        for name, sensor in here.items():
            if name in done:
                raise refusal(name)
            held.setdefault(name, []).append(sensor)
        if sum(len(part.t_u) for parts in held.values() for part in parts) > MOST_ROWS:
            raise refusal(next(iter(held)))
    for parts in held.values():
        yield _joined(parts)


def _not_together(
    source: str, files: list[File], fleet: FleetConfig, config: CalibrationConfig, name: str
) -> ReadingsError:
    command = command_that_sorts(source, files, fleet.by, config)
    how = f"which `{command}` does in memory" if command else 'as pandas\' `sort_values(…, kind="stable")` does'
    return ReadingsError(
        f"{printable(source)}: the rows of sensor {shown(name)} are not together, and this loss or model takes all of "
        f"them: sort the table by sensor, {how}, or part it into a file for each"
    )


def _sensors(rows: SensorRows) -> Iterator[Sensor]:
    for k, name in enumerate(rows.names.to_pylist()):
        some = slice(rows.starts[k], rows.starts[k + 1])
        stated = (None if values is None else values[some] for values in (rows.u_c, rows.u_u))
        yield Sensor(name, rows.t_u[some], rows.t_c[some], *stated)


def _joined(parts: Sequence[Sensor]) -> Sensor:
    def join(values: Callable[[Sensor], NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
        columns = [column for part in parts if (column := values(part)) is not None]
        return np.concatenate(columns) if columns else None

    t_u = np.concatenate([part.t_u for part in parts])
    t_c = np.concatenate([part.t_c for part in parts])
    return Sensor(parts[0].name, t_u, t_c, join(lambda it: it.u_c), join(lambda it: it.u_u))


def _together(sensors: Iterator[Sensor]) -> Iterator[list[Sensor]]:
    while some := list(islice(sensors, TOGETHER)):
        yield some


def _calibrate_some(
    config: CalibrationConfig, source: str, sensors: Sequence[Sensor]
) -> list[tuple[str, Record | InputError]]:
    """Of each its Record, or why it is refused: that stops nobody else."""
    return [(it.name, _calibrate(config, source, it)) for it in sensors]


def _calibrate(config: CalibrationConfig, source: str, it: Sensor) -> Record | InputError:
    labels = config.model_dump(include={"x", "y", "x_quantity", "x_unit", "y_quantity", "y_unit"})
    try:
        readings = Readings(it.t_u, it.t_c, source, u_c=it.u_c, u_u=it.u_u, thermometer=it.name, **labels)
        return record_of(calibrate(readings, settle(readings, config)))
    except InputError as error:
        return error


def figures_of_records(records: Sequence[Record]) -> Figures:
    """What sensors are judged by, as `figures_of` has it: by the optimum of the loss, not by where a descent ended."""
    return Figures(*(np.array(column) for column in zip(*map(_figures, records), strict=True)))


def _figures(record: Record) -> tuple[Any, ...]:
    best, exact, nan = record.optimum, record.exact.uncertainty, math.nan
    is_line, is_network = record.model == "line", record.model == "mlp"
    w, b = best.coefficients if is_line else (nan, nan)
    u_w, u_b = best.uncertainties if is_line else (nan, nan)
    freedom = math.inf if exact.degrees_of_freedom is None else exact.degrees_of_freedom
    s = None if is_network else exact.residual_sd if record.chi_squared is None else _reduced(record)
    rounding = MOST_ROUNDING * max(map(abs, record.data.t_c_range or (0.0,)))
    if s is not None and s < rounding and record.chi_squared is None:  # as `figures_of`: nothing is certain beyond it
        s = rounding
        if is_line and record.curve is not None:
            u_w, u_b = replace(record.curve.to_curve(), observation_sd=rounding, u_common=0.0).uncertainties
    checks = {check.name: check for check in record.checks}
    p = [checks[name].p if name in checks and not is_network else None for name in BY_SMALL_P]
    fails = [name in checks and checks[name].verdict is Verdict.FAILS for name in BY_SMALL_P]
    return (
        *(nan if value is None else value for value in (w, u_w, b, u_b, freedom, s)),
        float(record.residual_freedom),
        [nan if value is None else value for value in p],
        fails,
    )


def _reduced(record: Record) -> float | None:
    """Standard deviation of the residuals in units of the uncertainties stated."""
    if record.chi_squared is None or record.residual_freedom < 1:
        return None
    return math.sqrt(record.chi_squared / record.residual_freedom)
