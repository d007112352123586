"""Figures of a Sweep: the loss curves of all members, and the map of two settings."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from tempfit.choices import idle_settings
from tempfit.plots.canvas import AXIS_LIMIT, BLUE, COLOURS, GREEN, GREY, ORANGE, label_log_axis, make_canvas, to_png
from tempfit.studies.grid import Axis
from tempfit.studies.ranking import LEAST
from tempfit.studies.sweep import Member, Sweep

ABOVE_START = 30.0  # times the highest start: where the axis ends, so that what explodes does not squash the rest
MOST_LABELS = 7  # along one side of the map
NAME_WIDTH, NAME_LINES, NAME_HEIGHT = 26, 4, 0.042  # characters and lines of a curve's name; a line's share of the axis
DIVERGED = "#EEEEEE"
MEASURES = {"loss": "loss", "rmse": "mean squared error", "validation_loss": "validation loss"}  # as an axis names them


def drawings(sweep: Sweep) -> dict[str, Callable[[Sweep], Figure]]:
    """What can be drawn of a sweep, by name; a map (or, of one axis, a profile) only where there is a grid."""
    axes = [axis for axis in sweep.axes if len(axis.values) > 1]
    second: dict[str, Callable[[Sweep], Figure]] = {}
    if len(axes) == 1:
        second = {"profile": lambda sweep: draw_profile(sweep, axes[0])}
    elif axes:
        second = {"map": lambda sweep: draw_map(sweep, *_two_axes(axes))}
    return {"losses": draw_losses, **second}


def draw_figures(sweep: Sweep) -> dict[str, bytes]:
    """Every figure of a sweep: file name → PNG."""
    return {f"{name}.png": to_png(draw(sweep)) for name, draw in drawings(sweep).items()}


def draw_losses(sweep: Sweep) -> Figure:
    """The loss of every member against updates on log axes; the best, the median and the worst named beside them."""
    figure, axes = make_canvas("Epochs (updates made)", f"Loss ({sweep.readings.y_unit}²)")
    sound = [member for member in sweep.ranked if not member.failed]
    first = "best" if sweep.axes else "lowest loss"
    told: dict[int, tuple[str, Member, str]] = {}
    if sound:  # (of few, a later name takes the place of an earlier one)
        named = [("median", sound[len(sound) // 2], "black"), ("worst", sound[-1], GREEN), (first, sound[0], ORANGE)]
        told = {id(member): (name, member, colour) for name, member, colour in named}
    for members, colour, label in ((sound, "#B0B0B0", "others"), (sweep.failed, BLUE, "diverged")):
        plain = [member for member in members if id(member) not in told]
        for number, member in enumerate(plain):
            style = {"color": colour, "linewidth": 0.8, "alpha": 0.6 if len(plain) > 12 else 0.9}
            _draw_curve(axes, member, label=f"{label} ({len(plain):,})" if number == 0 else None, **style)
    for _, member, colour in told.values():
        _draw_curve(axes, member, color=colour, linewidth=2)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_yscale("log")
    axes.set_xlim(0)
    losses = [member.calibration.fit.history.loss for member in sweep.members]
    lowest = min((loss[loss > 0].min() for loss in losses if (loss > 0).any()), default=1e-3)
    highest = min(ABOVE_START * max(loss[0] for loss in losses), AXIS_LIMIT)
    highest = max(min(highest, max(loss.max() for loss in losses) * 2), lowest * 2)
    axes.set_ylim(lowest / 2, highest)
    label_log_axis(axes, lowest, highest)
    labels = [(member.calibration.loss, f"{name}: {member.name}", colour) for name, member, colour in told.values()]
    if sweep.failed:
        first_to_go = sweep.ranked[-1]
        labels.append((highest, f"first to explode: {first_to_go.name}", BLUE))
    _name_curves(axes, labels)
    failed = f", {len(sweep.failed):,} diverged" if sweep.failed else ""
    axes.set_title(f"Loss of {len(sweep.members):,} configurations{failed}")
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def _name_curves(axes: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    """Names beside the right edge, (final loss, text, colour) each, at that height or as near as others let them be."""
    low, high = np.log(axes.get_ylim())
    texts = [wrap(text, NAME_WIDTH)[:NAME_LINES] for _, text, _ in labels]
    heights = [NAME_HEIGHT * (len(lines) + 0.5) for lines in texts]
    wanted = [(np.log(np.clip(loss, *axes.get_ylim())) - low) / (high - low) for loss, *_ in labels]
    top, places = 1.0, {}
    for k in sorted(range(len(labels)), key=lambda k: -wanted[k]):  # from above: below the one before
        places[k] = min(wanted[k], top - heights[k] / 2)
        top = places[k] - heights[k] / 2
    bottom = 0.0
    for k in reversed(list(places)):  # from below: what was pushed out comes back
        places[k] = max(places[k], bottom + heights[k] / 2)
        bottom = places[k] + heights[k] / 2
    for k, place in places.items():
        style: dict[str, Any] = {"color": labels[k][2], "fontsize": 8, "va": "center", "linespacing": 1.1}
        axes.text(1.015, place, "\n".join(texts[k]), transform=axes.transAxes, parse_math=False, **style)


def _draw_curve(axes: Axes, member: Member, **style: Any) -> None:
    history = member.calibration.fit.history
    shown = (history.loss > 0) & (history.loss < AXIS_LIMIT)
    axes.plot(history.updates[shown], history.loss[shown], **style)


def draw_profile(sweep: Sweep, axis: Axis) -> Figure:
    """The final loss against the one setting that was varied; the diverged at the upper edge."""
    figure, axes = make_canvas(axis.name, _final(sweep))
    sound = [member for member in sweep.members if not member.failed]
    values = np.array([max(sweep.score(member), LEAST) for member in sound])
    axes.set_yscale("log")
    style = "o-" if axis.is_numeric else "o"
    axes.plot([_place(axis, member) for member in sound], values, style, color=ORANGE, label="final loss")
    if len(values):
        label_log_axis(axes, values.min(), values.max())
        axes.set_ylim(values.min() / 1.5, values.max() * 2)
    if sweep.failed:
        places, top = [_place(axis, member) for member in sweep.failed], axes.get_ylim()[1]
        axes.plot(places, [top] * len(places), "x", color=BLUE, clip_on=False, label="diverged")
    if axis.name == "learning_rate":
        place = _between(axis, _critical(sweep.members[0]))
        if np.isfinite(place):
            axes.axvline(place, color=GREY, linestyle="--", linewidth=1, label="critical learning rate, forecast")
    _label_axis(axes.xaxis, axis)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    axes.set_title(f"What {axis.name} does")
    return figure


def draw_map(sweep: Sweep, x: Axis, y: Axis) -> Figure:
    """Two settings, coloured by the final loss; where several members share a cell, by the best of them.

    Cells whose members all diverged are hatched; over them the forecast's critical learning rate, if it is one of the
    two.
    """
    figure, axes = make_canvas(x.name, y.name)
    axes.grid(visible=False)
    best = np.full((len(y.values), len(x.values)), np.nan)
    tried = np.zeros(best.shape, dtype=bool)
    for member in sweep.members:
        for cell in itertools.product(_places(y, member), _places(x, member)):
            tried[cell] = True
            if not member.failed:
                best[cell] = np.nanmin([best[cell], max(sweep.score(member), LEAST)])
    failed = tried & np.isnan(best)
    edges = [np.arange(len(axis.values) + 1) - 0.5 for axis in (x, y)]
    if np.isfinite(best).any():
        low = np.nanmin(best)
        high = max(np.nanmax(best), 1.01 * low)
        mesh = axes.pcolormesh(*edges, np.ma.masked_invalid(best), norm=LogNorm(low, high), cmap="viridis_r")
        bar = figure.colorbar(mesh, ax=axes, label=_final(sweep))
        label_log_axis(bar.ax, low, high)
    for row, column in zip(*np.nonzero(failed), strict=True):
        corner = (column - 0.5, row - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, facecolor=DIVERGED, edgecolor=GREY, hatch="////", linewidth=0))
    handles = [Patch(facecolor=DIVERGED, edgecolor=GREY, hatch="////", label="diverged")] if failed.any() else []
    if "learning_rate" in (x.name, y.name):
        handles += _draw_critical(axes, sweep, x, y)
    _label_axis(axes.xaxis, x)
    _label_axis(axes.yaxis, y)
    others = sum(len(axis.values) > 1 for axis in sweep.axes) > 2
    axes.set_title(f"Final loss{' (the best over the other settings)' if others else ''}")
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _final(sweep: Sweep) -> str:
    return f"Final {MEASURES[sweep.measure]} ({sweep.readings.y_unit}²)"


def _draw_critical(axes: Axes, sweep: Sweep, x: Axis, y: Axis) -> list[Any]:
    """The critical learning rates along the other setting (several where a third moves them); one handle of them."""
    across = x.name == "learning_rate"
    rate, other = (x, y) if across else (y, x)
    steps = {
        (number, round(_between(rate, _critical(member)), 6))
        for member in sweep.members
        for number in _places(other, member)
    }
    handles: list[Any] = []
    for number, place in sorted(step for step in steps if np.isfinite(step[1])):
        ends = (number - 0.5, number + 0.5)
        points = ((place, place), ends) if across else (ends, (place, place))
        (line,) = axes.plot(*points, color=COLOURS[1], linewidth=2, label="critical learning rate, forecast")
        handles = handles or [line]
    return handles


def _two_axes(axes: list[Axis]) -> tuple[Axis, Axis]:
    """The learning rate to the right if it was varied, and the longest of the others; else the two longest."""
    ordered = sorted(axes, key=lambda axis: (axis.name != "learning_rate", -len(axis.values)))
    return ordered[0], ordered[1]


def _critical(member: Member) -> float:
    """The forecast's critical learning rate; NaN where it is no border: other update rules, clipping, other losses."""
    forecast = member.calibration.forecast
    config = member.trial.config
    is_border = config.optimizer == "sgd" and config.clip_norm is None and config.loss == "squared"
    return forecast.critical_learning_rate if is_border and member.calibration.is_linear else float("nan")


def _place(axis: Axis, member: Member) -> int:
    """The number of the member's value along the axis."""
    return axis.values.index(getattr(member.trial.config, axis.name))


def _places(axis: Axis, member: Member) -> Sequence[int]:
    """The same; all numbers where the setting plays no part, so that one member stands for all its values."""
    if axis.name in idle_settings(member.trial.config.model_dump()):
        return range(len(axis.values))
    return [_place(axis, member)]


def _between(axis: Axis, value: float) -> float:
    """Where a value stands between the numbers of an ascending axis's values; NaN elsewhere."""
    if not axis.is_numeric or not np.isfinite(value):
        return float("nan")
    values = np.array(axis.values, dtype=np.float64)
    if not (np.diff(values) > 0).all():
        return float("nan")
    if axis.is_log:
        values, value = np.log(values), float(np.log(value))
    return float(np.interp(value, values, np.arange(len(values)), left=np.nan, right=np.nan))


def _label_axis(side: Any, axis: Axis) -> None:
    step = -(-len(axis.values) // MOST_LABELS)
    shown = range(0, len(axis.values), step)
    side.set_ticks(list(shown), [axis.write(axis.values[number]) for number in shown])
