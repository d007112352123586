"""The curves of all sensors of a fleet's table in arrays, and a sensor's place among them by its name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import ValidationError

from tempfit.calibration.filed import damaged, describe_fault
from tempfit.calibration.spread import parts_of
from tempfit.config import CalibrationConfig
from tempfit.errors import RunsError
from tempfit.exact.basis import Basis
from tempfit.exact.curve import Curve
from tempfit.exact.scaling import Scaling
from tempfit.fleet.lookup import NOT_CALIBRATED, FleetTable
from tempfit.readings.columns import as_numpy

SCALARS = ("curve_factor", "curve_center", "uncertainty_observation_sd", "uncertainty_degrees_of_freedom")
LISTS = ("curve_matrix", "curve_params", "curve_cofactor", "curve_t_u_range")
COLUMNS = ("thermometer", NOT_CALIBRATED, "usable", "config", *SCALARS, *LISTS)


@dataclass(frozen=True, eq=False)
class FleetCurves:
    """What a fleet's table says of temperatures, a row a sensor that was seen, (sensors,) each.

    curve: NaN of a sensor that has none, because it was not calibrated, or its fit exploded. usable: whether its own
    checks have nothing against it. config: the settings of all.
    """

    table: FleetTable
    names: pa.StringArray
    curve: Curve
    usable: NDArray[np.bool_]
    config: CalibrationConfig

    @cached_property
    def has_curve(self) -> NDArray[np.bool_]:
        """Whether there is something to predict by."""
        return np.asarray(np.isfinite(self.curve.params).all(axis=1))

    @cached_property
    def _keys(self) -> NDArray[np.bytes_]:
        return _as_bytes(self.names, max(1, pc.max(pc.binary_length(self.names)).as_py() or 1))

    def find(self, names: pa.StringArray) -> NDArray[np.int64]:
        """(names,), where these sensors are; -1 of those that are not in the table."""
        if not len(self.names):
            return np.full(len(names), -1)
        asked = names.dictionary_encode()
        is_long = pc.greater(pc.binary_length(asked.dictionary), self._keys.itemsize)
        keys = _as_bytes(pc.if_else(is_long, "", asked.dictionary), self._keys.itemsize)
        order = np.argsort(keys)  # in order, they are found along one way through memory
        place = np.empty(len(keys), dtype=np.int64)
        place[order] = np.minimum(np.searchsorted(self._keys, keys[order]), len(self._keys) - 1)
        place[self._keys[place] != keys] = -1
        return place[asked.indices.to_numpy()]

    def take(self, places: NDArray[np.int64]) -> Curve:
        """The curves at these places, one a member."""
        curve, (low, high) = self.curve, self.curve.t_u_range
        scaling = Scaling(curve.basis.scaling.factor[places], curve.basis.scaling.center[places])
        return Curve(
            basis=Basis(scaling, curve.basis.matrix[places], curve.basis.origin),
            params=curve.params[places],
            cofactor=curve.cofactor[places],
            observation_sd=curve.observation_sd[places],
            degrees_of_freedom=curve.degrees_of_freedom[places],
            u_common=curve.u_common,
            coverage=curve.coverage,
            t_u_range=(low[places], high[places]),
        )


def load_curves(table: FleetTable) -> FleetCurves:
    """All curves of the table. Raises RunsError where it is damaged, of networks, or of several settings."""
    read = pa.concat_tables(list(table.blocks(COLUMNS))).unify_dictionaries()
    config = _config(read["config"], table)
    if config.model == "mlp":
        raise RunsError(
            f"{table}: of networks, a fleet keeps how they ended, and not what they learned: calibrate a sensor by "
            'itself, or the fleet with `model="line"`'
        )
    terms = config.degree + 1 if config.model == "polynomial" else 2
    shapes = {"curve_params": (terms,), "curve_t_u_range": (2,)}
    numbers: dict[str, Any] = {name: as_numpy(read[name]) for name in SCALARS}
    for name in LISTS:
        shape = shapes.get(name, (terms, terms))
        numbers[name] = np.full((read.num_rows, *shape), np.nan)
        if name in table.columns:  # nobody has one
            continue
        if table.parts(name) != list(parts_of(name, shape).values()):
            raise damaged(str(table), f"columns {name} are not those of the {terms} terms of a {config.model}")
        for at, part in parts_of(name, shape).items():
            numbers[name][(slice(None), *at)] = as_numpy(read[part])
    sd, freedom = numbers["uncertainty_observation_sd"], numbers["uncertainty_degrees_of_freedom"]
    names = read["thermometer"].combine_chunks()
    if len(names) > 1 and not pc.all(pc.less(names[:-1], names[1:])).as_py():
        raise damaged(str(table), "column thermometer is not sorted")
    curve = Curve(
        basis=Basis(Scaling(numbers["curve_factor"], numbers["curve_center"]), numbers["curve_matrix"], config.t0),
        params=numbers["curve_params"],
        cofactor=numbers["curve_cofactor"],
        observation_sd=sd,
        degrees_of_freedom=np.where(np.isnan(freedom), np.inf, freedom),
        u_common=config.u_common,
        coverage=config.coverage,
        t_u_range=(numbers["curve_t_u_range"][:, 0], numbers["curve_t_u_range"][:, 1]),
    )
    usable = pc.fill_null(read["usable"], False).combine_chunks().to_numpy(zero_copy_only=False)
    return FleetCurves(table, names, curve, usable, config)


def _config(column: pa.ChunkedArray, table: FleetTable) -> CalibrationConfig:
    texts = pc.unique(column.cast(pa.string())).drop_null().to_pylist()
    if not texts:
        raise RunsError(f"{table}: none of its sensors was calibrated")
    if len(texts) > 1:
        raise RunsError(f"{table}: its rows are of {len(texts)} settings; name one sensor by `sensor=KEY`")
    try:
        return CalibrationConfig.model_validate_json(texts[0])
    except ValidationError as error:
        raise damaged(str(table), f"config.{describe_fault(error)}") from None


def _as_bytes(names: pa.StringArray, width: int) -> NDArray[np.bytes_]:
    """The names in UTF-8, whose order is that of the names, each of at most `width` bytes."""
    padded = pc.ascii_rpad(names, width, padding="\0")
    _, offsets, content = padded.buffers()
    first = np.frombuffer(offsets, np.int32)[padded.offset] if len(padded) else 0
    return np.frombuffer(content or b"", np.dtype((np.bytes_, width)), len(padded), first)
