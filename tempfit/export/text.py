"""Text that ends up in files of other programs: nothing in it may end a comment or hide what stands there."""

from __future__ import annotations

from collections.abc import Sequence


def one_line(text: object) -> str:
    """Text for a comment: what ends a line, controls it or turns its direction is spelled out, as <U+202E>."""
    return "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in str(text))


def is_plain(text: str) -> bool:
    """Whether all of the text, but for the ends of its lines, can be seen."""
    return text.replace("\n", "").isprintable()


def with_comments(comments: Sequence[str], mark: str, text: str) -> str:
    """The text after lines of comments, each of which begins with `mark`."""
    return "".join(f"{mark} {line}\n" for line in comments) + text
