"""A recorded calibration answers the same wherever it is asked: by the command, and by MLflow's own."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.integration.conftest import Place
from tests.tracking.test_runs import record

pytestmark = pytest.mark.integration


def test_mlflow_models_predict_says_what_tempfit_predict_does(place: Place) -> None:
    run, _, _ = record(place.mlruns)
    (output,) = run.store.client.get_run(run.run_id).outputs.model_outputs
    model = Path(run.store.client.get_logged_model(output.model_id).artifact_location)
    # (MLflow refuses a CSV column of whole numbers alone, where the signature says double.)
    (place.folder / "in.csv").write_text("t_u\n50.5\n100\n")
    given = {"dataframe_split": {"columns": ["t_u"], "data": [[50.5], [100]]}}
    (place.folder / "in.json").write_text(json.dumps(given))
    done = place.run("tempfit", "predict", run.run_id[:8], "in.csv", "--output", "told.csv")
    assert done.returncode == 0, done.stderr
    expected = pd.read_csv(place.folder / "told.csv").drop(columns="t_u")
    for kind in ("csv", "json"):
        command = ["mlflow", "models", "predict", "-m", str(model), "-i", f"in.{kind}", "-o", f"{kind}.json"]
        done = place.run(*command, "-t", kind, "--env-manager", "local")
        assert done.returncode == 0, done.stderr
        told = pd.DataFrame(json.loads((place.folder / f"{kind}.json").read_text())["predictions"])
        pd.testing.assert_frame_equal(told, expected, rtol=1e-12)
