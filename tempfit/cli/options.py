"""The command line's options, made from the settings: one option per field, with its type, default and description."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from tempfit.cli.spelling import option_of, spell_options
from tempfit.config import (
    CalibrationConfig,
    ModelConfig,
    ReadingsConfig,
    ScalingConfig,
    Settings,
    TrackingConfig,
    TrainingConfig,
    UncertaintyConfig,
    ValidationConfig,
    parse_config,
    read_settings_file,
)
from tempfit.grid import idle_settings

PANELS: dict[str, type[Settings]] = {
    "Readings": ReadingsConfig,
    "Scaling": ScalingConfig,
    "Model": ModelConfig,
    "Training": TrainingConfig,
    "Validation": ValidationConfig,
    "Uncertainty": UncertaintyConfig,
    "Tracking": TrackingConfig,
}


def takes_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Replace the parameter `config` of a command by one option per setting, and `--config FILE`.

    The command is called with the validated CalibrationConfig; options win over the file, the file over the defaults.
    """

    def with_options(config_file: Path | None, **arguments: Any) -> Any:
        given = {name: arguments.pop(name) for name in CalibrationConfig.model_fields}
        given = {name: value for name, value in given.items() if value is not None}
        config = parse_config(read_settings_file(config_file), source=str(config_file)) if config_file else None
        values = config.model_dump(exclude_unset=True) if config else {}
        return command(config=parse_config({**values, **given}, source="options"), **arguments)

    signature = inspect.signature(command, eval_str=True)
    own = [parameter for name, parameter in signature.parameters.items() if name != "config"]
    file_option = typer.Option("--config", metavar="FILE", help="Settings in a TOML file, by the names of the options.")
    settings = [
        _parameter(name, field, panel)
        for panel, model in PANELS.items()
        for name, field in CalibrationConfig.model_fields.items()
        if name in model.__annotations__  # its own, not those it inherits
    ]
    config_file = _keyword("config_file", Annotated[Path | None, file_option])
    with_options.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*own, config_file, *settings]
    )
    with_options.__annotations__ = {p.name: p.annotation for p in [*own, config_file, *settings]}
    with_options.__doc__, with_options.__name__ = command.__doc__, command.__name__
    return with_options


def _parameter(name: str, field: FieldInfo, panel: str) -> inspect.Parameter:
    flag = option_of(name)
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if field.annotation is bool else flag,
        help=f"{spell_options(field.description or '')}{_bounds(field)}",
        show_default="none" if field.default is None else str(field.default),
        rich_help_panel=panel,
    )
    return _keyword(name, Annotated[field.annotation | None, option])  # type: ignore[operator]


def _bounds(field: FieldInfo) -> str:
    """` (> 0, ≤ 1e+06)`, from the field's own bounds; empty where it has none."""
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    bounds = [
        f"{sign} {getattr(item, name):g}"
        for item in field.metadata
        for name, sign in signs.items()
        if hasattr(item, name)
    ]
    return f" ({', '.join(bounds)})" if bounds else ""


def _keyword(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def as_options(config: CalibrationConfig) -> list[str]:
    """What to type for these settings: the options that are not at their defaults."""
    defaults = CalibrationConfig().model_dump()
    given = {name: value for name, value in config.model_dump().items() if value != defaults[name]}
    if config.model == "mlp":  # whose defaults are others
        given |= {"optimizer": config.optimizer, "learning_rate": config.learning_rate}
    idle = idle_settings(config.model_dump())
    words = []
    for name, value in given.items():
        flag = option_of(name)
        if name not in idle:
            words += [flag] if value is True else [flag, str(value)]
    return words
