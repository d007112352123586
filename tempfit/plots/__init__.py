"""Figures as PNG, or as SVG for a report: the only home of matplotlib. It stands on what it draws, up to `studies`.

`canvas` is what all share; `calibration` draws one calibration, `sweep` many configurations, `runs` recorded runs
beside each other, `forecast` what a learning rate will do, `curve` a calibration curve with its bands.
"""

from tempfit.plots.calibration import draw_figures

__all__ = ["draw_figures"]
