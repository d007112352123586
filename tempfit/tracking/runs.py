"""One run in MLflow, from its start to its end, by explicit run id (MLflow's active run is a thread's own)."""

from __future__ import annotations

import getpass
import json
import math
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pandas as pd
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, LoggedModelStatus, Metric, Param, RunTag
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from mlflow.utils import environment

from tempfit.calibration.calibration import Calibration
from tempfit.calibration.explain import why
from tempfit.calibration.record import CALIBRATION_FILE, RESIDUALS_FILE, VERSIONS_TAG, finite
from tempfit.choices import settings_in_play
from tempfit.config import CalibrationConfig
from tempfit.descent.model import MLP
from tempfit.errors import ServiceError, SettingsError
from tempfit.readings.paired import Readings
from tempfit.studies.compare import FAILED_TAG
from tempfit.system import leases
from tempfit.system.interrupts import deaf, raise_if_stopped, stoppable, stopped_by
from tempfit.tracking.failures import FAILURES, told_as
from tempfit.tracking.repeats import REPEAT_TAG, repeat_key
from tempfit.tracking.store import Ending, Store, end_run
from tempfit.tracking.ui import run_page
from tempfit.words import Verdict

HISTORY_POINTS = 300  # MLflow's charts draw at most 320 points of a history
MOST_RESIDUALS = 100_000  # readings: beyond it, a run would keep a copy of data that are large themselves
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # the UI shows runs, not GenAI pages
LIBRARIES = ("tempfit", "torch", "mlflow", "prefect", "pandas", "numpy", "scipy")


@dataclass(frozen=True)
class Run:
    """A run that was started: where it is, and what holds its lease."""

    store: Store
    run_id: str
    experiment_id: str
    name: str
    start_time: int
    lease: leases.Lease

    def url(self, ui: str, artifact: str = "") -> str:
        """The run's page in an MLflow UI at the address `ui`; that of one of its artifacts, where it is named."""
        return run_page(ui, self.experiment_id, self.run_id, artifact)


def start_run(
    store: Store,
    readings: Readings,
    config: CalibrationConfig,
    tags: Mapping[str, str],
    *,
    label: str | None = None,
    params: Mapping[str, Any] | None = None,
    again: bool = False,
) -> Run:
    """Open a run with its parameters, data set and tags; it is RUNNING until `ended` ends it.

    label, params: of the run where it is more than one configuration; the config's own when None. again: an earlier
    attempt failed; a run with these tags that it may have begun is gone on with.
    Raises ServiceError when the tracking store cannot take it.
    """
    what = f"cannot start a run at {store.uri}"
    with told_as(what):
        experiment_id = _ensure_experiment(store, config.experiment)
        name = f"{readings.thermometer}, {label or config.label}"
        begun = _find_begun(store, experiment_id, tags) if again else None
        if begun is None:
            told = {**provenance(), **identity(readings), **tags}
            begun = store.client.create_run(experiment_id, run_name=name, tags=told)
        run_id = begun.info.run_id
        run = Run(store, run_id, experiment_id, name, begun.info.start_time, leases.hold(store.running, run_id))
    with _failed_unless_done(run), told_as(what), store.whole():
        store.client.log_batch(run_id, params=as_params(settings_in_play(config) if params is None else params))
        _log_data(run, readings)
    return run


def _find_begun(store: Store, experiment_id: str, tags: Mapping[str, str]) -> MlflowRun | None:
    """The run with these tags, running again."""
    matching = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    found = store.client.search_runs([experiment_id], matching, max_results=1) if matching else []
    for run in found:
        store.client.update_run(run.info.run_id, status="RUNNING")
        with suppress(MlflowException):  # it has none, if the store took no tag either
            store.client.delete_tag(run.info.run_id, "error")
    return found[0] if found else None


@contextmanager
def ended(run: Run) -> Iterator[None]:
    """End the run whatever happens inside: FINISHED, or FAILED or KILLED with the reason in the tag `error`.

    SIGTERM is turned into an exception meanwhile, which would otherwise leave the run RUNNING. Where the store cannot
    be told, the next command that finds it well tells it. Raises ServiceError where that is all that is missing.
    """
    with stoppable():
        with _failed_unless_done(run):
            yield
            raise_if_stopped()  # one that was lost on its way
        with told_as(f"run {run.run_id} is whole, but its end could not be told to {run.store.uri}"):
            _end(run, "FINISHED", None)


@contextmanager
def _failed_unless_done(run: Run) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        signal = stopped_by()
        killed = signal is not None or isinstance(error, (KeyboardInterrupt, SystemExit))
        reason = f"stopped by {signal}" if signal is not None else f"{type(error).__name__}: {error}"
        silent = isinstance(error, ServiceError) and error.waited
        with deaf(writing=not run.store.is_server), suppress(*FAILURES):
            _end(run, "KILLED" if killed else "FAILED", reason, ask=not silent)
        raise


def _end(run: Run, status: str, reason: str | None, *, ask: bool = True) -> None:
    """End the run in the store or, where that fails or is not worth asking, leave word in its lease."""
    ending = Ending(status, reason, time.time_ns() // 1_000_000)
    run.lease.note(ending.as_note())  # first: the process may be ended while it waits for an answer
    try:
        if ask:
            if reason is not None:  # a result's tags have them
                for key, value in versions().items():
                    run.store.client.set_tag(run.run_id, key, value)
            end_run(run.store, run.run_id, run.experiment_id, ending)
            run.lease.release()
    finally:
        run.lease.give_up()


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
        metrics = result_metrics(calibration, run.start_time, HISTORY_POINTS)
        repeats = {REPEAT_TAG: repeat_key(calibration.readings, calibration.config)}
        client.log_batch(run_id, metrics, tags=as_tags({**result_tags(calibration), **repeats}))
        names = _write_files(Path(folder), calibration, figures)
        client.log_artifacts(run_id, folder)
        _log_model(run, calibration, again)
        uri = client.get_run(run_id).info.artifact_uri
    return {name: f"{uri}/{name}" for name in names}


def as_tags(values: Mapping[str, str]) -> list[RunTag]:
    """Tags as MLflow keeps them."""
    return [RunTag(key, value) for key, value in values.items()]


def as_params(values: Mapping[str, Any]) -> list[Param]:
    """Settings as MLflow keeps them."""
    return [Param(key, str(value)) for key, value in values.items()]


def _ensure_experiment(store: Store, name: str) -> str:
    experiment = store.client.get_experiment_by_name(name)
    if experiment is None:
        location = None if store.artifact_root is None else str(store.artifact_root)
        try:
            return str(store.client.create_experiment(name, artifact_location=location, tags=EXPERIMENT_TAGS))
        except MlflowException as error:  # another process was faster
            experiment = store.client.get_experiment_by_name(name)
            if experiment is None:
                raise error
    if experiment.lifecycle_stage == "deleted":
        raise SettingsError(
            f"the MLflow experiment {name!r} is deleted: restore it in the UI, or choose another with `experiment`"
        )
    return str(experiment.experiment_id)


def provenance() -> dict[str, str]:
    """Tags that say who and what made the run; MLflow's page shows them as its author and source."""
    tags = {}
    commit = _git_commit(__file__)
    if commit:
        tags["mlflow.source.git.commit"] = commit
    return {
        "mlflow.source.name": "tempfit",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": _user(),
        **tags,
    }


def identity(readings: Readings) -> dict[str, str]:
    """Tags that say which thermometer was calibrated, and by what readings."""
    return {"thermometer": readings.thermometer, "data_sha256": readings.sha256}


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return "unknown"


@cache
def _git_commit(source: str) -> str | None:
    """The commit that tempfit runs from, with `-dirty` for uncommitted changes; None outside a checkout of it."""
    command = ["git", "-C", str(Path(source).parent)]
    try:
        subprocess.run([*command, "ls-files", "--error-unmatch", source], check=True, capture_output=True, timeout=10)
        described = subprocess.run(
            [*command, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            check=True,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()


def _log_data(run: Run, readings: Readings) -> None:
    dataset = _describe_data(readings)
    try:
        run.store.client.log_inputs(run.run_id, datasets=[dataset])
    except MlflowException as error:  # two runs that bring the same new data set at once; it is there the second time
        if not any(word in str(error).lower() for word in ("unique", "duplicate")):
            raise
        run.store.client.log_inputs(run.run_id, datasets=[dataset])


def _describe_data(readings: Readings) -> DatasetInput:
    schema = {
        "mlflow_colspec": [
            {"type": "double", "name": readings.x, "required": True},
            {"type": "double", "name": readings.y, "required": True},
        ]
    }
    profile = {  # t_u and t_c from lowest to highest: the range that a line is drawn over when runs are compared
        "num_rows": readings.n,
        "num_elements": 2 * readings.n,
        "t_u": [float(readings.t_u.min()), float(readings.t_u.max())],
        "t_c": [float(readings.t_c.min()), float(readings.t_c.max())],
    }
    dataset = Dataset(
        name=Path(readings.source).name,
        digest=readings.sha256[:36],  # what MLflow's column holds; the whole is in the tag data_sha256
        source_type="local",
        source=json.dumps({"uri": readings.source}),
        schema=json.dumps(schema),
        profile=json.dumps(profile),
    )
    return DatasetInput(dataset=dataset, tags=[InputTag(key="mlflow.data.context", value="training")])


def result_metrics(calibration: Calibration, timestamp: int, n_points: int) -> list[Metric]:
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
    values = calibration.as_dict()
    final = {
        **{key: values[key] for key in ("rmse", "n", "n_epochs", "close_at", "diverged_at", "excess_loss")},
        **{key: values[key] for key in ("critical_learning_rate", "condition_number", "epochs_needed")},
        "w_scaled": values["scaled"].get("w"),
        "b_scaled": values["scaled"].get("b"),
        **{f"exact_{key}": values["exact"][key] for key in ("w", "b", "loss")},
        "chi_squared": values["chi_squared"],
        **_uncertainty_metrics(values["uncertainty"] or {}),
    }
    metrics += [Metric(key, float(value), timestamp, 0) for key, value in final.items() if value is not None]
    return [metric for metric in metrics if math.isfinite(metric.value)]


def _uncertainty_metrics(uncertainty: Mapping[str, Any]) -> dict[str, float | None]:
    names = {"w": "u_w", "b": "u_b", "observation_sd": "observation_sd", "residual_sd": "residual_sd"}
    names |= {"correlation": "correlation", "coverage_factor": "coverage_factor"}
    return {metric: uncertainty.get(key) for key, metric in names.items()}


def versions() -> dict[str, str]:
    """A tag with the versions of the software: written last, as MLflow shows tags in the order in which they come."""
    return {VERSIONS_TAG: ", ".join(f"{library} {version(library)}" for library in LIBRARIES)}


def result_tags(calibration: Calibration) -> dict[str, str]:
    """Tags that say how the fit ended and what made it, what matters first, and the description on MLflow's pages."""
    advice = calibration.forecast.advice
    note = f"**{calibration.headline}.** {advice[0].upper()}{advice[1:]}"
    told = {"status": calibration.status.value, "outcome": calibration.outcome.value, "why": why(calibration)}
    failed = {FAILED_TAG: "true"} if calibration.failed else {}
    checks = {f"check.{check.name}": f"{check.verdict.value}: {check.sentence}" for check in calibration.checks}
    refusals = [check.sentence for check in calibration.checks if check.verdict is Verdict.FAILS]
    if refusals:
        note = "\n\n".join([note, *(f"**Do not use:** {sentence}." for sentence in refusals)])
    usable = {"usable": str(calibration.usable).lower()}
    return {**told, **usable, **failed, **checks, "advice": advice, "mlflow.note.content": note, **versions()}


def _write_files(folder: Path, calibration: Calibration, figures: Mapping[str, bytes]) -> list[str]:
    """The run's artifacts as files; their names."""
    (folder / "figures").mkdir()
    for name, png in figures.items():
        (folder / "figures" / name).write_bytes(png)
    text = json.dumps(calibration.as_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    (folder / CALIBRATION_FILE).write_text(text + "\n", encoding="utf-8")
    history = calibration.fit.history
    table = {"updates": history.updates, **calibration.series()}
    if calibration.config.model == "line":
        table |= {"w_scaled": history.params[:, 0], "b_scaled": history.params[:, 1]}
        table |= {"gradient_w": history.gradient[:, 0], "gradient_b": history.gradient[:, 1]}
    pd.DataFrame(table).to_parquet(folder / "history.parquet", index=False)
    if not calibration.exploded and calibration.readings.n <= MOST_RESIDUALS:
        _residuals(calibration).to_parquet(folder / RESIDUALS_FILE, index=False)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _residuals(calibration: Calibration) -> pd.DataFrame:
    """The readings as they were used, in their order, what the fit makes of them (t_p), and t_c − t_p."""
    readings = calibration.readings
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


def _log_model(run: Run, calibration: Calibration, again: bool) -> None:
    """The fit as a pyfunc model; none of one that exploded, which is of no use."""
    if calibration.exploded:
        return
    import mlflow.pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    client, readings = run.store.client, calibration.readings
    told = ("u_mean", "u_prediction", "lower", "upper") if calibration.is_linear else ()
    outputs = {readings.y: DataType.double, **dict.fromkeys(told, DataType.double)}
    outputs.setdefault("extrapolated", DataType.boolean)
    with TemporaryDirectory(prefix="tempfit-") as folder:
        of_this_run = f"source_run_id = '{run.run_id}'"
        begun = client.search_logged_models([run.experiment_id], of_this_run) if again else []
        logged = begun[0] if begun else client.create_logged_model(run.experiment_id, "model", source_run_id=run.run_id)
        example = pd.DataFrame({readings.x: readings.t_u[:3]})
        # MLflow would check the requirements against the environment that they were just read from, and for that read
        # the file lists of all installed distributions: as long as everything else that is logged takes together.
        with patch.object(environment, "warn_dependency_requirement_mismatches"):
            mlflow.pyfunc.save_model(
                f"{folder}/model",
                python_model=str(Path(__file__).with_name("model_code.py")),
                model_config={**_model_config(calibration), "x": readings.x, "y": readings.y},
                mlflow_model=Model(artifact_path=logged.artifact_location, run_id=run.run_id, model_id=logged.model_id),
                signature=ModelSignature(
                    inputs=Schema([ColSpec(DataType.double, readings.x)]),
                    outputs=Schema([ColSpec(kind, name) for name, kind in outputs.items()]),
                ),
                input_example=example,
                pip_requirements=[f"{library}=={version(library)}" for library in ("mlflow", "pandas", "scipy")],
            )
        client.log_model_artifacts(logged.model_id, f"{folder}/model")
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    client.log_outputs(run.run_id, models=[LoggedModelOutput(logged.model_id, step=calibration.fit.n_epochs)])


def _model_config(calibration: Calibration) -> dict[str, Any]:
    """What `model_code` predicts from: the curve, or an mlp's layers."""
    if calibration.curve is not None:
        config: dict[str, Any] = finite(calibration.curve.as_dict())
        return config
    scaling = calibration.problem.basis.scaling
    return {
        "factor": scaling.factor,
        "center": scaling.center,
        "t_u_range": list(calibration.problem.t_u_range),
        "layers": MLP(calibration.config).unpack(calibration.fit.params),
        "activation": calibration.config.activation,
    }
