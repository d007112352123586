"""README.md and docs/: what they show is what happens. Commands that start a flow are run in tests/flows."""

from __future__ import annotations

import doctest
import io
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import fields
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tempfit import cli
from tempfit.calibration.pipeline import calibrate
from tempfit.choices import parse_config, read_settings_file, refuse_idle
from tempfit.cli.options import parse_options
from tempfit.config import CalibrationConfig
from tempfit.fleet.summing import FleetSummary
from tempfit.report import read_fields
from tempfit.studies.grid import make_grid
from tempfit.tracking.results import log_calibration
from tempfit.tracking.runs import Run, ended, start_run
from tempfit.tracking.store import open_store
from tests.conftest import ROOT, THERMOMETER
from tests.documents import (
    PAGES,
    Command,
    anchors,
    blocks,
    commands,
    hold,
    inline_code,
    links,
    name_of,
    prose,
    with_run,
)
from tests.fleet.tables import random_fleet, write_fleet

FLOWS = {"make", "calibrate", "sweep"}  # commands that need Prefect
FRAGMENTS = {"yaml", "c", "text"}  # of files, held by the tests of what writes them
SENSOR = {"sensor", "dw", "db", "u_dw", "u_db", "off", "e_n", "p", "q", "changed"}  # keys of keys
ELSEWHERE = {"--env-manager"}  # options of other programs
GROUP: Any = cli.command_line()

pages = pytest.mark.parametrize("page", PAGES, ids=name_of)


def shown_commands(page: Path) -> list[Command]:
    return [command for block in blocks(page) if block.language in ("console", "sh") for command in commands(block)]


@pytest.fixture(scope="module")
def place(new_mlruns: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Run]]:
    """A folder with the tutorial's data, two runs, recorded without a flow, and the table of a fleet; and the run that
    the pages speak of."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "data").mkdir()
    (folder / "data" / "thermometer.csv").write_bytes(THERMOMETER.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_fleet(Path("fleet.parquet"), *random_fleet(1, 40, 12))
        Path("readings.csv").write_text("t_u\n50\n")
        new_mlruns(folder / "mlruns")
        store, found = open_store(Path("mlruns")), []
        for settings in ({}, {"scaling": "none", "learning_rate": 1e-2}):
            config = CalibrationConfig(**settings)
            result = calibrate("data/thermometer.csv", config)
            run = start_run(store, result.readings, config, {})
            with ended(run):
                log_calibration(run, result, {})
            found.append(run)
        yield folder, found[0]


def run_line(text: str) -> list[str]:
    """What a command prints, on stdout and stderr, in this process."""
    if not text.startswith("tempfit "):
        return subprocess.run(shlex.split(text), capture_output=True, text=True, check=True).stdout.splitlines()
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with redirect_stdout(stream), redirect_stderr(stream), pytest.raises(SystemExit):
        cli.main(shlex.split(text)[1:])
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode().splitlines()


def run_python(text: str, name: str) -> None:
    """A program, or a session with what it prints."""
    if ">>> " not in text:
        exec(compile(text, name, "exec"), {})
        return
    session = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
    told: list[str] = []
    doctest.DocTestRunner().run(session, out=told.append)
    assert told == []


@pages
def test_what_is_shown_is_what_is_printed(page: Path, place: tuple[Path, Run], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, run = place
    monkeypatch.chdir(folder)
    monkeypatch.setattr("mlflow.tracking._tracking_service.utils._tracking_uri", None)  # which a page may set
    for block in blocks(page):
        if block.title is not None:
            Path(block.title).write_text(block.text, encoding="utf-8")
    for block in blocks(page):
        if block.language == "python":
            run_python(with_run(block.text, run.run_id), name_of(page))
        if block.language != "console":
            continue
        for command in commands(block):
            assert command.prints is not None
            first, second, *_ = command.arguments
            if first == "cat" and not Path(second).exists():  # a file that the reader has
                Path(second).write_text("\n".join(command.prints) + "\n", encoding="utf-8")
            if {first, second} & FLOWS and not command.prints[0].startswith("error: "):
                continue
            hold(
                with_run("\n".join(command.prints), run.run_id).splitlines(),
                run_line(with_run(command.text, run.run_id)),
            )


@pages
def test_every_command_can_be_given(page: Path) -> None:
    """Shown in a block: what it names is there, and its options with their values are taken by the command line."""
    for command in shown_commands(page):
        match command.arguments:
            case ["tempfit", name, *arguments]:
                if not (command.prints or [""])[0].startswith("error: "):
                    parse(name, arguments)
            case ["make", target]:
                assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
            case ["cat", _] | ["mlflow", "models", "predict", *_]:  # (MLflow's is run in tests/integration)
                pass
            case _:
                pytest.fail(f"no known command: {command.text}")


def parse(name: str, arguments: list[str]) -> None:
    """Raise where the real command line would refuse it, before anything is read or run."""
    command = GROUP.commands[name]
    with command.make_context(name, list(arguments)) as context:
        given = {key: value for key, value in context.params.items() if value is not None}
    if "learning_rate" in context.params:
        config = parse_options({key: value for key, value in given.items() if key in CalibrationConfig.model_fields})
        if given.get("grid"):
            make_grid(config, given["grid"])
        elif "config_file" not in given:
            refuse_idle(config)


@pages
def test_every_command_in_a_sentence_has_what_it_says(page: Path) -> None:
    """Between backticks: `tempfit COMMAND …` is a command with those options, an option alone one of some command."""
    options = {name: {text for param in command.params for text in (*param.opts, *param.secondary_opts)}
               for name, command in GROUP.commands.items()}  # fmt: skip
    anywhere = set().union(*options.values(), ELSEWHERE, {"--help", "--version"})
    for code in inline_code(page):
        words = code.split()
        known = anywhere
        if words[0] == "tempfit" and len(words) > 1 and words[1].islower():
            assert words[1] in options, code
            known = options[words[1]] | {"--help"}
        assert {word for word in words if re.match(r"--[a-z]", word)} <= known, code


@pages
def test_every_module_and_file_that_is_named_is_there(page: Path) -> None:
    for code in inline_code(page):
        if re.fullmatch(r"(tempfit|flows|tests)(/[\w{},.*-]+)*/?", code) and "/" in code:
            assert list(ROOT.glob(code.rstrip("/"))), code
        elif re.fullmatch(r"(tempfit|flows)(\.\w+)+", code):
            assert is_name(code), code
        elif found := re.match(r"(?:\S*python )?-?m? ?(tests/\S+\.py)", code):
            assert (ROOT / found[1]).exists(), code
        elif found := re.fullmatch(r"python -m (\S+).*", code):
            assert find_spec(found[1]) is not None, code
        elif re.fullmatch(r"make [a-z-]+", code):
            assert re.search(rf"^{code[5:]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), code


def is_name(dotted: str) -> bool:
    """Whether it is a module, or a name of one, or of a class of one."""
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        try:
            found: Any = import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for part in parts[n:]:
            fields = getattr(found, "__dataclass_fields__", {}) | getattr(found, "model_fields", {})
            if not hasattr(found, part) and part not in fields:
                return False
            found = getattr(found, part, None)
        return True
    return False


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in links(PAGES[0])}
    assert set(PAGES[1:]) <= linked


def test_the_floors_are_those_of_the_contract() -> None:
    """Drawn in docs/architecture.md, a floor a row, as pyproject.toml lists them from above."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (layers,) = (contract["layers"] for contract in contracts["contracts"] if contract["type"] == "layers")
    (drawn,) = (block.text for block in blocks(ROOT / "docs" / "architecture.md") if block.language == "text")
    rows = [line.split("│")[1] for line in drawn.splitlines() if line.startswith("│")]
    expected = [{name.strip().removeprefix("tempfit.") for name in re.split("[:|]", layer)} for layer in layers]
    assert [{name.strip() for name in row.split("·")} for row in rows] == expected
    parts = {
        path.stem for path in (ROOT / "tempfit").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert set().union(*expected) == parts - {"__init__"} | {"flows"}


def test_the_readme_lists_every_command() -> None:
    section = PAGES[0].read_text(encoding="utf-8").partition("\n## Commands\n")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `tempfit (\w+)", section, re.MULTILINE)) == sorted(GROUP.commands)


def test_the_readme_is_short() -> None:
    assert len(PAGES[0].read_text(encoding="utf-8").splitlines()) <= 200


@pages
def test_blocks_are_of_a_kind_that_is_tested(page: Path) -> None:
    languages = {block.language for block in blocks(page)}
    assert languages <= {"console", "sh", "python", "toml", *FRAGMENTS}
    assert "```" not in prose(page)  # all are closed
    assert not re.search(r"\n\n    \S", prose(page))  # none is made by spaces


@pytest.mark.parametrize(
    "block", [b for page in PAGES for b in blocks(page) if b.language == "toml"], ids=lambda b: b.title
)
def test_files_that_are_shown_are_read(block: Any, tmp_path: Path) -> None:
    path = tmp_path / block.title
    path.write_text(block.text, encoding="utf-8")
    if set(tomllib.loads(block.text)) <= set(CalibrationConfig.model_fields):
        refuse_idle(parse_config(read_settings_file(path)))
    else:
        assert read_fields(path)


def told_keys(command: str) -> list[str]:
    """The keys of `--json` that the page tells of a command."""
    section = (ROOT / "docs" / "json.md").read_text(encoding="utf-8").partition(f"\n## {command}\n")[2]
    table = re.findall(r"^\| (`.+?`) \|", section.partition("\n## ")[0], re.MULTILINE)
    return [key for cell in table for key in re.findall(r"`(\w+)`", cell)]


def test_json_has_the_keys_that_are_told(place: tuple[Path, Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place[0])
    recorded = {"run_id", "artifacts", "not_recorded"}
    import tempfit

    readings = "data/thermometer.csv"
    assert set(told_keys("tempfit calibrate")) - recorded == set(tempfit.calibrate(readings).as_dict())
    assert set(told_keys("tempfit fleet")) - recorded == {field.name for field in fields(FleetSummary)}
    grid = {"learning_rate": [0.1, 0.5]}
    assert set(told_keys("tempfit sweep")) - recorded == set(tempfit.sweep(readings, grid=grid).as_dict())
    for command, arguments, title in (
        ("forecast", readings, "forecast"),
        ("compare", "", "compare"),
        ("compare", "fleet.parquet fleet.parquet", "compare, of two fleets"),
    ):
        printed = json.loads("\n".join(run_line(f"tempfit {command} {arguments} --json")))
        assert set(told_keys(f"tempfit {title}")) - SENSOR == set(printed)
