"""Figures as PNG: the only home of matplotlib.

`canvas` is what all share, `calibration` draws one calibration, `runs` many beside each other.
"""

from tempfit.plots.calibration import draw_figures

__all__ = ["draw_figures"]
