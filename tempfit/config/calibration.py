"""What a calibration can be told.

One class per stage holds the settings that the stage reads; `CalibrationConfig` is all of them together,
so a stage asks for its own class and is handed the whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tempfit.settings import Settings, setting

NETWORK_DEFAULTS = {"optimizer": "adam", "learning_rate": 0.01}
MOST_PARAMS = 10_000  # of a network: its whole history is kept, and its weights are written out as text
MOST_EPOCHS = 10_000_000
NO_COLUMN = "none"  # instead of a column's name: what the table may have is not used
MOST_NAME = 255  # characters, as of a file
MOST_DEGREE = 9  # beyond it, float64 has no digits left for the coefficients in raw powers

Name = Annotated[str, Field(min_length=1)]


class ReadingsConfig(Settings):
    """How the paired readings are read, and what they are called."""

    x: Name = setting("t_u", "Column of the thermometer's readings.", title="Column of the readings")
    y: Name = setting("t_c", "Column of the reference temperatures.", title="Column of the references")
    u_c: Name = setting(
        "u_c",
        "Column of the references' standard uncertainties, weights of the fit if it is there; none ignores it.",
        title="Column of the references' standard uncertainties",
    )
    u_u: Name = setting(
        "u_u",
        "Column of the readings' standard uncertainties, for both axes uncertain if it is there; none ignores it.",
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
        0, "Of an mlp's start values, and of the readings held out.", ge=0, lt=2**32, title="Seed of what is random"
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
        0.0, "Fraction of readings held out, by `seed`.", ge=0, lt=1, title="Fraction of the readings to hold out"
    )
    holdout_rows: str | None = setting(
        None,
        "Readings to hold out, counted from 0: 2,10.",
        pattern=r"^[0-9]+(,[0-9]+)*$",
        title="Rows of the readings to hold out",
    )
    folds: int = setting(
        0, "Folds of cross-validation, by `seed`; 0: none.", ge=0, le=1000, title="Folds of the cross-validation"
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
        5000, "Most epochs (updates of w and b).", unit="epochs", ge=1, le=MOST_EPOCHS, title="Most epochs to train"
    )
    optimizer: Literal["sgd", "adam", "rmsprop"] = setting(
        "sgd", "sgd (plain gradient descent), adam or rmsprop; an mlp's is adam."
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
        False, "Accept a line that rests on a single reading.", title="Accept a line that rests on a single reading"
    )


class TrackingConfig(Settings):
    """Where the run is filed in MLflow, and as whose: none of it changes a number."""

    mlruns: Name = setting(
        "mlruns", "Folder of the runs, unless MLFLOW_TRACKING_URI names a server.", title="Folder that keeps the runs"
    )
    experiment: Name = setting("calibrate", "MLflow experiment that the run is filed under.", title="MLflow experiment")
    thermometer: str | None = setting(
        None, "Name of the thermometer; none: that of its file.", min_length=1, max_length=MOST_NAME
    )

    @field_validator("thermometer")
    @classmethod
    def _thermometer_can_be_written(cls, name: str | None) -> str | None:
        if name is not None and (name != name.strip() or not name.isprintable()):
            raise ValueError("should be printable text, without spaces before or after it")
        return name


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
