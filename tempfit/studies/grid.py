"""Which configurations a sweep tries: axes of values for settings, and every combination of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from tempfit.choices import idle_settings, refuse_idle
from tempfit.config import CalibrationConfig, ModelConfig, ScalingConfig, TrainingConfig, ValidationConfig
from tempfit.errors import SettingsError
from tempfit.settings import describe, did_you_mean, takes
from tempfit.wording import format_value

MOST_TRIALS = 1000  # that nobody asked for to be tried
MOST_OF_ALL = 20_000  # that anybody may ask for: a gigabyte of histories, and minutes of writing runs
LOG_SPAN = 10.0  # ends of a range this many times apart are spaced on a log axis
SWEPT = frozenset().union(
    *(stage.model_fields for stage in (ScalingConfig, ModelConfig, TrainingConfig, ValidationConfig))
) - {"holdout_rows"}  # (whose values have commas of their own)


@dataclass(frozen=True)
class Axis:
    """A setting and the values that a sweep gives it, in the order of the grid."""

    name: str
    values: tuple[Any, ...]

    def write(self, value: Any) -> str:
        """A value as people write it, with as many digits as it takes to tell the axis's values apart."""
        return format_value(value, self._digits)

    @cached_property
    def _digits(self) -> int:
        return next(
            digits
            for digits in range(3, 18)
            if digits == 17 or len({format_value(value, digits) for value in self.values}) == len(self.values)
        )

    @property
    def is_numeric(self) -> bool:
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)

    @property
    def is_log(self) -> bool:
        """Whether its values belong on a log axis: all above zero, the ends a factor of ten or more apart."""
        return self.is_numeric and min(self.values) > 0 and max(self.values) >= LOG_SPAN * min(self.values)


@dataclass(frozen=True)
class Trial:
    """One configuration of a sweep, and what tells it apart from the others."""

    name: str
    config: CalibrationConfig


@dataclass(frozen=True)
class Grid:
    """The trials of a sweep. left_out: (name, reason) of combinations that cannot be tried.

    axes: none of a preset, whose trials are single configurations.
    """

    axes: tuple[Axis, ...]
    trials: tuple[Trial, ...]
    left_out: tuple[tuple[str, str], ...] = ()


def parse_axis(text: str) -> Axis:
    """`learning_rate=1e-5..1e-1:25`, `scaling=none,factor`, `clip_norm=none,1,10` as an Axis.

    A list is split at every comma. A range `low..high:n` has n values, spaced on a log axis where both ends are above
    zero and a factor of 10 or more apart, else evenly; `:n:log` and `:n:lin` say which. Integer settings get the
    nearest integers, each once.
    Raises SettingsError when there is no such setting, or no value, or one that the setting cannot take.
    """
    name, equals, values = (part.strip() for part in text.partition("="))
    name = name.replace("-", "_")
    if not equals or not name:
        raise SettingsError(f"`grid` {text!r}: write SETTING=VALUES, such as learning_rate=1e-4..1e-1:10")
    if name not in SWEPT:
        raise SettingsError(f"`grid` {text!r}: {_unknown(name)}")
    if not values:
        raise SettingsError(f"`grid` {text!r}: no values; write {name}=A,B,C or {name}=LOW..HIGH:N")
    field = CalibrationConfig.model_fields[name]
    if ".." in values:
        found: list[Any] = _parse_range(values, text, is_integer=takes(field, int) and not takes(field, float))
    else:
        found = [item.strip() for item in values.split(",")]
    return Axis(name, tuple(dict.fromkeys(_checked(name, value, text) for value in found)))


def make_grid(base: CalibrationConfig, texts: Sequence[str], *, agreed: bool = False) -> Grid:
    """Every combination of the axes over the settings of `base`; the first axis varies slowest.

    Combinations that contradict themselves (adam with momentum) are left out; those that differ only in a
    setting that plays no part (a factor without factor scaling) are tried once. One that plays none in any of them is
    refused, as `refuse_idle` does.
    agreed: the user knows that there may be more than MOST_TRIALS of them.
    Raises SettingsError as `parse_axis` does, when a setting has two axes, when there are too many combinations, and
    when none is left.
    """
    axes = tuple(parse_axis(text) for text in texts)
    names = [axis.name for axis in axes]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"`grid`: {name} has two axes; write its values in one")
    n_combinations = math.prod(len(axis.values) for axis in axes)
    if n_combinations > (MOST_OF_ALL if agreed else MOST_TRIALS):
        advice = "" if agreed else f", or add `yes=True` to try up to {MOST_OF_ALL:,}"
        raise SettingsError(
            f"`grid`: {n_combinations:,} configurations are more than {MOST_OF_ALL if agreed else MOST_TRIALS:,}: "
            f"make the grid coarser{advice}"
        )
    trials: dict[str, Trial] = {}
    left_out: list[tuple[str, str]] = []
    settings = base.model_dump(exclude_unset=True)
    refuse_idle(base, {axis.name: axis.values for axis in axes})
    for values in itertools.product(*(axis.values for axis in axes)):
        chosen = dict(zip(names, values, strict=True))
        try:
            config = CalibrationConfig.model_validate(settings | chosen)
        except ValidationError as error:
            left_out.append((_name(axes, values, settings | chosen), describe(error, CalibrationConfig.model_fields)))
            continue
        trials.setdefault(_essence(config), Trial(_name(axes, values, settings | chosen), config))
    if not trials:
        raise SettingsError(f"`grid`: no combination of these values can be tried: {left_out[-1][1]}")
    return Grid(axes, tuple(trials.values()), tuple(left_out))


def _name(axes: Sequence[Axis], values: Sequence[Any], settings: Mapping[str, Any]) -> str:
    """`learning_rate 0.01, scaling none`: what was chosen, without what plays no part."""
    idle = idle_settings({**CalibrationConfig().model_dump(), **settings})
    chosen = [
        f"{axis.name} {axis.write(value)}" for axis, value in zip(axes, values, strict=True) if axis.name not in idle
    ]
    return ", ".join(chosen) or "as given"


def _unknown(name: str) -> str:
    if name in CalibrationConfig.model_fields:
        return f"{name} is no hyperparameter; give it once, as `{name}`"
    return f"no such setting as {name!r}{did_you_mean(name, SWEPT)}"


def _parse_range(values: str, text: str, *, is_integer: bool) -> list[Any]:
    ends, _, rest = values.partition(":")
    count, _, spacing = rest.partition(":")
    try:
        low, high = (float(end) for end in ends.split(".."))
        n = int(count)
    except ValueError:
        raise SettingsError(f"`grid` {text!r}: a range is LOW..HIGH:N, with N values, such as 1e-4..1e-1:10") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise SettingsError(f"`grid` {text!r}: an empty range; LOW must be below HIGH")
    if not 2 <= n <= MOST_OF_ALL:
        raise SettingsError(f"`grid` {text!r}: a range has 2 to {MOST_OF_ALL:,} values, not {n}")
    if spacing not in ("", "log", "lin") or (spacing == "log" and low <= 0):
        raise SettingsError(f"`grid` {text!r}: spacing is log (for values above zero) or lin")
    steps = [k / (n - 1) for k in range(n)]
    if spacing == "log" or (not spacing and low > 0 and high >= LOG_SPAN * low):
        found = [low * (high / low) ** step for step in steps]
    else:
        found = [low + (high - low) * step for step in steps]
    found[-1] = high
    return [round(value) for value in found] if is_integer else [float(f"{value:.12g}") for value in found]


def _checked(name: str, value: Any, text: str) -> Any:
    """The value as the setting takes it."""
    try:
        return getattr(CalibrationConfig.model_validate({name: value}), name)
    except ValidationError as error:  # beside the defaults, no value is at fault but this
        raise SettingsError(f"`grid` {text!r}: {describe(error, CalibrationConfig.model_fields)}") from None


def _essence(config: CalibrationConfig) -> str:
    """Equal for configurations that train the same."""
    return config.model_dump_json(exclude=idle_settings(config.model_dump()))
