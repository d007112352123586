"""A fleet in pictures: how w, b and s are spread, the worst one by one, and what more readings would give."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

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
ROUNDED = 1e-9  # of the values: what they differ by is no spread
ALL_NAMED, NAMED = 15, 3  # sensors that are all named; else so many of the odd ones
LONGEST, LONGEST_TITLE = 18, 30  # characters of a name in a picture, and above one
MANY_ROWS = 200  # dots that are no longer told apart
COLUMNS = ("thermometer", "n", "uncertainty_observation_sd", "uncertainty_coverage_factor", "fleet_accused_by")
SPREAD = "fleet.png"  # the picture of all
WHAT = {"w": "Slope w", "b": "Intercept b", "s": "Standard deviation s"}

HERE, ELSEWHERE = "odd here", "odd by another check"

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
    accused = [() if tests is None else tests for tests in columns["fleet_accused_by"][kept]]
    odd = np.array([len(tests) > 0 for tests in accused])
    told = {name: columns[name][kept].astype(float) for name in ("w", "b") if name in columns} | {"s": s[kept]}
    n = columns["n"][kept].astype(float)
    factor = columns["uncertainty_coverage_factor"][kept].astype(float)
    figures = {
        SPREAD: draw_spread(told, accused, columns["thermometer"][kept].tolist(), fleet.config),
        "readings.png": draw_readings(n, factor * s[kept] / np.sqrt(n), odd, fleet.config),
    }
    if rows:
        figures["worst.png"] = draw_worst(rows, curves, fleet.config)
    return {name: to_png(figure) for name, figure in figures.items()}


def draw_spread(
    values: Mapping[str, Floats], accused: Sequence[Collection[str]], names: Sequence[str], config: ReadingsConfig
) -> Figure:
    """A panel for each of w, b and s, (sensors,): dots where there are few, else bins; those odd stand out.

    accused: of each sensor, by what it is odd. Filled marks are of who is odd by what the panel shows, hollow ones of
    who is by something else. Where odd ones lie so far off that the others would be a stroke, the axis ends before
    them, and says how many.
    """
    units = {"w": f"{config.y_unit} per unit of {config.x}", "b": config.y_unit, "s": config.y_unit}
    odd = np.array([len(tests) > 0 for tests in accused])
    labels = [(f"{WHAT[name]} ({units[name]})", "") for name in values]
    figure, panels = make_panels(*labels, extra_height=0.4 * odd.any())
    names = short_names(names, LONGEST)
    for axes, (name, column) in zip(panels, values.items(), strict=True):
        here = np.zeros(len(column), dtype=bool)
        here[[k for k in np.flatnonzero(odd).tolist() if name in accused[k]]] = True
        _draw_spread_of(axes, column, here, odd, names)
    n_odd = f"{int(odd.sum()):,} odd among them" if odd.any() else "none odd"
    figure.suptitle(f"{len(odd):,} sensors, {n_odd}" if len(odd) != 1 else "1 sensor")
    marks = [mark for axes in panels for mark in axes.lines]
    kinds = {label: mark for mark in marks for label in (HERE, ELSEWHERE) if mark.get_label() == label}
    if kinds:
        figure.legend(list(kinds.values()), list(kinds), loc="outside lower center", ncols=2, frameon=False)
    return figure


def _draw_spread_of(
    axes: Axes, column: Floats, here: NDArray[np.bool_], odd: NDArray[np.bool_], names: Sequence[str]
) -> None:
    low, high = _range(column)
    inside = (column >= low) & (column <= high)
    are_same = high - low <= ROUNDED * max(abs(low), abs(high))
    pad = (abs(high) * 1e-3 or 1.0) if are_same else 0.03 * (high - low)
    if len(column) <= FEW:
        _draw_dots(axes, column, here, odd, names, inside)
    else:
        span = (low - pad, high + pad) if are_same else (low, high)
        most = max(1.0, np.max(axes.hist(column[inside], bins=BINS, range=span, color=BLUE, alpha=0.75)[0]))
        marked = np.flatnonzero(inside & here)
        if len(marked):
            axes.plot(column[marked], np.full(len(marked), -0.03 * most), "|", color=ORANGE, label=HERE)
        far = marked[np.argsort(-np.abs(column[marked] - np.median(column)))]
        for k in _apart(far, [(column, 0.06 * (high - low))]):
            axes.annotate(
                names[k],
                (float(column[k]), -0.02 * most),
                (0, 5),
                textcoords="offset points",
                va="bottom",
                ha="center",
                fontsize=8,
                rotation=90,
                color=ORANGE,
            )
        axes.set_ylabel("Sensors")
    axes.axvline(float(np.median(column)), color=GREY, linewidth=1)
    if (n_beyond := int((~inside).sum())) > 0:
        n_odd = int((~inside & odd).sum())
        of_them = {0: "none of them odd", n_beyond: "odd" if n_beyond == 1 else "all of them odd"}
        told = of_them.get(n_odd, f"{n_odd:,} of them odd")
        axes.set_title(f"{n_beyond:,} beyond the axis, {told}", fontsize=10, color=ORANGE if n_odd else GREY)
    axes.set_xlim(low - pad, high + pad)
    axes.ticklabel_format(axis="x", useOffset=False)
    axes.tick_params(axis="x", labelrotation=20)


def _apart(places: NDArray[np.intp], axes: Sequence[tuple[Floats, float]]) -> list[int]:
    """The first few of the places that are on one of the axes, (values, distance), not near to those before."""
    chosen: list[int] = []
    for k in places[: 100 * NAMED]:
        if len(chosen) < NAMED and all(any(abs(at[k] - at[other]) >= d for at, d in axes) for other in chosen):
            chosen.append(int(k))
    return chosen


def _range(values: Floats) -> tuple[float, float]:
    """What the axis shows: all of it, but for what lies ten times as far off as the middle 98 % are wide."""
    low, high = np.quantile(values, [0.01, 0.99])
    reach = 3 * (high - low)
    near = values[(values >= low - reach) & (values <= high + reach)]
    return float(near.min()), float(near.max())


def _draw_dots(
    axes: Axes,
    column: Floats,
    here: NDArray[np.bool_],
    odd: NDArray[np.bool_],
    names: Sequence[str],
    inside: NDArray[np.bool_],
) -> None:
    """Dots in the order of their values, the odd ones with their names."""
    order = np.argsort(column)
    rank = np.empty(len(column))
    rank[order] = np.arange(len(column))
    axes.plot(column[inside & ~odd], rank[inside & ~odd], "o", color=BLUE, markersize=5)
    for which, fill, label in ((inside & here, ORANGE, HERE), (inside & odd & ~here, "white", ELSEWHERE)):
        if which.any():
            axes.plot(column[which], rank[which], "D", color=ORANGE, markerfacecolor=fill, markersize=6, label=label)
    far = np.abs(column - np.median(column))
    few = len(column) <= ALL_NAMED
    marked = np.array([k for k in np.argsort(-far) if inside[k] and (here[k] or few)], dtype=int)
    width = (0.04 + 0.012 * max(map(len, names))) * float(np.ptp(column[inside]))  # of a name, about
    named = marked if few else _apart(marked, [(column, width), (rank, 0.06 * len(column))])
    middle = (column[inside].min() + column[inside].max()) / 2
    for k in named:
        side, align = (-7, "right") if column[k] > middle else (7, "left")
        place = (float(column[k]), float(rank[k]))
        axes.annotate(names[k], place, (side, 0), textcoords="offset points", va="center", ha=align, fontsize=8)
    axes.set_yticks([])
    axes.set_ylim(-1 - 0.03 * len(column), 1.03 * len(column))


def draw_readings(n: Floats, expanded: Floats, odd: NDArray[np.bool_], config: ReadingsConfig) -> Figure:
    """What an expanded uncertainty each sensor's line has, by its number of readings, (sensors,) each, on log axes;
    where all have the same number, how the uncertainties are spread."""
    label = f"Expanded uncertainty of the line ({config.y_unit})"
    where = "at the mean of its readings, where a line is most certain"
    shown = expanded > 0
    n, expanded, odd = n[shown], expanded[shown], odd[shown]
    if len(n) and n.min() == n.max():
        figure, axes = make_canvas(label, "")
        nobody = np.zeros(len(n), dtype=bool)
        _draw_spread_of(axes, expanded, nobody, nobody, [""] * len(n))
        beyond = f" ({axes.get_title()})".replace(", none of them odd", "") if axes.get_title() else ""
        axes.set_title(f"Each sensor has {n[0]:,.0f} readings{beyond};\n{where}", fontsize=11, color="black")
        return figure
    figure, axes = make_canvas("Readings of a sensor", label)
    if len(n):
        if len(n) <= FEW:
            for which, mark, colour, name in ((~odd, "o", BLUE, "sensors"), (odd, "D", ORANGE, "odd")):
                if which.any():
                    axes.plot(n[which], expanded[which], mark, color=colour, label=name)
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
    axes.set_title(where[0].upper() + where[1:])
    return figure


def draw_worst(rows: Mapping[str, SomeRows], curves: Mapping[str, Curve], config: ReadingsConfig) -> Figure:
    """What each of a few sensors leaves of its readings: residuals, and the expanded uncertainty of an observation."""
    names = [name for name in rows if name in curves]
    n_columns = min(4, len(names))
    n_rows = -(-len(names) // max(1, n_columns))
    size = (SIZE[0] * 1.6, max(1, n_rows) * 2.4 + 0.5)
    figure = Picture(figsize=size, dpi=100, layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.08))
    panels = figure.subplots(max(1, n_rows), max(1, n_columns), squeeze=False).ravel()
    for axes, name, title in zip(panels, names, short_names(names, LONGEST_TITLE), strict=False):
        some, curve = rows[name], curves[name]
        dots: dict[str, Any] = {"markersize": 1.5, "alpha": 0.5} if len(some.t_u) > MANY_ROWS else {"markersize": 3}
        axes.plot(some.t_u, some.t_c - curve.predict(some.t_u), "o", color=BLUE, **dots)
        grid = np.linspace(some.t_u.min(), some.t_u.max(), 100)
        line = curve.predict(grid)
        lower, upper = curve.prediction_band(grid)
        axes.fill_between(grid, lower - line, upper - line, color=GREY, alpha=0.2, linewidth=0)
        axes.axhline(0, color=GREY, linewidth=1)
        axes.set_title(title, fontsize=9)
        axes.grid(alpha=0.25)
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    figure.supxlabel(axis_label(config.x_quantity, config.x, config.x_unit), fontsize=10)
    figure.supylabel(f"{config.y} less the line ({config.y_unit})", fontsize=10)
    return figure


def short_names(names: Sequence[str], longest: int) -> list[str]:
    """The names as a picture shows them: where some are too long, without what all begin or end with, then without
    their middle."""
    texts = [printable(str(name)) for name in names]
    if len(texts) > 1 and max(map(len, texts)) > longest:
        before = _common(texts)
        after = _common([text[before:][::-1] for text in texts])
        texts = [_without_ends(text, before, after) for text in texts]
    half = longest // 2
    texts = [text if len(text) <= longest else f"{text[: half - 1]}…{text[half - longest :]}" for text in texts]
    return [text.replace("$", r"\$") for text in texts]


def _common(texts: Sequence[str]) -> int:
    """How many characters all begin with, up to a whole word or number."""
    low, high = min(texts), max(texts)
    n = next((k for k, (one, other) in enumerate(zip(low, high, strict=False)) if one != other), len(low))
    while n and low[n - 1].isalnum():
        n -= 1
    return n


def _without_ends(text: str, before: int, after: int) -> str:
    end = len(text) - after
    first = "…" if before > 1 else text[:before]
    last = "…" if after > 1 else text[end:]
    return f"{first}{text[before:end]}{last}"
