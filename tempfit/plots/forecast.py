"""The figure of an Outlook: the loss against epochs under every scaling, foretold and, where it was trained, real."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from tempfit.forecast import format_rate
from tempfit.outlook import Outlook, Prospect
from tempfit.plots.canvas import COLOURS, GREY, label_log_axis, make_canvas
from tempfit.training import log_spaced

FEWEST_EPOCHS, MOST_EPOCHS = 10, 10_000_000  # that the axis shows; n_epochs allows no more
LINE_POINTS, RINGS = 600, 24  # of a foretold curve; of a real one, sparse enough to see the line between them
HEADROOM = 1e3  # times the highest start, where an explosion leaves the figure: shown whole, it would squash the others
DEPTH = 1e-12  # of the highest start: what is lower is the rounding of a perfect fit


def draw_outlook(outlook: Outlook) -> Figure:
    """Foretold losses as lines (exploding ones dashed, with a triangle at their overflow), real ones as rings.

    Where nothing can be foretold, the rings are joined to lines.
    """
    figure, axes = make_canvas("Epochs (updates made)", f"Loss ({outlook.readings.y_unit}²)")
    axes.set_yscale("log")
    axes.set_xscale("symlog", linthresh=1)
    end = _last_epoch(outlook)
    cut = HEADROOM * max(_start(prospect) for prospect in outlook.prospects)
    drawn = np.concatenate(
        [_draw(axes, prospect, colour, end, cut) for prospect, colour in zip(outlook.prospects, COLOURS, strict=False)]
    )
    lowest = outlook.lowest_loss
    if lowest is not None and lowest > cut / HEADROOM * DEPTH:
        axes.axhline(lowest, linestyle="--", color=GREY, linewidth=1, label="lowest possible loss")
        drawn = np.append(drawn, lowest)
    if outlook.config.n_epochs < end:
        label = f"the {outlook.config.n_epochs:,} epochs given"
        axes.axvline(outlook.config.n_epochs, linestyle=":", color=GREY, label=label)
    bottom = max(float(drawn.min()), cut / HEADROOM * DEPTH) / 2
    top = min(2 * float(drawn.max()), cut)
    axes.set_ylim(bottom, top)
    label_log_axis(axes, bottom, top)
    axes.set_xlim(0, end)
    title = f"What learning rate {format_rate(outlook.config.learning_rate)} does"
    axes.set_title(f"{title}\n(losses above {top:.0e} are cut off; ▲ marks the overflow)" if top == cut else title)
    handles, _ = axes.get_legend_handles_labels()
    if outlook.untold is None and outlook.chosen.fit is not None:
        handles.append(Line2D([], [], linestyle="", marker="o", color=GREY, markerfacecolor="none", label="trained"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _draw(axes: Axes, prospect: Prospect, colour: str, end: int, cut: float) -> NDArray[np.float64]:
    """The curves of one scaling; the losses that they go through."""
    curve, fit = prospect.forecast.curve, prospect.fit
    label = f"{prospect.config.scaling_label}: {prospect.seen if curve is None else prospect.foretold}"
    overflow = curve.overflow_epoch if curve is not None else fit and fit.diverged_at
    line = "--" if overflow is not None else "-"
    drawn = []
    if curve is not None:
        updates = log_spaced(1 + min(end, overflow - 2 if overflow else end), LINE_POINTS)
        shown = _up_to(curve.loss_after(updates), cut)
        drawn.append(curve.loss_after(updates[shown]))
        axes.plot(updates[shown], drawn[-1], line, color=colour, label=label)
    if fit is not None:
        few = fit.history.sample(RINGS if curve is not None else LINE_POINTS)
        shown = few[_up_to(fit.history.loss[few], cut)]
        drawn.append(fit.history.loss[shown])
        style = {"linestyle": "", "marker": "o", "markerfacecolor": "none"} if curve is not None else {"linestyle": line, "label": label}
        axes.plot(fit.history.updates[shown], drawn[-1], color=colour, **style)
    if overflow is not None and overflow <= end:
        axes.plot(overflow - 1, 1, "^", color=colour, clip_on=False, transform=axes.get_xaxis_transform())
    return np.concatenate(drawn)


def _up_to(losses: NDArray[np.float64], cut: float) -> slice:
    """The positions up to the first loss above `cut`, by which its line leaves the figure."""
    above = losses > cut
    return slice(0, int(np.argmax(above)) + 1 if above.any() else len(losses))


def _start(prospect: Prospect) -> float:
    """The loss before any update."""
    if prospect.fit is not None:
        return float(prospect.fit.history.loss[0])
    assert prospect.forecast.curve is not None  # what was not trained is drawn where it is foretold
    return float(prospect.forecast.curve.loss_after(0))


def _last_epoch(outlook: Outlook) -> int:
    """Where the axis ends: behind the last arrival, overflow or trained epoch."""
    ends = [FEWEST_EPOCHS]
    for prospect in outlook.prospects:
        curve, fit = prospect.forecast.curve, prospect.fit
        if curve is not None:
            ends.append(curve.overflow_epoch or curve.epochs_needed or outlook.config.n_epochs)
        if fit is not None:
            ends.append(fit.diverged_at or fit.n_epochs)
    return min(MOST_EPOCHS, round(1.3 * max(ends)))
