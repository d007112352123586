"""A sensor of ESPHome."""

from __future__ import annotations

from typing import Any

from tempfit.errors import SettingsError
from tempfit.export.expressions import horner
from tempfit.export.fragment import Fragment
from tempfit.export.text import one_line, with_comments
from tempfit.export.yaml_sensor import as_yaml, temperature

NAME = "Calibrated temperature"
HEAD = "sensor:\n"  # of one, and of many


def check_name(name: str) -> None:
    """Raise SettingsError for a name that ESPHome would change."""
    _refuse_substitution("`name`", name)


def write(fragment: Fragment) -> str:
    """A sensor that copies the user's own, calibrated.

    A line is `multiply` and then `offset`, filters that are applied in the order written; `calibrate_linear` would take
    two points and make w and b of them again. A polynomial is a lambda in double precision, because
    `calibrate_polynomial` refits points and sums raw powers in single precision. (ESPHome: components/sensor/filter,
    lambda, and components/copy.) ESPHome's sensors hold single-precision numbers, so 7 digits are left of any.
    """
    return with_comments(_comments(fragment), "#", HEAD + _sensor(fragment))


def write_entry(fragment: Fragment) -> str:
    """One of many sensors."""
    return with_comments(_comments(fragment), "#", _sensor(fragment))


def _comments(fragment: Fragment) -> list[str]:
    how = "source_id is the id of your sensor; or put the filters under that sensor itself."
    return [*fragment.comments, how]


def _sensor(fragment: Fragment) -> str:
    _refuse_substitution("y_unit", fragment.config.y_unit)
    curve = fragment.curve
    if curve.is_line:
        filters: list[dict[str, Any]] = [{"multiply": curve.w}, {"offset": curve.b}]
    else:
        filters = [{"lambda": f"const double z = {fragment.scaled('x')}; return {horner(fragment.powers, 'z')};"}]
    sensor = {
        "platform": "copy",
        "source_id": fragment.origin.slug,
        "name": fragment.name,
        **temperature(fragment),
        "accuracy_decimals": fragment.decimals(0, 6),
        "filters": filters,
    }
    return as_yaml([sensor])


def _refuse_substitution(what: str, text: str) -> None:
    if "$" in text:
        raise SettingsError(f"{what}: {one_line(text)!r}: ESPHome would replace what follows the $; write it without")
