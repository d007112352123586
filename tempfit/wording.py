"""Numbers, and text of others, as people read them in messages and on a terminal."""

from __future__ import annotations

import re
from decimal import ROUND_FLOOR, Context
from typing import Any

_URL = re.compile(r"(?<=://)\S+")
_LOGIN = re.compile(
    r"^([^/]*|[^/:]+:(?!\d+/).*)@"
)  # a key in it may have a slash; behind a port, what is @ is a path's
_TOKEN = re.compile(r"(?i)([?&][^=&#]*(?:sig|token|secret|passw|key|credential|auth)[^=&#]*=)[^&#]+")


def printable(text: str) -> str:
    """`text` with line ends, control characters and lone surrogates escaped, and without the secrets of URLs."""
    shown = without_secrets(text)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def without_secrets(text: str) -> str:
    """`text` with … for the names, passwords and tokens in the URLs that are in it."""
    if "://" not in text:
        return text
    return _URL.sub(lambda url: _TOKEN.sub(r"\1…", _LOGIN.sub("…@", url.group())), text)


def format_rate(rate: float, digits: int = 3) -> str:
    """A learning rate (or any positive number) as people write it: 0.5, 0.01, 3.4e-4."""
    text = f"{rate:.{digits}g}" if 1e-2 <= rate < 1e4 else f"{rate:.{digits - 1}e}"
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def format_limit(rate: float, digits: int = 3) -> str:
    """A rate that is a limit, as `format_rate` writes it, never more than it is: above it, descent may explode."""
    nearly = repr(float(rate) * (1 + 1e-12))  # 0.5 less its rounding is 0.5
    return format_rate(float(Context(prec=digits, rounding=ROUND_FLOOR).create_decimal(nearly)), digits)


def format_ratio(number: float) -> str:
    """A ratio, such as a condition number, as people write it: 1.03, 357, 33,599, 7.37e8."""
    if number >= 1e6:
        return format_rate(number)
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def count(n: int, what: str) -> str:
    """`1 epoch`, `2,684 epochs`."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def format_value(value: Any, digits: int = 3) -> str:
    """A setting's value as people write it, numbers with fractions to `digits` significant digits."""
    if isinstance(value, float):
        return f"{'-' if value < 0 else ''}{format_rate(abs(value), digits)}" if value else "0"
    return "none" if value is None else str(value)


def shown(text: str, limit: int = 40) -> str:
    """File content as it goes into a message: quoted, on one line, cut after `limit` characters."""
    escaped = printable(without_secrets(text)[: limit + 1])
    return f"'{escaped}'" if len(escaped) <= limit else f"'{escaped[:limit]}…'"
