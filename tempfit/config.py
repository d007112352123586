"""Every setting, declared once: the CLI's options, Prefect's run form and MLflow's params follow from here.

One class per stage holds the settings that the stage reads; `CalibrationConfig` is all of them together,
so a stage asks for its own class and is handed the whole.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from decimal import ROUND_FLOOR, Context, Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from tempfit.errors import SettingsError

NETWORK_DEFAULTS = {"optimizer": "adam", "learning_rate": 0.01}
MOST_PARAMS = 10_000  # of a network: its whole history is kept, and its weights are written out as text
MOST_EPOCHS = 10_000_000
NO_COLUMN = "none"  # instead of a column's name: what the table may have is not used
FRACTIONS = {"coverage", "holdout"}  # that people also write as a percentage
MOST_DEGREE = 9  # beyond it, float64 has no digits left for the coefficients in raw powers


UNITS = {"x_unit": "in the readings' unit", "y_unit": "in the references' unit"}  # of settings whose unit is a setting
BOUNDS = {"gt": "above {}", "ge": "{} or more", "lt": "below {}", "le": "at most {}"}  # in the order of a title


def setting(default: Any, description: str, *, unit: str | None = None, title: str | None = None, **bounds: Any) -> Any:
    """A pydantic field with a description, its unit (None: dimensionless) and its bounds.

    title: its name in words, for people who see a form and no command; None where its name is made of words.
    """
    return Field(
        default, description=description, title=title, json_schema_extra={"unit": unit} if unit else None, **bounds
    )


def title_of(name: str, field: FieldInfo) -> str:
    """What a form shows above a setting, its name in words, unit and bounds: `Learning rate (above 0, at most 1e6)`."""
    extra = field.json_schema_extra
    unit = extra.get("unit") if isinstance(extra, dict) else None
    found = {kind: getattr(bound, kind) for kind in BOUNDS for bound in field.metadata if hasattr(bound, kind)}
    bounds = [words.format(_write_bound(found[kind])) for kind, words in BOUNDS.items() if kind in found]
    details = [UNITS.get(str(unit), str(unit))] if unit else []
    details += [", ".join(bounds)] if bounds else []
    return (field.title or name.replace("_", " ").capitalize()) + (f" ({'; '.join(details)})" if details else "")


def _write_bound(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}".replace("e+", "e").replace("e0", "e")


class Settings(BaseModel):
    """Frozen and strict: an unknown name or a value out of bounds is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """With a title for every setting, which Prefect's form shows."""
        described = handler.resolve_ref_schema(handler(schema))
        for name, field in cls.model_fields.items():
            described["properties"][name]["title"] = title_of(name, field)
        return described

    @model_validator(mode="before")
    @classmethod
    def _values_are_as_people_write_them(cls, values: Any) -> Any:
        """none, where there may be no value, and 1e4, where an integer is wanted."""
        if not isinstance(values, Mapping):
            return values
        fields = cls.model_fields
        return {name: _read(value, fields[name]) if name in fields else value for name, value in values.items()}


def _read(value: Any, field: FieldInfo) -> Any:
    """A text as the value that it stands for; what it does not tell is left to pydantic."""
    if not isinstance(value, str):
        return value
    if value.strip().lower() == "none" and takes(field, type(None)):
        return None
    if takes(field, int) and not takes(field, float):
        try:
            number = Decimal(value)
        except InvalidOperation:
            return value
        if abs(number.adjusted()) < 20 and number == number.to_integral_value():  # (NaN has no digits, and is unequal)
            return int(number)
    return value


def takes(field: FieldInfo, kind: type) -> bool:
    """Whether the field's annotation is this type, or a union with it."""
    return field.annotation is kind or kind in get_args(field.annotation)


class ReadingsConfig(Settings):
    """How the paired readings are read, and what they are called."""

    x: str = setting("t_u", "Column of the thermometer's readings.", min_length=1, title="Column of the readings")
    y: str = setting("t_c", "Column of the reference temperatures.", min_length=1, title="Column of the references")
    u_c: str = setting(
        "u_c",
        "Column of the references' standard uncertainties, weights of the fit if it is there; none ignores it.",
        min_length=1,
        title="Column of the references' standard uncertainties",
    )
    u_u: str = setting(
        "u_u",
        "Column of the readings' standard uncertainties, for both axes uncertain if it is there; none ignores it.",
        min_length=1,
        title="Column of the readings' standard uncertainties",
    )
    delimiter: Literal["auto", "comma", "semicolon", "tab"] = setting(
        "auto", "auto, comma, semicolon or tab, between the columns of CSV.", title="Delimiter of a CSV file"
    )
    decimal: Literal["auto", "point", "comma"] = setting(
        "auto", "auto, point or comma, in CSV.", title="Decimal mark of a CSV file"
    )
    drop_missing: bool = setting(
        False, "Drop rows with a missing value instead of refusing them.", title="Drop rows with a missing value"
    )
    x_quantity: str = setting(
        "Thermometer reading", "Name of the readings' quantity on figures.", title="Name of the readings' quantity"
    )
    x_unit: str = setting("unknown unit", "Unit of the readings on figures.", title="Unit of the readings")
    y_quantity: str = setting(
        "Temperature", "Name of the reference quantity on figures.", title="Name of the references' quantity"
    )
    y_unit: str = setting("°C", "Unit of the reference on figures.", title="Unit of the references")

    @model_validator(mode="after")
    def _columns_differ(self) -> Self:
        if self.x == self.y:
            raise ValueError(f"`x` and `y` name the same column {self.x!r}; a line needs two")
        names = [self.x, self.y, *(name for name in (self.u_c, self.u_u) if name != NO_COLUMN)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"two of `x`, `y`, `u_c` and `u_u` name the same column {name!r}; each needs one of its own"
                )
        return self


class ScalingConfig(Settings):
    """How the readings are scaled before training; the scale is undone at the output."""

    scaling: Literal["none", "factor", "standardize", "minmax"] = setting(
        "standardize",
        "none, factor (times `factor`), standardize (mean 0, standard deviation 1) or minmax (0 to 1).",
        title="Scaling of the readings",
    )
    factor: float = setting(
        0.1, 'Factor of `scaling="factor"`.', gt=0, le=1e12, title="Factor that readings are multiplied by"
    )

    @property
    def scaling_label(self) -> str:
        """The scaling in words: `standardize`, `factor 0.1`."""
        return f"factor {self.factor:g}" if self.scaling == "factor" else self.scaling


class ModelConfig(Settings):
    """What is fitted to the readings."""

    model: Literal["line", "polynomial", "mlp"] = setting(
        "line", "line, polynomial (of `degree`) or mlp, a small network."
    )
    degree: int = setting(2, 'Degree of `model="polynomial"`.', ge=1, le=MOST_DEGREE, title="Degree of a polynomial")
    hidden: str = setting(
        "13",
        "Widths of an mlp's hidden layers: 13, or 16x16x16.",
        pattern=r"^[1-9][0-9]{0,3}(x[1-9][0-9]{0,3}){0,63}$",
        title="Widths of a network's hidden layers",
    )
    activation: Literal["tanh", "sigmoid", "relu", "leaky_relu", "prelu"] = setting(
        "tanh",
        "tanh, sigmoid, relu, leaky_relu or prelu, of an mlp's hidden layers.",
        title="Activation of a network's hidden layers",
    )
    seed: int = setting(
        0,
        "Of an mlp's start values, and of the readings held out.",
        ge=0,
        lt=2**32,
        title="Seed of what is random",
    )

    @model_validator(mode="after")
    def _network_is_small(self) -> Self:
        sizes = (1, *self.widths, 1)
        n_params = sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))
        if n_params > MOST_PARAMS:
            raise ValueError(
                f"`hidden`: {self.hidden} has {n_params:,} parameters; a thermometer needs no more than {MOST_PARAMS:,}"
            )
        return self

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the mlp's hidden layers, first to last."""
        return tuple(int(width) for width in self.hidden.split("x"))


class ValidationConfig(Settings):
    """Which readings the fit does not see, to judge it by."""

    holdout: float = setting(
        0.0,
        "Fraction of the readings to hold out, by `seed`.",
        ge=0,
        lt=1,
        title="Fraction of the readings to hold out",
    )
    holdout_rows: str | None = setting(
        None,
        "Readings to hold out, counted from 0: 2,10.",
        pattern=r"^[0-9]+(,[0-9]+)*$",
        title="Rows of the readings to hold out",
    )
    folds: int = setting(
        0,
        "Folds of cross-validation, by `seed`; 0: none.",
        ge=0,
        le=1000,
        title="Folds of the cross-validation",
    )

    @model_validator(mode="after")
    def _one_way_to_validate(self) -> Self:
        if (self.holdout > 0) + (self.holdout_rows is not None) + (self.folds > 0) > 1:
            raise ValueError("`holdout`, `holdout_rows` and `folds` are three ways to validate; choose one")
        if self.folds == 1:
            raise ValueError("`folds`: one fold leaves nothing to train on; use 2 or more, or 0 for none")
        return self


class TrainingConfig(ModelConfig):
    """The gradient descent on a model: its start, loss, optimizer, remedies, and when to stop."""

    learning_rate: float = setting(0.5, "Learning rate; an mlp's is 0.01.", gt=0, le=1e6)
    n_epochs: int = setting(
        5000,
        "Most epochs (updates of w and b).",
        unit="epochs",
        ge=1,
        le=MOST_EPOCHS,
        title="Most epochs to train",
    )
    optimizer: Literal["sgd", "adam", "rmsprop"] = setting(
        "sgd",
        "sgd (plain gradient descent), adam or rmsprop; an mlp's is adam.",
    )
    momentum: float = setting(0.0, "Momentum of sgd and rmsprop.", ge=0, lt=1)
    clip_norm: float | None = setting(None, "Clip the gradient to this norm.", gt=0, title="Gradient norm to clip to")
    l1: float = setting(0.0, "L1 penalty, l1 * (|w| + |b|), of all parameters.", ge=0, title="L1 regularization")
    l2: float = setting(0.0, "L2 penalty, l2 * (w² + b²), of all parameters.", ge=0, title="L2 regularization")
    loss: Literal["squared", "huber", "york"] = setting(
        "squared",
        "squared, huber (weighs outliers less) or york (both axes uncertain; the columns of "
        "`u_c` and `u_u` bring it about).",
        title="Loss that is made small",
    )
    huber_delta: float | None = setting(
        None,
        "Residual beyond which Huber's loss grows linearly, in the reference's unit; none: "
        "1.345 robust standard deviations.",
        unit="y_unit",
        gt=0,
        title="Residual beyond which Huber's loss is linear",
    )
    w_start: float = setting(1.0, "Where w starts, in scaled units.", title="Start value of w, in scaled units")
    b_start: float = setting(0.0, "Where b starts, in scaled units.", title="Start value of b, in scaled units")
    tolerance: float = setting(
        1e-12,
        "Stop where the gradient is below this fraction of the norms that it is a product of (an mlp's: of its first); "
        "0: never.",
        ge=0,
        lt=1,
        title="Gradient that ends training, relative to the norms it is a product of",
    )
    dtype: Literal["float32", "float64"] = setting(
        "float64", "float32 or float64, in training.", title="Precision of the training"
    )
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "auto (a GPU for large batches only), cpu or cuda.", title="Device to train on"
    )

    @model_validator(mode="before")
    @classmethod
    def _networks_have_defaults_of_their_own(cls, values: Any) -> Any:
        """What suits a standardized line explodes in a network. A learning rate that is given is for the optimizer
        that is given, else for sgd."""
        if isinstance(values, Mapping) and values.get("model") == "mlp" and "learning_rate" not in values:
            return {**NETWORK_DEFAULTS, **values}
        return values

    @model_validator(mode="after")
    def _momentum_has_an_optimizer(self) -> Self:
        if self.momentum and self.optimizer == "adam":
            raise ValueError(
                '`momentum` plays no part with adam, which has its own: it belongs to `optimizer="sgd"` and rmsprop'
            )
        return self


class UncertaintyConfig(Settings):
    """How the uncertainty of the result is stated, and what the user answers for."""

    t0: float = setting(
        0.0,
        "Reference point of the line, t_c = w * (t_u - t0) + b.",
        unit="x_unit",
        ge=-1e100,
        le=1e100,
        title="Reference point of the line",
    )
    u_common: float = setting(
        0.0,
        "Standard uncertainty that all references have in common.",
        unit="y_unit",
        ge=0,
        le=1e100,
        title="Standard uncertainty common to all references",
    )
    uncertainty_from: Literal["auto", "residuals", "stated"] = setting(
        "auto",
        "residuals or stated (in the column of `u_c`); auto: stated, if any are, but residuals after Huber's loss.",
        title="What uncertainties are made from",
    )
    coverage: float = setting(
        0.95, "Coverage probability of intervals.", gt=0, lt=1, title="Coverage probability of intervals"
    )
    accept_single_reading: bool = setting(
        False,
        "Accept a line that rests on a single reading.",
        title="Accept a line that rests on a single reading",
    )


class TrackingConfig(Settings):
    """Where the run is filed in MLflow."""

    mlruns: str = setting(
        "mlruns",
        "Folder of the runs, unless MLFLOW_TRACKING_URI names a server.",
        min_length=1,
        title="Folder that keeps the runs",
    )
    experiment: str = setting(
        "calibrate", "MLflow experiment that the run is filed under.", min_length=1, title="MLflow experiment"
    )


class FitConfig(UncertaintyConfig, ValidationConfig, TrainingConfig, ScalingConfig, ReadingsConfig):
    """Everything that decides a calibration's result, and nothing of where its run is kept."""

    @model_validator(mode="after")
    def _york_fits_lines(self) -> Self:
        if self.loss == "york" and self.model != "line":
            raise ValueError(f'`loss="york"` is for `model="line"`; a {self.model} cannot have both axes uncertain')
        return self

    @property
    def label(self) -> str:
        """What tells runs on the same data apart: `factor 0.1, sgd 0.01`."""
        model = {"line": "", "polynomial": f"degree {self.degree}, ", "mlp": f"mlp {self.hidden} {self.activation}, "}
        return f"{model[self.model]}{self.scaling_label}, {self.optimizer} {self.learning_rate:g}"

    def hyperparameters(self) -> dict[str, Any]:
        """What decides the result: every setting but where the run is filed."""
        return self.model_dump(include=set(FitConfig.model_fields))

    @property
    def sha256(self) -> str:
        """Digest of what decides the result: calibrations of the same readings that share it are the same."""
        return hashlib.sha256(json.dumps(self.hyperparameters(), sort_keys=True).encode()).hexdigest()


class CalibrationConfig(TrackingConfig, FitConfig):
    """Everything that a calibration can be told."""


def parse_config(values: Mapping[str, Any], *, source: str = "settings") -> CalibrationConfig:
    """Validate `values` into a CalibrationConfig.

    Raises SettingsError with one clause per bad value; `source` says where the values came from.
    """
    try:
        return CalibrationConfig.model_validate(dict(values))
    except ValidationError as error:
        raise SettingsError(f"{source}: {describe(error)}") from None


def describe(error: ValidationError, named: Callable[[str], str] = str) -> str:
    """A pydantic error as one line: `learning_rate: should be greater than 0, got -1.0; …`.

    named: how the settings that are at fault are called where they come from.
    """
    clauses = []
    for item in error.errors(include_url=False):
        name = ".".join(str(part) for part in item["loc"])
        if not name:
            clauses.append(item["msg"].removeprefix("Value error, "))
        elif item["type"] == "extra_forbidden":
            clauses.append(f"{named(name)}: no such setting{did_you_mean(name, CalibrationConfig.model_fields)}")
        else:
            clauses.append(f"{named(name)}: {_fault(item['type'], item['msg'], item['input'], name)}")
    return "; ".join(clauses)


def _fault(kind: str, message: str, given: Any, name: str) -> str:
    """What is wrong with the value of a setting, and what may have been meant."""
    field = CalibrationConfig.model_fields[name]
    if kind == "literal_error":
        choices = get_args(field.annotation)
        return f"{given!r} is not one of {', '.join(choices)}{did_you_mean(str(given), choices)}"
    if kind == "string_pattern_mismatch":
        return f"{given!r} is not written as it should be ({field.description})"
    if kind in ("float_parsing", "int_parsing", "int_from_float", "float_type", "int_type"):
        what = "number" if kind.startswith("float") else "whole number"
        comma = isinstance(given, str) and re.fullmatch(r"\s*([+-]?[0-9]*),([0-9]+(?:[eE][+-]?[0-9]+)?)\s*", given)
        return f"{given!r} is no {what}" + (f"; decimals have a point: {comma[1]}.{comma[2]}" if comma else "")
    is_number = kind.startswith(("greater_than", "less_than"))
    fault = f"{message.removeprefix('Value error, ').removeprefix('Input ')}, got {given if is_number else repr(given)}"
    if kind == "less_than" and name in FRACTIONS and 1 < float(given) <= 100:
        fault += f"; did you mean {float(given) / 100:g}?"
    return fault


def did_you_mean(text: str, choices: Iterable[str]) -> str:
    """`; did you mean scaling?`, where one of the choices is near; an abbreviation is near, too. Else empty."""
    by_initials = {"".join(word[:1] for word in choice.split("_")): choice for choice in choices if "_" in choice}
    near = difflib.get_close_matches(text, list(choices), n=1) or [
        by_initials[text] for _ in range(text in by_initials)
    ]
    return f"; did you mean {near[0]}?" if near else ""


def read_settings_file(path: str | Path) -> dict[str, Any]:
    """The settings in a TOML file, by the same names as the options (`learning_rate = 1e-2`).

    Raises SettingsError when the file is missing or not TOML; values are checked by `parse_config`.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"{path}: not a readable TOML settings file: {reason}") from None


def format_rate(rate: float, digits: int = 3) -> str:
    """A learning rate (or any positive number) as people write it: 0.5, 0.01, 3.4e-4."""
    text = f"{rate:.{digits}g}" if 1e-2 <= rate < 1e4 else f"{rate:.{digits - 1}e}"
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def format_limit(rate: float, digits: int = 3) -> str:
    """A rate that is a limit, as `format_rate` writes it, never more than it is: above it, descent may explode."""
    nearly = repr(float(rate) * (1 + 1e-12))  # 0.5 less its rounding is 0.5
    return format_rate(float(Context(prec=digits, rounding=ROUND_FLOOR).create_decimal(nearly)), digits)


def format_ratio(number: float) -> str:
    """A ratio, such as a condition number, as people write it: 1.03, 357, 33,599, 7.37e8."""
    if number >= 1e6:
        return format_rate(number)
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def count(n: int, what: str) -> str:
    """`1 epoch`, `2,684 epochs`."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"
