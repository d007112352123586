"""Recorded runs beside each other: what differs between them, what came of it, the best first.

Values in, values out: `tempfit.tracking.queries` reads the runs, `tempfit.plots.runs` and the command line show them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from tempfit.choices import idle_settings
from tempfit.config import CalibrationConfig
from tempfit.studies.ranking import Merit, loss_kind, rank, rounding_of
from tempfit.wording import format_value
from tempfit.words import Outcome, Status

INFINITE_METRIC = sys.float_info.max  # how MLflow keeps an infinite metric
FAILED_TAG = "failed"  # of a run that left nothing to use: it, or a fit that validates it, exploded
SHORT_ID = 8


@dataclass(frozen=True)
class RecordedData:
    """The data set of a run: its file's name, and (lowest, highest) of t_u and t_c where the run recorded them."""

    name: str
    t_u: tuple[float, float] | None
    t_c: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class RecordedLoss:
    """A run's recorded history: (states,) updates made, ascending, and (states,) the loss at each."""

    updates: NDArray[np.int64]
    loss: NDArray[np.float64]


@dataclass(frozen=True)
class RecordedSweep:
    """A sweep that stands among other runs as one, by the best of what it tried."""

    run_id: str
    name: str
    n_members: int
    n_failed: int


@dataclass(frozen=True)
class RecordedRun:
    """A calibration as MLflow holds it.

    status: how the fit ended; of a run that did not finish, MLflow's word for it (running, failed, killed).
    params: the settings, as text. data: None where the run has none. sweep: which it stands for, as its best; of a
    sweep that left nothing to use, the run is the sweep's own, and what was varied is a text.
    """

    run_id: str
    name: str
    experiment_id: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    data: RecordedData | None
    sweep: RecordedSweep | None = None

    @property
    def shown_id(self) -> str:
        """By which the run is found again: the sweep's, where it stands for one."""
        return self.sweep.run_id if self.sweep is not None else self.run_id

    @property
    def shown_name(self) -> str:
        return self.sweep.name if self.sweep is not None else self.name

    @property
    def overflowed(self) -> bool:
        return self.status == Status.DIVERGED

    @property
    def outcome(self) -> str | None:
        """The word for what came of it (`tempfit.words.Outcome`); None of a run older than the tag."""
        return self.tags.get("outcome")

    @property
    def diverged(self) -> bool:
        """Whether the loss overflowed, or was on its way there when the epochs were used up; its own, or that of a fit
        that validates it."""
        return self.overflowed or self.outcome == Outcome.EXPLODES or FAILED_TAG in self.tags

    def metric(self, name: str) -> float | None:
        """A metric's value; None where the run has none, or none that is finite."""
        value = self.metrics.get(name, math.nan)
        return value if abs(value) < INFINITE_METRIC else None

    @property
    def data_name(self) -> str:
        """`thermometer.csv ef41d5ea`: the data set's name and the start of its SHA-256."""
        name = self.data.name if self.data is not None else "unknown"
        return f"{name} {self.tags.get('data_sha256', '')[:SHORT_ID]}".rstrip()

    @property
    def coefficients(self) -> tuple[float, ...]:
        """Of the fitted line or polynomial, by powers of t_u − t0, the highest first; empty where there is none."""
        if self.diverged:
            return ()
        if {"w", "b"} <= self.metrics.keys():
            return self.metrics["w"], self.metrics["b"]
        degree = 0
        while f"c{degree + 1}" in self.metrics:
            degree += 1
        return tuple(self.metrics[f"c{power}"] for power in range(degree, -1, -1)) if degree else ()

    @property
    def merit(self) -> Merit:
        """What it is judged by."""
        close_at, n_epochs = self.metric("close_at"), self.metric("n_epochs")
        t_c = self.data.t_c if self.data is not None else None
        return Merit(
            loss=self.metric("loss"),
            rmse=self.metric("rmse"),
            validation_loss=self.metric("validation_loss"),
            close_at=None if close_at is None else int(close_at),
            n_epochs=int(n_epochs or 0),
            failed=self.diverged,
            kind=loss_kind({name: self.setting(name) for name in CalibrationConfig.model_fields}),
            rounding=rounding_of(max(map(abs, t_c))) if t_c is not None else 0.0,
        )

    @property
    def idle(self) -> set[str]:
        """The settings that play no part beside the others of this run."""
        return idle_settings({name: self.setting(name) for name in CalibrationConfig.model_fields})

    def setting(self, name: str) -> Any:
        """A setting's value; the default where it is not recorded: it was off, or there was no such setting yet."""
        text = self.params.get(name)
        if text is None:
            return CalibrationConfig.model_fields[name].default if name in CalibrationConfig.model_fields else None
        if text == "None":
            return None
        try:
            return _parser(name).validate_python(text)
        except ValidationError:  # a value of another version of tempfit
            return text


@cache
def _parser(setting: str) -> TypeAdapter[Any]:
    """Of a setting's text; text it stays where the setting is unknown here."""
    field = CalibrationConfig.model_fields.get(setting)
    kind: Any = field.annotation if field is not None else str
    return TypeAdapter(kind)


@dataclass(frozen=True)
class ComparedRun:
    """A run in the table: the settings that differ, and its results; None where it has none."""

    run: RecordedRun
    settings: dict[str, Any]
    results: dict[str, str | float | None]


@dataclass(frozen=True)
class Comparison:
    """Runs, best first, and the names of the settings (and `data`) in which they differ.

    measure: the metric that orders them: loss, rmse or validation_loss (`tempfit.studies.ranking.rank`).
    rows: one for each run that is shown, the best; the others only count for what differs, and in figures.
    """

    runs: tuple[RecordedRun, ...]
    differing: tuple[str, ...]
    measure: str
    n_shown: int

    @cached_property
    def rows(self) -> tuple[ComparedRun, ...]:
        shown = self.runs[: self.n_shown]
        results = self._results()
        return tuple(
            ComparedRun(
                run=run,
                settings=self.settings(run),
                results={"status": run.status, **{name: _result(run, name) for name in results}},
            )
            for run in shown
        )

    @property
    def n_left_out(self) -> int:
        return len(self.runs) - len(self.rows)

    @property
    def experiment_ids(self) -> list[str]:
        """Of the runs that are shown."""
        return sorted({row.run.experiment_id for row in self.rows})

    def short_id(self, run: RecordedRun) -> str:
        """The start of the run's id, as long as it takes to be the only such run here."""
        return run.shown_id[: self._short_length]

    @cached_property
    def _short_length(self) -> int:
        length, run_ids = SHORT_ID, {run.shown_id for run in self.runs}
        while len({run_id[:length] for run_id in run_ids}) < len(run_ids):
            length += 1
        return length

    def settings(self, run: RecordedRun) -> dict[str, Any]:
        """What tells the run from the others: name → value of what differs; None where it plays no part."""
        values = {name: None if name in run.idle else run.setting(name) for name in self.differing}
        return {name: run.data_name if name == "data" else value for name, value in values.items()}

    def written(self, run: RecordedRun) -> dict[str, str]:
        """`settings` as people write them, with as many digits as it takes to tell the runs apart; empty where idle."""
        idle = run.idle
        return {
            name: "" if name in idle else format_value(value, self._digits[name])
            for name, value in self.settings(run).items()
        }

    @cached_property
    def _digits(self) -> dict[str, int]:
        values = {name: {run.setting(name) for run in self.runs} for name in self.differing}
        return {
            name: next(d for d in range(3, 18) if len({format_value(v, d) for v in found}) == len(found) or d == 17)
            for name, found in values.items()
        }

    def common(self, name: str) -> Any:
        """The value of a setting that all runs share; None where they do not."""
        values = {run.setting(name) for run in self.runs}
        return values.pop() if len(values) == 1 else None

    def _results(self) -> list[str]:
        """What is shown beside the status: some always, others where a run that is shown has them."""
        shown = self.runs[: self.n_shown]
        always = ("loss", "rmse", "n_epochs", "close_at")
        order = ("outcome", "diverged_at", "loss", "rmse", "w", "b", "n_epochs", "close_at", "validation_loss")
        return [name for name in order if name in always or any(_result(run, name) is not None for run in shown)]


def compare(runs: Sequence[RecordedRun], n_shown: int | None = None) -> Comparison:
    """Compare runs, of which the best `n_shown` (None: all) are to be shown: see `tempfit.studies.ranking.rank`."""
    ranking = rank([run.merit for run in runs])
    ordered = [runs[position] for position in ranking.order]
    return _compare(ordered, ranking.measure, len(ordered) if n_shown is None else n_shown)


def compare_best(runs: Sequence[RecordedRun], n: int) -> Comparison:
    """The `n` best of many runs beside each other, as `compare` orders all of them, and nothing of the others."""
    ranking = rank([run.merit for run in runs])
    best = [runs[position] for position in ranking.order[:n]]
    return _compare(best, ranking.measure, len(best))


def _compare(ordered: Sequence[RecordedRun], measure: str, n_shown: int) -> Comparison:
    names = list(CalibrationConfig().hyperparameters())
    names += sorted({name for run in ordered for name in run.params} - set(CalibrationConfig.model_fields))
    idle = {run.run_id: run.idle for run in ordered}
    differing = [name for name in names if len({r.setting(name) for r in ordered if name not in idle[r.run_id]}) > 1]
    if len({run.tags.get("data_sha256") for run in ordered}) > 1:
        differing.insert(0, "data")
    return Comparison(tuple(ordered), tuple(differing), measure, n_shown)


def _result(run: RecordedRun, name: str) -> str | float | None:
    if name == "outcome":
        return run.outcome
    value = run.metric(name)
    return int(value) if value is not None and name in ("n_epochs", "close_at", "diverged_at") else value
