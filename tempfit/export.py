"""A recorded calibration as text that a device or another program understands.

Every fragment carries as comments which run and which data it is from, where it holds and how uncertain it is there.
Devices know no reference point: their coefficients are about 0, or of the scaled reading where raw powers would lose
digits. Numbers are written so that they are read back to the last bit, in notations that the target has a parser for.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.filed import Record
from tempfit.calibration.json_values import finite
from tempfit.errors import RunsError, SettingsError
from tempfit.exact.curve import Curve

Format = Literal["esphome", "home-assistant", "tasmota", "c-header", "json"]

JSON_SCHEMA = 1  # a new one for every change that a reader could stumble over
NAMES: dict[Format, str] = {
    "esphome": "Calibrated temperature",
    "home-assistant": "Calibrated temperature",
    "tasmota": "DS18B20",
    "c-header": "thermometer",
    "json": "thermometer",
}
TEMPERATURE_UNITS = ("°C", "°F", "K")  # those that Home Assistant takes for its device class temperature
SOURCE = "thermometer"  # what stands for the user's own sensor, to be replaced
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
TRIGGER = re.compile(r"[A-Za-z0-9_\-]+(#[A-Za-z0-9_\-\[\]]+)*", re.ASCII)
TASMOTA_DECIMALS = 8  # that it reads; with more, older versions overflow
TASMOTA_LARGEST = 2**31 - 1
TASMOTA_CLOSEST = 1e-6  # two readings whose difference its 8 decimals still tell
CALC_RES = 3, 7  # decimals that Tasmota keeps: by default, and at most


def check_name(target: Format, name: str) -> None:
    """Raise SettingsError where the name cannot be used there."""
    if not name.strip():
        raise SettingsError("`name`: is empty; give the sensor a name, or leave the option out")
    if target == "c-header" and not IDENTIFIER.fullmatch(name):
        raise SettingsError(
            f"`name`: {one_line(name)!r} cannot begin the names of C functions; use letters, digits and _, a letter "
            "first"
        )
    if target == "tasmota" and not TRIGGER.fullmatch(name):
        raise SettingsError(
            f"`name`: {one_line(name)!r} is no sensor of Tasmota; take its name from the output of `Status 10`, such "
            "as DS18B20, or name all that triggers the rule: ANALOG#Temperature1"
        )
    if target == "esphome":
        _refuse_substitution("`name`", name)


def export(record: Record, target: Format, name: str | None = None) -> str:
    """The calibration as text for `target`, which ends in a newline.

    name: of the sensor, for c-header the prefix of everything; None takes one of NAMES.
    Raises RunsError where the record has no curve, SettingsError for a name, or a curve, that the target cannot have.
    """
    name = NAMES[target] if name is None else name
    check_name(target, name)
    curve = record.curve.about(0.0)
    numbers = curve.coefficients if curve.is_line else curve.basis.to_powers(curve.params)
    if not np.isfinite(numbers).all():
        raise RunsError(f"{record.name}: its coefficients are beyond float64; calibrate with readings in another unit")
    return WRITERS[target](_Export(record, curve, name))


def _warnings(record: Record) -> list[str]:
    return [one_line(reason) for reason in record.warnings]


def one_line(text: object) -> str:
    """Text for a comment: what ends a line, controls it or turns its direction is spelled out, as <U+202E>."""
    return "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in str(text))


@dataclass(frozen=True, eq=False)
class _Export:
    """What the writers start from. curve: with its coefficients about 0. name: as the target may have it."""

    record: Record
    curve: Curve
    name: str

    @property
    def y_unit(self) -> str:
        return str(self.record.setting("y_unit"))

    @property
    def sha256(self) -> str:
        return str(self.record.values["data"].get("sha256"))

    @property
    def run(self) -> str:
        """The run's name and id; of a file alone, its path."""
        return self.record.name if self.record.run_id is None else f"{self.record.name} ({self.record.run_id})"

    @cached_property
    def powers(self) -> list[float]:
        """Coefficients of the powers of the scaled reading, the highest first."""
        return [float(value) for value in self.curve.basis.to_powers(self.curve.params)]

    @property
    def equation(self) -> str:
        x, y = self.record.setting("x"), self.record.setting("y")
        if self.curve.is_line:
            return f"{y} = {_sum(f'{self.curve.w!r} * {x}', self.curve.b)}"
        return f"{y} = {_horner(self.powers, 'z')}, z = {self.scaled(str(x))}"

    def scaled(self, reading: str) -> str:
        """The scaled reading as an expression of C, C++ and Jinja."""
        scaling = self.curve.basis.scaling
        return f"({_sum(reading, -scaling.center)}) * {scaling.factor!r}"

    def formula(self, reading: str) -> str:
        """A line as an expression of C++ and Jinja."""
        return _sum(f"{self.curve.w!r} * {reading}", self.curve.b)

    @property
    def middle(self) -> float:
        """The middle of the calibrated range; where that is unknown, the center of the scaling."""
        low, high = self.curve.t_u_range
        return low + (high - low) / 2 if math.isfinite(high - low) else self.curve.basis.scaling.center

    def decimals(self, least: int, most: int) -> int:
        """How many decimals show two digits of the curve's standard uncertainty in the middle."""
        u = float(self.curve.u_mean(self.middle))
        return min(most, max(least, 1 - math.floor(math.log10(u)))) if 0 < u < math.inf else max(least, 3)

    @property
    def comments(self) -> list[str]:
        """Lines about where it is from and how good it is, with nothing in them that ends a line."""
        record, curve, middle = self.record, self.curve, self.middle
        low, high = curve.t_u_range
        x, x_unit = record.setting("x"), record.setting("x_unit")
        of_curve, of_reading = curve.u_mean(middle), curve.u_prediction(middle)
        model = "line" if curve.is_line else "polynomial"
        lines = [
            f"Calibration by tempfit: {self.equation}",
            f"run: {self.run}",
            f"data: {record.values['data'].get('source')}, sha256 {self.sha256}",
            f"calibrated range: {x} from {low:g} to {high:g} ({x_unit})",
            f"U at {x} = {middle:g}: {self._expanded(of_curve)} of the {model}, {self._expanded(of_reading)} of a "
            f"single reading (coverage {curve.coverage:.4g})",
            *(f"WARNING: {reason}" for reason in _warnings(record)),
        ]
        return [one_line(line) for line in lines]

    def _expanded(self, u: NDArray[np.float64]) -> str:
        """The expanded uncertainty U of the standard uncertainty u, with its unit."""
        expanded = float(self.curve.coverage_factor(u) * u)
        return f"unknown {self.y_unit}" if math.isnan(expanded) else f"{expanded:.2g} {self.y_unit}"


def _esphome(export: _Export) -> str:
    """A sensor that copies the user's own, calibrated.

    A line is `multiply` and then `offset`, filters that are applied in the order written; `calibrate_linear` would take
    two points and make w and b of them again. A polynomial is a lambda in double precision, because
    `calibrate_polynomial` refits points and sums raw powers in single precision. (ESPHome: components/sensor/filter,
    lambda, and components/copy.) ESPHome's sensors hold single-precision numbers, so 7 digits are left of any.
    """
    _refuse_substitution("y_unit", export.y_unit)
    curve = export.curve
    if curve.is_line:
        filters: list[dict[str, Any]] = [{"multiply": curve.w}, {"offset": curve.b}]
    else:
        filters = [{"lambda": f"const double z = {export.scaled('x')}; return {_horner(export.powers, 'z')};"}]
    sensor = {
        "platform": "copy",
        "source_id": SOURCE,
        "name": export.name,
        **_temperature(export),
        "accuracy_decimals": export.decimals(0, 6),
        "filters": filters,
    }
    how = "source_id is the id of your sensor; or put the filters under that sensor itself."
    return _with_comments([*export.comments, how], "#", _yaml({"sensor": [sensor]}))


def _home_assistant(export: _Export) -> str:
    """A template sensor of configuration.yaml.

    Not the integration `compensation`: that takes points, fits a polynomial of degree 7 at most to them again, and
    rounds its result to a `precision`; a template computes in double precision with the very coefficients. (Home
    Assistant: integrations/template, template-functions/has_value; components/compensation in its source.)
    """
    entity = json.dumps(f"sensor.{SOURCE}")
    reading = f"(states({entity}) | float)"
    if export.curve.is_line:
        state = f"{{{{ {export.formula(reading)} }}}}"
    else:
        state = f"{{% set z = {export.scaled(reading)} %}}{{{{ {_horner(export.powers, 'z')} }}}}"
    sensor = {
        "name": _literal(export.name),
        "unique_id": f"tempfit_{(export.record.run_id or export.sha256)[:16]}",
        **_temperature(export),
        "state": state,
        "availability": f"{{{{ has_value({entity}) }}}}",
    }
    how = f"Replace sensor.{SOURCE} by the entity of your sensor."
    return _with_comments([*export.comments, how], "#", _yaml({"template": [{"sensor": [sensor]}]}))


def _tasmota(export: _Export) -> str:
    """A rule that leaves the temperature in Var1.

    `Scale1` maps two readings to two temperatures in one step; `Mult1` and `Add1` would round in between, and w to 8
    decimals. Tasmota reads digits and a decimal point, no exponent, whole parts of 31 bits and 8 decimals, computes in
    single precision and keeps CalcRes decimals. (Tasmota: docs Rules and Commands; CharToFloat and CmndScale in its
    source.) Expressions, which a polynomial would take, are not in its precompiled builds.
    Raises SettingsError for a polynomial, and for readings that 8 decimals cannot tell apart.
    """
    curve, factor = export.curve, export.curve.basis.scaling.factor
    if not curve.is_line:
        raise SettingsError(
            f"{export.record.name}: a rule of Tasmota carries lines only, this is a polynomial: calibrate with "
            '`model="line"`, or export for esphome, home-assistant or c-header'
        )
    low, high = curve.t_u_range
    if not math.isfinite(high - low):
        low, high = export.middle - 1 / factor, export.middle + 1 / factor
    readings = [float(_decimal(value)) for value in (low, high)]
    ends = [*readings, *(float(value) for value in curve.predict(np.array(readings)))]
    if readings[1] - readings[0] < TASMOTA_CLOSEST or max(abs(value) for value in ends) >= TASMOTA_LARGEST:
        raise SettingsError(
            f"{export.record.name}: Tasmota reads numbers with {TASMOTA_DECIMALS} decimals and below 2147483647, which "
            f"readings from {low:g} to {high:g} do not fit: calibrate with readings in another unit"
        )
    trigger = export.name if "#" in export.name else f"{export.name}#Temperature"
    how = (
        "The temperature is in Var1 (%var1%), and Var1#State triggers what is to follow from it.",
        "Lines that begin with ; are comments of a command file; in the console, enter the others one by one.",
    )
    commands = [
        f"CalcRes {export.decimals(*CALC_RES)}",
        f"Rule1 ON {trigger} DO Scale1 %value%,{','.join(_decimal(value) for value in ends)} ENDON",
        "Rule1 1",
    ]
    return _with_comments([*export.comments, *how], ";", "\n".join(commands) + "\n")


def _c_header(export: _Export) -> str:
    """Functions in double precision, of the scaled reading, by Horner's rule.

    The variance of the curve is a sum of squares of polynomials, the rows of a root of the parameters' covariance, so
    that rounding cannot make it negative.
    """
    curve, name, upper = export.curve, export.name, export.name.upper()
    low, high = (_c_number(value) for value in curve.t_u_range)
    root = ",\n".join(f"        {{{', '.join(_c_number(value) for value in row)}}}" for row in _root(curve))
    n = curve.basis.n_terms
    unit = _c_comment(one_line(export.y_unit))
    comment = "\n".join(f" * {_c_comment(line)}" for line in export.comments)
    return f"""\
/*
{comment}
 */
#ifndef {upper}_CALIBRATION_H
#define {upper}_CALIBRATION_H

#include <math.h>

/* The readings that it was calibrated with: beyond them, nothing is known. */
#define {upper}_T_U_LOW {low}
#define {upper}_T_U_HIGH {high}

/* The temperature at a reading ({unit}). */
static inline double {name}_t_c(double t_u)
{{
    const double z = {export.scaled("t_u")};
    return {_horner(export.powers, "z")};
}}

/* Standard uncertainty of that temperature, for the mean of many readings ({unit}). */
static inline double {name}_u_mean(double t_u)
{{
    static const double root[{n}][{n}] = {{
{root}
    }};
    const double z = {export.scaled("t_u")};
    double variance = {_c_number(curve.u_common**2)};
    for (int i = 0; i < {n}; i++) {{
        double term = root[i][0];
        for (int j = 1; j < {n}; j++) {{
            term = term * z + root[i][j];
        }}
        variance += term * term;
    }}
    return sqrt(variance);
}}

/* Standard uncertainty of that temperature, for a single reading ({unit}). */
static inline double {name}_u_prediction(double t_u)
{{
    return hypot({name}_u_mean(t_u), {_c_number(curve.observation_sd)});
}}

#endif
"""


def _json(export: _Export) -> str:
    """One object; README, Export, describes it."""
    curve, record = export.curve, export.record
    covariance, scaling = curve.covariance, curve.basis.scaling
    values = {
        "schema": JSON_SCHEMA,
        "name": export.name,
        "equation": export.equation,
        "model": "line" if curve.is_line else "polynomial",
        "w": curve.w if curve.is_line else None,
        "b": curve.b if curve.is_line else None,
        "t0": curve.basis.origin,
        "coefficients": curve.coefficients.tolist(),
        "scaled": {"factor": scaling.factor, "center": scaling.center, "coefficients": export.powers},
        "u_w": curve.u_w if curve.is_line else None,
        "u_b": curve.u_b if curve.is_line else None,
        "covariance": covariance.tolist(),
        "observation_sd": curve.observation_sd,
        "degrees_of_freedom": curve.degrees_of_freedom,
        "u_common": curve.u_common,
        "coverage": curve.coverage,
        "coverage_factor": float(curve.coverage_factor()),
        "t_u_range": list(curve.t_u_range),
        "columns": {"t_u": record.setting("x"), "t_c": record.setting("y")},
        "units": {"t_u": record.setting("x_unit"), "t_c": record.setting("y_unit")},
        "data_sha256": export.sha256,
        "run_id": record.run_id,
        "warnings": _warnings(record),
    }
    text = json.dumps(finite(values), ensure_ascii=False, allow_nan=False, indent=2)
    return (text if _is_plain(text) else json.dumps(finite(values), allow_nan=False, indent=2)) + "\n"


WRITERS: dict[Format, Callable[[_Export], str]] = {
    "esphome": _esphome,
    "home-assistant": _home_assistant,
    "tasmota": _tasmota,
    "c-header": _c_header,
    "json": _json,
}


def _temperature(export: _Export) -> dict[str, str]:
    """Unit and classes, by the same names for ESPHome and Home Assistant."""
    device_class = {"device_class": "temperature"} if export.y_unit in TEMPERATURE_UNITS else {}
    return {"unit_of_measurement": export.y_unit, **device_class, "state_class": "measurement"}


def _yaml(values: dict[str, Any]) -> str:
    """As YAML; everything beyond ASCII is escaped where some of it cannot be seen."""
    import yaml

    text = str(yaml.safe_dump(values, allow_unicode=True, sort_keys=False, width=math.inf))
    return text if _is_plain(text) else str(yaml.safe_dump(values, sort_keys=False, width=math.inf))


def _with_comments(comments: Sequence[str], mark: str, text: str) -> str:
    return "".join(f"{mark} {line}\n" for line in comments) + text


def _is_plain(text: str) -> bool:
    """Whether all of the text, but for the ends of its lines, can be seen."""
    return text.replace("\n", "").isprintable()


def _literal(text: str) -> str:
    """Text as a template of Home Assistant that renders to it."""
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if "{" in text else text


def _refuse_substitution(what: str, text: str) -> None:
    if "$" in text:
        raise SettingsError(f"{what}: {one_line(text)!r}: ESPHome would replace what follows the $; write it without")


def _sum(term: str, value: float) -> str:
    return f"{term} - {-value!r}" if value < 0 else f"{term} + {value!r}"


def _horner(coefficients: Sequence[float], variable: str) -> str:
    """`(2.0 * z + 1.0) * z - 3.0`: an expression of C, C++ and Jinja."""
    text = repr(coefficients[0])
    for k, value in enumerate(coefficients[1:]):
        text = _sum(f"({text}) * {variable}" if k else f"{text} * {variable}", value)
    return text


def _decimal(value: float) -> str:
    """A number as Tasmota reads it: without exponent, with 8 decimals at most."""
    text = f"{value:.{TASMOTA_DECIMALS}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _c_number(value: float) -> str:
    """A constant expression of C, to the last bit."""
    if math.isfinite(value):
        return f"({value!r})" if value < 0 else repr(value)
    return "NAN" if math.isnan(value) else "HUGE_VAL" if value > 0 else "(-HUGE_VAL)"


def _c_comment(line: str) -> str:
    """The line with nothing in it that ends a comment, begins another, or is a trigraph."""
    return re.sub(r"(?<=\*)(?=/)|(?<=/)(?=\*)|(?<=\?)(?=\?)", " ", line)


def _root(curve: Curve) -> list[list[float]]:
    """(terms, terms), R with the curve's variance the sum of squares of `R @ powers of the scaled reading`."""
    triangle = np.linalg.cholesky(curve.cofactor)
    root: NDArray[np.float64] = curve.observation_sd * (curve.basis.matrix @ triangle).T
    return [[float(value) for value in row] for row in root]
