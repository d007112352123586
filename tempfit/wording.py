"""Text of others, such as names in files, as it goes into a message or onto a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` with line ends, control characters and lone surrogates escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
