"""What a user chose: read, checked, put over other settings, and refused where it plays no part beside the others."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from tempfit.config import CalibrationConfig
from tempfit.errors import SettingsError
from tempfit.settings import Settings, describe

AnySettings = TypeVar("AnySettings", bound=Settings)

DECIDING = {"scaling", "model", "loss", "holdout", "folds"}  # whether other settings play a part
SWITCHES = (  # settings that are off by default, at 0 or none, and then as if they were not there
    *("momentum", "clip_norm", "l1", "l2", "huber_delta", "holdout", "holdout_rows", "folds"),
    *("t0", "u_common", "drop_missing"),
)


BELONGS_TO = {  # setting → what it plays a part with
    "factor": '`scaling="factor"`',
    "degree": '`model="polynomial"`',
    "hidden": '`model="mlp"`',
    "activation": '`model="mlp"`',
    "w_start": "a line or a polynomial",
    "b_start": "a line or a polynomial",
    "seed": '`model="mlp"`, `holdout` and `folds`',
    "huber_delta": '`loss="huber"`',
}


def idle_settings(values: Mapping[str, Any]) -> set[str]:
    """The settings, of all by name, that play no part beside the others: a factor without factor scaling."""
    is_network = values["model"] == "mlp"
    idle = {
        "factor": values["scaling"] != "factor",
        "degree": values["model"] != "polynomial",
        "hidden": not is_network,
        "activation": not is_network,
        "w_start": is_network,
        "b_start": is_network,
        "seed": not (is_network or values["holdout"] or values["folds"]),
        "huber_delta": values["loss"] != "huber",
    }
    return {name for name, is_idle in idle.items() if is_idle}


def settings_in_play(config: CalibrationConfig, always: Iterable[str] = ()) -> dict[str, Any]:
    """The hyperparameters that play a part: neither idle beside the others, nor switched off.

    always: settings that are kept when they are off, too, such as those that a sweep varies.
    """
    values, kept = config.hyperparameters(), set(always)
    idle = idle_settings(values)
    off = {name for name in SWITCHES if name not in kept and not values[name]}
    return {name: value for name, value in values.items() if name not in idle | off}


def refuse_idle(config: CalibrationConfig, varied: Mapping[str, Sequence[Any]] | None = None) -> None:
    """Raise SettingsError for a setting that was chosen and plays no part, under any of the values of those varied.

    A value that is the default's is no choice: configs are written out whole, and read back.
    """
    values, defaults, varied = config.model_dump(), CalibrationConfig().model_dump(), varied or {}
    chosen = {name for name, value in values.items() if value != defaults[name]} | set(varied)
    deciding = {name: given for name, given in varied.items() if name in DECIDING}
    for combination in itertools.product(*deciding.values()):
        chosen &= idle_settings(values | dict(zip(deciding, combination, strict=True)))
    for name in sorted(chosen):
        raise SettingsError(f"`{name}` plays no part: it belongs to {BELONGS_TO[name]}; leave it out, or choose that")


def refuse_idle_of_fleet(config: CalibrationConfig) -> None:
    """As `refuse_idle`, of a fleet. Raises SettingsError."""
    refuse_idle(config)
    if config.thermometer is not None:
        raise SettingsError("`thermometer` plays no part in a fleet, whose readings name its sensors; leave it out")


def override(base: CalibrationConfig, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `base` under those given, without what plays no part any more: a factor, if another scaling is
    given. Raises as `refuse_idle` does where `base` has any by itself."""
    refuse_idle(base)
    values = base.model_dump(exclude_unset=True)
    idle = idle_settings({**base.model_dump(), **given})
    return {**{name: value for name, value in values.items() if name not in idle}, **given}


def parse_config(values: Mapping[str, Any], *, source: str = "settings") -> CalibrationConfig:
    """`values` as a CalibrationConfig. Raises SettingsError as `parse_settings` does."""
    return parse_settings(values, CalibrationConfig, source=source)


def parse_settings(values: Mapping[str, Any], model: type[AnySettings], *, source: str = "settings") -> AnySettings:
    """Validate `values` into settings.

    Raises SettingsError with one clause per bad value; `source` says where the values came from.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise SettingsError(f"{source}: {describe(error, model.model_fields)}") from None


def read_settings_file(path: str | Path) -> dict[str, Any]:
    """The settings in a TOML file, by the same names as the options (`learning_rate = 1e-2`).

    Raises SettingsError when the file is missing or not TOML; values are checked by `parse_config`.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"{path}: not a readable TOML settings file: {reason}") from None
