"""A fleet as a model that MLflow loads and serves: code, and a table of the curves of all sensors that have one."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from mlflow.types import DataType

from tempfit.config import CalibrationConfig, FleetConfig
from tempfit.tracking.model_files import log_files, write_files
from tempfit.tracking.models import output_columns
from tempfit.tracking.runs import Run

CODE = Path(__file__).with_name("fleet_model_code.py")
CURVES = "curves"  # the artifact, as the code knows it
CURVES_FILE = f"artifacts/{CURVES}.parquet"
SENSOR = "sensor"  # the column of the sensor's name, where the readings have none
KEPT = {  # in the fleet's table → in the model's
    "curve_factor": "factor",
    "curve_center": "center",
    "curve_params": "params",
    "curve_cofactor": "cofactor",
    "curve_matrix": "matrix",
    "uncertainty_observation_sd": "observation_sd",
    "uncertainty_degrees_of_freedom": "degrees_of_freedom",
    "curve_t_u_range": "t_u_range",
}
UNTOLD = {"observation_sd": np.nan, "degrees_of_freedom": np.inf}  # what a null says of these


def log_fleet_model(run: Run, table: Path, settings: FleetConfig, config: CalibrationConfig, *, again: bool) -> None:
    """The table's curves as a pyfunc model; none where no sensor has one."""
    curves = read_curves(table)
    if curves is not None:
        write = partial(save_fleet_model, curves=curves, settings=settings, config=config)
        log_files(run, write, step=0, again=again)


def save_fleet_model(
    folder: Path, curves: pa.Table, settings: FleetConfig, config: CalibrationConfig, **told: Any
) -> None:
    """Write the model's files into `folder`; told: what its MLmodel says of where it belongs."""
    sensor = settings.by or (SENSOR if config.x != SENSOR else "thermometer")
    (folder / CURVES_FILE).parent.mkdir()
    pq.write_table(curves, folder / CURVES_FILE)
    first = curves.slice(0, 3)
    write_files(
        folder,
        CODE,
        inputs={sensor: DataType.string, config.x: DataType.double},
        outputs=output_columns(config.y),
        example=pd.DataFrame({sensor: first["thermometer"].to_pylist(), config.x: first["low"].to_pylist()}),
        config={
            "sensor": sensor,
            "x": config.x,
            "y": config.y,
            "u_common": config.u_common,
            "coverage": config.coverage,
        },
        artifacts={CURVES: folder / CURVES_FILE},
        **told,
    )


def read_curves(table: Path) -> pa.Table | None:
    """What predictions need, a row for each sensor that has a curve, in their order; None where none has.

    Columns: thermometer; of its terms `factor`, `center` and, where they are no powers, `matrix`; of these `params` and
    `cofactor`; `observation_sd`, `degrees_of_freedom`; `low` and `high`, the readings that it was fitted to.
    """
    file = pq.ParquetFile(table)
    groups = (file.read_row_group(k, columns=["thermometer", *KEPT]) for k in range(file.metadata.num_row_groups))
    parts = [part for part in map(_curves, groups) if len(part)]
    if not parts:
        return None
    curves = pa.concat_tables(parts)
    n_terms = curves["params"].type.list_size
    if (_numbers(curves["matrix"]).reshape(-1, n_terms, n_terms) == np.eye(n_terms)).all():
        curves = curves.drop_columns("matrix")
    return curves


def _curves(rows: pa.Table) -> pa.Table:
    is_known = pc.is_valid(pc.list_element(rows["curve_params"], 0))  # not of who was not calibrated, or diverged
    rows = rows.filter(is_known)
    columns: dict[str, Any] = {"thermometer": rows["thermometer"]}
    for name, short in KEPT.items():
        column = rows[name].combine_chunks()
        columns[short] = pc.fill_null(column, UNTOLD[short]) if short in UNTOLD else _fixed(column)
    low, high = _numbers(columns.pop("t_u_range")).reshape(-1, 2).T
    return pa.table({**columns, "low": low, "high": high})


def _fixed(column: pa.Array) -> pa.Array:
    """Lists of one length, or lists of lists, as Arrow's of fixed size, which are numbers one behind the other."""
    if not pa.types.is_list(column.type):
        return pc.fill_null(column, np.nan)
    lengths = column.value_lengths()
    return pa.FixedSizeListArray.from_arrays(_fixed(column.flatten()), lengths[0].as_py() if len(lengths) else 1)


def _numbers(column: Any) -> Any:
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    while pa.types.is_fixed_size_list(column.type):
        column = column.flatten()
    return column.to_numpy()
