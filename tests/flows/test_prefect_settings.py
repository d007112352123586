"""Which server Prefect uses, as tempfit reads it without Prefect, beside what Prefect itself makes of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from prefect.settings import Settings

from flows.services.prefect_settings import is_configured
from tests.flows.conftest import run_python

URL = "http://prefect.example/api"
PROFILES = f"""
active = "lab"
[profiles.lab]
PREFECT_API_URL = "{URL}"
[profiles.here]
PREFECT_SERVER_EPHEMERAL_ENABLED = "true"
[profiles.nowhere]
PREFECT_API_URL = ""
"""
ACTIVE = "home/profiles.toml"

# What stands in which file, what the environment says, and whether that names a server.
TOLD: dict[str, tuple[dict[str, str], dict[str, str], bool]] = {
    "nothing": ({}, {}, False),
    "the environment": ({}, {"PREFECT_API_URL": URL}, True),
    "the environment in small letters": ({}, {"prefect_api_url": URL}, True),
    "an empty variable": ({}, {"PREFECT_API_URL": ""}, False),
    "an empty variable before a profile": ({ACTIVE: PROFILES}, {"PREFECT_API_URL": ""}, False),
    ".env": ({".env": f"PREFECT_API_URL={URL}\n"}, {}, True),
    ".env as shells read it": ({".env": f"# ours\nexport prefect_api_url='{URL}'\n"}, {}, True),
    ".env about something else": ({".env": "PREFECT_API_KEY=k\n"}, {}, False),
    "prefect.toml": ({"prefect.toml": f'[api]\nurl = "{URL}"\n'}, {}, True),
    "prefect.toml about something else": ({"prefect.toml": '[logging]\nlevel = "INFO"\n'}, {}, False),
    "pyproject.toml": ({"pyproject.toml": f'[tool.prefect.api]\nurl = "{URL}"\n'}, {}, True),
    "a pyproject.toml without Prefect": ({"pyproject.toml": f'[api]\nurl = "{URL}"\n'}, {}, False),
    "an empty prefect.toml before pyproject.toml": (
        {"prefect.toml": '[api]\nurl = ""\n', "pyproject.toml": f'[tool.prefect.api]\nurl = "{URL}"\n'},
        {},
        False,
    ),
    "the active profile": ({ACTIVE: PROFILES}, {}, True),
    "another profile": ({ACTIVE: PROFILES}, {"PREFECT_PROFILE": "here"}, False),
    "a profile with an empty address": ({ACTIVE: PROFILES}, {"PREFECT_PROFILE": "nowhere"}, False),
    "a profile that is not there": ({ACTIVE: PROFILES}, {"PREFECT_PROFILE": "elsewhere"}, False),
    "profiles, none of them active": ({ACTIVE: PROFILES.replace('active = "lab"', "")}, {}, False),
    "a profile chosen by the environment": (
        {ACTIVE: PROFILES.replace('"lab"', '"here"', 1)},
        {"PREFECT_PROFILE": "lab"},
        True,
    ),
    "profiles of Prefect's own, with a home of one's own": ({}, {"PREFECT_PROFILE": "local"}, False),
    "damaged profiles": ({ACTIVE: "active = "}, {}, False),
    "profiles elsewhere": ({"other.toml": PROFILES}, {"PREFECT_PROFILES_PATH": "other.toml"}, True),
    "profiles elsewhere, by .env": ({"other.toml": PROFILES, ".env": "PREFECT_PROFILES_PATH=other.toml\n"}, {}, True),
    "profiles elsewhere, by prefect.toml": (
        {"other.toml": PROFILES, "prefect.toml": 'profiles_path = "other.toml"\n'},
        {},
        True,
    ),
    "profiles elsewhere, by pyproject.toml": (
        {"other.toml": PROFILES, "pyproject.toml": '[tool.prefect]\nprofiles_path = "other.toml"\n'},
        {},
        True,
    ),
    "an empty file of profiles elsewhere": (
        {"other.toml": "", ACTIVE: PROFILES},
        {"PREFECT_PROFILES_PATH": "other.toml"},
        False,
    ),
}


def write(folder: Path, files: dict[str, str]) -> None:
    (folder / "home").mkdir()
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")


@pytest.mark.filterwarnings("ignore:Failed to load profiles")  # which Prefect says of a damaged file
@pytest.mark.parametrize("case", TOLD)
def test_tempfit_and_prefect_read_the_same(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, environment, expected = TOLD[case]
    write(tmp_path, files)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.upper().startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (is_configured(), bool(Settings().api.url)) == (expected, expected)


ASK = """
import json, os, sys
from flows.services.prefect_settings import is_configured
ours = is_configured()
alone = "prefect" not in sys.modules
from prefect.settings import PREFECT_API_URL
print(json.dumps([ours, bool(PREFECT_API_URL.value()), alone]))
"""


@pytest.mark.parametrize(
    ("files", "environment", "expected"),
    [
        ({}, {}, False),
        ({"home/.prefect/profiles.toml": PROFILES}, {}, True),
        ({}, {"PREFECT_PROFILE": "local"}, True),  # one of Prefect's own, for whoever has none
    ],
    ids=["nothing", "a profile", "a profile of Prefect's own"],
)
def test_they_do_in_the_users_home_too(
    files: dict[str, str], environment: dict[str, str], expected: bool, tmp_path: Path
) -> None:
    write(tmp_path, files)
    told = run_python(tmp_path, ASK, PREFECT_HOME="", **environment)
    assert json.loads(told.splitlines()[-1]) == [expected, expected, True]
