"""A sweep in MLflow: a parent with table and figures, a child per member, whole after a failure."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException

from tempfit.choices import settings_in_play
from tempfit.config import CalibrationConfig
from tempfit.errors import ServiceError
from tempfit.readings.paired import load_readings
from tempfit.studies.compare import compare, compare_best
from tempfit.studies.grid import make_grid
from tempfit.studies.sweep import Sweep, plan_sweep, run_sweep
from tempfit.system import leases
from tempfit.tracking.queries import runs_on_newest_data, sweep_runs
from tempfit.tracking.runs import Run, ended
from tempfit.tracking.store import PARENT_TAG, end_stale_runs, open_store
from tempfit.tracking.sweeps import POINTS, log_sweep, start_sweep
from tests.conftest import THERMOMETER

FIGURES = {"losses.png": b"png of the losses"}
AXES = ["learning_rate=1e-3,0.5,3", "scaling=none,standardize"]


def start(mlruns: Path, experiment: str) -> tuple[Run, Sweep]:
    config = CalibrationConfig(experiment=experiment, n_epochs=200)
    plan = plan_sweep(load_readings(THERMOMETER), make_grid(config, AXES))
    run = start_sweep(open_store(mlruns), plan, config, "sweep of two", {"prefect.flow_run_id": "some-id"})
    return run, run_sweep(plan)


def children(run: Run) -> list[MlflowRun]:
    found = run.store.client.search_runs([run.experiment_id], f"tags.`{PARENT_TAG}` = '{run.run_id}'")
    return sorted(found, key=lambda child: int(child.data.tags["tempfit.member"]))


def test_a_sweep_is_a_parent_and_a_child_per_member(mlruns: Path) -> None:
    run, sweep = start(mlruns, "a sweep")
    counted: list[int] = []
    with ended(run):
        artifacts = log_sweep(run, sweep, FIGURES, counted.append)
    assert counted == [1, 2, 3, 4, 5, 6]

    parent = run.store.client.get_run(run.run_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.params["grid.learning_rate"] == "1e-3, 0.5, 3"
    assert parent.data.params["n_epochs"] == "200"
    assert "learning_rate" not in parent.data.params  # it is not one
    assert parent.data.metrics["n_members"] == 6
    assert parent.data.metrics["n_failed"] == len(sweep.failed) == 4
    assert parent.data.tags["tempfit.kind"] == "sweep"
    assert parent.inputs.dataset_inputs
    assert set(artifacts) == {"figures/losses.png", "sweep.json", "table.csv", "table.md"}

    runs = children(run)
    assert [child.info.run_name for child in runs] == [member.name for member in sweep.members]
    assert runs[sweep.members.index(sweep.best)].info.run_id == parent.data.tags["best_run"]
    for child, member in zip(runs, sweep.members, strict=True):
        assert child.info.status == "FINISHED"
        assert child.data.params == {k: str(v) for k, v in settings_in_play(member.trial.config).items()}
        assert child.data.metrics["loss"] == member.calibration.loss
        assert child.data.metrics["w"] == member.calibration.w
        assert child.data.tags["status"] == member.calibration.status
        assert child.data.tags["outcome"] == member.calibration.outcome
        assert child.data.tags["thermometer"] == sweep.readings.thermometer
        assert child.data.tags["data_sha256"] == sweep.readings.sha256
        assert "torch" in child.data.tags["versions"]
        points = run.store.client.get_metric_history(child.info.run_id, "loss")
        assert 2 <= len(points) <= POINTS
        assert max(point.step for point in points) == member.calibration.fit.n_epochs
        assert all(math.isfinite(point.value) for point in points)

    table = pd.read_csv(artifacts["table.csv"])
    assert table["run_id"].tolist() == [child.info.run_id for child in runs]
    stored = json.loads(Path(artifacts["sweep.json"]).read_text())
    assert [member["run_id"] for member in stored["members"]] == table["run_id"].tolist()
    assert Path(artifacts["table.md"]).read_text().count("explodes") == 4


def test_compare_knows_what_the_sweep_says_has_failed(mlruns: Path) -> None:
    """Factor 0.1 and a rate just below the critical one of all readings, above that of some folds."""
    config = CalibrationConfig(experiment="failed folds", scaling="factor", folds=11, n_epochs=20_000, tolerance=0)
    plan = plan_sweep(load_readings(THERMOMETER), make_grid(config, ["learning_rate=0.01,0.0328"]))
    run = start_sweep(open_store(mlruns), plan, config, "sweep of two", {})
    sweep = run_sweep(plan)
    with ended(run):
        log_sweep(run, sweep, FIGURES)
    assert [member.failed for member in sweep.members] == [False, True]
    assert sweep.members[1].calibration.fit.diverged_at is None
    comparison = compare(sweep_runs(run.store, run.run_id, None))
    assert [recorded.diverged for recorded in comparison.runs] == [False, True]
    assert comparison.runs[0].setting("learning_rate") == sweep.best.trial.config.learning_rate


@pytest.mark.parametrize(
    ("axes", "settings", "measure"),
    [
        (["learning_rate=1e-4..1:9", "scaling=none,factor,standardize,minmax"], {}, "loss"),
        (["learning_rate=0.01..1.2:9", "degree=1,2"], {"model": "polynomial", "holdout": 0.2}, "validation_loss"),
        (["learning_rate=0.01..1.2:9", "loss=squared,huber"], {"folds": 3}, "rmse"),
    ],
    ids=["ties and failures", "validation loss", "different losses"],
)
def test_a_sweep_is_ranked_alike_by_all_who_rank_it(
    axes: list[str], settings: dict[str, object], measure: str, mlruns: Path
) -> None:
    """As the sweep's table, by `compare --sweep` and, less the failed, by `compare --best`; down to the last place."""
    config = CalibrationConfig(experiment=f"ranked by {measure}", n_epochs=300, **settings)
    plan = plan_sweep(load_readings(THERMOMETER), make_grid(config, axes))
    run, sweep = start_sweep(open_store(mlruns), plan, config, "sweep", {}), run_sweep(plan)
    with ended(run):
        log_sweep(run, sweep, FIGURES)
    expected = [member.name for member in sweep.ranked]
    sound = [member for member in sweep.ranked if not member.failed]
    assert 0 < len(sweep.failed) < len(sound)
    compared = compare(sweep_runs(run.store, run.run_id, None))
    assert [recorded.name for recorded in compared.runs] == expected
    best = compare_best(runs_on_newest_data(run.store, config.experiment), len(expected))
    assert [recorded.name for recorded in best.runs] == [member.name for member in sound]
    assert sweep.measure == compared.measure == best.measure == measure
    fifth = compare_best(runs_on_newest_data(run.store, config.experiment), 5).runs[4]
    assert fifth.name == sweep.ranked[4].name


def test_a_repeated_attempt_writes_only_what_is_missing(mlruns: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store fails in the fourth child; the second attempt ends that one and adds the other two."""
    run, sweep = start(mlruns, "a sweep with a fault")
    client = run.store.client
    set_terminated, calls = client.set_terminated, []

    def fail_once(*arguments: object, **keywords: object) -> None:
        calls.append(arguments)
        if len(calls) == 4:
            raise MlflowException("database is locked")
        set_terminated(*arguments, **keywords)

    monkeypatch.setattr(client, "set_terminated", fail_once)
    with ended(run):
        with pytest.raises(ServiceError, match="database is locked"):
            log_sweep(run, sweep, FIGURES)
        first = {child.info.run_id for child in children(run)}
        assert sum(child.info.status == "RUNNING" for child in children(run)) == 1
        log_sweep(run, sweep, FIGURES)
    runs = children(run)
    assert all("error" not in child.data.tags for child in runs)
    assert [child.info.status for child in runs] == ["FINISHED"] * 6
    assert first < {child.info.run_id for child in runs}
    for child in runs:
        steps = [point.step for point in client.get_metric_history(child.info.run_id, "loss")]
        assert len(steps) == len(set(steps))


def test_children_of_a_killed_sweep_are_marked_with_it(mlruns: Path) -> None:
    run, _ = start(mlruns, "a killed sweep")
    client = run.store.client
    child = client.create_run(run.experiment_id, tags={PARENT_TAG: run.run_id})
    run.lease.release()  # as by the death of its process: the mark is there, the lock is free
    path = run.store.running / f"{run.run_id}.lease"
    path.write_text(run.store.uri)
    assert not leases.is_held(run.store.running, run.run_id)
    end_stale_runs(run.store)
    assert client.get_run(run.run_id).info.status == "FAILED"
    assert client.get_run(child.info.run_id).info.status == "FAILED"
    assert not path.exists()


def test_vanishing_gradients_are_seen_in_one_sweep(mlruns: Path) -> None:
    """Eight layers: the sigmoid's slope is at most 1/4, so at the start its first layer gets less than 1/4⁶ of the
    last's gradient; ReLU passes it on."""
    config = CalibrationConfig(
        experiment="deep", model="mlp", hidden="16x16x16x16x16x16x16x16", learning_rate=1e-3, n_epochs=50
    )
    plan = plan_sweep(load_readings(THERMOMETER), make_grid(config, ["activation=sigmoid,relu"]))
    run = start_sweep(open_store(mlruns), plan, config, "sweep of activation", {})
    with ended(run):
        log_sweep(run, run_sweep(plan), FIGURES)
    shares = []
    for child in children(run):
        first, last = (
            next(p.value for p in run.store.client.get_metric_history(child.info.run_id, name) if p.step == 0)
            for name in ("gradient_norm/hidden_1", "gradient_norm/output")
        )
        shares.append(first / last)
    sigmoid, relu = shares
    assert sigmoid < 0.25**6
    assert relu > 0.1
