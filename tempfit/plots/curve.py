"""Figures of a Curve and the readings it was fitted to, as a report shows them: they have to survive a grey printer."""

from __future__ import annotations

import math

import numpy as np
from matplotlib import get_data_path
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from tempfit.exact.curve import Curve

WIDTH, HEIGHTS = 6.6, (3.1, 2.5)  # inches: as wide as the text of an A4 page, both above each other on it
LINE, DOTS, BAND, OUTER = "#000000", "#0072B2", "#b5c7d6", "#e4eaef"  # their greys are far apart
SOME, MANY = 50, 1000  # readings beyond which dots are small; are a picture, as each alone would cost 100 bytes
POINTS = 200  # of a band's border
LONGEST = (60, 30)  # characters of the axes' labels


def draw_bands(
    curve: Curve,
    t_u: NDArray[np.float64],
    t_c: NDArray[np.float64],
    trained_on: NDArray[np.bool_],
    labels: tuple[str, str],
) -> Figure:
    """The curve with its confidence and prediction bands over the readings, (rows,) each, which may be none.

    labels: of the axes.
    """
    figure, axes = _make_axes(labels, HEIGHTS[0])
    at = _grid(curve, t_u)
    share = f"{100 * curve.coverage:g} %"
    axes.fill_between(at, *curve.prediction_band(at), color=OUTER, label=f"single readings, {share}", linewidth=0)
    axes.fill_between(at, *curve.confidence_band(at), color=BAND, label=f"the curve, {share}", linewidth=0)
    for edge in curve.prediction_band(at):
        axes.plot(at, edge, ":", color=LINE, linewidth=0.8)
    axes.plot(at, curve.predict(at), color=LINE, linewidth=1.2, label="calibration curve", zorder=3)
    _draw_dots(axes, t_u, t_c, trained_on)
    figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    return figure


def draw_band_residuals(
    curve: Curve,
    t_u: NDArray[np.float64],
    residual: NDArray[np.float64],
    trained_on: NDArray[np.bool_],
    labels: tuple[str, str],
) -> Figure:
    """The residuals, (rows,), against the readings, inside the bands of the curve and of a single reading."""
    figure, axes = _make_axes(labels, HEIGHTS[1])
    at = _grid(curve, t_u)
    share = f"{100 * curve.coverage:g} %"
    for u, shade, what in ((curve.u_prediction(at), OUTER, "single readings"), (curve.u_mean(at), BAND, "the curve")):
        half = curve.coverage_factor(u) * u
        axes.fill_between(at, -half, half, color=shade, label=f"{what}, {share}", linewidth=0)
        axes.plot(at, half, ":", color=LINE, linewidth=0.8)
        axes.plot(at, -half, ":", color=LINE, linewidth=0.8)
    axes.axhline(0, color=LINE, linewidth=1.2, label="calibration curve")
    if len(t_u) <= MANY:
        axes.vlines(t_u, 0, residual, color=DOTS, linewidth=0.8 if len(t_u) <= SOME else 0.4)
    _draw_dots(axes, t_u, residual, trained_on)
    figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    return figure


def axis_text(text: str, longest: int) -> str:
    """The label of an axis as the figures' font can write it: one line, cut, without signs that the font lacks."""
    known = FT2Font(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf").get_charmap()
    line = " ".join("".join(c if c.isprintable() and ord(c) in known else " " for c in text[: 4 * longest]).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _make_axes(labels: tuple[str, str], height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.04))
    axes = figure.subplots()
    for axis, label, longest in zip((axes.xaxis, axes.yaxis), labels, LONGEST, strict=True):
        axis.set_label_text(
            axis_text(label, longest), fontsize=9, parse_math=False
        )  # what a user writes is no mathematics
        axis.set_tick_params(labelsize=8)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.02)
    return figure, axes


def _grid(curve: Curve, t_u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Readings to draw at: over all that there are, and over the calibrated range."""
    ends = (*curve.t_u_range, t_u.min(initial=math.inf), t_u.max(initial=-math.inf))
    finite = [end for end in ends if math.isfinite(end)] or [0.0, 1.0]
    return np.linspace(min(finite), max(finite), POINTS)


def _draw_dots(axes: Axes, t_u: NDArray[np.float64], y: NDArray[np.float64], trained_on: NDArray[np.bool_]) -> None:
    """The readings trained on as dots, those held out as open squares."""
    for rows, style, fill, what in ((trained_on, "o", DOTS, "readings"), (~trained_on, "s", "white", "held out")):
        if rows.any():
            axes.plot(
                t_u[rows],
                y[rows],
                style,
                color=DOTS,
                markerfacecolor=fill,
                markersize=4.5 if len(t_u) <= SOME else 2.5 if len(t_u) <= MANY else 1.2,
                label=what,
                rasterized=len(t_u) > MANY,
            )
