"""What no line can be fitted to, in the words that say so: of all readings of a thermometer together."""

from __future__ import annotations

from tempfit.errors import ReadingsError
from tempfit.readings.columns import LARGEST_VALUE
from tempfit.wording import shown

MIN_ROWS = 3  # a line has two parameters; the third reading is the first that says anything about its uncertainty
SAME = 1e-14  # of the largest reading: the standard deviation of readings that count as the same


def refuse_too_few(place: str, n: int, n_dropped: int) -> None:
    """Raise ReadingsError where n readings cannot carry a line; `place` opens the message, here and below."""
    if n >= MIN_ROWS:
        return
    dropped = f" ({n_dropped} dropped for a missing value)" if n_dropped else ""
    held = f"{n} usable {'row' if n == 1 else 'rows'}" if n else "no usable rows"
    raise ReadingsError(f"{place}: {held}{dropped}; a line and its uncertainty need at least {MIN_ROWS}: add readings")


def refuse_identical(place: str, x: str, n: int, first: float, largest: float, spread: float) -> None:
    """Raise ReadingsError where all readings count as the same.

    x: their column. first: the first of them. largest: by size. spread: their standard deviation.
    """
    if spread <= max(SAME * largest, 1 / LARGEST_VALUE):
        raise ReadingsError(
            f"{place}: column {shown(x)}: all {n} values are (nearly) the same, {first:g}; "
            "a line needs readings at different temperatures"
        )


def refuse_vanishing(place: str, y: str, largest: float) -> None:
    """Raise ReadingsError where squares of the references underflow. y: their column. largest: by size."""
    if 0 < largest < 1 / LARGEST_VALUE:
        raise ReadingsError(
            f"{place}: column {shown(y)}: no value is larger than {largest:g}, and squares of values below "
            f"{1 / LARGEST_VALUE:g} are beyond float64; use a smaller unit"
        )
