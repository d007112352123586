"""From a calibration to its Record: the one place that knows both."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.calibration import Calibration
from tempfit.calibration.checks import Check
from tempfit.calibration.explain import why
from tempfit.calibration.record import (
    SCHEMA,
    CheckRecord,
    CurveRecord,
    DataRecord,
    ExactRecord,
    OptimumRecord,
    Record,
    RobustRecord,
    ScaledRecord,
    ScaleRecord,
    Source,
    UncertaintyRecord,
    ValidationRecord,
)
from tempfit.calibration.scales import Scale
from tempfit.exact.curve import Curve
from tempfit.readings.paired import Readings


def record_of(calibration: Calibration) -> Record:
    """The calibration as it is kept."""
    fit, forecast, config = calibration.fit, calibration.forecast, calibration.config
    is_linear, curve = calibration.is_linear, calibration.curve
    source: Source = "stated" if calibration.problem.is_stated else "residuals"
    return Record(
        schema_=SCHEMA,
        thermometer=calibration.readings.thermometer,
        status=calibration.status,
        outcome=calibration.outcome,
        why=why(calibration),
        diverged_at=fit.diverged_at,
        grown=_grown(calibration),
        model=config.model,
        w=_number(calibration.w),
        b=_number(calibration.b),
        coefficients=_numbers(calibration.coefficients) if is_linear else None,
        loss=_number(calibration.loss),
        rmse=_number(calibration.rmse),
        n=calibration.exact.n,
        n_epochs=fit.n_epochs,
        close_at=fit.close_at,
        scaled=_scaled(calibration),
        exact=_exact(calibration, source),
        optimum=_optimum(calibration.problem.best),
        uncertainty=None if curve is None else record_uncertainty(curve, calibration.residual_sd, source),
        curve=None if curve is None else record_curve(curve),
        usable=calibration.usable,
        checks=tuple(_check(check) for check in calibration.checks),
        chi_squared=_number(calibration.exact.chi_squared),
        robust=_robust(calibration),
        scales=tuple(_scale(scale) for scale in calibration.scales),
        excess_loss=_number(calibration.excess_loss),
        critical_learning_rate=_number(forecast.critical_learning_rate),
        condition_number=_number(forecast.condition_number),
        epochs_needed=forecast.epochs_needed,
        overflow_epoch=forecast.overflow_epoch,
        advice=forecast.advice,
        validation=_validation(calibration),
        data=_data(calibration.readings),
        config=config,
        evidence=None,
    )


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _numbers(values: NDArray[np.float64]) -> tuple[float | None, ...]:
    return tuple(_number(value) for value in values.tolist())


def _matrix(values: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in values.tolist())


def _grown(calibration: Calibration) -> float | None:
    if not calibration.exploded or calibration.fit.diverged_at is not None:
        return None
    return _number(calibration.objective[-1] / calibration.objective[0])


def _scaled(calibration: Calibration) -> ScaledRecord:
    scaling, is_line = calibration.problem.basis.scaling, calibration.config.model == "line"
    params = tuple(calibration.fit.params.tolist()) if calibration.is_linear else None
    w, b = params if params is not None and is_line else (None, None)
    return ScaledRecord(w=w, b=b, params=params, factor=scaling.factor, center=scaling.center)


def _exact(calibration: Calibration, source: Source) -> ExactRecord:
    exact = calibration.exact
    return ExactRecord(
        w=exact.w if exact.is_line else None,
        b=exact.b if exact.is_line else None,
        coefficients=_numbers(exact.coefficients),
        loss=_number(exact.loss),
        r_squared=_number(exact.r_squared),
        uncertainty=record_uncertainty(exact, exact.residual_sd, source),
    )


def _optimum(best: Curve) -> OptimumRecord:
    return OptimumRecord(
        coefficients=_numbers(best.coefficients),
        uncertainties=_numbers(best.uncertainties),
        observation_sd=_number(best.observation_sd),
    )


def record_curve(curve: Curve) -> CurveRecord:
    """The curve as it is kept: `CurveRecord.to_curve` is this curve to the last bit."""
    return CurveRecord(
        factor=curve.basis.scaling.factor,
        center=curve.basis.scaling.center,
        t0=curve.basis.origin,
        matrix=_matrix(curve.basis.matrix),
        params=tuple(curve.params.tolist()),
        cofactor=_matrix(curve.cofactor),
        observation_sd=_number(curve.observation_sd),
        degrees_of_freedom=_number(curve.degrees_of_freedom),
        u_common=curve.u_common,
        coverage=curve.coverage,
        t_u_range=curve.t_u_range,
    )


def record_uncertainty(curve: Curve, residual_sd: float | None, source: Source) -> UncertaintyRecord:
    """Standard uncertainties of the curve's coefficients, and what they are made of."""
    covariance, is_line = curve.covariance, curve.is_line
    return UncertaintyRecord(
        w=_number(curve.u_w) if is_line else None,
        b=_number(curve.u_b) if is_line else None,
        covariance=_number(covariance[0, 1]) if is_line else None,
        correlation=_number(curve.correlation) if is_line else None,
        coefficients=_numbers(curve.uncertainties),
        covariance_matrix=tuple(_numbers(row) for row in covariance),
        residual_sd=None if residual_sd is None else _number(residual_sd),
        observation_sd=_number(curve.observation_sd),
        degrees_of_freedom=_number(curve.degrees_of_freedom),
        coverage=curve.coverage,
        coverage_factor=_number(float(curve.coverage_factor())),
        common=curve.u_common,
        t0=curve.basis.origin,
        source=source,
    )


def _check(check: Check) -> CheckRecord:
    figure, p = _number(check.figure), None if check.p is None else _number(check.p)
    return CheckRecord(
        name=check.name, measure=check.measure, figure=figure, p=p, verdict=check.verdict, sentence=check.sentence
    )


def _robust(calibration: Calibration) -> RobustRecord | None:
    robust = calibration.problem.robust
    if robust is None or not calibration.is_linear:
        return None
    rows = np.flatnonzero(calibration.problem.mask)[robust.set_aside] + 1
    return RobustRecord(
        delta=robust.delta, observation_sd=_number(robust.observation_sd), set_aside=tuple(rows.tolist())
    )


def _scale(scale: Scale) -> ScaleRecord:
    return ScaleRecord(
        scale=scale.name,
        symbol=scale.symbol,
        w=scale.w,
        b=scale.b,
        statistic=_number(scale.statistic),
        p=scale.p,
        compatible=scale.compatible,
    )


def _validation(calibration: Calibration) -> ValidationRecord | None:
    seen = calibration.validation
    if seen is None:
        return None
    return ValidationRecord(
        method=seen.method,
        n=seen.n,
        loss=_number(seen.final),
        lowest_loss=_number(seen.loss.min()),
        lowest_at=seen.lowest_at,
        overfits=seen.overfits,
        diverged=seen.diverged,
        sentence=seen.verdict(),
    )


def _data(readings: Readings) -> DataRecord:
    return DataRecord(
        source=readings.source,
        sha256=readings.sha256,
        n=readings.n,
        n_dropped=readings.n_dropped,
        weighted_by=tuple(name for name in ("u_c", "u_u") if getattr(readings, name) is not None),
        t_u_range=(float(readings.t_u.min()), float(readings.t_u.max())),
        t_c_range=(float(readings.t_c.min()), float(readings.t_c.max())),
    )
