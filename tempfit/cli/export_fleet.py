"""`tempfit export --all`: every sensor of a fleet, a file each or in one document."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from tempfit.cli.opening import open_curves
from tempfit.cli.shared import show_text, stderr
from tempfit.errors import SettingsError
from tempfit.export import ENTRIES, Format
from tempfit.export.fleet import FleetExport
from tempfit.system.files import whole_file
from tempfit.wording import count

ENDINGS: dict[Format, str] = {
    "esphome": ".yaml",
    "home-assistant": ".yaml",
    "tasmota": ".txt",
    "c-header": ".h",
    "json": ".json",
}
MOST_NAME = 100  # characters of a file's name


def export_fleet(run: str, target: Format, output: Path | None, mlruns: str, *, with_unusable: bool) -> None:
    """Write every sensor; how many were, and how many not, on stderr.

    Raises RunsError where `run` is no fleet, SettingsError for an output that the format does not allow.
    """
    in_one = output is None or not (output.is_dir() or output.suffix == "")
    if in_one and target not in ENTRIES:
        alone = "standard output" if output is None else str(output)
        raise SettingsError(f"--output: {alone}: {target} has a file for each sensor: name a folder")
    with stderr.status("reading the calibrations …"), redirect_stdout(sys.stderr):
        curves = open_curves(run, mlruns, "all")
        exported = FleetExport(curves, target, in_one=in_one, with_unusable=with_unusable)
    n_written = int(exported.is_written.sum())
    with _counted(exported, n_written if output is not None else 0) as texts:
        if output is None:
            print(exported.head, end="")
            for _, text in texts:
                print(text, end="")
        elif in_one:
            with whole_file(output) as file:
                file.write(exported.head.encode())
                for _, text in texts:
                    file.write(text.encode())
        else:
            _write_folder(output, texts, ENDINGS[target])
    show_text(stderr, "", _describe(exported, n_written), "")


def _write_folder(folder: Path, texts: Iterator[tuple[str, str]], ending: str) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise SettingsError(f"--output: {folder}: no such folder can be made ({error.strerror})") from None
    taken: set[str] = set()
    for sensor, text in texts:
        name = stem = re.sub(r"[^\w.-]", "_", sensor)[:MOST_NAME].lstrip(".") or "_"
        n = 1
        while name.lower() in taken:  # where capitals do not tell files apart, either
            n += 1
            name = f"{stem}-{n}"
        taken.add(name.lower())
        with whole_file(folder / f"{name}{ending}") as file:
            file.write(text.encode())


@contextmanager
def _counted(exported: FleetExport, total: int) -> Iterator[Iterator[tuple[str, str]]]:
    """The texts, with a bar on the terminal; total: 0 for none, where they go there themselves."""
    if not total or not stderr.is_terminal:
        yield iter(exported)
        return
    from rich.progress import Progress

    with Progress(console=stderr, transient=True) as progress:
        yield iter(progress.track(exported, total=total, description="export"))


def _describe(exported: FleetExport, n_written: int) -> str:
    left_out = []
    if exported.n_unusable:
        n = f"{exported.n_unusable:,}"
        left_out.append(f"{n} that should not be used, by their own checks (--unusable writes them)")
    if exported.n_without:
        left_out.append(f"{exported.n_without:,} without a calibration")
    told = f"; left out: {', '.join(left_out)}" if left_out else ""
    return f"{count(n_written, 'sensor')} written{told}"
