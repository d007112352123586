"""A Sweep as a table: for a terminal, for MLflow, for Prefect's run page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tempfit.explain import outcome, why
from tempfit.grid import format_value, idle_settings
from tempfit.sweep import Member, Sweep


@dataclass(frozen=True)
class Table:
    """Column titles and rows of text; n_left_out: members without a row."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_left_out: int


def make_table(sweep: Sweep, *, most: int | None = None, most_failures: int = 5) -> Table:
    """The members with what was varied, what came of it and, of a preset, why.

    A grid is shown best first, at most `most` of its sound members and `most_failures` of the diverged; a preset whole,
    in its own order.
    """
    members: Sequence[Member] = sweep.ranked if sweep.axes else sweep.members
    if most is not None and sweep.axes:
        sound = [member for member in members if not member.diverged]
        members = [*sound[:most], *members[len(sound) :][:most_failures]]
    validated = any(member.calibration.validation is not None for member in members)
    names = [axis.name for axis in sweep.axes if len(axis.values) > 1]
    columns = (*(names or ["configuration"]), "outcome", "loss", "0.1 % at epoch")
    columns += ("validation loss",) if validated else ()
    columns += () if sweep.axes else ("why",)
    rows = tuple(_row(member, names, validated=validated, explained=not sweep.axes) for member in members)
    return Table(columns, rows, len(sweep.members) - len(rows))


def to_markdown(sweep: Sweep, *, most: int | None = None) -> str:
    """The table in markdown, and how many members it leaves out."""
    table = make_table(sweep, most=most)
    lines = [table.columns, tuple("---" for _ in table.columns), *table.rows]
    escaped = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    left_out = f"\n{table.n_left_out:,} more in table.csv\n" if table.n_left_out else ""
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped) + left_out


def _row(member: Member, names: Sequence[str], *, validated: bool, explained: bool) -> tuple[str, ...]:
    calibration = member.calibration
    idle = idle_settings(member.trial.config.model_dump())
    settings = ["" if name in idle else format_value(getattr(member.trial.config, name)) for name in names]
    diverged_at = calibration.fit.diverged_at
    loss = f"{calibration.loss:.5g}" if diverged_at is None else f"overflows at {diverged_at:,}"
    close_at = calibration.fit.close_at
    row = (*(settings or [member.name]), outcome(calibration).value, loss, f"{close_at:,}" if close_at else "never")
    if validated:
        seen = calibration.validation
        row += (f"{seen.final:.5g}" if seen is not None and not member.diverged else "",)
    return (*row, why(calibration)) if explained else row
