"""Settings as the command line spells them.

The rest of tempfit names settings as Python takes them, between backticks: `scaling="standardize"`,
`learning_rate=1e-4, n_epochs=5000`, or a name alone. So one sentence serves a notebook, a page and a terminal, and only
here it gets options.
"""

from __future__ import annotations

import re
import shlex

_NAME = r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*"
_VALUE = r"\"[^\"`]*\"|[^\s,\"`]+"
_SETTING = re.compile(rf"({_NAME})(?:=({_VALUE}))?")
_SETTINGS = re.compile(rf"`({_SETTING.pattern}(?:, {_SETTING.pattern})*)`")


def option_of(name: str) -> str:
    """`learning_rate` → --learning-rate."""
    return f"--{name.replace('_', '-')}"


def spell_options(text: str) -> str:
    """The text with every setting between backticks as an option: --scaling standardize, --learning-rate 1e-4.

    What else stands between backticks, such as a command, stays as it is.
    """
    return _SETTINGS.sub(lambda found: " ".join(_option(*item) for item in _SETTING.findall(found[1])), text)


def _option(name: str, value: str) -> str:
    match value:
        case "" | "True":
            return option_of(name)
        case "False":
            return option_of(f"no_{name}")
        case _:
            return f"{option_of(name)} {shlex.quote(value.strip(chr(34)))}"
