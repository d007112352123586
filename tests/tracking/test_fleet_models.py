"""The model of a fleet: what MLflow loads, held to the curves that tempfit itself reads from the fleet's table."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow.pyfunc import scoring_server

from tempfit.config import FleetConfig
from tempfit.fleet.curves import load_curves
from tempfit.fleet.lookup import FleetTable
from tempfit.fleet.rows import read_row
from tempfit.tracking.fleet_models import save_fleet_model
from tests.fleet.tables import random_fleet, write_fleet

BAD = {"s00020": "fewer than 3 usable readings"}
COLUMNS = ["u_mean", "u_prediction", "lower", "upper"]


def stored(folder: Path, *, by: str | None = "logger", u_c: bool = False, **settings: object) -> Path:
    """A fleet of 20 sensors, and one that was not calibrated, as MLflow keeps its model; and its table beside."""
    names, t_u, t_c = random_fleet(1, 20, 24)
    stated = np.full(t_u.shape, 0.1) if u_c else None
    table = write_fleet(folder / "fleet.parquet", names, t_u, t_c, stated, failed=BAD, rows=7, **settings)
    (folder / "model").mkdir()
    save_fleet_model(folder / "model", load_curves(FleetTable(table)), FleetConfig(by=by))
    return folder / "model"


@pytest.mark.parametrize(
    "settings",
    [{}, {"u_common": 0.3}, {"u_c": True, "coverage": 0.5}, {"model": "polynomial", "degree": 3}],
    ids=["line", "common", "stated", "polynomial"],
)
def test_a_fleets_model_predicts_what_tempfit_does(settings: dict[str, object], tmp_path: Path, monkeypatch) -> None:
    """By code of its own (no tempfit), to rounding: sums of a few terms, each of which is at most the largest."""
    folder = stored(tmp_path, **settings)

    def refuse(*_: object) -> None:
        raise AssertionError("loading executed a pickle")

    for name in ("cloudpickle.load", "pickle.load", "pickle.loads"):
        monkeypatch.setattr(name, refuse)
    model = mlflow.pyfunc.load_model(str(folder))
    sensors, t_u = ["s00000", "s00007", "s00019"], np.array([-30.0, 0.5, 50.0, 99.0, 300.0])
    given = pd.DataFrame({"t_u": np.tile(t_u, 3), "logger": np.repeat(sensors, len(t_u))}, index=range(7, 22))
    told = model.predict(given)
    assert told.index.tolist() == given.index.tolist()
    assert list(told) == ["t_c", *COLUMNS, "extrapolated"]
    for sensor in sensors:
        curve = read_row(FleetTable(tmp_path / "fleet.parquet"), sensor).curve
        own = told[(given["logger"] == sensor).to_numpy()]
        expected = (curve.predict(t_u), curve.u_mean(t_u), curve.u_prediction(t_u), *curve.prediction_band(t_u))
        for column, values in zip(["t_c", *COLUMNS], expected, strict=True):
            assert own[column].to_numpy() == pytest.approx(values, rel=1e-14, abs=1e-14 * abs(values).max()), column
        assert own["extrapolated"].tolist() == curve.is_extrapolated(t_u).tolist()


def test_the_served_model_is_silent_of_who_it_does_not_know(tmp_path: Path) -> None:
    """Of a sensor that nobody saw, one that was not calibrated, none, and a reading that is missing; names are text."""
    folder = stored(tmp_path, by=None)
    rows = [["nobody", 50.0], ["s00020", 50.0], [None, 50.0], ["s00003", None], [" s00003 ", 50.0]]
    (folder / "in").write_text(json.dumps({"dataframe_split": {"columns": ["sensor", "t_u"], "data": rows}}))
    scoring_server._predict(str(folder), str(folder / "in"), str(folder / "out"), "json")
    told = json.loads((folder / "out").read_text(), parse_constant=pytest.fail)["predictions"]
    nothing = dict.fromkeys(["t_c", *COLUMNS, "extrapolated"])
    assert told[:4] == [nothing, nothing, nothing, nothing | {"extrapolated": False}]
    curve = read_row(FleetTable(tmp_path / "fleet.parquet"), "s00003").curve
    assert told[4]["t_c"] == pytest.approx(float(curve.predict(50.0)), rel=1e-14)


def test_the_model_keeps_what_predictions_need(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    kept = pd.read_parquet(folder / "artifacts" / "curves.parquet")
    assert kept["thermometer"].tolist() == [f"s{k:05}" for k in range(20)]
    assert list(kept) == [
        *("thermometer", "factor", "center", "params", "cofactor", "observation_sd", "degrees_of_freedom"),
        *("low", "high"),
    ]
    signature = mlflow.models.Model.load(folder).signature
    assert {it.name: it.type.name for it in signature.inputs} == {"logger": "string", "t_u": "double"}
