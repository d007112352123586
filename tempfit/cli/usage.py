"""What is wrong with a command as it was typed, in one line."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError
from typer.exceptions import TyperException

from tempfit.cli.spelling import option_of
from tempfit.settings import did_you_mean


def describe_usage(error: TyperException) -> str:
    """Typer's error as a line that names the option, and what may have been meant."""
    context: Any = getattr(error, "ctx", None)
    param = getattr(error, "param", None)
    option = getattr(error, "option_name", None)
    if hasattr(error, "possibilities") and context is not None:
        return f"{option}: no such option{_did_you_mean_option(str(option), context)}"
    message = " ".join(str(error.message).split()).rstrip(".").replace(". Did you", "; did you")
    if param is not None:
        name = param.opts[0] if param.param_type_name == "option" else param.metavar or param.name.upper()
        if not message:  # it is not there
            return f"{name} is missing; `{context.command_path} --help` tells what it is"
        message = message.removeprefix("Input ").removeprefix("Value error, ")
        if isinstance(error.__cause__, ValidationError) and message.startswith("should"):
            given = error.__cause__.errors()[0]["input"]
            numbers = {"integer": "whole number", "number": "number"}
            wrong = [words for kind, words in numbers.items() if message.startswith(f"should be a valid {kind}")]
            message = f"'{given}' is no {wrong[0]}" if wrong else f"{message}, got {given}"
        given, *choices = re.findall(r"'([^']*)'", message) or [""]
        return f"{name}: {message}{did_you_mean(given, choices)}"
    told = message.partition("' ")[2] if option else ""
    text = f"{option}: {told}" if told else message[:1].lower() + message[1:]
    if context is None or text.endswith("?"):
        return text
    return f"{text}; `{context.command_path} --help` lists what there is"


def _did_you_mean_option(option: str, context: Any) -> str:
    """The nearest of the command's options, by its letters or by its initials."""
    names = [name[2:].replace("-", "_") for param in context.command.params for name in param.opts if name[:2] == "--"]
    meant = did_you_mean(option.lstrip("-").replace("-", "_"), names)
    return re.sub(r"mean (\w+)", lambda found: f"mean {option_of(found[1])}", meant)
