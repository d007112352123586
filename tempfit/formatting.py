"""Numbers and settings as people write them."""

from __future__ import annotations


def format_rate(rate: float) -> str:
    """A learning rate as people write it: 0.5, 0.01, 3.4e-4."""
    text = f"{rate:.3g}" if 1e-2 <= rate < 1e4 else f"{rate:.2e}"
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def format_number(value: float, digits: int) -> str:
    """A result with `digits` significant digits: 2.92765, 0.5368, 1.9e34."""
    return _with_plain_exponent(f"{value:.{digits}g}")


def format_setting(value: object) -> str:
    """A setting as it is typed, no digit lost: 0.5, 3.4e-4, 5000, yes, none, adam."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return str(value)
    if value == 0:
        return "0"
    rounded = format_rate(abs(value))
    text = rounded if float(rounded) == abs(value) else _with_plain_exponent(repr(abs(value)))
    return f"-{text}" if value < 0 else text


def _with_plain_exponent(text: str) -> str:
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if e else text
