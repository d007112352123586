"""The command line's options, made from the settings: one option per field, with its type, default and description."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from tempfit.choices import idle_settings, override, parse_config, parse_settings, read_settings_file
from tempfit.cli.spelling import option_of, spell_options
from tempfit.config import (
    CalibrationConfig,
    ModelConfig,
    ReadingsConfig,
    ScalingConfig,
    TrackingConfig,
    TrainingConfig,
    UncertaintyConfig,
    ValidationConfig,
)
from tempfit.errors import SettingsError
from tempfit.settings import Settings, describe, takes

PANELS: dict[str, type[Settings]] = {
    "Readings": ReadingsConfig,
    "Scaling": ScalingConfig,
    "Model": ModelConfig,
    "Training": TrainingConfig,
    "Validation": ValidationConfig,
    "Uncertainty": UncertaintyConfig,
    "Tracking": TrackingConfig,
}


AnySettings = TypeVar("AnySettings", bound=Settings)

METAVARS = {"hidden": "WIDTHS", "holdout_rows": "ROWS", "mlruns": "FOLDER"}
FIRST = ("x", "y", "x_unit", "model", "scaling", "learning_rate", "n_epochs", "mlruns")  # what everybody needs


def takes_settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """Replace the parameters of a command that are settings by one option per setting, and `--config FILE`.

    They are `config`, a CalibrationConfig, and others by their annotations: a FleetConfig. The command is called with
    them validated; options win over the file, the file over the defaults.
    Options are texts here: the settings themselves say what they take, and what is wrong, in a file as well.
    """
    signature = inspect.signature(command, eval_str=True)
    others = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if name != "config" and isinstance(parameter.annotation, type) and issubclass(parameter.annotation, Settings)
    }

    def with_options(config_file: Path | None, **arguments: Any) -> Any:
        file = {} if config_file is None else read_settings_file(config_file)
        settings: dict[str, Any] = {}
        for name, model in others.items():
            told = {key: file.pop(key) for key in model.model_fields if key in file}
            parse_settings(told, model, source=str(config_file))
            settings[name] = _parse({**told, **_given(arguments, model)}, model)
        given = _given(arguments, CalibrationConfig)
        if config_file is not None:
            given = override(parse_config(file, source=str(config_file)), given)
        return command(config=parse_options(given), **settings, **arguments)

    own = [parameter for name, parameter in signature.parameters.items() if name not in {"config", *others}]
    arguments = [parameter for parameter in own if parameter.kind is not inspect.Parameter.KEYWORD_ONLY]
    options = [parameter for parameter in own if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
    file_option = typer.Option("--config", metavar="FILE", help="Settings in a TOML file, by the names of the options.")
    config_file = _keyword("config_file", Annotated[Path | None, file_option])
    fields = CalibrationConfig.model_fields
    first = [_parameter(name, field, None) for model in others.values() for name, field in model.model_fields.items()]
    first += [_parameter(name, fields[name], None) for name in FIRST]
    rest = [
        _parameter(name, field, panel)
        for panel, model in PANELS.items()
        for name, field in fields.items()
        if name in model.__annotations__ and name not in FIRST  # its own, not those it inherits
    ]
    parameters = [*arguments, *first, *options, config_file, *rest]
    with_options.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    with_options.__doc__, with_options.__name__ = command.__doc__, command.__name__
    return with_options


def _given(arguments: dict[str, Any], model: type[Settings]) -> dict[str, Any]:
    """The options of a model's settings that were given, taken out of the arguments."""
    options = {name: arguments.pop(name) for name in model.model_fields}
    return {name: value for name, value in options.items() if value is not None}


def parse_options(values: Mapping[str, Any]) -> CalibrationConfig:
    """A calibration's settings given as options. Raises SettingsError, which names the option."""
    return _parse(values, CalibrationConfig)


def _parse(values: Mapping[str, Any], model: type[AnySettings]) -> AnySettings:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise SettingsError(describe(error, model.model_fields, option_of)) from None


def _parameter(name: str, field: FieldInfo, panel: str | None) -> inspect.Parameter:
    flag = option_of(name)
    is_flag, choices = field.annotation is bool, choices_of(field)
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if is_flag else flag,
        help=f"{spell_options(field.description or '')}{_bounds(field)}",
        show_default=written_default(field),
        rich_help_panel=panel,
        metavar=None if is_flag else _metavar(name, field),
        autocompletion=lambda incomplete: [choice for choice in choices if choice.startswith(incomplete)],
    )
    return _keyword(name, Annotated[bool | None if is_flag else str | None, option])


def choices_of(field: FieldInfo) -> tuple[str, ...]:
    """What the setting chooses from; empty where it takes anything."""
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()


def written_default(field: FieldInfo) -> str | bool:
    """The default as it is typed; False where there is nothing to type."""
    if field.annotation is bool:
        return False
    if field.default is None:
        return "none"
    return f"{field.default:g}" if field.annotation is float else str(field.default)


def _metavar(name: str, field: FieldInfo) -> str:
    """What stands for the value: a number, a whole one, or a word."""
    if takes(field, float):
        return "X"
    if takes(field, int):
        return "N"
    return METAVARS.get(name, "WORD" if choices_of(field) else "NAME")


def _bounds(field: FieldInfo) -> str:
    """` (> 0, ≤ 1e6)`, from the field's own bounds; empty where it has none."""
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    bounds = [
        f"{sign}\N{NO-BREAK SPACE}{getattr(item, name):g}".replace("e+0", "e").replace("e+", "e")
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
