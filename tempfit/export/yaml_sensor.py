"""What ESPHome and Home Assistant have in common: YAML, and how both call a temperature."""

from __future__ import annotations

import math
from typing import Any

from tempfit.export.fragment import Fragment
from tempfit.export.text import is_plain

TEMPERATURE_UNITS = ("°C", "°F", "K")  # those that Home Assistant takes for its device class temperature


def temperature(fragment: Fragment) -> dict[str, str]:
    """Unit and classes, by the same names for ESPHome and Home Assistant."""
    device_class = {"device_class": "temperature"} if fragment.config.y_unit in TEMPERATURE_UNITS else {}
    return {"unit_of_measurement": fragment.config.y_unit, **device_class, "state_class": "measurement"}


def as_yaml(values: Any) -> str:
    """As YAML; everything beyond ASCII is escaped where some of it cannot be seen."""
    import yaml

    text = str(yaml.safe_dump(values, allow_unicode=True, sort_keys=False, width=math.inf))
    return text if is_plain(text) else str(yaml.safe_dump(values, sort_keys=False, width=math.inf))
