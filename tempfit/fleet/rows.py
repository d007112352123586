"""A sensor's row of a fleet's table as its Record, when somebody looks at it.

The row has what descent found, and the evidence; all else follows from these by the code that judged the fleet, and is
held against what the row says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from tempfit.calibration.contradictions import contradiction
from tempfit.calibration.filed import Filed, damaged, describe_fault
from tempfit.calibration.members import Calibrations, recall_members
from tempfit.calibration.record import DataRecord
from tempfit.calibration.record_arrays import tabulate
from tempfit.calibration.record_table import COLUMNS, as_row_record
from tempfit.calibration.recording import make_record
from tempfit.calibration.spread import join
from tempfit.config import CalibrationConfig
from tempfit.descent.configs import Configs
from tempfit.descent.history import Ending, Fits
from tempfit.descent.model import build_model
from tempfit.errors import TempfitError
from tempfit.exact.design import Design
from tempfit.exact.evidence import Evidence
from tempfit.fleet.lookup import FleetTable
from tempfit.words import Outcome, Status

ALIKE = 1e-9  # relative: another machine rounds otherwise
ROUNDING = 1e-13  # of the largest temperature: of a residual, what float64 leaves to chance
FOUND = ("status", "outcome", "loss", "n_epochs", "close_at", "scaled_params")  # by descent: the row alone tells them
EVIDENCE = (
    *("evidence_n", "evidence_t_u_range", "evidence_largest", "evidence_center", "evidence_scale"),
    *("evidence_factor", "evidence_variance", "evidence_mean_variance"),
)
DATA = ("data_source", "data_sha256", "data_n_dropped")
EXACTLY = ("schema", "model", "n", "uncertainty_degrees_of_freedom", "curve_t_u_range")
TO_ROUNDING = (  # follows from the evidence, or from it and scaled_params
    *("w", "b", "coefficients", "rmse", "exact_coefficients", "exact_loss", "uncertainty_coefficients"),
    *("uncertainty_observation_sd", "uncertainty_coverage_factor", "curve_factor", "curve_center", "curve_matrix"),
    *("curve_params", "curve_cofactor", "chi_squared", "critical_learning_rate"),
)
TINY = 1e-250
SMALL = 1e-5  # of the largest temperature: an intercept that is smaller is a difference of large numbers
OF_RESIDUALS = ("rmse", "exact_loss", "uncertainty_coefficients", "uncertainty_observation_sd", "chi_squared")


def read_row(table: FleetTable, thermometer: str) -> Filed:
    """One sensor's Record, and where it is filed.

    It is what calibrating that sensor alone gives, but for the checks that need its rows, unless the fleet was
    calibrated by these. Raises RunsError as `FleetTable.row` does, and for a row that contradicts itself, in one line
    with the column.
    """
    place = f"{table}, sensor {thermometer}"
    if "why" in table.columns:  # calibrated by rows, one by one, and written with every sentence
        whole = as_row_record(table.row(thermometer, COLUMNS.names), place)
        return Filed(whole, place, table.run_id, table.made_at, table.tags, sensor=thermometer)
    is_line = "w" in table.columns
    compared = [name for name in (*EXACTLY, *TO_ROUNDING, "usable") if is_line or name not in ("w", "b")]
    row = table.row(thermometer, ["config", "checks", *FOUND, *EVIDENCE, *DATA, *compared])
    config = _config(row["config"], place)
    try:
        calibrations = _recall(row, config)
        derived = join(tabulate(calibrations, [thermometer]).to_pylist()[0])
        difference = next(_differences(row, derived, compared), None)
        record = make_record(calibrations[0], thermometer, _data(row)) if difference is None else None
    except ValidationError as error:
        raise damaged(place, describe_fault(error)) from None
    except (TempfitError, ValueError, TypeError, LookupError, ArithmeticError, np.linalg.LinAlgError) as error:
        raise damaged(place, f"its evidence leads to no calibration ({str(error).partition(chr(10))[0]})") from None
    if record is None or (difference := contradiction(record)):
        raise damaged(place, str(difference))
    return Filed(record, place, table.run_id, table.made_at, table.tags, sensor=thermometer)


def _config(text: Any, place: str) -> CalibrationConfig:
    try:
        return CalibrationConfig.model_validate_json(text or "")
    except ValidationError as error:
        raise damaged(place, f"config.{describe_fault(error)}") from None


def _recall(row: Mapping[str, Any], config: CalibrationConfig) -> Calibrations:
    """The calibration as that of the only member."""

    def numbers(name: str) -> NDArray[np.float64]:
        return np.array([row[name]], dtype=np.float64)  # NaN where there is none

    (low, high) = numbers("evidence_t_u_range").T
    evidence = Evidence(
        n=numbers("evidence_n"),
        low=low,
        high=high,
        largest=numbers("evidence_largest"),
        center=numbers("evidence_center"),
        scale=numbers("evidence_scale"),
        factor=numbers("evidence_factor"),
        variance=numbers("evidence_variance"),
        mean_variance=numbers("evidence_mean_variance"),
    )
    outcome = np.array([Outcome(row["outcome"]).code], dtype=np.int8)
    return recall_members(evidence, config, outcome, _ends(row, config))


def _ends(row: Mapping[str, Any], config: CalibrationConfig) -> Callable[[Design], Fits]:
    """How the descent began and ended."""

    def find(design: Design) -> Fits:
        start = build_model(config).start(Configs(config, 1)).numpy()
        first = _state(design, config, start, 0)
        last = _state(design, config, np.array([row["scaled_params"]], dtype=np.float64), row["n_epochs"])
        return Fits(
            status=np.array([Status(row["status"]).code], dtype=np.int8),
            close_at=np.array([row["close_at"] or 0]),
            first=first,
            before=Ending.empty(1, start.shape[1]),
            last=replace(last, loss=np.array([row["loss"]], dtype=np.float64)),
        )

    return find


def _state(design: Design, config: CalibrationConfig, params: NDArray[np.float64], updates: int) -> Ending:
    """Squared loss at params (1, terms), and the gradient of it with its penalties."""
    with np.errstate(over="ignore", invalid="ignore"):
        residual = (design.features @ params[..., None])[..., 0] - design.targets
        loss = np.square(residual).sum(axis=1) / design.n_readings
        gradient = 2 / design.n_readings * (residual[:, None] @ design.features)[:, 0]
        gradient += 2 * config.l2 * params + config.l1 * np.sign(params)
    return Ending(np.array([updates]), params, loss, gradient)


def _data(row: Mapping[str, Any]) -> DataRecord:
    low, high = row["evidence_t_u_range"]
    return DataRecord(
        source=row["data_source"],
        sha256=row["data_sha256"],
        n=row["evidence_n"],
        n_dropped=row["data_n_dropped"],
        weighted_by=() if row["evidence_variance"] is None else ("u_c",),
        t_u_range=(low, high),
        t_c_range=None,
    )


def _differences(row: Mapping[str, Any], derived: Mapping[str, Any], compared: list[str]) -> Iterator[str]:
    """What the row says otherwise than what it was made from leads to, in words that begin with the column."""
    rmse, largest = derived["rmse"], derived["evidence_largest"]
    chance = 0.0 if rmse is None else ROUNDING * largest / max(rmse, TINY)  # relative, of a residual
    for name in compared:
        told, expected = row[name], derived[name]
        tolerance = 0.0 if name in (*EXACTLY, "usable") else ALIKE + (chance if name in OF_RESIDUALS else 0.0)
        if not _alike(told, expected, tolerance, SMALL * largest if name == "b" else 0.0):
            yield f"{name} is {told}, its evidence says {expected}"
    found, judged = ({check["name"]: check for check in checks or ()} for checks in (row["checks"], derived["checks"]))
    if list(found) != list(judged):
        yield f"checks are {', '.join(found) or 'missing'}, its evidence carries {', '.join(judged)}"
        return
    for name, expected in judged.items():
        told = found[name]
        if told["verdict"] != expected["verdict"]:
            yield f"checks: {name} {told['verdict']}, by its evidence it {expected['verdict']}"
        if not _alike(told["p"], expected["p"], ALIKE + chance):
            yield f"checks: p of {name} is {told['p']}, its evidence says {expected['p']}"


def _alike(told: Any, expected: Any, tolerance: float, least: float = 0.0) -> bool:
    """Numbers, or lists of them: to the tolerance, relative to the largest of a list, which is `least` at least."""
    if told is None or expected is None or tolerance == 0:
        return bool(told == expected)
    one, other = np.atleast_1d(np.array(told, dtype=np.float64)), np.atleast_1d(np.array(expected, dtype=np.float64))
    if one.shape != other.shape or (np.isnan(one) != np.isnan(other)).any():
        return False
    size = np.nanmax(np.abs(other), initial=least)
    return bool((np.nan_to_num(np.abs(one - other)) <= tolerance * size).all())
