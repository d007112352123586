"""What the commands share: the app, the two streams, figures, and the way that a flow's services are started."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import version as installed_version
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from tempfit.cli.help import Group
from tempfit.cli.spelling import spell_options
from tempfit.config import TrackingConfig
from tempfit.errors import SettingsError
from tempfit.system.interrupts import take_time
from tempfit.wording import printable

if TYPE_CHECKING:
    from flows.calibrate import CalibrateResult
    from flows.delivery import Delivery
    from flows.fleet import FleetResult
    from flows.services.prefect_server import PrefectServer
    from flows.sweep import SweepResult
    from tempfit.calibration.record import Record
    from tempfit.tracking.runs import Run
    from tempfit.tracking.store import Store

EXIT_FAILURE, EXIT_INPUT, EXIT_DIVERGED = 1, 2, 3
PATIENCE = {  # with Prefect's server, unless the user says otherwise; its own would take 145 s for one that is gone
    "PREFECT_API_REQUEST_TIMEOUT": "4",  # seconds; a flow that a server leaves alone asks six times until it ends
    "PREFECT_CLIENT_MAX_RETRIES": "1",
}
QUIET_PREFECT = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL", "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL"}
LASTING = {"ui", "up", "serve"}  # commands that run until they are stopped, and then stop others in order
LEAST_ROOM = 30  # characters for a text beside its label; with less, it goes on below it

app = typer.Typer(
    cls=Group,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"tempfit {installed_version('tempfit')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Calibrate thermometers: a line fitted by gradient descent, tracked in MLflow, run and scheduled by Prefect."""
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(EXIT_INPUT)
    if context.invoked_subcommand in LASTING:
        take_time()


class PlainConsole(Console):
    """A console that only our own styles reach: escape codes in a name or in a library's message are shown as text."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=_CONTROL.sub(_escaped, segment.text))


_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # all but the line's end


def _escaped(match: re.Match[str]) -> str:
    return printable(match[0])


stdout, stderr = PlainConsole(), PlainConsole(stderr=True)

Mlruns = Annotated[str, typer.Option(help="Folder that keeps the runs.", metavar="FOLDER")]
DEFAULT_MLRUNS = TrackingConfig().mlruns


def say(*lines: str) -> None:
    """Print lines as they are: no markup, no breaks of ours."""
    for line in lines:
        stdout.print(printable(line), soft_wrap=True, highlight=False, markup=False)


def say_json(values: Mapping[str, Any]) -> None:
    """Print one JSON object, alone; what is no printable character in it is escaped as JSON does."""
    text = json.dumps(values, ensure_ascii=False, allow_nan=False)
    print("".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text))


def recorded(
    delivery: Delivery[Any, CalibrateResult] | Delivery[Any, SweepResult] | Delivery[Any, FleetResult],
) -> dict[str, Any]:
    """Of a delivery as JSON: where it is recorded, and what is not."""
    result, failure = delivery.result, delivery.failure
    return {
        "run_id": None if result is None else result.run.run_id,
        "artifacts": {} if result is None else result.artifacts,
        "not_recorded": None if failure is None else str(failure),
    }


_COMMAND = re.compile("`[^`]*`")


class Whole(str):
    """A path, an address or a command: it is never wrapped, since what is broken cannot be copied."""


def show_lines(console: Console, lines: Sequence[tuple[str, str]], styles: Mapping[str, str] | None = None) -> None:
    """Print labels and their texts, one below the other; styles: of the texts, by label."""
    width = max((len(label) for label, _ in lines), default=0)
    for label, text in lines:
        show_text(console, f"{label:<{width}}  ", text, "dim", (styles or {}).get(label, ""))


def show_text(console: Console, label: str, text: str, label_style: str, style: str = "") -> None:
    """Print a sentence behind its label, settings in it as options.

    A terminal has it wrapped at words, the lines below each other, but for commands between backticks, which are to be
    copied; anything else has it on one line.
    """
    told = printable(text) if isinstance(text, Whole) else printable(spell_options(text))
    if console.is_terminal and not isinstance(text, Whole):
        indent = len(label) if console.width - len(label) >= LEAST_ROOM else 4
        lines = fill(
            _COMMAND.sub(lambda command: command[0].replace(" ", "\0"), told),
            console.width,
            initial_indent=label,
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        told = lines[len(label) :].replace("\0", " ")
    console.print(Text.assemble((label, label_style), (told, style)), soft_wrap=True, highlight=False)


def check_folder(option: str, path: Path) -> None:
    """Raise SettingsError where there is no folder for the file."""
    if not path.parent.is_dir():
        raise SettingsError(f"{option}: {path}: there is no folder {path.parent}; make it, or choose another")


def check_figure(path: Path) -> None:
    """What can be told before anything is computed. Raises SettingsError."""
    if path.suffix.lower() != ".png":
        raise SettingsError(f"--figure: {path}: figures are PNG; name a file that ends in .png")
    check_folder("--figure", path)


def write_figure(path: Path, png: bytes) -> None:
    """Write the picture. Raises SettingsError where that fails."""
    from tempfit.system.files import replaced

    try:
        with replaced(path) as part:
            part.write_bytes(png)
    except OSError as error:
        raise SettingsError(f"--figure: {path}: cannot be written ({error.strerror}); name another file") from None


def warn(text: str) -> None:
    """A warning on stderr."""
    show_text(stderr, "warning: ", text, "bold yellow")


def show_warnings(record: Record) -> None:
    """A line on stderr for each reason not to use the calibration."""
    for reason in record.warnings:
        warn(reason)


def browse(store: Store, mlruns: str, url: str) -> Whole:
    """Where to look further: the tracking server's page, or the command that serves the folder, and its page."""
    if store.is_server:
        return Whole(url)
    command = "tempfit ui" if mlruns == DEFAULT_MLRUNS else shlex.join(["tempfit", "ui", "--mlruns", mlruns])
    return Whole(f"{command}  →  {url}")


def artifact_place(run: Run, artifacts: Mapping[str, str], name: str, url: str) -> Whole:
    """Where one of a run's artifacts can be opened: the file, or its page on the tracking server.

    url: of the run's page.
    """
    return Whole(run.url(url.partition("/#/")[0], name) if run.store.is_server else artifacts[name])


def load_flow(flow: str, mlruns: str) -> None:
    """Import the module `flow` while the Prefect server starts, and wait for that; something moves meanwhile."""
    with stderr.status("loading torch, MLflow and Prefect …"):
        server = _start_prefect()
        _wait_for_services(flow, mlruns, server)


def _start_prefect() -> PrefectServer | None:
    """The Prefect server, started or joined if none is configured; before Prefect is imported, which reads its address.

    Flow logs stay on Prefect's run page: a terminal that has a summary and one-line errors needs no second voice.
    """
    from flows.services.prefect_server import start_server

    for variable, value in {**QUIET_PREFECT, **PATIENCE}.items():
        os.environ.setdefault(variable, value)
    server = start_server()
    if server is not None:
        os.environ["PREFECT_API_URL"] = server.api_url
        os.environ["PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED"] = "false"  # it is of this very installation
    return server


def _wait_for_services(flow: str, mlruns: str, server: PrefectServer | None) -> None:
    """Use the time in which the Prefect server starts on the other core: import the flow, open or make the store."""
    import_module(flow)
    from tempfit.tracking.store import open_store

    if server is not None:
        open_store(Path(mlruns))
        server.wait()
    from flows.marks import end_stale_flow_runs

    end_stale_flow_runs()
