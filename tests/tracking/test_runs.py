"""What a run in MLflow holds, however it ended."""

from __future__ import annotations

import json
import math
import signal
import warnings
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.entities import Metric
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.pyfunc import scoring_server

from tempfit.calibration.calibration import Calibration
from tempfit.calibration.pipeline import calibrate
from tempfit.calibration.recording import record_of
from tempfit.choices import settings_in_play
from tempfit.config import CalibrationConfig
from tempfit.errors import ServiceError
from tempfit.readings.paired import load_readings
from tempfit.tracking import provenance, results
from tempfit.tracking.models import save_model
from tempfit.tracking.repeats import REPEAT_TAG, last_repeat
from tempfit.tracking.results import log_calibration, residuals, result_metrics
from tempfit.tracking.runs import Run, as_params, ended, start_run
from tempfit.tracking.store import open_store
from tests.conftest import T_C, T_U, THERMOMETER

FIGURES = {"line.png": b"png of the line"}


def record(mlruns: Path, **settings: object) -> tuple[Run, Calibration, dict[str, str]]:
    config = CalibrationConfig(experiment="runs", **settings)
    result = calibrate(THERMOMETER, config)
    run = start_run(open_store(mlruns), load_readings(THERMOMETER), config, {"prefect.flow_run_id": "some-id"})
    with ended(run):
        artifacts = log_calibration(run, result, FIGURES)
    return run, result, artifacts


def load_stored(result: Calibration, folder: Path, monkeypatch: pytest.MonkeyPatch) -> mlflow.pyfunc.PyFuncModel:
    """The model as `model_code` makes it from its config alone, loaded by MLflow without a pickle."""
    (folder / "model").mkdir(parents=True)
    save_model(folder / "model", result)

    def refuse(*_: object) -> None:
        raise AssertionError("loading executed a pickle")

    for name in ("cloudpickle.load", "pickle.load", "pickle.loads", "torch.load"):
        monkeypatch.setattr(name, refuse)
    return mlflow.pyfunc.load_model(str(folder / "model"))


def read(run: Run) -> MlflowRun:
    return run.store.client.get_run(run.run_id)


def test_a_run_has_everything(mlruns: Path) -> None:
    run, result, artifacts = record(mlruns, scaling="factor", learning_rate=1e-2, n_epochs=1000)
    stored = read(run)
    assert stored.info.status == "FINISHED"
    assert stored.data.params == {key: str(value) for key, value in settings_in_play(result.config).items()}
    assert stored.data.metrics["w"] == result.w
    assert stored.data.metrics["b"] == result.b
    assert stored.data.metrics["loss"] == result.loss
    assert stored.data.metrics["w_scaled"] == result.fit.params[0]
    assert stored.data.metrics["critical_learning_rate"] == pytest.approx(0.0329782, rel=1e-6)
    tags = stored.data.tags
    assert tags["status"] == "exhausted"
    assert tags["thermometer"] == result.readings.thermometer == "thermometer"
    assert tags["data_sha256"] == result.readings.sha256
    assert tags["prefect.flow_run_id"] == "some-id"
    made_with = dict(part.split(" ") for part in tags["versions"].split(", "))
    assert made_with["torch"] == version("torch")
    assert {"tempfit", "mlflow", "prefect"} <= set(made_with)
    (dataset,) = stored.inputs.dataset_inputs
    assert dataset.dataset.name == "thermometer.csv"
    assert result.readings.sha256.startswith(dataset.dataset.digest)
    assert set(artifacts) == {"calibration.json", "figures/line.png", "history.parquet", "residuals.parquet"}
    assert json.loads(Path(artifacts["calibration.json"]).read_text())["w"] == result.w
    assert Path(artifacts["figures/line.png"]).read_bytes() == FIGURES["line.png"]


def test_a_run_repeats_only_one_of_the_same_thermometer(mlruns: Path) -> None:
    run, result, _ = record(mlruns, learning_rate=0.4)
    same, renamed = (load_readings(THERMOMETER, thermometer=name) for name in (None, "boiler"))
    repeated = last_repeat(run.store, same, result.config)
    assert repeated is not None
    assert repeated.info.run_id == run.run_id
    assert last_repeat(run.store, renamed, result.config) is None


def test_mlflows_pages_show_what_matters_first(mlruns: Path) -> None:
    """The overview has tags in the order in which they were written, less those of MLflow's own. The page of metrics
    has a section for every prefix before a slash, and behind them all, one for metrics without: loss, w and b."""
    run, result, _ = record(mlruns)
    shown = [key for key in read(run).data.tags if not key.startswith("mlflow.")]
    assert shown[:3] == ["thermometer", "data_sha256", "prefect.flow_run_id"]
    assert shown[3:7] == ["status", "outcome", "why", "usable"]
    assert shown[-2:] == ["versions", REPEAT_TAG]
    metrics = [metric.key for metric in result_metrics(result, record_of(result), 0, 300)]
    assert list(dict.fromkeys(metrics))[:3] == ["loss", "w", "b"]
    assert [key for key in metrics if "/" in key] == []
    assert record_of(result).checks[0].p == result.checks[0].p  # kept in calibration.json


def test_params_are_the_settings_that_play_a_part(mlruns: Path) -> None:
    run, _, _ = record(mlruns)
    params = read(run).data.params
    assert {"scaling", "learning_rate", "optimizer", "loss", "w_start", "b_start", "tolerance"} <= set(params)
    others = {"factor", "degree", "hidden", "activation", "seed", "huber_delta", "momentum", "clip_norm", "l1", "folds"}
    assert not others & set(params)
    run, _, _ = record(mlruns, model="mlp", n_epochs=5, holdout=0.2, clip_norm=1.0)
    params = read(run).data.params
    assert {"hidden", "activation", "seed", "holdout", "clip_norm"} <= set(params)
    assert not {"w_start", "degree", "factor"} & set(params)


def test_the_history_is_sampled_for_the_ui_and_whole_in_the_artifact(mlruns: Path) -> None:
    run, result, artifacts = record(mlruns, scaling="factor", learning_rate=1e-2, n_epochs=1000)
    history = pd.read_parquet(artifacts["history.parquet"])
    assert history["loss"].tolist() == result.fit.history.loss.tolist()
    assert history["updates"].tolist() == list(range(1001))
    for key in ("loss", "w", "b", "gradient_norm"):
        points = run.store.client.get_metric_history(run.run_id, key)
        steps = [point.step for point in points]
        assert len(steps) <= 320  # more than MLflow's UI draws would be thinned again
        assert (min(steps), max(steps)) == (0, 1000)
    sampled = {point.step: point.value for point in run.store.client.get_metric_history(run.run_id, "loss")}
    assert all(value == result.fit.history.loss[step] for step, value in sampled.items())


def test_the_residuals_are_kept_row_by_row(mlruns: Path) -> None:
    _, result, artifacts = record(mlruns, holdout_rows="2,10")
    table = pd.read_parquet(artifacts["residuals.parquet"])
    assert list(table) == ["t_u", "t_c", "t_p", "residual", "trained_on"]
    assert table["t_u"].tolist() == T_U.tolist()
    assert table["residual"].to_numpy() == pytest.approx(T_C - (result.w * T_U + result.b), abs=1e-12)
    assert np.flatnonzero(~table["trained_on"]).tolist() == [2, 10]


def test_stated_uncertainties_are_kept_with_the_residuals() -> None:
    frame = pd.DataFrame({"t_u": T_U, "t_c": T_C, "u_c": 0.5, "u_u": 0.1})
    table = residuals(calibrate(frame))
    assert list(table) == ["t_u", "t_c", "u_c", "u_u", "t_p", "residual", "trained_on"]
    assert table["u_u"].tolist() == [0.1] * 11


def test_a_run_keeps_no_residuals_of_very_many_readings_or_of_a_diverged_fit(
    mlruns: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, artifacts = record(mlruns, scaling="none", learning_rate=1e-2)
    assert "residuals.parquet" not in artifacts
    monkeypatch.setattr(results, "MOST_RESIDUALS", 10)
    _, _, artifacts = record(mlruns)
    assert "residuals.parquet" not in artifacts


def test_a_diverged_run_has_finite_metrics_and_no_model(mlruns: Path) -> None:
    run, result, artifacts = record(mlruns, scaling="none", learning_rate=1e-2)
    stored = read(run)
    assert stored.info.status == "FINISHED"
    assert stored.data.tags["status"] == "diverged"
    assert stored.data.metrics["diverged_at"] == result.fit.diverged_at
    for key in stored.data.metrics:
        points = run.store.client.get_metric_history(run.run_id, key)
        assert all(math.isfinite(point.value) and abs(point.value) < 1.79e308 for point in points)
    assert not stored.outputs.model_outputs
    assert '`scaling="standardize", learning_rate=0.5`' in stored.data.tags["advice"]
    assert json.loads(Path(artifacts["calibration.json"]).read_text())["overflow_epoch"] == result.fit.diverged_at


def test_the_model_loads_without_a_pickle_and_predicts(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, result, _ = record(mlruns)
    (output,) = read(run).outputs.model_outputs
    folder = Path(run.store.client.get_logged_model(output.model_id).artifact_location)
    assert sorted(path.name for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".pth")) == []

    def refuse(*_: object) -> None:
        raise AssertionError("loading executed a pickle")

    monkeypatch.setattr("cloudpickle.load", refuse)
    monkeypatch.setattr("pickle.load", refuse)
    model = mlflow.pyfunc.load_model(str(folder))
    told = model.predict(pd.DataFrame({"t_u": T_U}))
    assert told["t_c"].to_numpy() == pytest.approx(result.w * T_U + result.b, rel=1e-14)
    assert model.metadata.signature.inputs.input_names() == ["t_u"]
    outputs = model.metadata.signature.outputs
    assert outputs.input_names() == list(told) == ["t_c", *COLUMNS]
    assert [kind.name for kind in outputs.input_types()] == ["double"] * 5 + ["boolean"]
    assert model.input_example["t_u"].tolist() == T_U[:3].tolist()


def test_the_model_is_written_as_mlflow_itself_writes_it(tmp_path: Path) -> None:
    """Of its code, its config, its signature and an example; but without the place where the code was installed."""
    result = calibrate(THERMOMETER)
    for folder in ("ours", "theirs"):
        (tmp_path / folder).mkdir()
    save_model(tmp_path / "ours", result, artifact_path="here", run_id="run", model_id="m-1")
    assert sorted(path.name for path in (tmp_path / "ours").iterdir()) == FILES
    ours = Model.load(tmp_path / "ours")
    mlflow.pyfunc.save_model(
        tmp_path / "theirs" / "model",
        python_model=str(tmp_path / "ours" / "model_code.py"),
        model_config=ours.flavors["python_function"]["config"],
        mlflow_model=Model(artifact_path="here", run_id="run", model_id="m-1"),
        signature=ours.signature,
        input_example=pd.DataFrame({"t_u": T_U[:3]}),
        pip_requirements=(tmp_path / "ours" / "requirements.txt").read_text().split(),
    )
    theirs = Model.load(tmp_path / "theirs" / "model")
    told, expected = ours.to_dict(), theirs.to_dict()
    flavor = expected["flavors"]["python_function"]
    flavor["model_code_path"] = Path(flavor["model_code_path"]).name
    flavor.pop("cloudpickle_version")  # of what is no pickle
    assert told["flavors"]["python_function"] | {"code": None} == flavor
    once = {"flavors", "model_uuid", "utc_time_created", "model_size_bytes"}
    assert {key: told[key] for key in set(told) - once} == {key: expected[key] for key in set(told) - once}
    compiled = {"__pycache__"}  # which MLflow leaves of code that it tries
    assert sorted({path.name for path in (tmp_path / "theirs" / "model").iterdir()} - compiled) == FILES
    for name in set(FILES) - {"MLmodel", "model_code.py"}:
        mine, its = (yaml.safe_load((tmp_path / folder / name).read_text()) for folder in ("ours", "theirs/model"))
        assert without_tools(mine) == without_tools(its), name


FILES = [
    *("MLmodel", "conda.yaml", "input_example.json", "model_code.py"),
    *("python_env.yaml", "requirements.txt", "serving_input_example.json"),
]


def without_tools(environment: Any) -> Any:
    """An environment without its name and the versions of what installs it, which are those of this machine."""
    if not isinstance(environment, dict):
        return environment
    packages = [p for p in environment.get("dependencies", []) if not str(p).startswith("pip")]
    named = {"name", "build_dependencies", "dependencies"}
    return {key: value for key, value in environment.items() if key not in named} | {"dependencies": packages}


COLUMNS = ["u_mean", "u_prediction", "lower", "upper", "extrapolated"]
ADAM = {"optimizer": "adam", "learning_rate": 0.01, "n_epochs": 50}
POLYNOMIALS = [
    {"model": "polynomial", "degree": 3, "scaling": scaling, "learning_rate": rate, "n_epochs": 300}
    for scaling, rate in [("none", 1e-11), ("factor", 1e-6), ("standardize", 0.5), ("minmax", 0.1)]
]
NETWORKS = [
    {"model": "mlp", "hidden": "5x4", "activation": activation, "scaling": scaling, **ADAM}
    for activation, scaling in [
        ("tanh", "standardize"),
        ("sigmoid", "none"),
        ("relu", "factor"),
        ("leaky_relu", "minmax"),
        ("prelu", "standardize"),
    ]
]


@pytest.mark.parametrize(
    "settings", [{}, {"scaling": "factor", "learning_rate": 1e-2}, {"t0": 50.0}, *POLYNOMIALS, *NETWORKS], ids=str
)
def test_a_stored_model_predicts_what_the_calibration_does(
    settings: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By code of its own (numpy, no tempfit), inside the readings' range and twice as far out; to rounding.

    A polynomial's sum has terms larger than itself, so rounding is measured against the largest temperature.
    """
    result = calibrate(THERMOMETER, **settings)
    assert result.fit.diverged_at is None
    model = load_stored(result, tmp_path, monkeypatch)
    t_u = np.concatenate([T_U, [-30.0, 0.0, 130.0]])
    predicted = model.predict(pd.DataFrame({"t_u": t_u}))["t_c"].to_numpy()
    expected = result.predict(t_u)
    assert predicted == pytest.approx(expected, rel=1e-12, abs=1e-12 * np.abs(expected).max())
    assert np.ptp(expected) > 0.01


def stated() -> pd.DataFrame:
    return pd.DataFrame({"t_u": T_U, "t_c": T_C, "u_c": np.linspace(0.5, 2.5, 11)})


CURVES = {
    "line": (THERMOMETER, {}),
    "weighted line": (stated(), {"uncertainty_from": "residuals"}),
    "line with uncertainties stated": (stated(), {}),
    "line with a common uncertainty": (THERMOMETER, {"u_common": 0.7}),
    "line with stated and common uncertainties": (stated(), {"u_common": 0.7, "coverage": 0.5}),
    "line about a reference point": (THERMOMETER, {"t0": 50.0, "scaling": "minmax", "learning_rate": 0.1}),
    "line by Huber's loss": (THERMOMETER, {"loss": "huber", "huber_delta": 1.0}),
    "polynomial": (THERMOMETER, {"model": "polynomial", "degree": 3}),
    "polynomial with a common uncertainty": (stated(), {"model": "polynomial", "degree": 3, "u_common": 0.1}),
}


@pytest.mark.parametrize("name", CURVES)
def test_a_stored_model_tells_the_uncertainty_of_the_curve(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, settings = CURVES[name]
    result = calibrate(data, **settings)
    curve = result.curve
    assert curve is not None
    model = load_stored(result, tmp_path, monkeypatch)
    t_u = np.concatenate([T_U, [-30.0, 21.7, 82.0, 130.0]])
    told = model.predict(pd.DataFrame({"t_u": t_u}))
    lower, upper = curve.prediction_band(t_u)
    expected = dict(zip(COLUMNS, (curve.u_mean(t_u), curve.u_prediction(t_u), lower, upper), strict=False))
    for column, values in {"t_c": curve.predict(t_u), **expected}.items():
        assert told[column].to_numpy() == pytest.approx(values, rel=1e-12, abs=1e-12 * np.abs(values).max()), column
        assert np.isfinite(values).all()
    assert told["extrapolated"].tolist() == curve.is_extrapolated(t_u).tolist() == [False] * 11 + [True] * 4
    assert list(told) == ["t_c", *COLUMNS]


def test_a_stored_network_tells_what_is_extrapolated_and_no_uncertainty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_stored(calibrate(THERMOMETER, model="mlp", **ADAM), tmp_path, monkeypatch)
    told = model.predict(pd.DataFrame({"t_u": [21.7, 50.0, 82.0]}))
    assert list(told) == ["t_c", "extrapolated"]
    assert told["extrapolated"].tolist() == [True, False, True]


def test_a_temperature_of_any_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = calibrate(pd.DataFrame({"t_u": T_U, "upper": T_C}), y="upper")
    told = load_stored(result, tmp_path, monkeypatch).predict(pd.DataFrame({"t_u": [50.0]}))
    assert list(told) == ["upper", "u_mean", "u_prediction", "lower", "extrapolated"]
    assert told["upper"][0] == pytest.approx(result.w * 50 + result.b)


def answer(model: Path, given: str, content_type: str) -> list[dict[str, object]]:
    """What MLflow's scoring server makes of a request: its parsing, and its JSON, strictly read."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    (model / "given").write_text(given)
    scoring_server._predict(str(model), str(model / "given"), str(model / "told"), content_type)
    return json.loads((model / "told").read_text(), parse_constant=refuse)["predictions"]


def test_a_served_model_tells_value_and_interval_in_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = calibrate(THERMOMETER)
    assert result.curve is not None
    lower, upper = result.curve.prediction_band([50.0, 100.0])
    load_stored(result, tmp_path, monkeypatch)
    for content_type, given in (
        ("json", '{"dataframe_split": {"columns": ["t_u"], "data": [[50], [100.0]]}}'),
        ("json", '{"dataframe_records": [{"t_u": 50.0}, {"t_u": 100.0}]}'),
        (
            "csv",
            "t_u\n50\n100.0\n",
        ),  # (MLflow refuses a column of whole numbers alone, where the signature says double)
    ):
        told = answer(tmp_path / "model", given, content_type)
        assert [row["t_c"] for row in told] == pytest.approx(result.predict([50.0, 100.0]).tolist(), rel=1e-12)
        assert [row["lower"] for row in told] == pytest.approx(lower.tolist(), rel=1e-12)
        assert [row["upper"] for row in told] == pytest.approx(upper.tolist(), rel=1e-12)
        assert [row["extrapolated"] for row in told] == [False, True]


def test_what_is_no_finite_number_is_null_in_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading that is missing or beyond float64, and a fit that nothing tells the uncertainty of."""
    result = calibrate(THERMOMETER, model="polynomial")
    load_stored(result, tmp_path / "known", monkeypatch)
    given = '{"dataframe_split": {"columns": ["t_u"], "data": [[null], [50.0], [1e300]]}}'
    missing, usual, far = answer(tmp_path / "known" / "model", given, "json")
    assert (missing["t_c"], missing["u_mean"], missing["lower"], missing["extrapolated"]) == (None, None, None, False)
    assert all(isinstance(usual[column], float) for column in ("t_c", *COLUMNS[:-1]))
    assert (far["t_c"], far["upper"], far["extrapolated"]) == (None, None, True)
    assert result.curve is not None
    monkeypatch.setitem(result.__dict__, "curve", replace(result.curve, observation_sd=math.nan))
    load_stored(result, tmp_path / "unknown", monkeypatch)
    (told,) = answer(tmp_path / "unknown" / "model", '{"dataframe_records": [{"t_u": 50.0}]}', "json")
    assert told == {"t_c": usual["t_c"], **dict.fromkeys(COLUMNS[:-1]), "extrapolated": False}


@pytest.mark.filterwarnings("error")
def test_a_stored_sigmoid_network_survives_readings_far_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = calibrate(THERMOMETER, model="mlp", activation="sigmoid", **ADAM)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what MLflow itself warns of while it loads
        model = load_stored(result, tmp_path, monkeypatch)
    t_u = np.array([-1e9, 1e9])
    predicted = model.unwrap_python_model().predict(None, pd.DataFrame({"t_u": t_u}))["t_c"]
    assert predicted.to_numpy() == pytest.approx(result.predict(t_u), rel=1e-12)


def test_a_polynomials_run_has_its_coefficients_and_what_was_held_out(mlruns: Path) -> None:
    run, result, artifacts = record(
        mlruns, model="polynomial", degree=2, scaling="minmax", learning_rate=0.1, n_epochs=400, holdout_rows="2,10"
    )
    metrics = read(run).data.metrics
    assert [metrics[name] for name in ("c2", "c1", "c0")] == result.coefficients.tolist()
    assert metrics["validation_loss"] == result.validation.final
    assert metrics["n"] == 9
    assert not {"w", "b", "w_scaled", "b_scaled", "exact_w", "exact_b"} & set(metrics)
    assert metrics["exact_loss"] == result.exact.loss
    history = pd.read_parquet(artifacts["history.parquet"])
    assert list(history) == ["updates", "loss", "validation_loss", "c2", "c1", "c0", "gradient_norm"]
    assert history[["c2", "c1", "c0"]].to_numpy().tolist() == result.coefficient_history.tolist()
    assert history["validation_loss"].tolist() == result.validation.loss.tolist()
    stored = json.loads(Path(artifacts["calibration.json"]).read_text())
    assert stored["coefficients"] == result.coefficients.tolist()
    assert stored["exact"]["coefficients"] == pytest.approx(
        np.polyfit(np.delete(T_U, [2, 10]), np.delete(T_C, [2, 10]), 2), rel=1e-8
    )
    assert stored["validation"]["loss"] == result.validation.final


def test_a_networks_run_has_the_gradient_of_every_layer(mlruns: Path) -> None:
    run, result, artifacts = record(
        mlruns, model="mlp", hidden="4x3", activation="prelu", folds=3, **ADAM | {"n_epochs": 3000}
    )
    layers = ["gradient_norm/hidden_1", "gradient_norm/hidden_2", "gradient_norm/output"]
    stored = read(run)
    for name in ("loss", "validation_loss", "gradient_norm", *layers):
        points = {p.step: p.value for p in run.store.client.get_metric_history(run.run_id, name)}
        assert (min(points), max(points)) == (0, 3000)
        assert len(points) <= 300
        positions = np.searchsorted(result.fit.history.updates, list(points))
        assert list(points.values()) == result.series()[name][positions].tolist(), name
    # the layers share the parameters out among them, so their norms add up to the whole's as the sides of a box
    squares = sum(stored.data.metrics[name] ** 2 for name in layers)
    assert stored.data.metrics["gradient_norm"] == pytest.approx(math.sqrt(squares), rel=1e-12)
    history = pd.read_parquet(artifacts["history.parquet"])
    assert list(history) == ["updates", "loss", "validation_loss", "gradient_norm", *layers]
    assert history["updates"].tolist() == result.fit.history.updates.tolist()
    assert not {"w", "b", "condition_number"} & set(stored.data.metrics)
    values = json.loads(Path(artifacts["calibration.json"]).read_text())
    assert (values["w"], values["coefficients"], values["condition_number"]) == (None, None, None)
    assert values["critical_learning_rate"] == stored.data.metrics["critical_learning_rate"]  # where training starts
    assert values["scaled"]["params"] is None  # a network's weights are in its model
    assert values["exact"]["w"] == pytest.approx(152075 / 283314, rel=1e-12)  # the line beside it


def test_a_crash_leaves_the_run_failed_with_the_reason(mlruns: Path) -> None:
    run = start_run(open_store(mlruns), load_readings(THERMOMETER), CalibrationConfig(experiment="runs"), {})
    with pytest.raises(ZeroDivisionError), ended(run):
        raise ZeroDivisionError("somewhere in a stage")
    stored = read(run)
    assert stored.info.status == "FAILED"
    assert stored.data.tags["error"] == "ZeroDivisionError: somewhere in a stage"


def test_sigterm_leaves_the_run_killed(mlruns: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run = start_run(open_store(mlruns), load_readings(THERMOMETER), CalibrationConfig(experiment="runs"), {})
    with pytest.raises(SystemExit) as caught, ended(run):
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.code == 143
    assert read(run).info.status == "KILLED"
    assert signal.getsignal(signal.SIGTERM) == before


def test_logging_twice_writes_no_further_points(mlruns: Path) -> None:
    """A retry after a failure half-way must not double the history."""
    config = CalibrationConfig(experiment="runs", scaling="factor", learning_rate=1e-2, n_epochs=50)
    result = calibrate(THERMOMETER, config)
    run = start_run(open_store(mlruns), load_readings(THERMOMETER), config, {})
    with ended(run):
        log_calibration(run, result, FIGURES)
        log_calibration(run, result, FIGURES)
    assert len(run.store.client.get_metric_history(run.run_id, "loss")) == 51


@pytest.mark.parametrize("n_metrics", [0, 2500])
def test_more_than_a_request_takes_is_written_whole(mlruns: Path, n_metrics: int) -> None:
    """MLflow takes 1,000 metrics and 100 params at once; its client deals them out."""
    config = CalibrationConfig(experiment="large")
    run = start_run(open_store(mlruns), load_readings(THERMOMETER), config, {}, params={})
    with ended(run):
        metrics = [Metric("loss", float(step), 0, step) for step in range(n_metrics)]
        run.store.client.log_batch(run.run_id, metrics, as_params({f"setting_{k}": k for k in range(250)}))
    assert len(run.store.client.get_metric_history(run.run_id, "loss")) == n_metrics
    assert len(read(run).data.params) == 250


def test_a_store_that_fails_is_a_service_error(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = CalibrationConfig(experiment="runs")
    result = calibrate(THERMOMETER, config)
    run = start_run(open_store(mlruns), load_readings(THERMOMETER), config, {})

    def fail(*_: object, **__: object) -> None:
        raise MlflowException("disk full")

    monkeypatch.setattr(run.store.client, "log_batch", fail)
    with pytest.raises(ServiceError, match="disk full"), ended(run):
        log_calibration(run, result, FIGURES)
    assert read(run).info.status == "FAILED"


def test_provenance_names_the_commit_only_of_its_own_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))  # as installed beside another project
    assert "mlflow.source.git.commit" not in provenance.provenance()


def test_a_start_that_fails_leaves_the_run_failed(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(mlruns)

    def fail(*_: object, **__: object) -> None:
        raise MlflowException("disk full")

    monkeypatch.setattr(store.client, "log_inputs", fail)
    with pytest.raises(ServiceError, match=r"cannot start a run .* disk full"):
        start_run(store, load_readings(THERMOMETER), CalibrationConfig(experiment="failed start"), {})
    experiment = store.client.get_experiment_by_name("failed start")
    assert experiment is not None
    (run,) = store.client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == f"ServiceError: cannot start a run at {store.uri}: disk full"


def test_two_runs_that_bring_the_same_data_at_once(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow looks for the data set, then inserts it: the slower of two fails on the unique key."""
    store = open_store(mlruns)
    calls = []
    log_inputs = store.client.log_inputs

    def lose_the_race(*arguments: object, **keywords: object) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            raise MlflowException("UNIQUE constraint failed: datasets.experiment_id, datasets.name, datasets.digest")
        log_inputs(*arguments, **keywords)

    monkeypatch.setattr(store.client, "log_inputs", lose_the_race)
    run = start_run(store, load_readings(THERMOMETER), CalibrationConfig(experiment="same data"), {})
    with ended(run):
        pass
    assert len(read(run).inputs.dataset_inputs) == 1
