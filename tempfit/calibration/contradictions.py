"""What cannot be true of a Record, though each of its fields alone could: the fields that follow from others do not.

Each rule tells what it finds in words that begin with the field's name. Digits are compared to a millionth, since
another machine may round otherwise; the digest holds the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.parts import CurveRecord, UncertaintyRecord
from tempfit.calibration.record import Record
from tempfit.calibration.scales import KNOWN, SIGNIFICANCE
from tempfit.words import Outcome, Status, Verdict

ALIKE = 1e-6  # relative
SMALLEST = 1e-290  # of a covariance: below it, float64 has less digits


def contradiction(record: Record) -> str | None:
    """The first that is found; None where there is none."""
    return next(_contradictions(record), None)


def _contradictions(record: Record) -> Iterator[str]:
    yield from _ending(record)
    yield from _coefficients(record)
    yield from _readings(record)
    yield from _evidence(record)
    yield from _scaling(record)
    yield from _uncertainty("exact.uncertainty", record.exact.uncertainty, record)
    yield from _residual_sd("exact.uncertainty", record.exact.uncertainty, record.exact.loss, record)
    yield from _curve(record)
    yield from _verdicts(record)


def _ending(record: Record) -> Iterator[str]:
    """How the descent ended."""
    diverged = record.status is Status.DIVERGED
    if record.model != record.config.model:
        yield f"model is {record.model}, of a {record.config.model}"
    if diverged and record.outcome is not Outcome.EXPLODES:
        yield f"outcome is {record.outcome}, of a fit that diverged"
    if record.diverged_at != (record.n_epochs + 2 if diverged else None):
        yield f"diverged_at is {record.diverged_at}, after {record.n_epochs} epochs of a fit that {record.status}"
    if record.n_epochs > record.config.n_epochs:
        yield f"n_epochs is {record.n_epochs}, of {record.config.n_epochs} at most"
    if record.close_at is not None and record.close_at > record.n_epochs + 1:
        yield f"close_at is {record.close_at}, of a fit that ended after {record.n_epochs} epochs"
    if record.grown is not None and (diverged or not record.exploded):
        yield f"grown is {record.grown:g}, of a fit that was not on its way to overflow"
    if record.loss is None or (record.rmse is None and not record.exploded):
        yield f"{'loss' if record.loss is None else 'rmse'} is missing"


def _coefficients(record: Record) -> Iterator[str]:
    """Of the model, of the exact solution beside it, of the optimum of its loss."""
    n_terms, is_line = _n_terms(record), record.model == "line"
    exact, optimum, scaled = record.exact, record.optimum, record.scaled
    vectors: dict[str, Sequence[object] | None] = {
        "coefficients": record.coefficients,
        "scaled.params": scaled.params,
        "exact.coefficients": exact.coefficients,
        "optimum.coefficients": optimum.coefficients,
        "optimum.uncertainties": optimum.uncertainties,
    }
    for name, vector in vectors.items():
        has_none = not record.is_linear and name in ("coefficients", "scaled.params")
        if (vector is None) != has_none or (vector is not None and len(vector) != n_terms):
            n = "no" if vector is None else len(vector)
            yield f"{name} has {n} numbers; {'a network has none' if has_none else f'it takes {n_terms}'}"
    named = (
        ("", (record.w, record.b), record.coefficients if is_line else None),
        ("scaled.", (scaled.w, scaled.b), scaled.params if is_line else None),
        ("exact.", (exact.w, exact.b), exact.coefficients if n_terms == 2 else None),
    )
    for place, told, expected in named:
        for name, value, other in zip("wb", told, expected or (None, None), strict=True):
            if value != other:
                yield f"{place}{name} is {value}, {place}coefficients say {other}"


def _n_terms(record: Record) -> int:
    return record.config.degree + 1 if record.model == "polynomial" else 2


def _readings(record: Record) -> Iterator[str]:
    """How many there are, of what range, and which the fit did not see."""
    data, config, seen = record.data, record.config, record.validation
    for name, ends in {"data.t_u_range": data.t_u_range, "data.t_c_range": data.t_c_range}.items():
        if ends is not None and ends[0] > ends[1]:
            yield f"{name} is from {ends[0]:g} to {ends[1]:g}"
    if record.n < _n_terms(record) or record.n > data.n:
        yield f"n is {record.n}, of {data.n} readings and {_n_terms(record)} terms"
    is_validated = bool(config.folds or config.holdout or config.holdout_rows)
    if (seen is not None) != is_validated:
        yield f"validation is {'missing' if seen is None else 'of readings that were not held out'}"
    n_held_out = data.n if config.folds else data.n - record.n
    if seen is not None and seen.n != n_held_out:
        yield f"validation.n is {seen.n}, of {n_held_out} readings held out"
    if record.n < data.n and (config.folds or not is_validated):
        yield f"n is {record.n}, of {data.n} readings of which none was held out"
    if data.weighted_by not in ((), ("u_c",), ("u_c", "u_u")):
        yield f"data.weighted_by is {', '.join(data.weighted_by)}"
    if ("u_u" in data.weighted_by) != (config.loss == "york"):
        yield f"config.loss is {config.loss}, data.weighted_by {', '.join(data.weighted_by) or 'nothing'}"
    if (record.robust is not None) != (config.loss == "huber" and record.is_linear):
        yield f"robust is {'missing' if record.robust is None else f'that of another loss than {config.loss}'}"
    if record.robust is not None and any(row > data.n for row in record.robust.set_aside):
        yield f"robust.set_aside names reading {max(record.robust.set_aside)} of {data.n}"


def _evidence(record: Record) -> Iterator[str]:
    """What the exact solution follows from."""
    evidence, n_terms = record.evidence, _n_terms(record)
    if evidence is None:
        return
    factor = np.array([list(row) for row in evidence.factor if len(row) == n_terms + 2])
    if factor.shape != (n_terms + 2, n_terms + 2) or np.tril(factor, -1).any() or (np.diag(factor) < 0).any():
        yield "evidence.factor is no triangular factor of these terms"
    elif evidence.n != record.n:
        yield f"evidence.n is {evidence.n}, n is {record.n}"
    elif record.exact.loss is not None:
        loss = float(np.square(factor[n_terms:, -1]).sum()) / record.n
        if not _alike(record.exact.loss, loss):
            yield f"evidence.factor leaves a loss of {loss:g}, exact.loss is {record.exact.loss:g}"


def _scaling(record: Record) -> Iterator[str]:
    """That the parameters were trained in."""
    scaled, config = record.scaled, record.config
    expected = {"none": (1.0, 0.0), "factor": (config.factor, 0.0)}.get(config.scaling)
    if expected is None and config.scaling == "standardize" and record.curve is not None:
        expected = record.curve.factor, record.curve.center
    for name, value, other in zip(("factor", "center"), (scaled.factor, scaled.center), expected or (), strict=False):
        if not math.isclose(value, other, rel_tol=ALIKE):
            yield f"scaled.{name} is {value:g}, not the {other:g} of the scaling {config.scaling}"


def _uncertainty(place: str, told: UncertaintyRecord, record: Record) -> Iterator[str]:
    """Of either solution: what it is made of, and that its numbers fit together."""
    config, n_terms = record.config, _n_terms(record)
    settings = {"coverage": (told.coverage, config.coverage), "common": (told.common, config.u_common)}
    for name, (value, other) in {**settings, "t0": (told.t0, config.t0)}.items():
        if value != other:
            yield f"{place}.{name} is {value:g}, the setting is {other:g}"
    if told.source == "stated" and not record.data.weighted_by:
        yield f"{place}.from is stated, data.weighted_by nothing"
    if told.source == "residuals" and config.uncertainty_from == "stated":
        yield f"{place}.from is residuals, the setting is stated"
    if (told.degrees_of_freedom is None) != (told.source == "stated"):
        yield f"{place}.degrees_of_freedom is {told.degrees_of_freedom or 'infinite'}, made from {told.source}"
    if len(told.coefficients) != n_terms or [len(row) for row in told.covariance_matrix] != [n_terms] * n_terms:
        name = "coefficients" if len(told.coefficients) != n_terms else "covariance_matrix"
        yield f"{place}.{name} is of another size than its {n_terms} terms"
        return
    u = np.array(told.coefficients, dtype=np.float64)
    covariance = np.array(told.covariance_matrix, dtype=np.float64)
    with np.errstate(all="ignore"):
        correlation = covariance / u[:, None] / u
        known = np.isfinite(correlation) & (u[:, None] * u > SMALLEST)
    correlation = np.where(known, correlation, np.eye(n_terms))
    if (np.abs(np.diag(correlation) - 1) > ALIKE).any():
        yield f"{place}.covariance_matrix is not that of {place}.coefficients"
    if (np.abs(correlation - correlation.T) > ALIKE).any() or (np.abs(correlation) > 1 + ALIKE).any():
        yield f"{place}.covariance_matrix is not symmetric"
    if np.linalg.eigvalsh(correlation)[0] < -ALIKE:
        yield f"{place}.covariance_matrix is not positive"
    expected = (u[0], u[1], covariance[0, 1]) if n_terms == 2 else (math.nan,) * 3
    for name, figure, other in zip(("w", "b", "covariance"), (told.w, told.b, told.covariance), expected, strict=True):
        if not _alike(figure, float(other)):
            yield f"{place}.{name} is {figure}, the others say {other:g}"
    r = float(correlation[0, 1]) if n_terms == 2 and known[0, 1] else None
    if (told.correlation is not None and n_terms != 2) or (r is not None and not _alike(told.correlation, r)):
        yield f"{place}.correlation is {told.correlation}, the others say {r}"


def _residual_sd(place: str, told: UncertaintyRecord, loss: float | None, record: Record) -> Iterator[str]:
    """s² = n · loss / (n − terms)."""
    freedom = record.residual_freedom
    known = loss is not None and freedom > 0
    expected = math.sqrt(loss) * math.sqrt(record.n / freedom) if known and loss is not None else math.nan
    if not _alike(told.residual_sd, expected):
        yield f"{place}.residual_sd is {told.residual_sd}, of residuals whose standard deviation is {expected:g}"
    if told.source == "residuals" and record.robust is None and told.degrees_of_freedom != freedom:
        yield f"{place}.degrees_of_freedom is {told.degrees_of_freedom}, of {record.n} readings"


def _alike(value: float | None, other: float) -> bool:
    if value is None or not math.isfinite(other):
        return value is None and not math.isfinite(other)
    return math.isclose(value, other, rel_tol=ALIKE)


def _curve(record: Record) -> Iterator[str]:
    """What is used: its form, and what the file says of it elsewhere."""
    has_one = record.is_linear and not record.exploded
    for name, part in (("curve", record.curve), ("uncertainty", record.uncertainty)):
        if (part is not None) != has_one:
            yield f"{name} is {'missing' if part is None else 'that of a fit that left nothing to use'}"
    if record.curve is None or record.uncertainty is None:
        return
    found = next(_form(record.curve, record), None)
    if found is not None:
        yield found
        return
    curve = record.curve.to_curve()
    with np.errstate(all="ignore"):  # by what they are in temperature: rounding of one is the size of the largest term
        largest = np.abs(np.array(curve.t_u_range) - curve.basis.origin).max() ** np.arange(len(curve.params))[::-1]
        size = float(np.abs(curve.basis.fold) @ np.abs(curve.params) @ largest)
        off = np.abs(np.array(record.coefficients, dtype=np.float64) - curve.coefficients) * largest
    if (off > ALIKE * size).any():
        yield "coefficients do not follow from curve.params"
    yield from _uncertainty("uncertainty", record.uncertainty, record)
    rmse = math.nan if record.rmse is None else record.rmse
    yield from _residual_sd("uncertainty", record.uncertainty, rmse * rmse, record)
    derived = UncertaintyRecord.of(curve, record.uncertainty.residual_sd, record.uncertainty.source)
    for name in ("observation_sd", "degrees_of_freedom", "coverage_factor"):
        value, other = getattr(record.uncertainty, name), getattr(derived, name)
        if not _alike(value, math.nan if other is None else other):
            yield f"uncertainty.{name} is {value}, the curve's is {other}"
    for value, other in zip(record.uncertainty.coefficients, derived.coefficients, strict=True):
        if not _alike(value, math.nan if other is None else other):
            yield f"uncertainty.coefficients say {value}, the curve's cofactor and observation_sd {other}"


def _form(curve: CurveRecord, record: Record) -> Iterator[str]:
    n_terms = _n_terms(record)
    if len(curve.params) != n_terms:
        yield f"curve.params has {len(curve.params)} numbers; it takes {n_terms}"
    for name, rows in (("matrix", curve.matrix), ("cofactor", curve.cofactor)):
        if [len(row) for row in rows] != [n_terms] * n_terms:
            yield f"curve.{name} is of another size than its {n_terms} terms"
            return
    matrix, cofactor = np.array(curve.matrix), np.array(curve.cofactor)
    if np.triu(matrix, 1).any() or not np.diag(matrix).all():
        yield "curve.matrix is not lower triangular"
    if not _is_positive(cofactor):
        yield "curve.cofactor is not symmetric and positive definite"
    settings = {"t0": record.config.t0, "u_common": record.config.u_common, "coverage": record.config.coverage}
    for name, value in settings.items():
        if getattr(curve, name) != value:
            yield f"curve.{name} is {getattr(curve, name):g}, the setting is {value:g}"
    (low, high), (lowest, highest) = curve.t_u_range, record.data.t_u_range
    if not lowest <= low < high <= highest:
        yield f"curve.t_u_range is from {low:g} to {high:g}, of readings from {lowest:g} to {highest:g}"
    if not low <= curve.center <= high:
        yield f"curve.center is {curve.center:g}, of readings from {low:g} to {high:g}"


def _is_positive(cofactor: NDArray[np.float64]) -> bool:
    size = np.sqrt(np.abs(np.diag(cofactor)))
    try:
        np.linalg.cholesky(cofactor)
    except np.linalg.LinAlgError:
        return False
    return bool((np.abs(cofactor - cofactor.T) <= ALIKE * np.outer(size, size)).all())


def _verdicts(record: Record) -> Iterator[str]:
    """The checks, and what follows from them."""
    if bool(record.checks) != (record.is_linear or record.exploded):
        yield f"checks are {'those of another model' if record.checks else 'missing'}"
    fails = any(check.verdict is Verdict.FAILS for check in record.checks)
    if record.usable == (record.failed or fails):
        yield f"usable is {str(record.usable).lower()}, which its checks contradict"
    for k, scale in enumerate(record.scales):
        if KNOWN.get(scale.symbol) != (scale.scale, scale.w, scale.b):
            yield f"scales.{k} is no known scale"
        if scale.compatible != (scale.p >= SIGNIFICANCE):
            yield f"scales.{k}.compatible is {str(scale.compatible).lower()}, p is {scale.p:g}"
