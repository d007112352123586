"""A fleet in pictures: how w, b and s are spread, the worst one by one, and what more readings would give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from tempfit.config import ReadingsConfig
from tempfit.exact.curve import Curve
from tempfit.fleet.again import SomeRows
from tempfit.fleet.fleet import Fleet
from tempfit.fleet.lookup import FleetTable
from tempfit.plots.canvas import BLUE, GREY, ORANGE, SIZE, Picture, label_log_axis, make_canvas, make_panels, to_png
from tempfit.readings.columns import LARGEST_VALUE
from tempfit.readings.paired import axis_label
from tempfit.wording import printable

FEW = 200  # sensors that are dots; more are counted in bins
BINS = 60
ALL_NAMED, NAMED = 15, 3  # sensors that are all named; else so many of the odd ones
LONGEST = 18  # characters of a name in a picture
COLUMNS = ("thermometer", "n", "uncertainty_observation_sd", "uncertainty_coverage_factor", "fleet_accused_by")
WHAT = {"w": "Slope w", "b": "Intercept b", "s": "Standard deviation s"}

Floats = NDArray[np.float64]


def draw_fleet(fleet: Fleet, rows: Mapping[str, SomeRows], curves: Mapping[str, Curve]) -> dict[str, bytes]:
    """Every figure as PNG by its file's name; none where every sensor diverged.

    rows, curves: of the worst sensors, by name.
    """
    table = FleetTable(fleet.table)
    is_line = "w" in table.columns
    names = [*COLUMNS, *(("w", "b") if is_line else ())]
    blocks = [block.to_pandas() for block in table.blocks([name for name in names if name in table.columns])]
    columns = {name: np.concatenate([block[name].to_numpy() for block in blocks]) for name in names}
    s = columns.pop("uncertainty_observation_sd").astype(float)
    figured = [s, *(columns[name].astype(float) for name in ("w", "b") if name in columns)]
    kept = np.logical_and.reduce([np.abs(column) < LARGEST_VALUE for column in figured])  # not what diverged
    if not kept.any():
        return {}
    odd = np.array([told is not None and len(told) > 0 for told in columns["fleet_accused_by"]])[kept]
    told = {name: columns[name][kept].astype(float) for name in ("w", "b") if name in columns} | {"s": s[kept]}
    n = columns["n"][kept].astype(float)
    factor = columns["uncertainty_coverage_factor"][kept].astype(float)
    figures = {
        "fleet.png": draw_spread(told, odd, columns["thermometer"][kept].tolist(), fleet.config),
        "readings.png": draw_readings(n, factor * s[kept] / np.sqrt(n), odd, fleet.config),
    }
    if rows:
        figures["worst.png"] = draw_worst(rows, curves, fleet.config)
    return {name: to_png(figure) for name, figure in figures.items()}


def draw_spread(
    values: Mapping[str, Floats], odd: NDArray[np.bool_], names: Sequence[str], config: ReadingsConfig
) -> Figure:
    """A panel for each of w, b and s, (sensors,): dots where there are few, else bins; those odd stand out.

    Where odd ones lie so far off that the others would be a stroke, the axis ends before them, and says how many.
    """
    units = {"w": f"{config.y_unit} per unit of {config.x}", "b": config.y_unit, "s": config.y_unit}
    figure, panels = make_panels(*((f"{WHAT[name]} ({units[name]})", "") for name in values))
    for axes, column in zip(panels, values.values(), strict=True):
        low, high = _range(column)
        inside = (column >= low) & (column <= high)
        if len(column) <= FEW:
            _draw_dots(axes, column, odd, names, inside)
        else:
            counts = axes.hist(column[inside], bins=BINS, range=(low, high), color=BLUE, alpha=0.75)[0]
            axes.plot(
                column[inside & odd], np.full((inside & odd).sum(), -0.03 * max(1, np.max(counts))), "|", color=ORANGE
            )
            axes.set_ylabel("Sensors")
        axes.axvline(float(np.median(column)), color=GREY, linewidth=1)
        if (n_beyond := int((~inside).sum())) > 0:
            axes.set_title(f"{n_beyond:,} beyond the axis", fontsize=10, color=ORANGE)
        pad = 0.03 * (high - low) or abs(high) * 1e-3 or 1.0
        axes.set_xlim(low - pad, high + pad)
        axes.ticklabel_format(axis="x", useOffset=False)
        axes.tick_params(axis="x", labelrotation=20)
    figure.suptitle(f"{len(odd):,} sensors, {int(odd.sum()):,} odd among them" if len(odd) != 1 else "1 sensor")
    return figure


def _range(values: Floats) -> tuple[float, float]:
    """What the axis shows: all of it, but for what lies ten times as far off as the middle 98 % are wide."""
    low, high = np.quantile(values, [0.01, 0.99])
    reach = 3 * (high - low)
    near = values[(values >= low - reach) & (values <= high + reach)]
    return float(near.min()), float(near.max())


def _draw_dots(
    axes: Axes, column: Floats, odd: NDArray[np.bool_], names: Sequence[str], inside: NDArray[np.bool_]
) -> None:
    """Dots in the order of their values, the odd ones with their names."""
    order = np.argsort(column)
    rank = np.empty(len(column))
    rank[order] = np.arange(len(column))
    axes.plot(column[inside & ~odd], rank[inside & ~odd], "o", color=BLUE, markersize=5)
    axes.plot(column[inside & odd], rank[inside & odd], "D", color=ORANGE, markersize=6)
    far = np.abs(column - np.median(column))
    few = len(column) <= ALL_NAMED
    named = [k for k in np.argsort(-far) if inside[k] and (odd[k] or few)][: ALL_NAMED if few else NAMED]
    middle = (column[inside].min() + column[inside].max()) / 2
    for k in named:
        side, align = (-7, "right") if column[k] > middle else (7, "left")
        place = (float(column[k]), float(rank[k]))
        axes.annotate(_short(names[k]), place, (side, 0), textcoords="offset points", va="center", ha=align, fontsize=8)
    axes.set_yticks([])
    axes.set_ylim(-1, len(column))


def draw_readings(n: Floats, expanded: Floats, odd: NDArray[np.bool_], config: ReadingsConfig) -> Figure:
    """What an expanded uncertainty each sensor's line has, by its number of readings, (sensors,) each, on log axes."""
    figure, axes = make_canvas("Readings of a sensor", f"Expanded uncertainty of the line ({config.y_unit})")
    shown = expanded > 0
    if shown.any():
        n, expanded, odd = n[shown], expanded[shown], odd[shown]
        if len(n) <= FEW:
            axes.plot(n[~odd], expanded[~odd], "o", color=BLUE, label="sensors")
            axes.plot(n[odd], expanded[odd], "D", color=ORANGE, label="odd")
        else:
            some = axes.hexbin(n, expanded, xscale="log", yscale="log", gridsize=40, bins="log", cmap="Blues", mincnt=1)
            figure.colorbar(some, label="Sensors")
        fewest, most = n.min() / 1.2, n.max() * 1.2
        guide = np.array([fewest, most])
        middle = float(np.median(expanded * np.sqrt(n)))
        axes.plot(guide, middle / np.sqrt(guide), "--", color=GREY, label="as 1/√n")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if most < 20 * fewest else "")
        label_log_axis(axes, float(expanded.min()), float(expanded.max()))
        axes.legend(frameon=False)
    axes.set_title("At the mean of its readings, where a line is most certain")
    return figure


def draw_worst(rows: Mapping[str, SomeRows], curves: Mapping[str, Curve], config: ReadingsConfig) -> Figure:
    """What each of a few sensors leaves of its readings: residuals, and the expanded uncertainty of an observation."""
    names = [name for name in rows if name in curves]
    n_columns = min(4, len(names))
    n_rows = -(-len(names) // max(1, n_columns))
    size = (SIZE[0] * 1.6, max(1, n_rows) * 2.4 + 0.5)
    figure = Picture(figsize=size, dpi=100, layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.08))
    panels = figure.subplots(max(1, n_rows), max(1, n_columns), squeeze=False).ravel()
    for axes, name in zip(panels, names, strict=False):
        some, curve = rows[name], curves[name]
        axes.plot(some.t_u, some.t_c - curve.predict(some.t_u), "o", color=BLUE, markersize=3)
        grid = np.linspace(some.t_u.min(), some.t_u.max(), 100)
        line = curve.predict(grid)
        lower, upper = curve.prediction_band(grid)
        axes.fill_between(grid, lower - line, upper - line, color=GREY, alpha=0.2, linewidth=0)
        axes.axhline(0, color=GREY, linewidth=1)
        axes.set_title(_short(name), fontsize=10)
        axes.grid(alpha=0.25)
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    figure.supxlabel(axis_label(config.x_quantity, config.x, config.x_unit), fontsize=10)
    figure.supylabel(f"{config.y} less the line ({config.y_unit})", fontsize=10)
    return figure


def _short(name: str) -> str:
    text = printable(str(name)).replace("$", r"\$")
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
