"""A JSON object for programs of one's own."""

from __future__ import annotations

import json

from tempfit.calibration.json_values import finite
from tempfit.export.fragment import Fragment
from tempfit.export.text import is_plain

NAME = "thermometer"
SCHEMA = 1  # a new one for every change that a reader could stumble over


HEAD = ""  # of many: an object on each line


def write(fragment: Fragment) -> str:
    """One object; docs/export.md describes it."""
    return _dump(fragment, indent=2)


def write_entry(fragment: Fragment) -> str:
    """One of many, on a line of its own."""
    return _dump(fragment, indent=None)


def _dump(fragment: Fragment, indent: int | None) -> str:
    curve, config = fragment.curve, fragment.config
    covariance, scaling = curve.covariance, curve.basis.scaling
    values = {
        "schema": SCHEMA,
        "name": fragment.name,
        "equation": fragment.equation,
        "model": "line" if curve.is_line else "polynomial",
        "w": curve.w if curve.is_line else None,
        "b": curve.b if curve.is_line else None,
        "t0": curve.basis.origin,
        "coefficients": curve.coefficients.tolist(),
        "scaled": {"factor": scaling.factor, "center": scaling.center, "coefficients": fragment.powers},
        "u_w": curve.u_w if curve.is_line else None,
        "u_b": curve.u_b if curve.is_line else None,
        "covariance": covariance.tolist(),
        "observation_sd": curve.observation_sd,
        "degrees_of_freedom": curve.degrees_of_freedom,
        "u_common": curve.u_common,
        "coverage": curve.coverage,
        "coverage_factor": float(curve.coverage_factor()),
        "t_u_range": list(curve.t_u_range),
        "columns": {"t_u": config.x, "t_c": config.y},
        "units": {"t_u": config.x_unit, "t_c": config.y_unit},
        "data_sha256": fragment.origin.sha256,
        "run_id": fragment.origin.run_id,
        "warnings": fragment.warnings,
    }
    text = json.dumps(finite(values), ensure_ascii=False, allow_nan=False, indent=indent)
    return (text if is_plain(text) else json.dumps(finite(values), allow_nan=False, indent=indent)) + "\n"
