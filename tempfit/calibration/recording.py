"""From a calibration to its Record: the one place that knows both."""

from __future__ import annotations

import numpy as np

from tempfit.calibration.calibration import Calibration
from tempfit.calibration.checks import Check
from tempfit.calibration.explain import why
from tempfit.calibration.judged import Judged
from tempfit.calibration.parts import CurveRecord, Source, UncertaintyRecord, number, numbers
from tempfit.calibration.record import (
    SCHEMA,
    CheckRecord,
    DataRecord,
    EvidenceRecord,
    ExactRecord,
    OptimumRecord,
    Record,
    RobustRecord,
    ScaledRecord,
    ScaleRecord,
    ValidationRecord,
)
from tempfit.calibration.scales import Scale
from tempfit.exact.evidence import Evidence
from tempfit.exact.large import AnyReadings


def record_of(calibration: Calibration) -> Record:
    """The calibration as it is kept."""
    readings = calibration.readings
    return make_record(calibration, _writable(readings.thermometer), _data(readings))


def make_record(calibration: Judged, thermometer: str, data: DataRecord) -> Record:
    """What was judged as the Record of `thermometer`, by readings of which no more than `data` has to be known."""
    fit, forecast, config = calibration.fit, calibration.forecast, calibration.config
    is_linear, curve = calibration.is_linear, calibration.curve
    source: Source = "stated" if calibration.problem.is_stated else "residuals"
    exact = _exact(calibration, source)
    return Record(
        schema_=SCHEMA,
        thermometer=thermometer,
        status=calibration.status,
        outcome=calibration.outcome,
        why=why(calibration),
        diverged_at=fit.diverged_at,
        grown=_grown(calibration),
        model=config.model,
        w=number(calibration.w),
        b=number(calibration.b),
        coefficients=numbers(calibration.coefficients) if is_linear else None,
        loss=number(calibration.loss),
        rmse=number(calibration.rmse),
        n=calibration.exact.n,
        n_epochs=fit.n_epochs,
        close_at=fit.close_at,
        scaled=_scaled(calibration),
        exact=exact,
        optimum=_optimum(calibration, exact),
        uncertainty=None if curve is None else UncertaintyRecord.of(curve, calibration.residual_sd, source),
        curve=None if curve is None else CurveRecord.of(curve),
        usable=calibration.usable,
        checks=tuple(_check(check) for check in calibration.checks),
        chi_squared=number(calibration.exact.chi_squared),
        robust=_robust(calibration),
        scales=tuple(_scale(scale) for scale in calibration.scales),
        excess_loss=number(calibration.excess_loss),
        critical_learning_rate=number(forecast.critical_learning_rate),
        condition_number=number(forecast.condition_number),
        epochs_needed=forecast.epochs_needed,
        overflow_epoch=forecast.overflow_epoch,
        advice=forecast.advice,
        validation=_validation(calibration),
        data=data,
        config=config,
        evidence=_evidence(calibration.problem.evidence),
    )


def _writable(name: str) -> str:
    """A file's name with what is no Unicode in it spelled out."""
    return name.encode("utf-8", "backslashreplace").decode()


def _grown(calibration: Judged) -> float | None:
    if not calibration.exploded or calibration.fit.diverged_at is not None:
        return None
    return number(calibration.objective[-1] / calibration.objective[0])


def _scaled(calibration: Judged) -> ScaledRecord:
    scaling, is_line = calibration.problem.basis.scaling, calibration.config.model == "line"
    params = tuple(calibration.fit.params.tolist()) if calibration.is_linear else None
    w, b = params if params is not None and is_line else (None, None)
    return ScaledRecord(w=w, b=b, params=params, factor=scaling.factor, center=scaling.center)


def _exact(calibration: Judged, source: Source) -> ExactRecord:
    exact = calibration.exact
    coefficients = numbers(exact.coefficients)
    w, b = coefficients if exact.is_line else (None, None)
    return ExactRecord(
        w=w,
        b=b,
        coefficients=coefficients,
        loss=number(exact.loss),
        r_squared=number(exact.r_squared),
        uncertainty=UncertaintyRecord.of(exact, exact.residual_sd, source),
    )


def _optimum(calibration: Judged, exact: ExactRecord) -> OptimumRecord:
    best = calibration.problem.best
    if best is calibration.exact:
        told = exact.uncertainty
        return OptimumRecord(
            coefficients=exact.coefficients, uncertainties=told.coefficients, observation_sd=told.observation_sd
        )
    return OptimumRecord(
        coefficients=numbers(best.coefficients),
        uncertainties=numbers(best.uncertainties),
        observation_sd=number(best.observation_sd),
    )


def _check(check: Check) -> CheckRecord:
    figure, p = number(check.figure), number(check.p)
    return CheckRecord(
        name=check.name, measure=check.measure, figure=figure, p=p, verdict=check.verdict, sentence=check.sentence
    )


def _robust(calibration: Judged) -> RobustRecord | None:
    robust = calibration.problem.robust
    if robust is None or not calibration.is_linear:
        return None
    rows = np.flatnonzero(calibration.problem.mask)[robust.set_aside] + 1
    return RobustRecord(
        delta=robust.delta, observation_sd=number(robust.observation_sd), set_aside=tuple(rows.tolist())
    )


def _scale(scale: Scale) -> ScaleRecord:
    return ScaleRecord(
        scale=scale.name,
        symbol=scale.symbol,
        w=scale.w,
        b=scale.b,
        statistic=number(scale.statistic),
        p=scale.p,
        compatible=scale.compatible,
    )


def _validation(calibration: Judged) -> ValidationRecord | None:
    seen = calibration.validation
    if seen is None:
        return None
    return ValidationRecord(
        method=seen.method,
        n=seen.n,
        loss=number(seen.final),
        lowest_loss=number(seen.loss.min()),
        lowest_at=seen.lowest_at,
        overfits=seen.overfits,
        diverged=seen.diverged,
        sentence=seen.verdict(),
    )


def _data(readings: AnyReadings) -> DataRecord:
    return DataRecord(
        source=_writable(readings.source),
        sha256=readings.sha256,
        n=readings.n,
        n_dropped=readings.n_dropped,
        weighted_by=readings.weighted_by,
        t_u_range=readings.t_u_range,
        t_c_range=readings.t_c_range,
    )


def _evidence(evidence: Evidence) -> EvidenceRecord:
    """Of the only member."""
    return EvidenceRecord(
        n=int(evidence.n[0]),
        t_u_range=(float(evidence.low[0]), float(evidence.high[0])),
        largest=float(evidence.largest[0]),
        center=float(evidence.center[0]),
        scale=float(evidence.scale[0]),
        factor=tuple(tuple(row) for row in evidence.factor[0].tolist()),
        variance=number(evidence.variance[0]),
        mean_variance=number(evidence.mean_variance[0]),
    )
