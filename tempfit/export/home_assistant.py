"""A template sensor of Home Assistant."""

from __future__ import annotations

import json
from textwrap import indent

from tempfit.export.expressions import horner
from tempfit.export.fragment import Fragment
from tempfit.export.text import with_comments
from tempfit.export.yaml_sensor import as_yaml, temperature

NAME = "Calibrated temperature"
HEAD = "template:\n- sensor:\n"  # of one, and of many


def write(fragment: Fragment) -> str:
    """A template sensor of configuration.yaml.

    Not the integration `compensation`: that takes points, fits a polynomial of degree 7 at most to them again, and
    rounds its result to a `precision`; a template computes in double precision with the very coefficients. (Home
    Assistant: integrations/template, template-functions/has_value; components/compensation in its source.)
    """
    return with_comments(_comments(fragment), "#", HEAD + _sensor(fragment))


def write_entry(fragment: Fragment) -> str:
    """One of many sensors."""
    return with_comments(_comments(fragment), "#", _sensor(fragment))


def _comments(fragment: Fragment) -> list[str]:
    return [*fragment.comments, f"Replace sensor.{fragment.origin.slug} by the entity of your sensor."]


def _sensor(fragment: Fragment) -> str:
    entity = json.dumps(f"sensor.{fragment.origin.slug}")
    reading = f"(states({entity}) | float)"
    if fragment.curve.is_line:
        state = f"{{{{ {fragment.formula(reading)} }}}}"
    else:
        state = f"{{% set z = {fragment.scaled(reading)} %}}{{{{ {horner(fragment.powers, 'z')} }}}}"
    sensor = {
        "name": _literal(fragment.name),
        "unique_id": f"tempfit_{fragment.origin.key[:16]}",
        **temperature(fragment),
        "state": state,
        "availability": f"{{{{ has_value({entity}) }}}}",
    }
    return indent(as_yaml([sensor]), "  ")


def _literal(text: str) -> str:
    """Text as a template of Home Assistant that renders to it."""
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if "{" in text else text
