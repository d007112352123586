"""Numbers as a report states them: an uncertainty with two significant digits, its value to the same place.

JCGM 100:2008 (GUM), 7.2.6. Halves are rounded away from zero (ISO 80000-1:2009, annex B, rule B), counting from the
shortest decimal number that is the float: 0.125 becomes 0.13, and so does what was typed as 0.125.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal

import numpy as np
from numpy.typing import NDArray

DIGITS = 2  # of an uncertainty
PLAIN = 7  # digits of a value whose uncertainty nobody knows
MOST_DIGITS = 17  # that a float has
MOST_DECIMALS, MOST_ZEROS = 8, 4  # written out; beyond them, numbers take a power of ten
NONE = "—"
NO_BREAK = "\u00a0"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Stated:
    """Numbers rounded to one place: their digits, aligned, and the power of ten that all of them are to be taken times.

    Of numbers that are not finite, the digits are — or ∞.
    """

    texts: tuple[str, ...]
    power: int = 0

    @property
    def factor(self) -> str:
        """` × 10³`; nothing where the power is 0."""
        return f"{NO_BREAK}×{NO_BREAK}{power_of_ten(self.power)}" if self.power else ""


def power_of_ten(power: int) -> str:
    """`10⁻³`."""
    return f"10{str(power).translate(SUPERSCRIPTS)}"


def last_place(uncertainty: float, digits: int = DIGITS) -> int | None:
    """The power of ten of the last digit that is shown, where `digits` of the uncertainty are: −2 for 0.0995 (0.10).

    None where it says nothing: at 0, NaN and infinity.
    """
    if not 0 < abs(uncertainty) < math.inf:
        return None
    rounded = Context(prec=digits, rounding=ROUND_HALF_UP).create_decimal(repr(float(uncertainty)))
    return rounded.adjusted() - digits + 1


def state(values: Iterable[float] | NDArray[np.float64], place: int | None) -> Stated:
    """Values rounded to the digit 10**place, all with the same number of decimals; by PLAIN digits where it is None.

    Where that would show zeros that mean nothing, or too many of them, with a power of ten beside them.
    """
    values = [float(value) for value in values]
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    top = _top(largest)
    if place is None:
        place = max(top - PLAIN + 1, _most_decimals(values))
    place = max(place, top - MOST_DIGITS + 1)
    plain = -MOST_DECIMALS <= place <= 0 and top >= -MOST_ZEROS
    power = 0 if plain else max(top, place)
    return Stated(tuple(_digits(value, place, power) for value in values), power)


def state_pair(value: float, uncertainty: float) -> tuple[Stated, Stated]:
    """A value and its uncertainty, to the same place and by the same power of ten.

    An uncertainty that is 0, or beyond the digits of the float it belongs to, stands for itself.
    """
    place = last_place(uncertainty)
    if place is None or (value and place < _top(value) - MOST_DIGITS + 1):
        return state([value], place), state([uncertainty], place)
    both = state((value, uncertainty), place)
    return Stated(both.texts[:1], both.power), Stated(both.texts[1:], both.power)


def state_one(value: float, digits: int) -> str:
    """A number with `digits` significant digits, and a power of ten where it needs one: `2.26`, `1.20 × 10⁻¹²`."""
    stated = state([value], last_place(value, digits))
    return f"{stated.texts[0]}{stated.factor}"


def whole(value: float) -> str:
    """Every digit that the float has, for computing: `2.8967868628745172 × 10⁻⁵`."""
    mantissa, _, power = repr(float(value)).replace("-", "−", 1 if value < 0 else 0).partition("e")
    return f"{mantissa}{Stated((), int(power or 0)).factor}"


def measured_one(value: float) -> str:
    """A value as it was measured or chosen, with its power of ten, if it needs one."""
    stated = measured([value])
    return f"{stated.texts[0]}{stated.factor}"


def measured(values: Sequence[float] | NDArray[np.float64]) -> Stated:
    """Values as they were measured: with as many decimals as the one that has the most of them."""
    return state(values, _most_decimals(values))


def _top(value: float) -> int:
    """The power of ten of the first digit; 0 where there is none."""
    return math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0


def _most_decimals(values: Iterable[float] | NDArray[np.float64]) -> int:
    """The power of ten of the last digit that is not 0 in all values, of 15: the others are the float's rounding."""
    written = (Decimal(f"{value:.15g}").normalize() for value in values if value and math.isfinite(value))
    places = [(number.adjusted(), int(number.as_tuple().exponent)) for number in written]
    return min((min(place, 0) if top < 15 else place for top, place in places), default=0)


def _digits(value: float, place: int, power: int) -> str:
    if math.isnan(value):
        return NONE
    sign = "−" if value < 0 else ""
    if math.isinf(value):
        return f"{sign}∞"
    context = Context(prec=60, rounding=ROUND_HALF_UP)
    rounded = context.quantize(Decimal(repr(abs(value))), Decimal(1).scaleb(place)).scaleb(-power)
    return f"{'' if rounded.is_zero() else sign}{rounded:f}"
