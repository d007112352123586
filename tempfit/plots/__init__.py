"""Figures as PNG: the only home of matplotlib.

`canvas` is what all share; `calibration` draws one calibration, `sweep` many configurations, `runs` recorded runs
beside each other, `forecast` what a learning rate will do.
"""

from tempfit.plots.calibration import draw_figures

__all__ = ["draw_figures"]
