"""Whether Prefect was told which server to use, by its own rules and without it.

They are those of prefect/settings/sources.py, told again: importing Prefect takes most of a second, in which a server
of ours could be starting already. A test holds the two against each other.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

Variables = Mapping[str, str | None]


def is_configured() -> bool:
    """Whether Prefect's setting `api.url` has a value: from the environment, a settings file here or a profile."""
    dotenv: Variables = dotenv_values(".env") if Path(".env").is_file() else {}
    files = [_read_toml(Path("prefect.toml")), _at(_read_toml(Path("pyproject.toml")), "tool", "prefect")]
    told = [
        *(_in_any_case(variables, "PREFECT_API_URL") for variables in (os.environ, dotenv)),
        *(_at(file, "api", "url") for file in files),
        _at(_active_profile(_profiles_file(dotenv, files)), "PREFECT_API_URL"),
    ]
    return bool(next((url for url in told if url is not None), None))  # an empty one hides those of lesser rank


def _active_profile(profiles_file: Path) -> Any:
    """The settings of the profile in use; that of whoever chose none names no server."""
    content = _read_toml(profiles_file)
    return _at(content, "profiles", os.environ.get("PREFECT_PROFILE") or _at(content, "active"))


def _profiles_file(dotenv: Variables, files: list[Any]) -> Path:
    """Where Prefect looks for profiles; where its user has none, in its own."""
    name = "PREFECT_PROFILES_PATH"
    chosen = [os.environ.get(name), dotenv.get(name), *(_at(file, "profiles_path") for file in files)]
    for path in chosen:
        if path:
            return Path(path)
    if os.environ.get("PREFECT_HOME"):
        return Path(os.environ["PREFECT_HOME"]) / "profiles.toml"
    of_the_user = Path.home() / ".prefect" / "profiles.toml"
    prefect = find_spec("prefect")  # found, not imported
    if of_the_user.exists() or prefect is None or not prefect.submodule_search_locations:
        return of_the_user
    return Path(prefect.submodule_search_locations[0], "settings", "profiles.toml")


def _in_any_case(variables: Variables, name: str) -> str | None:
    return next((value for key, value in variables.items() if key.upper() == name), None)


def _at(content: Any, *keys: str | None) -> Any:
    """What stands there in nested tables; None where nothing does."""
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
