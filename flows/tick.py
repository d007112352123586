"""One tick of a schedule: every file of readings as it is now, calibrated if it has changed, and what came of each."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tempfit.calibration.calibration import Calibration
from tempfit.calibration.pipeline import calibrate
from tempfit.calibration.recording import record_of
from tempfit.config import CalibrationConfig
from tempfit.errors import ReadingsError, ServiceError, TempfitError
from tempfit.exact.opening import open_readings
from tempfit.exact.settling import settle
from tempfit.plots.calibration import draw_line
from tempfit.plots.canvas import to_png
from tempfit.tracking.repeats import last_repeat
from tempfit.tracking.results import log_calibration, result_tags
from tempfit.tracking.runs import Run, ended, start_run
from tempfit.tracking.store import Store
from tempfit.tracking.ui import run_page, ui_address
from tempfit.wording import printable
from tempfit.words import Outcome, Verdict

SUFFIXES = {".csv", ".tsv", ".txt", ".parquet"}
PATIENCE = 3  # files one after the other that the tracking store does not take: then it is not asked for the others

OnNew = Callable[[Calibration, bytes, Run], None]  # a new calibration, the picture of its line, its run


class Ending(StrEnum):
    """How a file ended in a tick, in the order in which they are told."""

    CALIBRATED = "calibrated"
    REFUSED = "refused"  # calibrated, and not to be used: it diverged, or a check fails
    UNREADABLE = "unreadable"
    NOT_RECORDED = "not recorded"  # the tracking store did not take it
    FAILED = "failed"
    UNCHANGED = "unchanged"  # since a calibration by the same settings that can be used: nothing was recorded


GOOD = (Ending.CALIBRATED, Ending.UNCHANGED)


@dataclass(frozen=True)
class Entry:
    """What a tick made of a file. why: of one that did not end well. w, b: of a line. url: the run's page in MLflow."""

    sensor: str
    ending: Ending
    why: str = ""
    w: float | None = None
    b: float | None = None
    url: str = ""

    def row(self) -> dict[str, str | float | None]:
        """As a row of a table on a page that knows Markdown's links."""
        return {
            "sensor": _plain(self.sensor),
            "outcome": self.ending.value,
            "w": self.w,
            "b": self.b,
            "usable": "yes" if self.ending in GOOD else f"no: {_plain(self.why)}",
            "run": f"[MLflow]({self.url})" if self.url else "",
        }


@dataclass(frozen=True)
class Tick:
    """What came of all files, by name."""

    entries: Sequence[Entry]
    seconds: float

    @property
    def bad(self) -> list[Entry]:
        """The sensors of which this tick leaves nothing to use."""
        return [entry for entry in self.entries if entry.ending not in GOOD]

    def headline(self) -> str:
        """`4 calibrated, 1 refused, 54 unchanged  (12.3 s)`."""
        counts = Counter(entry.ending for entry in self.entries)
        told = ", ".join(f"{counts[ending]} {ending.value}" for ending in Ending if counts[ending])
        return f"{told}  ({self.seconds:.1f} s)"

    def describe(self) -> str:
        """The headline and, beneath it, a line for each sensor of which this tick leaves nothing to use."""
        lines = (f"{printable(entry.sensor)}: {entry.ending.value}: {printable(entry.why)}" for entry in self.bad)
        return "\n".join([self.headline(), *lines])


def files_of_readings(data: Path) -> list[Path]:
    """The file itself, or the files of readings in the folder, by name. Raises ReadingsError when there are none."""
    if not data.is_dir():
        if data.exists():
            return [data]
        raise ReadingsError(f"{data}: no such file or folder; check the path")
    files = sorted(path for path in data.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise ReadingsError(f"{data}: the folder has no file of readings ({', '.join(sorted(SUFFIXES))})")
    return files


def run_tick(
    store: Store, files: Sequence[Path], config: CalibrationConfig, tags: Mapping[str, str], on_new: OnNew
) -> Tick:
    """Calibrate each file that has changed since its last run by these settings; whatever stops one stops no other.

    What the tracking store does not take is tried once more at the end. tags: of every run that is made.
    on_new: called with every new calibration.
    """
    start = time.monotonic()
    entries: dict[Path, Entry] = {}
    for _ in range(2):
        in_vain = 0
        for file in files:
            if in_vain < PATIENCE:
                entries[file] = _calibrate(store, file, config, tags, on_new)
            else:
                entries[file] = Entry(file.name, Ending.NOT_RECORDED, "not tried after the others")
            in_vain = in_vain + 1 if entries[file].ending is Ending.NOT_RECORDED else 0
        files = [file for file in files if entries[file].ending is Ending.NOT_RECORDED]
    return Tick(list(entries.values()), time.monotonic() - start)


def _calibrate(store: Store, file: Path, config: CalibrationConfig, tags: Mapping[str, str], on_new: OnNew) -> Entry:
    try:
        return _calibrate_if_changed(store, file, config, tags, on_new)
    except ReadingsError as error:
        return Entry(file.name, Ending.UNREADABLE, str(error))
    except ServiceError as error:
        return Entry(file.name, Ending.NOT_RECORDED, str(error).partition("\n")[0])
    except TempfitError as error:
        return Entry(file.name, Ending.FAILED, str(error))
    except Exception as error:
        return Entry(file.name, Ending.FAILED, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")


def _calibrate_if_changed(
    store: Store, file: Path, config: CalibrationConfig, tags: Mapping[str, str], on_new: OnNew
) -> Entry:
    readings = open_readings(file, config)
    config = settle(readings, config)
    known = last_repeat(store, readings, config)
    if known is not None:
        why = _refusal(known.data.tags)
        return Entry(
            file.name,
            Ending.REFUSED if why else Ending.UNCHANGED,
            f"{why} (unchanged, nothing recorded)" if why else "",
            known.data.metrics.get("w"),
            known.data.metrics.get("b"),
            run_page(ui_address(store), known.info.experiment_id, known.info.run_id),
        )
    calibration = calibrate(readings, config)  # before a run is opened: what cannot be calibrated leaves none
    line = to_png(draw_line(calibration))
    run = start_run(store, readings, config, tags)
    with ended(run):
        log_calibration(run, calibration, {"line.png": line})
    on_new(calibration, line, run)
    why = _refusal(result_tags(record_of(calibration)))
    has_line = config.model == "line" and not calibration.exploded
    w, b = (calibration.w, calibration.b) if has_line else (None, None)
    return Entry(file.name, Ending.REFUSED if why else Ending.CALIBRATED, why, w, b, run.url(ui_address(store)))


def _plain(text: str) -> str:
    """`text` as it is, on a page that would read Markdown in it: names of files are not ours."""
    return re.sub(r"([\\`*_\[\]<>~|#&])", r"\\\1", printable(text))


def _refusal(tags: Mapping[str, str]) -> str:
    """Why a calibration is not to be used, by the tags of its run; nothing of one that may be."""
    if tags.get("usable") == "true":
        return ""
    if tags.get("outcome") == Outcome.EXPLODES:
        return tags["why"]
    fails = f"{Verdict.FAILS.value}: "
    told = (text.removeprefix(fails) for name, text in tags.items() if name.startswith("check.") and fails in text)
    return "; ".join(told) or "a fit that validates it exploded"
