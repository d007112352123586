"""Formulas as C, C++ and Jinja read them, with numbers that are read back to the last bit."""

from __future__ import annotations

from collections.abc import Sequence


def plus(term: str, value: float) -> str:
    """`term + 3.0`, or `term - 3.0` of a negative value."""
    return f"{term} - {-value!r}" if value < 0 else f"{term} + {value!r}"


def horner(coefficients: Sequence[float], variable: str) -> str:
    """`(2.0 * z + 1.0) * z - 3.0`: an expression of C, C++ and Jinja."""
    text = repr(coefficients[0])
    for k, value in enumerate(coefficients[1:]):
        text = plus(f"({text}) * {variable}" if k else f"{text} * {variable}", value)
    return text
