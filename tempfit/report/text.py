"""Text from outside, made safe to set: what no page can hold is replaced, what would reach its neighbours is kept in.

Escaping is the template's; this is what escaping leaves.
"""

from __future__ import annotations

import re
import unicodedata

from markupsafe import Markup

UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
BIDI_CONTROLS = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
RIGHT_TO_LEFT = {"R", "AL", "AN"}
ISOLATE, END = "\u2068", "\u2069"
LONGEST = 16  # characters of a unit beside a number


def clean(value: object) -> object:
    """What a template is about to write: control characters and lone surrogates become �, markup of ours stays."""
    if isinstance(value, Markup):
        return value
    return UNWRITABLE.sub("\ufffd", str(value).replace("\r\n", "\n").replace("\r", "\n"))


def short(text: str, longest: int = LONGEST) -> str:
    """`text` as a part of a sentence of ours: one line, cut, and kept from turning what is beside it around."""
    line = " ".join(BIDI_CONTROLS.sub("", str(clean(text[: 4 * longest]))).split())
    line = line if len(line) <= longest else f"{line[: longest - 1]}…"
    turns = any(unicodedata.bidirectional(character) in RIGHT_TO_LEFT for character in line)
    return f"{ISOLATE}{line}{END}" if turns else line


def as_css_string(text: str) -> Markup:
    """A string of CSS, quoted, with everything that is no ASCII letter or digit written as a number."""
    escaped = "".join(c if c.isascii() and c.isalnum() else f"\\{ord(c):06x}" for c in text)
    return Markup(f'"{escaped}"')
