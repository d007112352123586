"""Lines, tables and figures as the commands show them, on wide and narrow terminals and in files."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from tempfit.cli.shared import check_figure, show_lines, write_figure
from tempfit.cli.tables import NAME_WIDTH, Column, fits, longest_word, show_table
from tempfit.errors import SettingsError

NAME = "thermometer-of-the-cold-store-on-the-third-floor, standardize, sgd 0.5"  # its first word is long
REASON = "the condition number is 1, so the gradient points straight at the optimum; one update does it"
COLUMNS = [
    Column("name", [NAME, "[b]short[/b]"], least=NAME_WIDTH),
    Column("outcome", ["arrives", "explodes"], styles=["green", "red"]),
    Column("final loss", ["2.92765", "overflows at 1,234"], justify="right", least=10),
]


def console(width: int | None) -> Console:
    """A terminal of this width, or a file."""
    return Console(file=io.StringIO(), force_terminal=width is not None, color_system=None, width=width)


def shown(columns: list[Column], width: int | None, **keywords: object) -> list[str]:
    where = console(width)
    show_table(where, columns, **keywords)
    return where.file.getvalue().splitlines()


def squeezed(lines: list[str], start: int, end: int | None = None) -> str:
    """What stands in a column, without the blanks that folding adds."""
    return "".join("".join(line[start:end].split()) for line in lines)


@pytest.mark.parametrize("columns", ["60", "200"])
def test_a_file_takes_any_width(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    heading, first, second = shown(COLUMNS, None)
    assert first.split("  ")[0] == NAME
    assert second.startswith("[b]short[/b] ")
    assert second.split("  ")[-1] == "overflows at 1,234"
    assert heading.split("  ")[0] == "name"


@pytest.mark.parametrize("width", [50, 60, 80, 200])
def test_nothing_is_cut_on_a_terminal(width):
    lines = shown(COLUMNS, width)
    assert fits(console(width), COLUMNS)
    assert max(len(line) for line in lines) <= width
    name_width = lines[0].index("outcome")
    assert squeezed(lines, 0, name_width) == "".join(f"name{NAME}[b]short[/b]".split())
    assert squeezed(lines, name_width + 10) == "finalloss2.92765overflowsat1,234"


def test_a_terminal_that_is_too_narrow_breaks_lines_but_loses_nothing():
    assert not fits(console(30), COLUMNS)
    assert fits(console(None), COLUMNS)
    assert squeezed(shown(COLUMNS, 30), 0).count("overflows") == 1


@pytest.mark.parametrize("width", [60, 200, None])
def test_notes_stand_below_the_cells_in_whole_words(width):
    column = Column("configuration", ["standardize, 0.5", "min-max"], least=NAME_WIDTH, notes=[REASON, "why not"])
    lines = shown([column, Column("outcome", ["arrives", "crawls"])], width)
    place = lines[0].index("outcome")
    below = [line[:place].rstrip() for line in lines[2:-2]]
    assert all(line.startswith("  ") for line in below)
    assert " ".join(line.strip() for line in below) == REASON
    assert lines[-1].rstrip() == "  why not"


def test_words_are_the_least_that_a_column_needs():
    assert longest_word(["critical rate", "3.4e-4"]) == len("critical")
    assert longest_word(["", "→"]) == 1


def test_labels_have_one_width_and_texts_are_as_they_are():
    where = console(20)
    path = "/a/very/long/path/that/no/terminal/may/break/[bold]/line.png"
    show_lines(where, [("run", "1"), ("lowest loss", path)], {"run": "green"})
    assert where.file.getvalue().splitlines() == ["run          1", f"lowest loss  {path}"]


def test_figures_are_refused_before_and_told_after(tmp_path: Path):
    check_figure(tmp_path / "curve.PNG")
    with pytest.raises(SettingsError, match=r"curve.svg: figures are PNG; name a file that ends in .png"):
        check_figure(tmp_path / "curve.svg")
    with pytest.raises(SettingsError, match=r"there is no folder .*nowhere; make it"):
        check_figure(tmp_path / "nowhere" / "curve.png")
    write_figure(tmp_path / "curve.png", b"picture")
    assert (tmp_path / "curve.png").read_bytes() == b"picture"
    with pytest.raises(SettingsError, match=r"cannot be written \(Is a directory\)"):
        write_figure(tmp_path, b"picture")
