"""The pages: README.md and docs/, their blocks, commands and links, and how what they show is compared.

A block fenced as `console` has commands behind `$ `, each with what it prints; `sh` has commands alone, which are too
slow or too lasting to be run with every test; `python` is run; `toml title="NAME"` is a file of that name, which the
commands of the page find. In what is printed, … stands for anything within a line, and alone on a line for any lines.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN_ID = "ac05b8a2d24a44fcaf54b55c57fee91d"  # of the run that all pages speak of
FENCE = re.compile(
    r"^```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
ANY = "…"
CONTINUED = " " * 8  # what begins with it goes on a sentence that was wrapped
NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d{9,}(?:e[+-]?\d+)?")  # its last digits depend on the processor
ROUNDING = re.compile(r"\d+(?:\.\d+)?e-1[4-9]|(?<=by )0\b")  # what one processor makes 0, another does not


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its title if it has one, and its text."""

    language: str
    title: str | None
    text: str


@dataclass(frozen=True)
class Command:
    """A command line, and the lines that it prints; None where the page does not show them."""

    text: str
    prints: list[str] | None

    @property
    def arguments(self) -> list[str]:
        return [word for word in shlex.split(self.text, comments=True) if word != "&"]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    found = FENCE.finditer(page.read_text(encoding="utf-8"))
    return [Block(match["language"], match["title"], match["text"]) for match in found]


def prose(page: Path) -> str:
    """The page without its blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def inline_code(page: Path) -> list[str]:
    """What stands between backticks in the prose, on one line each."""
    return [" ".join(code.split()) for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose(page))]


def commands(block: Block) -> list[Command]:
    """Those of a `console` or `sh` block, in order."""
    if block.language == "sh":
        return [Command(line, None) for line in block.text.splitlines() if line]
    found: list[Command] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(Command(line.removeprefix("$ "), []))
        else:
            prints = found[-1].prints
            assert prints is not None
            prints.append(line)
    return found


def unwrapped(lines: Sequence[str]) -> list[str]:
    """The lines with sentences that go on below in one, and nothing at their ends."""
    joined: list[str] = []
    for line in lines:
        if joined and line.startswith(CONTINUED):
            joined[-1] += f" {line.strip()}"
        else:
            joined.append(line.rstrip())
    return joined


def hold(shown: Sequence[str], printed: Sequence[str]) -> None:
    """Fail unless what is shown is what was printed."""
    expected, lines = unwrapped(shown), unwrapped(printed)
    position, is_free = 0, False  # is_free: any lines may come before the next that is shown
    for text in expected:
        if text == ANY:
            is_free = True
            continue
        places = range(position, len(lines)) if is_free else range(position, min(position + 1, len(lines)))
        found = next((place for place in places if is_line(text, lines[place])), None)
        assert found is not None, f"shown, but not printed here:\n{text}\nprinted:\n" + "\n".join(lines[position:])
        position, is_free = found + 1, False
    assert is_free or position == len(lines), "printed, but not shown:\n" + "\n".join(lines[position:])


def is_line(shown: str, printed: str) -> bool:
    """Whether a line is what the page shows, up to … and to digits of which rounding decides."""
    numbers = [[float(text) for text in NUMBER.findall(line)] for line in (shown, printed)]
    texts = [ROUNDING.sub("ε", NUMBER.sub("#", line)) for line in (shown, printed)]
    first, *others = texts[0].split(ANY)  # (blanks behind … are the padding of a column)
    pattern = re.escape(first) + "".join(f".*{re.escape(part.lstrip())}" for part in others)
    if re.fullmatch(pattern, texts[1]) is None:
        return False
    return ANY in shown or numbers[0] == pytest.approx(numbers[1], rel=1e-12)


def links(page: Path) -> Iterator[str]:
    """The targets of all links and pictures."""
    return (match[1] for match in re.finditer(r"\]\(([^)\s]+)\)", prose(page)))


def anchors(page: Path) -> set[str]:
    """Of all headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def with_run(text: str, run_id: str | None) -> str:
    """The text with another id in the place of RUN_ID and of what it begins with; None: with any, in any experiment."""
    begins = re.compile(rf"\b{RUN_ID[:4]}[0-9a-f]*\b")
    told = begins.sub(lambda match: ANY if run_id is None else run_id[: len(match[0])], text)
    return told if run_id is not None else re.sub(r"/experiments/\d+/", f"/experiments/{ANY}/", told)
