"""Recorded runs over each other: their loss curves, and the lines that they found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from tempfit.plots.canvas import AXIS_LIMIT, COLOURS, GREY, label_log_axis, make_panels
from tempfit.readings.paired import axis_label
from tempfit.studies.compare import Comparison, RecordedLoss, RecordedRun
from tempfit.words import Outcome

FEW = len(COLOURS)  # runs that a legend can tell apart; more are coloured by how good they are
LEGEND_ROW, LEGEND_CHARACTERS = 0.22, 180  # inches, and what fits beside each other at this font's width
THIN, THICK = 1.4, 4.0  # widths of lines, in points
EXTENDS: dict[tuple[bool, bool], Literal["neither", "min", "max", "both"]] = {  # the arrows of a bar of colours
    (False, False): "neither",
    (True, False): "min",
    (False, True): "max",
    (True, True): "both",
}
ABOVE_START = 30  # times the highest start: how far a loss that explodes is followed


def draw_runs(comparison: Comparison, curves: Mapping[str, RecordedLoss]) -> Figure:
    """Left the loss against updates on log axes, right the lines over the range of the readings.

    Up to 8 runs have a legend with what differs between them, more are coloured by what orders them. What diverged is
    dashed, and has no line; neither has a network, whose parameters are no metrics. curves: by run id.
    """
    runs = comparison.runs
    few = len(runs) <= FEW
    labels = [_label(comparison, run) for run in runs]
    n_columns = max(1, min(3, LEGEND_CHARACTERS // max(len(label) for label in labels)))
    n_legend_rows = -(-len(runs) // n_columns) if few else 1
    unit = comparison.common("y_unit")
    figure, (left, right) = make_panels(
        ("Epochs (updates made)", f"Loss ({_plain(unit)}²)" if unit else "Loss"),
        (_axis_label(comparison, "x", "Reading"), _axis_label(comparison, "y", "Reference")),
        extra_height=LEGEND_ROW * n_legend_rows,
    )
    shades = list(COLOURS[: len(runs)]) if few else _shade(figure, right, comparison)
    handles = []
    for rank, (run, colour) in reversed(list(enumerate(zip(runs, shades, strict=True)))):  # the best on top
        # Curves that lie on each other stay visible: the better one is thinner, and on top.
        width = THIN if run.diverged or not few else THIN + (THICK - THIN) * rank / max(1, len(runs) - 1)
        style = {"color": colour, "linewidth": width}
        dashes: Literal["--", "-"] = "--" if run.diverged else "-"
        updates, loss = _finite(curves[run.run_id])
        left.plot(updates, loss, dashes, marker="o" if len(loss) == 1 else "", **style)
        _draw_line(right, run, style)
        handles.append(Line2D([], [], linestyle=dashes, color=colour, linewidth=2))
    _scale_loss(left, runs, curves)
    _scale_lines(right, runs)
    n_diverged = sum(run.diverged for run in runs)
    left.set_title(f"Loss of {len(runs):,} runs" + (f", {n_diverged:,} diverged" if n_diverged else ""))
    if few:
        figure.legend(handles[::-1], labels, loc="outside lower left", ncols=n_columns, frameon=False)
    elif n_diverged:
        dashed = Line2D([], [], linestyle="--", color=GREY)
        figure.legend([dashed], [f"diverged ({n_diverged:,})"], loc="outside lower left", frameon=False)
    return figure


def _label(comparison: Comparison, run: RecordedRun) -> str:
    """`ac05b8a2: scaling none, learning_rate 0.01 (diverged at epoch 88)`."""
    differences = ", ".join(f"{name} {value}" for name, value in comparison.written(run).items() if value)
    if len(differences) > LEGEND_CHARACTERS // 2:
        differences = f"{differences[: LEGEND_CHARACTERS // 2]} …"
    parts = [comparison.short_id(run), *([differences] if differences else [])]
    on_its_way = run.diverged and not run.overflowed
    notes = [Outcome.EXPLODES if on_its_way else run.status] if run.diverged or "loss" not in run.metrics else []
    notes += ["no line drawn"] if not notes and not run.coefficients else []
    return _plain(": ".join(parts) + "".join(f" ({note})" for note in notes))


def _axis_label(comparison: Comparison, axis: str, otherwise: str) -> str:
    """As on a calibration's figures where all runs agree on it."""
    quantity, name, unit = (comparison.common(key) for key in (f"{axis}_quantity", axis, f"{axis}_unit"))
    return _plain(axis_label(quantity, name, unit)) if None not in (quantity, name, unit) else otherwise


def _plain(text: str) -> str:
    """Text as it is: matplotlib would read what is between two dollars as mathematics."""
    return text.replace("$", r"\$")


def _shade(figure: Figure, axes: Axes, comparison: Comparison) -> list[Any]:
    """A colour for every run by its loss, with a bar beside the axes that says which; diverged ones are grey."""
    measure = comparison.measure
    measured = [None if run.diverged else run.metric(measure) for run in comparison.runs]
    values = np.array([np.nan if value is None else value for value in measured])
    finite = values[values > 0]
    low, high = _colour_range(finite)
    norm = LogNorm(low, high, clip=True) if high > 30 * low else Normalize(low, high, clip=True)
    palette = colormaps["viridis"]
    if len(finite):
        beyond = (bool(finite.min() < low), bool(finite.max() > high))
        figure.colorbar(
            ScalarMappable(norm, palette), ax=axes, label=f"Final {measure.replace('_', ' ')}", extend=EXTENDS[beyond]
        )
    return [palette(norm(value)) if np.isfinite(value) else GREY for value in values]


def _colour_range(values: NDArray[np.float64]) -> tuple[float, float]:
    """Four decades around the median at most: one run on its way to 1e300 would leave the others one colour."""
    if not len(values):
        return 0.9, 1.1
    median = float(np.median(values))
    low, high = max(values.min(), median / 1e4), min(values.max(), median * 1e4)
    return (low, high) if high > low * (1 + 1e-6) else (0.9 * low, 1.1 * high)


def _finite(curve: RecordedLoss) -> tuple[Any, Any]:
    """What a log axis has a place for: neither 0 nor 1e308."""
    shown = (curve.loss > 0) & (curve.loss < AXIS_LIMIT)
    return curve.updates[shown], curve.loss[shown]


def _draw_line(axes: Axes, run: RecordedRun, style: Mapping[str, Any]) -> None:
    if run.data is None or run.data.t_u is None or not run.coefficients:
        return
    t_u = np.linspace(*run.data.t_u, 2 if len(run.coefficients) == 2 else 300)
    axes.plot(t_u, np.polyval(run.coefficients, t_u - run.setting("t0")), **style)


def _scale_loss(axes: Axes, runs: Sequence[RecordedRun], curves: Mapping[str, RecordedLoss]) -> None:
    """Log axes; a loss that explodes is followed out of the window, not to 1e290, which would flatten all others."""
    axes.set_yscale("log")
    axes.set_xscale("symlog", linthresh=1)
    drawn = [curve for curve in (_finite(curves[run.run_id]) for run in runs) if len(curve[0])]
    if not drawn:
        return
    axes.set_xlim(0, max(1, *(updates[-1] for updates, _ in drawn)) * 1.15)
    lowest = min(loss.min() for _, loss in drawn)
    highest = min(max(loss.max() for _, loss in drawn), ABOVE_START * max(loss[0] for _, loss in drawn))
    axes.set_ylim(lowest / 2, highest * 2)
    label_log_axis(axes, lowest, highest)


def _scale_lines(axes: Axes, runs: Sequence[RecordedRun]) -> None:
    """The window of the readings: a line far from them leaves it."""
    axes.set_title(f"Lines of {len(axes.lines):,} runs")
    ranges = [run.data.t_c for run in runs if run.data is not None and run.data.t_c is not None]
    if not axes.lines:
        axes.set_axis_off()
        axes.set_title("No lines: none was found, or the range of the readings is not recorded")
    elif ranges:
        low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
        margin = 0.25 * (high - low) or 1.0
        axes.set_ylim(low - margin, high + margin)
