"""A fleet in MLflow: one run for all sensors, with their table, figures and summary."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.entities import Metric

from tempfit.choices import settings_in_play
from tempfit.config import CalibrationConfig, FleetConfig
from tempfit.fleet.fleet import Fleet
from tempfit.fleet.ingesting import Ingested
from tempfit.fleet.lookup import FLEET_FILE
from tempfit.readings.paired import thermometer_of
from tempfit.tracking.datasets import describe
from tempfit.tracking.failures import told_as
from tempfit.tracking.fleet_models import log_fleet_model
from tempfit.tracking.provenance import versions
from tempfit.tracking.runs import Run, as_tags, open_run
from tempfit.tracking.store import FLEET, KIND_TAG, Store
from tempfit.wording import count

SUMMARY_FILE = "fleet.json"
HOW = {"workers", "scheduler"}  # settings that say who does the work, and change no number


def start_fleet(
    store: Store,
    ingested: Ingested,
    settings: FleetConfig,
    config: CalibrationConfig,
    tags: Mapping[str, str],
    *,
    again: bool = False,
) -> Run:
    """Open the run. Raises ServiceError when the tracking store cannot take it."""
    name = f"fleet {thermometer_of(ingested.source)}, {config.label}"
    own = {key: value for key, value in settings.model_dump(exclude=HOW).items() if value not in (None, False)}
    told = {"thermometer": count(len(ingested.roster), "sensor"), "data_sha256": ingested.sha256, KIND_TAG: FLEET}
    n_rows = ingested.gathered.n_rows
    profile = {"num_rows": n_rows, "num_elements": 2 * n_rows}
    dataset = describe(ingested.source, ingested.sha256, config.x, config.y, profile, sensor=settings.by)
    return open_run(
        store, config.experiment, name, settings_in_play(config) | own, {**told, **tags}, dataset, again=again
    )


def log_fleet(
    run: Run, fleet: Fleet, figures: Mapping[str, bytes], note: str, *, again: bool = False
) -> dict[str, str]:
    """Write a fleet into its run: the table, the figures, the summary, and the model.

    note: Markdown, for the run's page. again: an earlier attempt failed; a model that it may have begun is gone on
    with. Returns the artifacts: name → URI. Safe to repeat after a failure. Raises ServiceError when the store cannot
    take it.
    """
    client, run_id, summary = run.store.client, run.run_id, fleet.summary
    what = f"cannot record fleet {run_id} at {run.store.uri}"
    with told_as(what), run.store.whole(), TemporaryDirectory(prefix="tempfit-") as name:
        folder = Path(name)
        metrics = [Metric(key, float(value), run.start_time, 0) for key, value in summary.metrics().items()]
        tags = {"status": summary.headline(), "mlflow.note.content": note, **versions()}
        client.log_batch(run_id, [it for it in metrics if math.isfinite(it.value)], tags=as_tags(tags))
        (folder / "figures").mkdir()
        for figure, png in figures.items():
            (folder / "figures" / figure).write_bytes(png)
        text = json.dumps(fleet.as_dict(), indent=2, ensure_ascii=False, allow_nan=False)
        (folder / SUMMARY_FILE).write_text(text + "\n", encoding="utf-8")
        client.log_artifacts(run_id, name)
        client.log_artifact(run_id, str(fleet.table))
        log_fleet_model(run, fleet.table, fleet.settings, again=again)
        names = [*(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()), FLEET_FILE]
        uri = client.get_run(run_id).info.artifact_uri
    return {name: f"{uri}/{name}" for name in sorted(names)}
