"""`--help` in as many columns as there are: an option a line where it fits, sentences wrapped at words."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill, wrap
from typing import Any

from rich.console import Console
from rich.text import Text
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

WIDEST = 110  # characters: longer lines are hard to follow
LEFT = 27  # characters: an option that takes more has its text below it
GAP = 2

Rows = list[tuple[str, str]]


class Command(TyperCommand):
    """A command with a help of ours."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(_render(self, ctx))


class Group(TyperGroup):
    """The program with a help of ours."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(_render(self, ctx))


def _render(command: TyperCommand | TyperGroup, ctx: Any) -> str:
    """The page, in bold and colours where standard output is a terminal."""
    console = Console()
    width = min(console.width, WIDEST)
    with console.capture() as capture:
        _print(console, fill(_usage(command, ctx), width, subsequent_indent="  "))
        _print(console, "\n" + fill(" ".join((command.help or "").split()), width))
        for title, rows in _panels(command, ctx).items():
            if rows:
                _print(console, f"\n{title}:", "bold")
                _print_rows(console, rows, width)
    return capture.get()


def _usage(command: TyperCommand | TyperGroup, ctx: Any) -> str:
    """`Usage: tempfit calibrate [OPTIONS] FILE`."""
    return " ".join(command.get_usage(ctx).split()).replace("{", "").replace("}", "")


def _panels(command: TyperCommand | TyperGroup, ctx: Any) -> Mapping[str, Rows]:
    """Title → what stands below it, arguments first, then the options that everybody needs."""
    panels: dict[str, Rows] = {"Arguments": [], "Options": []}
    for param in command.get_params(ctx):
        if isinstance(param, TyperArgument):
            panels["Arguments"].append((param.metavar or str(param.name).upper(), _told(param)))
        elif isinstance(param, TyperOption) and not param.hidden:
            panels.setdefault(param.rich_help_panel or "Options", []).append((_flags(param), _told(param)))
    if isinstance(command, TyperGroup):
        found = ((name, command.get_command(ctx, name)) for name in command.list_commands(ctx))
        panels["Commands"] = [(name, " ".join((item.help or "").split())) for name, item in found if item is not None]
    return panels


def _flags(param: TyperOption) -> str:
    """`-h, --help`, `--scaling WORD`, `--[no-]drop-missing`."""
    names = sorted(param.opts, key=len)
    if param.secondary_opts:
        names = [f"--[no-]{param.opts[0][2:]}"]
    metavar = "" if param.is_flag else f" {param.metavar or 'VALUE'}"
    return ", ".join(names) + metavar


def _told(param: TyperOption | TyperArgument) -> str:
    """The description, then the default between brackets."""
    default = param.show_default if isinstance(param.show_default, str) else ""
    if not default and param.show_default and not getattr(param, "is_flag", False):
        default = "" if param.default is None else str(param.default)
    required = "required" if param.required and isinstance(param, TyperOption) else ""
    return " ".join([*(param.help or "").split(), *(f"[{note}]" for note in (default, required) if note)])


def _print_rows(console: Console, rows: Rows, width: int) -> None:
    left = min(LEFT, max(len(name) for name, _ in rows)) + GAP
    for name, told in rows:
        lines = wrap(told, width - 2 - left, break_long_words=False, break_on_hyphens=False)
        if len(name) + GAP > left:
            lines = ["", *lines]
        told = f"\n{'':<{left + 2}}".join(lines).replace("\N{NO-BREAK SPACE}", " ")
        console.print(Text("  ").append(f"{name:<{left}}", "cyan").append(told), soft_wrap=True, highlight=False)


def _print(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style), soft_wrap=True, highlight=False)
