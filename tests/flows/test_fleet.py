"""The flow of a fleet from end to end, and the command."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import fsspec
import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run as MlflowRun
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, FlowRunFilter, FlowRunFilterId

from flows import fleet_tasks
from flows.fleet import FleetResult, fleet
from flows.tasks import Watcher, watched
from tempfit.config import FleetConfig
from tempfit.errors import RunsError, ServiceError
from tempfit.fleet.lookup import FleetTable
from tempfit.fleet.rows import read_row
from tempfit.tracking.queries import last_runs
from tempfit.tracking.store import open_existing_store
from tests.fleet.tables import random_fleet
from tests.flows.conftest import Command, client_of, runs_of, settings

pytestmark = pytest.mark.usefixtures("prefect_server")

SENSORS, ROWS = 30, 12


def readings() -> pd.DataFrame:
    """A long table of 30 sensors, one of which has too few readings, and one a reading that is none."""
    names, t_u, t_c = random_fleet(1, SENSORS, ROWS)
    frame = pd.DataFrame({"logger": np.repeat(names, ROWS), "t_u": t_u.ravel(), "t_c": t_c.ravel()})
    frame.loc[5, "t_u"] = math.nan
    few = pd.DataFrame({"logger": "few", "t_u": [1.0, 2.0], "t_c": [1.0, 2.0]})
    return pd.concat([frame, few])


@dataclass(frozen=True)
class Recorded:
    """What a fleet's flow left: its result, its run, and what was told while it ran."""

    result: FleetResult
    run: MlflowRun
    source: Path
    mlruns: Path
    rows_read: list[tuple[int, float]]
    sensors_done: list[tuple[int, int]]


@pytest.fixture(scope="module")
def recorded(mlruns: Path, prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    source = tmp_path_factory.mktemp("fleet") / "loggers.parquet"
    readings().to_parquet(source)
    rows_read: list[tuple[int, float]] = []
    sensors_done: list[tuple[int, int]] = []
    watcher = Watcher(on_rows=lambda *told: rows_read.append(told), on_sensors=lambda *told: sensors_done.append(told))
    with watched(watcher):
        result = fleet(str(source), FleetConfig(by="logger"), settings(mlruns, "a fleet"))
    (run,) = runs_of(mlruns, "a fleet")
    return Recorded(result, run, source, mlruns, rows_read, sensors_done)


def test_one_run_holds_the_fleet(recorded: Recorded) -> None:
    run, artifacts = recorded.run, recorded.result.artifacts
    assert run.info.run_id == recorded.result.run.run_id
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "fleet loggers, standardize, sgd 0.5"
    params = run.data.params
    assert (params["by"], params["fdr"], params["learning_rate"]) == ("logger", "0.01", "0.5")
    assert not {"workers", "scheduler", "strict", "wide", "steady", "time", "degree"} & set(params)
    tags = run.data.tags
    assert (tags["tempfit.kind"], tags["thermometer"]) == ("fleet", "31 sensors")
    assert tags["data_sha256"] == recorded.result.fleet.ingested.sha256
    assert tags["status"] == recorded.result.fleet.summary.headline()
    assert tags["mlflow.note.content"].startswith(f"**{tags['status']}**\n\n| ")
    assert "torch" in tags["versions"]
    assert all(math.isfinite(value) for value in run.data.metrics.values())
    assert len(run.data.metrics) < SENSORS  # never one for each
    (dataset,) = run.inputs.dataset_inputs
    assert dataset.dataset.name == "loggers.parquet"
    assert json.loads(dataset.dataset.profile)["num_rows"] == SENSORS * ROWS + 2
    assert [column["name"] for column in json.loads(dataset.dataset.schema)["mlflow_colspec"]] == [
        "logger",
        "t_u",
        "t_c",
    ]
    assert {"fleet.parquet", "fleet.json"} < set(artifacts)
    assert sum(name.startswith("figures/") for name in artifacts) >= 2
    assert all(Path(path).exists() for path in artifacts.values())
    assert json.loads(Path(artifacts["fleet.json"]).read_text()) == recorded.result.fleet.as_dict()


def test_progress_is_told(recorded: Recorded) -> None:
    assert recorded.rows_read[-1] == (SENSORS * ROWS + 2, 1.0)
    assert recorded.sensors_done[-1] == (SENSORS + 1, SENSORS + 1)


def test_the_table_has_a_row_for_each_that_was_seen(recorded: Recorded) -> None:
    table = pd.read_parquet(recorded.result.artifacts["fleet.parquet"])
    assert table["thermometer"].tolist() == sorted(readings()["logger"].unique())
    why = table.set_index("thermometer")["fleet_not_calibrated"]
    assert why.dropna().to_dict() == {"few": "too few usable readings"}
    names, t_u, t_c = random_fleet(1, SENSORS, ROWS)
    w, b = np.polyfit(t_u[9], t_c[9], 1)
    row = table.set_index("thermometer").loc[names[9]]
    assert (row["w"], row["b"]) == (pytest.approx(w, rel=1e-6), pytest.approx(b, rel=1e-4, abs=1e-4))


def test_the_runs_model_takes_the_sensors_column(recorded: Recorded) -> None:
    (output,) = recorded.run.outputs.model_outputs
    model = mlflow.pyfunc.load_model(client_of(recorded.mlruns).get_logged_model(output.model_id).artifact_location)
    told = model.predict(pd.DataFrame({"logger": ["s00009", "few"], "t_u": [50.0, 1.5]}))
    curve = read_row(FleetTable(Path(recorded.result.artifacts["fleet.parquet"])), "s00009").curve
    assert told["t_c"].tolist() == [pytest.approx(float(curve.predict(50.0)), rel=1e-14), None]


def test_prefects_page_shows_the_fleet(recorded: Recorded) -> None:
    of_this = ArtifactFilterFlowRunId(any_=[recorded.run.data.tags["prefect.flow_run_id"]])
    with get_client(sync_client=True) as client:
        (artifact,) = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=of_this))
    assert artifact.key.startswith("fleet-loggers-")
    assert artifact.data.startswith(f"# {recorded.result.fleet.summary.headline()}\n\n![")
    assert recorded.result.url in artifact.data


def test_a_fleet_is_not_among_the_last_runs(recorded: Recorded) -> None:
    with pytest.raises(RunsError, match="no finished runs"):
        last_runs(open_existing_store(recorded.mlruns), 5, "a fleet")


def test_the_command_prints_a_summary_and_where_to_look(recorded: Recorded, command: Command) -> None:
    where = ["--mlruns", str(recorded.mlruns), "--experiment", "fleet command"]
    code, out, _ = command("fleet", str(recorded.source), "--by", "logger", *where)
    assert code == 0
    assert recorded.result.fleet.summary.headline() in " ".join(out.split())
    assert "fleet.parquet" in out
    (run,) = runs_of(recorded.mlruns, "fleet command")
    assert run.info.run_id in out


def test_what_a_url_has_of_secrets_is_kept_nowhere(
    recorded: Recorded,
    new_mlruns: Callable[[Path], Path],
    command: Command,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mlruns = new_mlruns(tmp_path / "mlruns")
    url = "memory://user:hunter2@store/loggers.csv?token=t0k3n"
    fsspec.filesystem("memory").pipe(url.removeprefix("memory:/"), readings().to_csv(index=False).encode())
    where = ["--mlruns", str(mlruns), "--experiment", "secrets"]
    code, out, err = command("fleet", url, "--by", "logger", "--json", *where)
    assert code == 0, err
    assert json.loads(out)["source"] == "memory://…@store/loggers.csv?token=…"
    kept = [path for path in mlruns.rglob("*") if path.is_file()]
    told = b"".join(path.read_bytes() for path in kept)
    (run,) = runs_of(mlruns, "secrets")
    of_this = FlowRunFilterId(any_=[run.data.tags["prefect.flow_run_id"]])
    with get_client(sync_client=True) as client:
        (flow_run,) = client.read_flow_runs(flow_run_filter=FlowRunFilter(id=of_this))
    assert b"memory://" in told
    _, gone, gone_too = command("fleet", url.replace("loggers", "gone"), "--by", "logger", *where)
    for text in (out, err, gone, gone_too, caplog.text, flow_run.model_dump_json(), told.decode("latin-1")):
        assert "hunter2" not in text
        assert "t0k3n" not in text


def test_a_failure_in_the_middle_leaves_the_run_failed(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("crash while judging")

    monkeypatch.setattr(fleet_tasks.judging, "judge_fleet", crash)
    with pytest.raises(RuntimeError, match="crash while judging"):
        fleet(str(recorded.source), FleetConfig(by="logger"), settings(recorded.mlruns, "crashed fleet"))
    (run,) = runs_of(recorded.mlruns, "crashed fleet")
    assert (run.info.status, run.data.tags["error"]) == ("FAILED", "RuntimeError: crash while judging")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("logger,t_u\na,1\n", "no column 't_c'"),
        ("logger,t_u,t_c\na,1,1\na,2,2\n", "none of 1 sensor can be calibrated"),
    ],
)
def test_what_cannot_be_calibrated_leaves_no_run(text: str, why: str, mlruns: Path, command: Command, tmp_path) -> None:
    (tmp_path / "few.csv").write_text(text)
    where = ["--mlruns", str(mlruns), "--experiment", "wrong fleet"]
    code, out, err = command("fleet", str(tmp_path / "few.csv"), "--by", "logger", *where)
    assert (code, out) == (2, "")
    assert why in err
    assert runs_of(mlruns, "wrong fleet") == []


@pytest.mark.integration
@pytest.mark.parametrize("form", ["wide", "folder"])
def test_other_layouts_make_the_same_table(form: str, recorded: Recorded, tmp_path: Path) -> None:
    _, t_u, _ = random_fleet(1, SENSORS, ROWS)
    t_c = np.linspace(0, 100, ROWS)
    source, laid_out = tmp_path / "loggers", FleetConfig(wide=form == "wide")
    if form == "wide":
        columns = {f"s{k:05}": t_c + t_u[k] / 100 for k in range(SENSORS)}
        pd.DataFrame({**columns, "t_c": t_c}).to_csv(source, index=False)
    else:
        source.mkdir()
        for k in range(SENSORS):
            pd.DataFrame({"t_u": t_c + t_u[k] / 100, "t_c": t_c}).to_csv(source / f"s{k:05}.csv", index=False)
    result = fleet(str(source), laid_out, settings(recorded.mlruns, f"{form} fleet"))
    table = pd.read_parquet(result.artifacts["fleet.parquet"])
    assert table["thermometer"].tolist() == [f"s{k:05}" for k in range(SENSORS)]
    for k in (0, 7, 29):
        assert table["w"][k] == pytest.approx(np.polyfit(t_c + t_u[k] / 100, t_c, 1)[0], rel=1e-6)


@pytest.mark.integration
def test_a_fleet_in_which_all_diverge_exits_3(recorded: Recorded, command: Command) -> None:
    where = ["--mlruns", str(recorded.mlruns), "--experiment", "diverged fleet"]
    options = ["--by", "logger", "--scaling", "none", "--learning-rate", "1"]
    code, out, _ = command("fleet", str(recorded.source), *options, *where, "--json")
    assert code == 3
    assert out.count("\n") == 1
    assert Path(json.loads(out)["artifacts"]["fleet.parquet"]).exists()
    (run,) = runs_of(recorded.mlruns, "diverged fleet")
    assert (run.info.status, run.outputs.model_outputs) == ("FINISHED", [])


@pytest.mark.integration
def test_what_was_computed_is_printed_though_it_cannot_be_recorded(
    recorded: Recorded, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ServiceError("cannot record the fleet: no answer in 20 s", waited=True)

    monkeypatch.setattr(fleet_tasks.fleets, "log_fleet", fail)
    where = ["--mlruns", str(recorded.mlruns), "--experiment", "fleet not recorded"]
    code, out, err = command("fleet", str(recorded.source), "--by", "logger", *where, "--json")
    told = json.loads(out)
    assert (code, told["run_id"], told["artifacts"]) == (1, None, {})
    assert told["not_recorded"] == "cannot record the fleet: no answer in 20 s"
    assert err.endswith("error: cannot record the fleet: no answer in 20 s\n")


@pytest.mark.integration
def test_tracking_is_tried_again(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, log = [], fleet_tasks.fleets.log_fleet_model

    def fail_once(*arguments: object, **keywords: object) -> None:
        log(*arguments, **keywords)
        calls.append(arguments)
        if len(calls) == 1:
            raise ServiceError("gone for a moment")

    monkeypatch.setattr(fleet_tasks.fleets, "log_fleet_model", fail_once)
    result = fleet(str(recorded.source), FleetConfig(by="logger"), settings(recorded.mlruns, "retried fleet"))
    (run,) = runs_of(recorded.mlruns, "retried fleet")
    assert (len(calls), run.info.status) == (2, "FINISHED")
    assert len(client_of(recorded.mlruns).search_logged_models([result.run.experiment_id])) == 1
