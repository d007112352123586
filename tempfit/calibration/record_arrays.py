"""Many calibrations as the rows of a table of Records, from their arrays: no object, and no sentence, for any of them.

The columns are those of `record_table`, as far as numbers and words fill them, `spread`; a sentence is made when a row
is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tempfit.calibration.members import Calibrations
from tempfit.calibration.record import SCHEMA
from tempfit.calibration.spread import CHECKS, spread_values
from tempfit.exact.curve import Curve
from tempfit.words import Outcome, Status, Verdict, Word


def tabulate(calibrations: Calibrations, thermometers: Sequence[str]) -> pa.Table:
    """A row for each member, in their order, by its thermometer's name."""
    columns: dict[str, pa.Array] = {}
    for name, column in _columns(calibrations, thermometers):
        if isinstance(column, pa.Array):
            columns[name] = column
        elif column.ndim == 1:
            columns[name] = as_column(column)
        else:
            columns |= {part: as_column(values) for part, values in spread_values(name, column).items()}
    return pa.table(columns)


def _columns(calibrations: Calibrations, thermometers: Sequence[str]) -> Iterator[tuple[str, Any]]:
    config, fits, evidence = calibrations.config, calibrations.fits, calibrations.evidence
    exact, curve, members = calibrations.exact, calibrations.curve, len(calibrations)
    yield "schema", np.full(members, SCHEMA)
    yield "thermometer", pa.array(thermometers, pa.string())
    yield "status", _words(fits.status, Status)
    yield "outcome", _words(calibrations.outcome, Outcome)
    yield "model", same(config.model, members)
    coefficients = curve.coefficients
    if curve.is_line:
        yield "w", coefficients[:, 0]
        yield "b", coefficients[:, 1]
    yield "coefficients", coefficients
    yield "loss", fits.loss
    yield "rmse", calibrations.rmse
    yield "n", evidence.n.astype(np.int64)
    yield "n_epochs", fits.n_epochs
    yield "close_at", pa.array(fits.close_at, pa.int64(), mask=fits.close_at == 0)
    yield "scaled_params", fits.params
    yield "scaled_factor", calibrations.basis.scaling.factor
    yield "scaled_center", calibrations.basis.scaling.center
    yield "exact_coefficients", exact.coefficients
    yield "exact_loss", exact.loss
    yield "exact_r_squared", exact.r_squared
    yield from _uncertainty(curve)
    yield "curve_factor", curve.basis.scaling.factor
    yield "curve_center", curve.basis.scaling.center
    yield "curve_matrix", curve.basis.matrix
    yield "curve_params", curve.params
    yield "curve_cofactor", curve.cofactor
    yield "curve_t_u_range", np.stack(curve.t_u_range, axis=1)
    yield "usable", calibrations.usable
    for name, check in calibrations.checks.items():
        yield f"{CHECKS}_{name}_figure", check.figure
        yield f"{CHECKS}_{name}_p", check.p
        yield f"{CHECKS}_{name}_verdict", _words(check.verdict, Verdict)
    yield "chi_squared", exact.chi_squared
    yield "critical_learning_rate", calibrations.quadratic.critical_learning_rate
    yield "condition_number", calibrations.quadratic.condition_number
    yield "evidence_n", evidence.n.astype(np.int64)
    yield "evidence_t_u_range", np.stack([evidence.low, evidence.high], axis=1)
    yield "evidence_largest", evidence.largest
    yield "evidence_center", evidence.center
    yield "evidence_scale", evidence.scale
    yield "evidence_factor", evidence.factor
    yield "evidence_variance", evidence.variance
    yield "evidence_mean_variance", evidence.mean_variance
    yield "config", same(config.model_dump_json(), members)


def _uncertainty(curve: Curve) -> Iterator[tuple[str, Any]]:
    """Of what descent found; by `Curve`, from one covariance."""
    covariance = curve.covariance
    uncertainties = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    if curve.is_line:
        yield "uncertainty_w", uncertainties[:, 0]
        yield "uncertainty_b", uncertainties[:, 1]
        yield "uncertainty_covariance", covariance[:, 0, 1]
    yield "uncertainty_coefficients", uncertainties
    yield "uncertainty_observation_sd", curve.observation_sd
    yield "uncertainty_degrees_of_freedom", curve.degrees_of_freedom
    freedom = pa.array(curve.degrees_of_freedom).dictionary_encode()  # of a few different ones, each is looked up once
    factors = [curve.moved(curve.params[:0], np.nan, each.as_py()).coverage_factor() for each in freedom.dictionary]
    yield "uncertainty_coverage_factor", np.array(factors)[freedom.indices]


def same(text: str, members: int) -> pa.DictionaryArray:
    """What all members have."""
    return pa.DictionaryArray.from_arrays(np.zeros(members, np.int8), [text])


def _words(codes: NDArray[np.int8], kind: type[Word]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(codes, [word.value for word in kind])


def as_column(values: NDArray[Any]) -> pa.Array:
    """Numbers, null where they are not finite."""
    if values.dtype != np.float64:
        return pa.array(values)
    is_none = ~np.isfinite(values)
    return pa.array(values, mask=is_none if is_none.any() else None)  # (without a mask, nothing is copied)
