"""What a fleet looks like in a terminal: rows read, sensors calibrated, the summary."""

from __future__ import annotations

from typing import Self

from rich.console import Console

from flows.delivery import Delivery
from flows.fleet import FleetResult
from tempfit.cli.bars import bar_of_shares, done_of_rows
from tempfit.cli.shared import Whole, artifact_place, browse, show_lines
from tempfit.fleet.fleet import Fleet
from tempfit.fleet.lookup import FLEET_FILE
from tempfit.report.fleet import fleet_summary


class FleetTerminal:
    """Shows a fleet as it is calibrated, on stderr, and what came of it, on stdout."""

    def __init__(self, stdout: Console, stderr: Console):
        self.stdout = stdout
        self.progress = bar_of_shares(stderr)
        self.reading = self.progress.add_task("rows read", total=1.0, done="…")
        self.training = self.progress.add_task("sensors calibrated", total=1.0, done="…")

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def on_rows(self, n_rows: int, share: float) -> None:
        """After every partition."""
        done = done_of_rows(n_rows, self.progress.tasks[0].elapsed)
        self.progress.update(self.reading, completed=share, done=done)

    def on_sensors(self, n_sensors: int, n_all: int) -> None:
        """After every chunk of sensors."""
        self.progress.update(self.training, completed=n_sensors / n_all, done=f"{n_sensors:,} of {n_all:,}")

    def show(self, delivery: Delivery[Fleet, FleetResult], mlruns: str) -> None:
        """The summary, and where to look further, if anywhere; mlruns: the folder that was to keep the run."""
        result = delivery.result
        lines = fleet_summary(delivery.computed.summary)
        if result is not None:
            table = artifact_place(result.run, result.artifacts, FLEET_FILE, result.url)
            figures = [name for name in sorted(result.artifacts) if name.startswith("figures/")]
            where = [artifact_place(result.run, result.artifacts, name, result.url) for name in figures]
            lines += [("run", result.run.run_id), ("table", table), *(("figure", Whole(place)) for place in where)]
            lines.append(("browse", browse(result.run.store, mlruns, result.url)))
        show_lines(self.stdout, lines)
