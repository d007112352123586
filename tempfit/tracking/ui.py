"""MLflow's UI over a folder of runs, and where it was last seen."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from tempfit.errors import ServiceError
from tempfit.tracking.store import Store, open_store

TRAINING_VIEW = "workflowType=machine_learning"  # in a page's address: menus for training, not for GenAI
DEFAULT_ADDRESS = "http://127.0.0.1:5000"
UI_ENVIRONMENT = {  # of the UI's process, unless the user's says otherwise
    # Eight of twelve processes, for jobs on traces of language models: tempfit's runs have none.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def ui_command(folder: Path, port: int) -> list[str]:
    """The command that serves MLflow's UI for the runs in `folder` on the loopback interface.

    Raises ServiceError when the runs are on a server, which has its own UI.
    """
    store = open_store(folder)
    if store.is_server:
        raise ServiceError(f"MLFLOW_TRACKING_URI is set: browse the runs at {store.uri}")
    artifacts = store.artifact_root or store.folder / "artifacts"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return [*command, "--backend-store-uri", store.uri, "--artifacts-destination", str(artifacts)]


def is_tracked_elsewhere() -> bool:
    """Whether MLFLOW_TRACKING_URI names a server, which has its own UI."""
    return os.environ.get("MLFLOW_TRACKING_URI", "").startswith("http")


def ui_address(store: Store) -> str:
    """Where a browser finds the runs: the tracking server itself, or where `tempfit ui` last served the folder."""
    if store.is_server:
        return store.uri
    try:
        return _address_file(store.folder).read_text(encoding="utf-8")
    except OSError:
        return DEFAULT_ADDRESS


def remember_ui(folder: Path, address: str) -> None:
    """Note where the folder's UI is served, for links on pages that are written later."""
    _address_file(folder).write_text(address, encoding="utf-8")


def forget_ui(folder: Path) -> None:
    """Take the note away, when the UI ends: the next is at its default address again."""
    _address_file(folder).unlink(missing_ok=True)


def runs_page(address: str) -> str:
    """The page of a UI at `address` that lists the experiments, as for model training."""
    return f"{address}/#/experiments?{TRAINING_VIEW}"


def run_page(address: str, experiment_id: str, run_id: str, artifact: str = "") -> str:
    """The page of a run in a UI at `address`; of one of its artifacts, where that is named."""
    shown = f"/artifacts/{artifact}" if artifact else ""
    return f"{address.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}{shown}?{TRAINING_VIEW}"


def compare_page(address: str, run_ids: Sequence[str], experiment_ids: Sequence[str]) -> str:
    """The page of a UI at `address` that compares runs, of one experiment or of several."""
    lists = {"runs": list(run_ids), "experiments": list(experiment_ids)}  # the page reads its query in this order only
    query = "&".join(f"{key}={quote(json.dumps(ids, separators=(',', ':')), safe='')}" for key, ids in lists.items())
    return f"{address.rstrip('/')}/#/compare-runs?{query}&{TRAINING_VIEW}"


def _address_file(folder: Path) -> Path:
    return folder / ".ui-address"
