"""Runs found again: by id, by name, by age, by loss, by sweep; and what is said where they are not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from tempfit.calibration.pipeline import calibrate
from tempfit.config import CalibrationConfig
from tempfit.errors import RunsError, ServiceError
from tempfit.readings.paired import Readings, load_readings
from tempfit.studies.compare import RecordedRun, RecordedSweep, compare, compare_best
from tempfit.tracking import search
from tempfit.tracking.queries import (
    data_of,
    find_runs,
    last_runs,
    load_loss_curves,
    load_record,
    runs_on_newest_data,
    sweep_runs,
)
from tempfit.tracking.results import log_calibration
from tempfit.tracking.runs import ended, start_run
from tempfit.tracking.store import Store, open_existing_store, open_store
from tempfit.tracking.ui import compare_page
from tests.conftest import T_C, T_U, THERMOMETER


@dataclass(frozen=True)
class Recorder:
    """Writes runs as the flows do, but for the figures of merit, which a test chooses."""

    store: Store
    experiment: str

    def run(
        self,
        final_loss: float,
        status: str = "converged",
        readings: Readings | None = None,
        rmse: float | None = None,
        outcome: str | None = None,
        **settings: object,
    ) -> str:
        """rmse: of the squared loss, if not said."""
        config = CalibrationConfig(experiment=self.experiment, **settings)
        tags = {} if outcome is None else {"outcome": outcome}
        run = start_run(self.store, readings or load_readings(THERMOMETER), config, tags)
        with ended(run):
            self.results(run.run_id, final_loss, status, rmse)
        return run.run_id

    def results(self, run_id: str, loss: float, status: str, rmse: float | None = None) -> None:
        points = [Metric("loss", value, 0, step) for step, value in ((2, loss), (0, 100.0), (1, 50.0))]
        points.append(Metric("rmse", loss**0.5 if rmse is None else rmse, 0, 0))
        self.store.client.log_batch(run_id, metrics=points, tags=[RunTag("status", status)])

    def best(self, n: int) -> list[RecordedRun]:
        return list(compare_best(runs_on_newest_data(self.store, self.experiment), n).runs)

    def sweep(self, losses: dict[float, float]) -> tuple[str, list[str]]:
        """A sweep over learning rates: the id of its parent run, and those of its children."""
        config, readings = CalibrationConfig(experiment=self.experiment), load_readings(THERMOMETER)
        parent = start_run(self.store, readings, config, {"tempfit.kind": "sweep"})
        children = []
        with ended(parent):
            for rate, loss in losses.items():
                tags = {"mlflow.parentRunId": parent.run_id, "data_sha256": readings.sha256}
                child = self.store.client.create_run(parent.experiment_id, run_name=f"sgd {rate}", tags=tags)
                children.append(child.info.run_id)
                self.store.client.log_batch(children[-1], params=[Param("learning_rate", str(rate))])
                self.results(children[-1], loss, "exhausted")
                self.store.client.set_terminated(children[-1])
            self.results(parent.run_id, min(losses.values()), "exhausted")
            best = children[list(losses.values()).index(min(losses.values()))]
            self.store.client.set_tag(parent.run_id, "best_run", best)
            self.store.client.log_metric(parent.run_id, "n_members", len(losses))
        return parent.run_id, children

    def fleet(self) -> str:
        """A fleet's run, on the data of the others."""
        config = CalibrationConfig(experiment=self.experiment)
        run = start_run(self.store, load_readings(THERMOMETER), config, {"tempfit.kind": "fleet"})
        with ended(run):
            pass
        return run.run_id


@pytest.fixture
def recorder(mlruns: Path, request: pytest.FixtureRequest) -> Recorder:
    return Recorder(open_store(mlruns), request.node.name)


def ids(runs: list) -> list[str]:
    return [run.run_id for run in runs]


def test_a_calibration_comes_back_as_it_was_recorded(recorder):
    config = CalibrationConfig(experiment=recorder.experiment, scaling="factor", learning_rate=1e-2, n_epochs=50)
    result = calibrate(THERMOMETER, config)
    run = start_run(recorder.store, result.readings, config, {})
    with ended(run):
        log_calibration(run, result, {})
    other = recorder.run(3.0)
    first, _ = runs = find_runs(recorder.store, [run.run_id, other], None)
    assert (first.name, first.experiment_id, first.status) == (run.name, run.experiment_id, "exhausted")
    assert {name: first.setting(name) for name in config.hyperparameters()} == config.hyperparameters()
    assert first.coefficients == (result.w, result.b)
    assert first.tags["data_sha256"] == result.readings.sha256
    assert first.data.name == "thermometer.csv"
    assert first.data.t_u == (T_U.min(), T_U.max()) == (21.8, 81.9)
    assert first.data.t_c == (T_C.min(), T_C.max()) == (-4.0, 28.0)
    curve = load_loss_curves(recorder.store, runs)[run.run_id]
    assert curve.updates.tolist() == list(range(51))
    assert np.array_equal(curve.loss, result.fit.history.loss)


def test_ids_starts_of_ids_and_names(recorder):
    first, second = recorder.run(3.0, learning_rate=0.25), recorder.run(4.0, learning_rate=0.125)
    names = ["thermometer, standardize, sgd 0.125", first[:12], second]
    assert ids(find_runs(recorder.store, names, recorder.experiment)) == [second, first]  # as given, and once each
    assert ids(find_runs(recorder.store, [first, second[:31]], None)) == [first, second]


def test_names_with_quotes(recorder, tmp_path):
    path = tmp_path / 'it\'s a "probe" 100%.csv'
    path.write_bytes(THERMOMETER.read_bytes())
    first, second = recorder.run(3.0, readings=load_readings(path)), recorder.run(3.0)
    recorder.run(3.0, readings=load_readings(THERMOMETER), learning_rate=0.1)
    name = 'it\'s a "probe" 100%, standardize, sgd 0.5'
    assert ids(find_runs(recorder.store, [name, second], recorder.experiment)) == [first, second]


def test_unknown_ambiguous_and_single_runs_are_told(recorder):
    first, second = recorder.run(3.0), recorder.run(4.0)
    for unknown in ("f" * 32, "fffffffff", first[:3], "no such name", first + "0", "thermometer"):
        with pytest.raises(RunsError, match=f"no run '{unknown}': give an id, the first 4 digits"):
            find_runs(recorder.store, [first, unknown], None)
    name = "thermometer, standardize, sgd 0.5"
    with pytest.raises(RunsError, match="may be any of 2 runs: say which by its id") as caught:
        find_runs(recorder.store, [first, name], recorder.experiment)
    assert first in str(caught.value)
    assert second in str(caught.value)
    for alone in ([first], [first, first[:10]]):
        with pytest.raises(RunsError, match="one run has nothing to be compared with"):
            find_runs(recorder.store, alone, None)
    with pytest.raises(RunsError, match="no run"):
        find_runs(recorder.store, [first, second], "Default")  # where neither is


def test_deleted_runs_are_not_there(recorder):
    first, second, deleted = (recorder.run(loss) for loss in (3.0, 4.0, 1.0))
    recorder.store.client.delete_run(deleted)
    for name in (deleted, deleted[:10]):
        with pytest.raises(RunsError, match=f"no run '{name}'"):
            find_runs(recorder.store, [first, name], None)
    assert ids(last_runs(recorder.store, 5, recorder.experiment)) == [second, first]
    assert ids(recorder.best(5)) == [first, second]


def test_the_last_are_finished_calibrations_newest_first(recorder):
    runs = [recorder.run(float(loss)) for loss in range(3)]
    unfinished = start_run(
        recorder.store, load_readings(THERMOMETER), CalibrationConfig(experiment=recorder.experiment), {}
    )
    assert ids(last_runs(recorder.store, 5, recorder.experiment)) == runs[::-1]
    assert ids(last_runs(recorder.store, 2, recorder.experiment)) == [runs[2], runs[1]]
    with pytest.raises(ZeroDivisionError), ended(unfinished):
        raise ZeroDivisionError
    assert ids(last_runs(recorder.store, 5, recorder.experiment)) == runs[::-1]
    named = find_runs(recorder.store, [unfinished.run_id, runs[0]], None)  # but it can be asked for
    assert named[0].status == "failed"


def test_the_best_are_on_the_data_of_the_newest_and_did_not_diverge(recorder):
    shifted = Readings(T_U, T_C + 1.0, source="shifted.csv")
    recorder.run(0.5, readings=shifted)
    worse, best, middle = (recorder.run(loss) for loss in (5.0, 3.0, 4.0))
    recorder.run(1.0, status="diverged")  # the newest says which data, even so
    assert ids(recorder.best(2)) == [best, middle]
    assert ids(recorder.best(9)) == [best, middle, worse]
    recorder.run(0.7, readings=shifted)
    assert [run.metrics["loss"] for run in recorder.best(9)] == [0.5, 0.7]


def test_the_best_have_the_lowest_rmse_whatever_loss_they_made_small(recorder):
    squared = recorder.run(2.9, rmse=1.7)
    huber = recorder.run(1.1, rmse=1.8, loss="huber")
    worse = recorder.run(4.0, rmse=2.0)
    recorder.run(1.0, rmse=math.nan)
    recorder.run(1.0, rmse=math.inf)
    recorder.run(1.0, rmse=1.0, outcome="explodes", status="exhausted")
    arrived = recorder.run(3.0, rmse=1.75, outcome="arrives")
    assert ids(recorder.best(2)) == [squared, arrived]
    assert ids(recorder.best(9)) == [squared, arrived, huber, worse]


def test_a_sweep_is_its_children(recorder):
    single = recorder.run(2.5)
    parent, children = recorder.sweep({0.1: 3.0, 0.2: 2.0})
    for name in (parent, parent[:12]):
        found = sweep_runs(recorder.store, name, None)
        assert set(ids(found)) == set(children)
        assert found[0].data is not None
        assert found[0].data.t_u == (21.8, 81.9)  # the sweep's own record of the data
    with pytest.raises(RunsError, match=f"`tempfit compare --sweep {parent[:8]}`"):
        find_runs(recorder.store, [single, parent], None)
    with pytest.raises(RunsError, match="is not a sweep"):
        sweep_runs(recorder.store, single, None)
    # The parent holds the best loss of its children.
    assert ids(recorder.best(9)) == [children[1], single, children[0]]


def test_among_the_last_runs_a_sweep_is_one_by_its_best(recorder):
    """Its children started later than all the others: they would push them out."""
    first, second = recorder.run(2.5), recorder.run(2.6)
    parent, children = recorder.sweep({0.1 * k: 10.0 - k for k in range(1, 8)})
    newest, *others = last_runs(recorder.store, 5, recorder.experiment)
    assert ids(others) == [second, first]
    assert (newest.run_id, newest.metric("loss"), newest.data) == (children[-1], 3.0, others[0].data)
    assert newest.sweep == RecordedSweep(parent, recorder.store.client.get_run(parent).info.run_name, 7, 0)
    assert [run.sweep for run in others] == [None, None]
    recorder.store.client.delete_tag(parent, "best_run")  # as of a sweep that left nothing to use
    recorder.store.client.log_param(parent, "grid.momentum", "0.1, 0.2")
    nothing = last_runs(recorder.store, 5, recorder.experiment)[0]
    assert (nothing.run_id, nothing.shown_id, nothing.diverged) == (parent, parent, True)
    comparison = compare([nothing, *others])
    assert ids(comparison.runs)[-1] == parent
    assert comparison.written(nothing) == {"momentum": "0.1, 0.2"}


def test_a_sweep_of_nothing_is_nothing_to_compare(recorder):
    parent, _ = recorder.sweep({0.1: 3.0})
    with pytest.raises(RunsError, match="1 run recorded, nothing to compare"):
        sweep_runs(recorder.store, parent, None)


def test_too_few_runs_say_what_makes_some(recorder):
    with pytest.raises(RunsError, match=f"no experiment '{recorder.experiment}'"):
        last_runs(recorder.store, 5, recorder.experiment)
    recorder.run(3.0, status="diverged")
    with pytest.raises(RunsError, match=r"1 finished run in experiment .* `tempfit calibrate FILE` makes them"):
        last_runs(recorder.store, 5, recorder.experiment)
    with pytest.raises(RunsError, match=r"no finished runs in experiment .* that did not diverge"):
        recorder.best(5)
    with pytest.raises(RunsError, match="no finished runs in experiment 'Default'"):
        runs_on_newest_data(recorder.store, "Default")


def test_runs_beyond_a_page_are_found(recorder, monkeypatch):
    monkeypatch.setattr(search, "PAGE", 2)
    runs = [recorder.run(float(loss)) for loss in range(5)]
    assert ids(last_runs(recorder.store, 5, recorder.experiment)) == runs[::-1]


def test_data_recorded_before_their_range_was(recorder):
    first, second = recorder.run(3.0), recorder.run(4.0)
    run = recorder.store.client.get_run(first)
    run.inputs.dataset_inputs[0].dataset._profile = '{"num_rows": 11, "num_elements": 22}'
    data = data_of(run)
    assert (data.name, data.t_u, data.t_c) == ("thermometer.csv", None, None)
    assert find_runs(recorder.store, [first, second], None)[0].data.t_u is not None  # as recorded now


def test_a_store_that_fails_is_a_service_error(recorder, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise MlflowException("database is locked")

    recorder.run(3.0)
    monkeypatch.setattr(recorder.store.client, "search_runs", fail)
    with pytest.raises(ServiceError, match=r"cannot read the runs at sqlite.*: database is locked"):
        last_runs(recorder.store, 5, recorder.experiment)
    monkeypatch.setattr(recorder.store.client, "get_run", fail)  # not to be taken for a run that is not there
    with pytest.raises(ServiceError, match="database is locked"):
        find_runs(recorder.store, ["f" * 32], None)


def test_a_folder_without_runs_stays_as_it_is(tmp_path):
    for folder in (tmp_path / "mlruns", tmp_path):
        with pytest.raises(RunsError, match="no runs yet; `tempfit calibrate FILE` makes one"):
            open_existing_store(folder)
    assert list(tmp_path.iterdir()) == []


def test_reading_from_a_server_makes_no_folder(tmp_path, monkeypatch, listener):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", listener)
    assert open_existing_store(tmp_path / "mlruns").uri == listener
    assert list(tmp_path.iterdir()) == []


def test_the_compare_page_takes_json_lists_in_its_address():
    page = compare_page("http://127.0.0.1:5000/", ["a1", "b2"], ["1", "2"])
    assert page == (
        "http://127.0.0.1:5000/#/compare-runs?runs=%5B%22a1%22%2C%22b2%22%5D&experiments=%5B%221%22%2C%222%22%5D"
        "&workflowType=machine_learning"
    )


def test_a_fleet_is_none_of_the_runs_that_are_compared(recorder):
    older, newer = recorder.run(3.0), recorder.run(4.0, learning_rate=0.1)
    fleet = recorder.fleet()
    assert ids(last_runs(recorder.store, 2, recorder.experiment)) == [newer, older]
    assert ids(recorder.best(5)) == [older, newer]
    with pytest.raises(RunsError, match=f"run {fleet[:8]} is a fleet: it compares with one other fleet"):
        find_runs(recorder.store, [newer, fleet], None)
    with pytest.raises(RunsError, match=f"run {fleet[:8]} is not a sweep"):
        sweep_runs(recorder.store, fleet, None)
    with pytest.raises(RunsError, match=f"run {fleet[:8]} is a fleet: name one of its sensors"):
        load_record(recorder.store, fleet)
