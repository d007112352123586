"""Tables in a terminal, in a pipe and in a file: no cell is ever cut, since what is cut cannot be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Literal

from rich.cells import cell_len
from rich.console import Console

from tempfit.wording import printable

GAP = 2  # characters between columns
NAME_WIDTH = 24  # characters: what a name may be folded to
NOTE_WIDTH = 72  # characters: of a sentence below a name, in a file as well


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, its cells, and how they are shown.

    least: the width to which it may be folded where a terminal is narrow; None: it is not.
    styles: of the cells, if not the same for all. notes: a sentence below each cell, if there is more to say.
    """

    heading: str
    cells: Sequence[str]
    justify: Literal["left", "right"] = "left"
    style: str = ""
    least: int | None = None
    styles: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    def widest(self) -> int:
        width = max(cell_len(printable(text)) for text in [self.heading, *self.cells])
        return max(width, NOTE_WIDTH) if self.notes else width

    @property
    def narrowest(self) -> int:
        return self.widest if self.least is None else min(self.widest, self.least)


def longest_word(texts: Iterable[str]) -> int:
    """The least width that breaks no word."""
    return max(cell_len(word) for text in texts for word in text.split() or [""])


def fits(console: Console, columns: Sequence[Column]) -> bool:
    """Whether the table can be shown on the terminal without a line that it breaks; a file takes any width."""
    return not console.is_terminal or sum(column.narrowest + GAP for column in columns) - GAP <= console.width


def show_table(console: Console, columns: Sequence[Column], row_styles: Sequence[str] = ()) -> None:
    """Print the table, columns folded as far as a terminal's width makes it necessary and they may be.

    row_styles: of the rows, if they have any.
    """
    from rich.table import Table
    from rich.text import Text

    widths = _widths(columns, console.width if console.is_terminal else None)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    table.width = sum(widths) + GAP * (len(widths) - 1)
    for column, width in zip(columns, widths, strict=True):
        table.add_column(
            Text(printable(column.heading)), justify=column.justify, style=column.style, width=width, overflow="fold"
        )
    for k in range(len(columns[0].cells)):
        cells = [Text(printable(column.cells[k]), column.styles[k] if column.styles else "") for column in columns]
        for cell, column, width in zip(cells, columns, widths, strict=True):
            if column.notes:
                cell.append(
                    "\n" + fill(printable(column.notes[k]), width, initial_indent="  ", subsequent_indent="  "), "dim"
                )
        table.add_row(*cells, style=row_styles[k] if row_styles else None)
    console.print(table, crop=False)


def _widths(columns: Sequence[Column], available: int | None) -> list[int]:
    """Of the columns: the widest are folded first."""
    widths = [column.widest for column in columns]
    if available is None:
        return widths
    available -= GAP * (len(columns) - 1)
    while sum(widths) > available:
        foldable = [k for k, column in enumerate(columns) if widths[k] > column.narrowest]
        if not foldable:
            break
        widths[max(foldable, key=widths.__getitem__)] -= 1
    return widths
