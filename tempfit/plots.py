"""Figures of a Calibration as PNG bytes: the line, the loss, the path of (w, b), the residuals."""

from __future__ import annotations

import math
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from tempfit.calibration import Calibration
from tempfit.training import Status

SIZE, DPI = (7.2, 4.6), 100  # the tutorial's dpi; wide enough for MLflow's artifact pane
FEW, MANY = 30, 200  # states up to which each is marked; beyond which the axis of epochs is logarithmic
HIGHEST = 1e290  # what a log axis can still pad
MOST_POINTS = 5000  # dots that a person can still tell apart, and more than a figure needs
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"  # told apart by colour-blind readers (Okabe and Ito)


def draw_figures(calibration: Calibration) -> dict[str, bytes]:
    """Every figure of a calibration: file name → PNG."""
    return {
        "line.png": _to_png(draw_line(calibration)),
        "loss.png": _to_png(draw_loss(calibration)),
        "path.png": _to_png(draw_path(calibration)),
        "residuals.png": _to_png(draw_residuals(calibration)),
    }


def draw_line(calibration: Calibration) -> Figure:
    """The fitted line over the raw readings, the scale undone; the exact line alone where the fit diverged."""
    readings, exact = calibration.readings, calibration.exact
    figure, axes = _canvas(readings.x_label, readings.y_label)
    shown = _subset(readings.n)
    axes.plot(readings.t_u[shown], readings.t_c[shown], "o", color=BLUE, label=_count("reading", shown, readings.n))
    ends = np.array([readings.t_u.min(), readings.t_u.max()])
    if calibration.status is Status.DIVERGED:
        axes.set_title(calibration.headline)
    else:
        axes.set_title(calibration.equation())
        axes.plot(ends, calibration.w * ends + calibration.b, color=ORANGE, label="gradient descent")
    axes.plot(ends, exact.predict(ends), "--", color=GREY, linewidth=1, label="exact least squares")
    axes.legend(loc="upper left" if exact.w >= 0 else "upper right")
    return figure


def draw_loss(calibration: Calibration) -> Figure:
    """Loss against updates on log axes: what explodes, what crawls and what arrives."""
    history, exact, fit = calibration.fit.history, calibration.exact, calibration.fit
    figure, axes = _canvas("Epochs (updates made)", f"Loss ({calibration.readings.y_unit}²)")
    states = history.sample(2000)
    shown = (history.loss[states] > 0) & (history.loss[states] < HIGHEST)  # a log axis has neither 0 nor 1e308
    states = states[shown]
    loss = history.loss[states]
    axes.set_yscale("log")
    axes.plot(states, loss, "o-" if len(states) <= FEW else "-", color=ORANGE, markersize=4, label="loss")
    lowest = loss.min(initial=HIGHEST)
    if calibration.config.loss == "squared" and exact.loss > 0:
        axes.axhline(exact.loss, linestyle="--", color=GREY, linewidth=1, label="lowest possible loss")
        lowest = min(lowest, exact.loss)
    if fit.diverged_at is not None:
        axes.axvline(fit.diverged_at - 1, color=BLUE, linewidth=1, label=f"overflow at epoch {fit.diverged_at:,}")
    if len(states):
        axes.set_ylim(lowest / 2, loss.max() * 2)
        _label_log_axis(axes, lowest, loss.max())
    if len(history) > MANY:
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(0, (fit.diverged_at or len(history)) * 1.15)
    elif len(history) <= FEW:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(_title(calibration))
    axes.legend(loc="upper left" if fit.diverged_at else "upper right")
    return figure


def draw_path(calibration: Calibration) -> Figure:
    """The way of (w, b), in the units trained in, over the contours of the squared loss."""
    scaling, design = calibration.problem.scaling, calibration.problem.design
    history = calibration.fit.history
    optimum = scaling.unfold @ np.array([calibration.exact.w, calibration.exact.b])
    states = history.sample(2000)
    if calibration.fit.diverged_at is not None:  # it leaves every window: its first updates show the over-correction
        distance = np.linalg.norm(history.params[:200] - optimum, axis=1)
        states = np.arange(max(2, int(np.argmax(distance > 100 * distance[0]))))[: len(history)]
    path = history.params[states]
    suffix = "" if calibration.config.scaling == "none" else " (scaled readings)"
    figure, axes = _canvas(f"w{suffix}", f"b{suffix}")

    corners = np.vstack([path, optimum])
    low, high = corners.min(axis=0), corners.max(axis=0)
    margin = 0.12 * np.maximum(high - low, 1e-3 * (1 + np.abs(high).max()))
    low, high = low - margin, high + margin
    w, b = np.meshgrid(np.linspace(low[0], high[0], 200), np.linspace(low[1], high[1], 200))
    loss = _squared_loss(design.features[0].numpy(), design.targets[0].numpy(), w, b) / calibration.exact.n
    levels = np.unique(np.geomspace(max(loss.min(), loss.max() * 1e-9, 1e-300), max(loss.max(), 1e-290), 16))
    axes.contour(w, b, loss, levels=levels, cmap="Blues_r", linewidths=0.8)

    marker = "o-" if len(states) <= FEW else "-"
    axes.plot(path[:, 0], path[:, 1], marker, color=ORANGE, markersize=4, label="gradient descent")
    axes.plot(*path[0], "s", color="black", markersize=6, label="start")
    axes.plot(*optimum, "*", color="black", markersize=11, label="exact optimum")
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    what = "The first updates" if calibration.fit.diverged_at is not None else "The way"
    axes.set_title(f"{what} of (w, b) over the contours of the loss")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def draw_residuals(calibration: Calibration) -> Figure:
    """Residuals against the readings; of the exact line where the fit diverged."""
    readings, exact = calibration.readings, calibration.exact
    figure, axes = _canvas(readings.x_label, f"Residual, {readings.y} − line ({readings.y_unit})")
    shown = _subset(readings.n)
    t_u, t_c = readings.t_u[shown], readings.t_c[shown]
    if calibration.status is Status.DIVERGED:
        residual = t_c - exact.predict(t_u)
        axes.set_title("Residuals of the exact line (gradient descent diverged)")
    else:
        residual = t_c - (calibration.w * t_u + calibration.b)
        axes.set_title(f"Residuals (root mean square {calibration.rmse:.4g} {readings.y_unit})")
    axes.axhline(0, color=GREY, linewidth=1)
    axes.vlines(t_u, 0, residual, color=BLUE, linewidth=1, alpha=0.5 if readings.n <= 200 else 0)
    axes.plot(t_u, residual, "o", color=BLUE)
    return figure


def _canvas(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIZE, dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))
    axes = figure.subplots()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.25)
    return figure, axes


def _to_png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _subset(n: int) -> NDArray[np.intp]:
    """Evenly spread row numbers, at most MOST_POINTS of them."""
    return np.arange(n) if n <= MOST_POINTS else np.linspace(0, n - 1, MOST_POINTS).astype(np.intp)


def _count(what: str, shown: NDArray[Any], n: int) -> str:
    return f"{what}s" if len(shown) == n else f"{len(shown):,} of {n:,} {what}s"


def _title(calibration: Calibration) -> str:
    fit = calibration.fit
    if fit.diverged_at is not None:
        return f"Diverged at epoch {fit.diverged_at:,}"
    return f"{fit.status.value.capitalize()} after {fit.n_epochs:,} epoch{'s' if fit.n_epochs != 1 else ''}"


def _label_log_axis(axes: Axes, low: float, high: float) -> None:
    """Plain numbers (20, 30) where the axis spans few decades, powers of ten where it spans many."""
    if high > 1e6 * low or high > 1e6 or low < 1e-4:
        first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
        step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if (last - first) / step <= 8)
        first = math.ceil(first / step) * step
        axes.yaxis.set_major_locator(FixedLocator([10.0**power for power in range(first, last + 1, step)]))
        axes.yaxis.set_minor_locator(NullLocator())
        return
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    few_decades = high < 30 * low
    axes.yaxis.set_minor_formatter(
        (lambda value, _: f"{value:g}" if f"{value:e}"[0] in "2357" else "") if few_decades else NullFormatter()
    )


def _squared_loss(
    features: NDArray[Any], targets: NDArray[Any], w: NDArray[Any], b: NDArray[Any]
) -> NDArray[np.float64]:
    """Sum of squared residuals over a grid of w and b, from the few compressed rows."""
    total = np.zeros_like(w)
    for (x, one), y in zip(features, targets, strict=True):
        total += (x * w + one * b - y) ** 2
    return total
