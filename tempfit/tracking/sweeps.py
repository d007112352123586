"""A sweep in MLflow: a parent run with the table and the figures, and a child run for every member."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from mlflow.entities import Metric, RunTag

from tempfit.calibration.recording import record_of
from tempfit.choices import settings_in_play
from tempfit.config import CalibrationConfig
from tempfit.studies.sweep import Member, Plan, Sweep, varied_settings
from tempfit.studies.sweep_table import to_markdown
from tempfit.tracking.failures import told_as
from tempfit.tracking.provenance import identity, provenance, versions
from tempfit.tracking.results import result_metrics, result_tags
from tempfit.tracking.runs import Run, as_params, as_tags, start_run
from tempfit.tracking.store import AXIS_PARAM, BEST_TAG, KIND_TAG, PARENT_TAG, SWEEP, Store

MEMBER_TAG = "tempfit.member"  # the member's number: a repeated attempt finds what was written already
POINTS = 40  # of each child's histories: hundreds of children are compared by their shapes
SERVER_THREADS = 8  # requests at once to a server, each of which waits; SQLite has one writer

OnRecorded = Callable[[int], None]  # is told after each child how many there are


def start_sweep(
    store: Store, plan: Plan, config: CalibrationConfig, title: str, tags: Mapping[str, str], *, again: bool = False
) -> Run:
    """Open the parent run; its params are the settings that all members share, and the axes of the grid.

    again: as in `start_run`. Raises ServiceError when the tracking store cannot take it.
    """
    first, *_ = configs = [trial.config for trial in plan.grid.trials]
    varied = varied_settings(configs)
    shared = {name: value for name, value in settings_in_play(first).items() if name not in varied}
    axes = {f"{AXIS_PARAM}{axis.name}": ", ".join(map(axis.write, axis.values))[:6000] for axis in plan.grid.axes}
    tags = {**tags, KIND_TAG: SWEEP}
    return start_run(store, plan.readings, config, tags, label=title, params=shared | axes, again=again)


def log_sweep(
    run: Run, sweep: Sweep, figures: Mapping[str, bytes], on_recorded: OnRecorded | None = None
) -> dict[str, str]:
    """Write a sweep into its run: a child per member, the table, the figures, sweep.json.

    Returns the artifacts: name → URI. Safe to repeat after a failure. Raises ServiceError when the store cannot take
    it.
    """
    client = run.store.client
    what = f"cannot record sweep {run.run_id} at {run.store.uri}"
    with told_as(what):
        finished, begun = _recorded(run)
    run_ids = _record_members(run, sweep, finished, begun, on_recorded)
    with told_as(what), run.store.whole(), TemporaryDirectory(prefix="tempfit-") as folder:
        names = _write_files(Path(folder), sweep, figures, run_ids)
        client.log_artifacts(run.run_id, folder)
        client.log_batch(run.run_id, metrics=_metrics(sweep, run.start_time), tags=_tags(sweep, run_ids))
        uri = client.get_run(run.run_id).info.artifact_uri
    return {name: f"{uri}/{name}" for name in names}


def _record_members(
    run: Run, sweep: Sweep, finished: Mapping[int, str], begun: Mapping[int, str], on_recorded: OnRecorded | None
) -> list[str]:
    """Child runs of all members, in their order; those that an earlier attempt finished are left as they are."""
    shared = {**provenance(), **identity(sweep.readings), PARENT_TAG: run.run_id}
    varied = varied_settings([member.trial.config for member in sweep.members])

    def record(number: int) -> str:
        run_id = finished.get(number)
        if run_id is None:
            with told_as(f"cannot record sweep {run.run_id} at {run.store.uri}"), run.store.whole():
                run_id = _record_member(run, sweep.members[number], number, shared, varied, begun.get(number))
        return run_id

    numbers = range(len(sweep.members))
    if not run.store.is_server:
        return _counted(map(record, numbers), on_recorded)
    with ThreadPoolExecutor(SERVER_THREADS) as pool:
        try:
            return _counted(pool.map(record, numbers), on_recorded)
        finally:
            pool.shutdown(cancel_futures=True)  # after a failure or Ctrl-C, do not write the rest first


def _counted(run_ids: Iterable[str], on_recorded: OnRecorded | None) -> list[str]:
    """The ids, told one by one."""
    found = []
    for run_id in run_ids:
        found.append(run_id)
        if on_recorded is not None:
            on_recorded(len(found))
    return found


def _recorded(run: Run) -> tuple[dict[int, str], dict[int, str]]:
    """Children that are there already, by the member's number: those that are finished, and those begun."""
    finished: dict[int, str] = {}
    begun: dict[int, str] = {}
    token: str | None = None
    while True:
        page = run.store.client.search_runs(
            [run.experiment_id], f"tags.`{PARENT_TAG}` = '{run.run_id}'", max_results=1000, page_token=token
        )
        for child in page:
            where = finished if child.info.status == "FINISHED" else begun
            where[int(child.data.tags[MEMBER_TAG])] = child.info.run_id
        token = page.token
        if not token:
            return finished, begun


def _record_member(
    run: Run, member: Member, number: int, shared: Mapping[str, str], varied: Sequence[str], begun: str | None
) -> str:
    client, record = run.store.client, record_of(member.calibration)
    if begun is None:
        tags = {**result_tags(record), **shared, MEMBER_TAG: str(number)}
        start_time = run.start_time + number  # ms: lists of runs sort by it
        created = client.create_run(run.experiment_id, start_time=start_time, tags=tags, run_name=member.name)
        begun = created.info.run_id
    metrics = result_metrics(member.calibration, record, run.start_time, POINTS)
    client.log_batch(begun, metrics, as_params(settings_in_play(member.trial.config, varied)))
    client.set_terminated(begun)
    return begun


def _metrics(sweep: Sweep, timestamp: int) -> list[Metric]:
    values: dict[str, float] = {"n_members": len(sweep.members), "n_failed": len(sweep.failed)}
    if sweep.best is not None:
        best = sweep.best.merit
        figures = {"loss": best.loss, "rmse": best.rmse, "validation_loss": best.validation_loss}
        values |= {f"best_{name}": value for name, value in figures.items() if value is not None}
    return [Metric(key, float(value), timestamp, 0) for key, value in values.items()]


def _tags(sweep: Sweep, run_ids: list[str]) -> list[RunTag]:
    note = {"mlflow.note.content": f"**{sweep.headline()}**\n\n{to_markdown(sweep, most=20)}"}
    best = {} if sweep.best is None else {BEST_TAG: run_ids[sweep.members.index(sweep.best)]}
    return as_tags({**best, **note, **versions()})


def _write_files(folder: Path, sweep: Sweep, figures: Mapping[str, bytes], run_ids: list[str]) -> list[str]:
    (folder / "figures").mkdir()
    for name, png in figures.items():
        (folder / "figures" / name).write_bytes(png)
    result = sweep.as_dict()
    for described, run_id in zip(result["members"], run_ids, strict=True):
        described["run_id"] = run_id
    text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / "sweep.json").write_text(text + "\n", encoding="utf-8")
    (folder / "table.md").write_text(to_markdown(sweep), encoding="utf-8")
    told = ("outcome", "why", "status", "rmse", "close_at", "n_epochs", "diverged_at")
    rows = [
        {"run_id": row["run_id"], "name": row["name"], **row["settings"], "final_loss": row["loss"]}
        | {key: row[key] for key in told}
        for row in result["members"]
    ]
    pd.DataFrame(rows).to_csv(folder / "table.csv", index=False)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
