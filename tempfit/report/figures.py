"""The figures of a report, as pictures that are part of the page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tempfit.calibration.filed import Record
from tempfit.exact.curve import Curve
from tempfit.plots.canvas import to_svg
from tempfit.plots.curve import draw_band_residuals, draw_bands
from tempfit.readings.paired import axis_label
from tempfit.report.observed import Observed
from tempfit.report.units import unit_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """uri: the picture itself, as data."""

    uri: str
    alt: str
    caption: str


def draw_pictures(record: Record, curve: Curve, observed: Observed | None) -> list[Picture]:
    """The curve with its bands, and the residuals where they are known."""
    x, y = (_label(record, axis) for axis in "xy")
    none = np.empty(0)
    t_u, t_c = (none, none) if observed is None else (observed.t_u, observed.t_c)
    trained_on = np.empty(0, dtype=bool) if observed is None else observed.trained_on
    over = " over the readings" if observed is not None else ""
    pictures = [
        _picture(
            draw_bands(curve, t_u, t_c, trained_on, (x, y)),
            f"The calibration curve{over}",
            f"The calibration curve{over}. Inner band: the curve itself; outer band: a single further observation; "
            f"each with a coverage probability of {100 * curve.coverage:g} %.",
        )
    ]
    if observed is not None:
        label = f"Residual ({record.setting('y_unit')})"
        pictures.append(
            _picture(
                draw_band_residuals(curve, t_u, observed.residual, trained_on, (x, label)),
                "Residuals against readings",
                "Residuals: the reference temperature less that of the curve, inside the same bands.",
            )
        )
    return pictures


def _label(record: Record, axis: str) -> str:
    return axis_label(str(record.setting(f"{axis}_quantity")), str(record.setting(axis)), unit_of(record, axis))


def _picture(figure: Figure, alt: str, caption: str) -> Picture:
    return Picture(f"data:image/svg+xml;base64,{base64.b64encode(to_svg(figure)).decode()}", alt, caption)
