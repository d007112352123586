"""What a sweep looks like in a terminal: the progress of training and of recording, the table."""

from __future__ import annotations

import shlex
from typing import Self

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from flows.delivery import Delivery
from flows.sweep import SweepResult
from tempfit.cli.options import as_options
from tempfit.cli.shared import Whole, artifact_place, browse, show_lines, show_text
from tempfit.cli.tables import NAME_WIDTH, Column, longest_word, show_table
from tempfit.descent.history import Block
from tempfit.studies.sweep import Plan, Sweep
from tempfit.studies.sweep_table import make_table
from tempfit.wording import count
from tempfit.words import Outcome

BEST, FAILURES = 12, 5  # rows of a grid's table
STYLES = {Outcome.ARRIVES: "green", Outcome.EXPLODES: "red"}  # the others are yellow


class SweepTerminal:
    """Shows a sweep as it runs, on stderr, and its table, on stdout."""

    def __init__(self, stdout: Console, stderr: Console):
        self.stdout = stdout
        self.n_left = np.zeros(0, dtype=np.int_)  # epochs that each trial still has to train, at most
        self.progress = Progress(
            TextColumn("{task.description}"),
            MofNCompleteColumn(),
            BarColumn(),
            TimeRemainingColumn(),
            console=stderr,
            transient=True,
            disable=not stderr.is_terminal,
        )
        self.training = self.progress.add_task("epochs of all", total=None)
        self.recording = self.progress.add_task("runs recorded", total=None)

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def on_plan(self, plan: Plan) -> None:
        """Before training: how much there is to do."""
        self.n_left = np.array([trial.config.n_epochs for trial in plan.grid.trials])
        self.progress.update(self.training, total=int(self.n_left.sum()))
        self.progress.update(self.recording, total=len(self.n_left))

    def on_epochs(self, block: Block) -> None:
        """After every block of epochs: members that ended in it have no epochs left."""
        is_trial = block.members < len(self.n_left)  # the folds that validate come behind
        members, loss = block.members[is_trial], block.loss[:, is_trial]
        self.n_left[members] = np.where(np.isfinite(loss[-1]), np.maximum(self.n_left[members] - len(loss), 0), 0)
        total = int(self.progress.tasks[0].total or 0)
        self.progress.update(self.training, completed=total - int(self.n_left.sum()))

    def on_recorded(self, n_recorded: int) -> None:
        """After every run that was written."""
        self.progress.update(self.training, completed=self.progress.tasks[0].total)
        self.progress.update(self.recording, completed=n_recorded)

    def show(self, delivery: Delivery[Sweep, SweepResult], mlruns: str) -> None:
        """The table, and where to look further, if anywhere; mlruns: the folder that was to keep the runs."""
        sweep, result = delivery.computed, delivery.result
        show_text(self.stdout, "", sweep.headline(), "", "bold")
        content = make_table(sweep, most=BEST, most_failures=FAILURES)
        cells = dict(zip(content.columns, zip(*content.rows, strict=True), strict=True))
        first, reasons = content.columns[0], cells.pop("why", ())
        columns = [
            Column(
                heading,
                texts,
                least=NAME_WIDTH if heading == first else longest_word([heading, *texts]),
                styles=[STYLES.get(Outcome(text), "yellow") for text in texts] if heading == "outcome" else (),
                notes=reasons if heading == first else (),  # a sentence needs the width: it goes below the name
            )
            for heading, texts in cells.items()
        ]
        show_table(self.stdout, columns)
        lines = []
        if content.n_left_out:
            where = ""
            if result is not None:
                where = f", in {artifact_place(result.run, result.artifacts, 'table.csv', result.url)}"
            lines.append(("left out", f"{content.n_left_out:,} more{where}"))
        if sweep.grid.left_out:
            name, reason = sweep.grid.left_out[0]
            lines.append(("not tried", f"{count(len(sweep.grid.left_out), 'combination')}; {name}: {reason}"))
        if sweep.best and sweep.axes:  # (a sweep's runs have no models: they would be hundreds)
            options = as_options(sweep.best.trial.config)
            command = shlex.join(["tempfit", "calibrate", sweep.readings.source, *options])
            lines.append(("keep the best", Whole(command)))
        if result is not None:
            lines += [("run", result.run.run_id), ("figures", _figures(result))]
            lines.append(("browse", browse(result.run.store, mlruns, result.url)))
        self.stdout.print()
        show_lines(self.stdout, lines)


def _figures(result: SweepResult) -> Whole:
    """The pictures' names and their folder; on a tracking server, the page of the first, which lists the others."""
    names = sorted(name for name in result.artifacts if name.startswith("figures/"))
    first = artifact_place(result.run, result.artifacts, names[0], result.url)
    told = ", ".join(name.removeprefix("figures/") for name in names)
    return Whole(f"{told} in {first if result.run.store.is_server else first.removesuffix(names[0].split('/')[1])}")
