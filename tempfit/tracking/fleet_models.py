"""A fleet as a model that MLflow loads and serves: code, and a table of the curves of all sensors that have one."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.types import DataType
from numpy.typing import NDArray

from tempfit.config import FleetConfig
from tempfit.errors import RunsError
from tempfit.fleet.curves import FleetCurves, load_curves
from tempfit.fleet.lookup import FleetTable
from tempfit.tracking.model_files import log_files, write_files
from tempfit.tracking.models import output_columns
from tempfit.tracking.runs import Run

CODE = Path(__file__).with_name("fleet_model_code.py")
CURVES = "curves"  # the artifact, as the code knows it
CURVES_FILE = f"artifacts/{CURVES}.parquet"
SENSOR = "sensor"  # the column of the sensor's name, where the readings have none


def log_fleet_model(run: Run, table: Path, settings: FleetConfig, *, again: bool) -> None:
    """The table's curves as a pyfunc model; none where no sensor has one, or they are not all of the same settings."""
    try:
        curves = load_curves(FleetTable(table))
    except RunsError:
        return
    if curves.has_curve.any():
        log_files(run, partial(save_fleet_model, curves=curves, settings=settings), step=0, again=again)


def save_fleet_model(folder: Path, curves: FleetCurves, settings: FleetConfig, **told: Any) -> None:
    """Write the model's files into `folder`; told: what its MLmodel says of where it belongs."""
    config = curves.config
    sensor = settings.by or (SENSOR if config.x != SENSOR else "thermometer")
    table = slim(curves)
    (folder / CURVES_FILE).parent.mkdir()
    pq.write_table(table, folder / CURVES_FILE)
    first = table.slice(0, 3)
    write_files(
        folder,
        CODE,
        inputs={sensor: DataType.string, config.x: DataType.double},
        outputs=output_columns(config.y),
        example=pd.DataFrame({sensor: first["thermometer"].to_pylist(), config.x: first["low"].to_pylist()}),
        config={
            **{"sensor": sensor, "x": config.x, "y": config.y},
            **{"u_common": config.u_common, "coverage": config.coverage},
        },
        artifacts={CURVES: folder / CURVES_FILE},
        **told,
    )


def slim(curves: FleetCurves) -> pa.Table:
    """What predictions need, a row for each sensor that has a curve, in their order.

    Columns: thermometer; of its terms `factor`, `center` and, where they are no powers, `matrix`; of these `params` and
    `cofactor`; `observation_sd`, `degrees_of_freedom`; `low` and `high`, the readings that it was fitted to.
    """
    places = np.flatnonzero(curves.has_curve)
    curve = curves.take(places)
    scaling, matrix, (low, high) = curve.basis.scaling, curve.basis.matrix, curve.t_u_range
    columns = {"factor": scaling.factor, "center": scaling.center, "params": curve.params, "cofactor": curve.cofactor}
    if (matrix != np.eye(curve.basis.n_terms)).any():
        columns["matrix"] = matrix
    columns |= {"observation_sd": curve.observation_sd, "degrees_of_freedom": curve.degrees_of_freedom}
    columns |= {"low": low, "high": high}
    names = curves.names.take(pa.array(places))
    return pa.table({"thermometer": names, **{name: _column(values) for name, values in columns.items()}})


def _column(values: NDArray[np.float64]) -> pa.Array:
    """Numbers (sensors,); of vectors and matrices, Arrow's lists of fixed size, which are numbers behind each other."""
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(_column(values.reshape(-1, *values.shape[2:])), values.shape[1])
