"""A Sweep as a table: for a terminal, for MLflow, for Prefect's run page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tempfit.calibration.explain import why
from tempfit.choices import idle_settings
from tempfit.studies.grid import Axis
from tempfit.studies.sweep import Member, Sweep


@dataclass(frozen=True)
class SweepTable:
    """Column titles and rows of text; n_left_out: members without a row."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_left_out: int


def make_table(sweep: Sweep, *, most: int | None = None, most_failures: int = 5) -> SweepTable:
    """The members with what was varied and what came of it.

    A grid is shown best first, at most `most` of its sound members and `most_failures` of the failed; a sweep without
    axes (a preset) whole, in its own order and with the reasons.
    """
    members: Sequence[Member] = sweep.ranked if sweep.axes else sweep.members
    if most is not None and sweep.axes:
        sound = [member for member in members if not member.failed]
        members = [*sound[:most], *members[len(sound) :][:most_failures]]
    validated = any(member.calibration.validation is not None for member in members)
    axes = [axis for axis in sweep.axes if len(axis.values) > 1]
    columns = (*([axis.name for axis in axes] or ["configuration"]), "outcome", "final loss", "0.1 % at epoch")
    columns += ("validation loss",) if validated else ()
    columns += () if sweep.axes else ("why",)
    rows = tuple(_row(member, axes, validated=validated, explained=not sweep.axes) for member in members)
    return SweepTable(columns, rows, len(sweep.members) - len(rows))


def to_markdown(sweep: Sweep, *, most: int | None = None) -> str:
    """The table in markdown, and how many members it leaves out."""
    table = make_table(sweep, most=most)
    lines = [table.columns, tuple("---" for _ in table.columns), *table.rows]
    escaped = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    left_out = f"\n{table.n_left_out:,} more in table.csv\n" if table.n_left_out else ""
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped) + left_out


def _row(member: Member, axes: Sequence[Axis], *, validated: bool, explained: bool) -> tuple[str, ...]:
    calibration, config = member.calibration, member.trial.config
    idle = idle_settings(config.model_dump())
    settings = ["" if axis.name in idle else axis.write(getattr(config, axis.name)) for axis in axes]
    diverged_at, close_at = calibration.fit.diverged_at, calibration.fit.close_at
    loss = f"{calibration.loss:.5g}" if diverged_at is None else f"overflows at {diverged_at:,}"
    can_be_close = config.loss != "huber"
    close = f"{close_at:,}" if close_at else "never" if can_be_close else "–"
    row = (*(settings or [member.name]), calibration.outcome.value, loss, close)
    if validated:
        seen = calibration.validation
        row += (f"{seen.final:.5g}" if seen is not None and not member.failed else "",)
    return (*row, why(calibration)) if explained else row
