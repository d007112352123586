"""What a calibration leaves in its run: metrics, tags, files and a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from mlflow.entities import Metric

from tempfit.calibration.calibration import Calibration
from tempfit.calibration.equation import headline
from tempfit.calibration.filed import CALIBRATION_FILE, RESIDUALS_FILE
from tempfit.calibration.record import Record
from tempfit.calibration.recording import record_of
from tempfit.readings.paired import Readings
from tempfit.studies.compare import FAILED_TAG
from tempfit.tracking.failures import told_as
from tempfit.tracking.models import log_model
from tempfit.tracking.provenance import versions
from tempfit.tracking.repeats import REPEAT_TAG, repeat_key
from tempfit.tracking.runs import Run, as_tags
from tempfit.words import Verdict

HISTORY_POINTS = 300  # MLflow's charts draw at most 320 points of a history
FIGURES = (
    *("rmse", "n", "n_epochs", "close_at", "diverged_at", "excess_loss"),
    *("critical_learning_rate", "condition_number", "epochs_needed"),
)
OF_UNCERTAINTY = ("observation_sd", "residual_sd", "correlation", "coverage_factor")
MOST_RESIDUALS = 100_000  # readings: beyond it, a run would keep a copy of data that are large themselves


def log_calibration(
    run: Run, calibration: Calibration, figures: Mapping[str, bytes], *, again: bool = False
) -> dict[str, str]:
    """Write a calibration into its run: metrics, history, figures, calibration.json and the model.

    again: an earlier attempt failed; a model that it may have begun is gone on with.
    Returns the artifacts: name → URI (a path for a local store). Safe to repeat after a failure.
    Raises ServiceError when the tracking store cannot take it.
    """
    client, run_id = run.store.client, run.run_id
    what = f"cannot record run {run_id} at {run.store.uri}"
    with told_as(what), run.store.whole(), TemporaryDirectory(prefix="tempfit-") as folder:
        record = record_of(calibration)
        metrics = result_metrics(calibration, record, run.start_time, HISTORY_POINTS)
        repeats = {REPEAT_TAG: repeat_key(calibration.readings, calibration.config)}
        client.log_batch(run_id, metrics, tags=as_tags({**result_tags(record), **repeats}))
        names = _write_files(Path(folder), calibration, record, figures)
        client.log_artifacts(run_id, folder)
        log_model(run, calibration, again)
        uri = client.get_run(run_id).info.artifact_uri
    return {name: f"{uri}/{name}" for name in names}


def result_metrics(calibration: Calibration, record: Record, timestamp: int, n_points: int) -> list[Metric]:
    """The sampled history by update number, and the final figures; finite ones only.

    A NaN as the latest value makes MLflow's chart vanish, and it stores infinity as 1.8e308. All carry one timestamp,
    so that a repeated attempt writes the same rows and not further ones. The checks' statistics are not among them, but
    in tags and in calibration.json: each would be a chart of one bar, before those of the loss.
    """
    history = calibration.fit.history
    states = history.sample(n_points)
    metrics = [
        Metric(key, float(values[k]), timestamp, int(history.updates[k]))
        for key, values in calibration.series().items()
        for k in states
    ]
    told, scaled, exact = record.uncertainty, record.scaled, record.exact
    final = {name: getattr(record, name) for name in FIGURES}
    final |= {"w_scaled": scaled.w, "b_scaled": scaled.b, "exact_w": exact.w, "exact_b": exact.b}
    final |= {"exact_loss": exact.loss, "chi_squared": record.chi_squared}
    if told is not None:
        final |= {"u_w": told.w, "u_b": told.b, **{name: getattr(told, name) for name in OF_UNCERTAINTY}}
    metrics += [Metric(key, float(value), timestamp, 0) for key, value in final.items() if value is not None]
    return [metric for metric in metrics if math.isfinite(metric.value)]


def result_tags(record: Record) -> dict[str, str]:
    """Tags that say how the fit ended and what made it, what matters first, and the description on MLflow's pages."""
    advice = record.advice
    note = f"**{headline(record)}.** {advice[0].upper()}{advice[1:]}"
    told = {"status": record.status.value, "outcome": record.outcome.value, "why": record.why}
    failed = {FAILED_TAG: "true"} if record.failed else {}
    checks = {f"check.{check.name}": f"{check.verdict.value}: {check.sentence}" for check in record.checks}
    refusals = [check.sentence for check in record.checks if check.verdict is Verdict.FAILS]
    if refusals:
        note = "\n\n".join([note, *(f"**Do not use:** {sentence}." for sentence in refusals)])
    usable = {"usable": str(record.usable).lower()}
    return {**told, **usable, **failed, **checks, "advice": advice, "mlflow.note.content": note, **versions()}


def _write_files(folder: Path, calibration: Calibration, record: Record, figures: Mapping[str, bytes]) -> list[str]:
    """The run's artifacts as files; their names."""
    (folder / "figures").mkdir()
    for name, png in figures.items():
        (folder / "figures" / name).write_bytes(png)
    (folder / CALIBRATION_FILE).write_text(record.as_text(), encoding="utf-8")
    history = calibration.fit.history
    table = {"updates": history.updates, **calibration.series()}
    if calibration.config.model == "line":
        table |= {"w_scaled": history.params[:, 0], "b_scaled": history.params[:, 1]}
        table |= {"gradient_w": history.gradient[:, 0], "gradient_b": history.gradient[:, 1]}
    pd.DataFrame(table).to_parquet(folder / "history.parquet", index=False)
    readings = calibration.readings
    if not calibration.exploded and isinstance(readings, Readings) and readings.n <= MOST_RESIDUALS:
        residuals(calibration).to_parquet(folder / RESIDUALS_FILE, index=False)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def residuals(calibration: Calibration) -> pd.DataFrame:
    """The readings as they were used, in their order, what the fit makes of them (t_p), and t_c − t_p."""
    readings = calibration.readings
    assert isinstance(readings, Readings)  # the rows are held
    t_p = calibration.predict(readings.t_u)
    stated = {"u_c": readings.u_c, "u_u": readings.u_u}
    return pd.DataFrame(
        {
            "t_u": readings.t_u,
            "t_c": readings.t_c,
            **{name: values for name, values in stated.items() if values is not None},
            "t_p": t_p,
            "residual": readings.t_c - t_p,
            "trained_on": calibration.problem.mask,
        }
    )
