"""What a calibration looks like in a terminal: the forecast, the progress, the tutorial's lines, the summary."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from flows.calibrate import CalibrateResult
from flows.delivery import Delivery
from tempfit.calibration.calibration import Calibration
from tempfit.calibration.recording import record_of
from tempfit.cli.bars import bar_of_shares, done_of_rows
from tempfit.cli.shared import artifact_place, browse, show_lines, warn
from tempfit.config import CalibrationConfig
from tempfit.descent.forecast import Forecast
from tempfit.descent.history import Block
from tempfit.report.summary import LABELS, summary
from tempfit.words import Status, Verdict

STYLES = {
    Status.CONVERGED: "bold green",
    Status.EXHAUSTED: "bold yellow",
    Status.STOPPED: "bold yellow",
    Status.DIVERGED: "bold red",
}
CHECK_STYLES = {LABELS[Verdict.FAILS]: "bold red", LABELS[Verdict.DOUBTFUL]: "bold yellow"}


class Terminal:
    """Shows a flow as it runs. Progress and warnings go to stderr, so stdout carries the result alone.

    print_every: print every K-th epoch as the tutorial does, instead of a progress bar.
    """

    def __init__(self, stdout: Console, stderr: Console, print_every: int | None):
        self.stdout, self.stderr, self.print_every = stdout, stderr, print_every
        self.task: TaskID | None = None
        self._reported: tuple[float, NDArray[np.float64]]  # loss and gradient of the epoch whose update comes next
        self.progress = Progress(
            TextColumn("epoch"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeRemainingColumn(),
            console=stderr,
            transient=True,
            disable=not stderr.is_terminal or print_every is not None,
        )
        self.reading = bar_of_shares(stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()
        self.reading.stop()

    def on_rows(self, n_rows: int, share: float) -> None:
        """After every block of a large file: a bar while it is read, for its evidence, and again for its checks."""
        if not self.reading.tasks:
            self.progress.stop()  # what was trained is; a terminal has one bar at a time
            self.reading.add_task("rows read", total=1.0, done="…")
            self.reading.start()
        (task,) = self.reading.tasks
        self.reading.update(task.id, completed=share, done=done_of_rows(n_rows, task.elapsed))
        if share >= 1:
            self.reading.stop()
            self.reading.remove_task(task.id)

    def on_forecast(self, config: CalibrationConfig, forecast: Forecast) -> None:
        """Before training: what will happen; a warning when it will not go well."""
        if forecast.warns:
            warn(forecast.advice)
        self.task = self.progress.add_task("train", total=config.n_epochs, loss="…")
        self.progress.start()

    def on_epochs(self, block: Block) -> None:
        """After every block of epochs; only the first member is shown, and not the folds that validate it."""
        if block.members[0] != 0:
            return
        loss = block.loss[:, 0]
        n_states = int(np.isfinite(loss).sum())
        if self.task is not None and n_states:
            self.progress.update(self.task, completed=block.first + n_states, loss=f"{loss[n_states - 1]:.6g}")
        if self.print_every is not None:
            for k in range(n_states):
                self._print_epoch(block.first + k, block.params[k, 0])
                self._reported = float(loss[k]), block.gradient[k, 0]

    def _print_epoch(self, epoch: int, params: NDArray[np.float64]) -> None:
        """The tutorial's lines for an epoch: its loss, the params after its update, its gradient."""
        assert self.print_every is not None
        if epoch == 1 or (epoch and epoch % self.print_every == 0):
            loss, gradient = self._reported
            self.stderr.print(f"Epoch {epoch}, Loss {loss:f}", highlight=False)
            self.stderr.print(f"    Params: {params}\n    Grad:   {gradient}", highlight=False)

    def show(self, delivery: Delivery[Calibration, CalibrateResult], mlruns: str) -> None:
        """The summary, and where to look further, if anywhere; mlruns: the folder that was to keep the run."""
        record, result = record_of(delivery.computed), delivery.result
        lines = summary(record)
        if record.status is not Status.CONVERGED:
            lines.append(("advice", record.advice))
        if result is not None:
            figure = artifact_place(result.run, result.artifacts, "figures/line.png", result.url)
            where = browse(result.run.store, mlruns, result.url)
            lines += [("run", result.run.run_id), ("figure", figure), ("browse", where)]
        status = Status.DIVERGED if record.exploded else record.status
        show_lines(self.stdout, lines, {"status": STYLES[status], **CHECK_STYLES})
