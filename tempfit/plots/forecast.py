"""The figure of an Outlook: the loss against epochs under every scaling, foretold and, where it was trained, real."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from tempfit.config import MOST_EPOCHS
from tempfit.descent.history import log_spaced
from tempfit.plots.canvas import COLOURS, GREY, label_log_axis, make_canvas
from tempfit.studies.outlook import Outlook, Prospect
from tempfit.wording import format_rate

FEWEST_EPOCHS = 10  # that the axis shows
LINE_POINTS, RINGS = 600, 24  # of a foretold curve; of a real one, sparse enough to see the line between them
HEADROOM = 1e3  # times the start of those that do not explode: an explosion shown whole would squash them
DEPTH = 1e-20  # of the lowest start: what is lower is the rounding of a perfect fit


def draw_outlook(outlook: Outlook) -> Figure:
    """Foretold losses as lines (exploding ones dashed, with a triangle at their overflow), real ones as rings.

    Where nothing can be foretold, the lines are the real losses; there has to be one or the other.
    """
    figure, axes = make_canvas("Epochs (updates made)", f"Loss ({outlook.readings.y_unit}²)")
    axes.set_xscale("symlog", linthresh=1)
    end = _last_epoch(outlook)
    axes.set_xlim(-0.15, end)  # room for the rings at 0
    calm = [prospect for prospect in outlook.prospects if _overflow_epoch(prospect) is None] or outlook.prospects
    cut = HEADROOM * max(_start(prospect) for prospect in calm)
    drawn = np.concatenate(
        [_draw(axes, prospect, colour, end, cut) for prospect, colour in zip(outlook.prospects, COLOURS, strict=False)]
    )
    starts = [start for start in map(_start, outlook.prospects) if start > 0]
    deepest = DEPTH * min(starts, default=1.0)
    lowest = outlook.lowest_loss
    if lowest is not None and lowest > deepest:
        axes.axhline(lowest, linestyle="--", color=GREY, linewidth=1, label="lowest possible loss")
        drawn = np.append(drawn, lowest)
    if outlook.config.n_epochs < end:
        label = f"the {outlook.config.n_epochs:,} epochs given"
        axes.axvline(outlook.config.n_epochs, linestyle=":", color=GREY, label=label)
    title = f"What learning rate {format_rate(outlook.config.learning_rate)} does"
    if cut > 0:  # a log axis cannot show a start without any loss
        bottom, top = max(float(drawn.min()), deepest) / 2, min(2 * float(drawn.max()), cut)
        axes.set_ylim(bottom, top)  # before the scale, which would pad what an explosion reached at its first step
        axes.set_yscale("log")
        label_log_axis(axes, bottom, top)
        if top == cut:
            title += f"\n(losses above {top:.0e} are cut off; ▲ marks the overflow)"
    axes.set_title(title)
    handles, _ = axes.get_legend_handles_labels()
    if outlook.untold is None and outlook.chosen.fit is not None:
        handles.append(Line2D([], [], linestyle="", marker="o", color=GREY, fillstyle="none", label="trained"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize="small")
    return figure


def _draw(axes: Axes, prospect: Prospect, colour: str, end: int, cut: float) -> NDArray[np.float64]:
    """The curves of one scaling; the losses that they go through."""
    curve, fit = prospect.forecast.loss_curve, prospect.fit
    label = f"{prospect.config.scaling_label}: {prospect.seen if curve is None else prospect.foretold}"
    overflow = _overflow_epoch(prospect)
    line = "--" if overflow is not None else "-"
    drawn = []
    if curve is not None:
        updates = log_spaced(1 + min(end, overflow - 2 if overflow else end), LINE_POINTS)
        losses = _up_to(cut, curve.loss_after(updates))
        drawn.append(losses)
        axes.plot(updates[: len(losses)], losses, line, color=colour, label=label)
    if fit is not None and curve is not None:
        few = fit.history.sample(RINGS)
        few = few[fit.history.loss[few] <= cut]
        axes.plot(fit.history.updates[few], fit.history.loss[few], "o", color=colour, fillstyle="none")
    elif fit is not None:
        few = fit.history.sample(LINE_POINTS)
        losses = _up_to(cut, fit.history.loss[few])
        drawn.append(losses)
        axes.plot(fit.history.updates[few[: len(losses)]], losses, line, color=colour, label=label)
    if overflow is not None and overflow <= end:
        axes.plot(overflow - 1, 1, "^", color=colour, clip_on=False, transform=axes.get_xaxis_transform())
    return np.concatenate(drawn)


def _up_to(cut: float, losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """The losses up to the first above `cut`, by which their line leaves the figure."""
    above = losses > cut
    return losses[: int(np.argmax(above)) + 1] if above.any() else losses


def _overflow_epoch(prospect: Prospect) -> int | None:
    """As foretold, or as seen where nothing is."""
    if prospect.forecast.loss_curve is None and prospect.fit is not None:
        return prospect.fit.diverged_at
    return prospect.forecast.overflow_epoch


def _start(prospect: Prospect) -> float:
    """The loss before any update."""
    if prospect.fit is not None:
        return float(prospect.fit.history.loss[0])
    assert prospect.forecast.loss_curve is not None  # what was not trained is drawn where it is foretold
    return float(prospect.forecast.loss_curve.loss_after(0))


def _last_epoch(outlook: Outlook) -> int:
    """Where the axis ends: behind the last arrival, overflow or trained epoch."""
    ends = [FEWEST_EPOCHS]
    for prospect in outlook.prospects:
        curve, fit = prospect.forecast.loss_curve, prospect.fit
        if curve is not None:
            told = curve.overflow_epoch if curve.overflow_epoch is not None else curve.epochs_needed
            ends.append(outlook.config.n_epochs if told is None else told)
        if fit is not None:
            ends.append(fit.diverged_at or fit.n_epochs)
    return min(MOST_EPOCHS, round(1.3 * max(ends)))
