"""Figures of a Calibration as PNG bytes: the line, the loss, the path of (w, b), the residuals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from tempfit.calibration.calibration import Calibration
from tempfit.calibration.equation import equation, headline
from tempfit.calibration.recording import record_of
from tempfit.exact.curve import Curve
from tempfit.plots.canvas import AXIS_LIMIT, BLUE, GREEN, GREY, ORANGE, label_log_axis, make_canvas, to_png
from tempfit.wording import count
from tempfit.words import Verdict

FEW, MANY = 30, 200  # states up to which each is marked; beyond which the axis of epochs is logarithmic
FAR, FIRST = 100, 5  # times the first distance to the optimum; updates shown of what goes so far in no more
SPAN, LEAST = 300.0, 1e-300  # of an axis beyond the last update; what a logarithm can be taken of
MOST_POINTS = 5000  # dots that a person can still tell apart, and more than a figure needs
MOST_NAMES = 10  # layers named beside the figure; more would take its place


def drawings(calibration: Calibration) -> dict[str, Callable[[Calibration], Figure]]:
    """What can be drawn of a calibration, by name. A line has its path, a network its layers' gradients."""
    third: dict[str, Callable[[Calibration], Figure]] = {}
    if calibration.config.model == "line":
        third = {"path": draw_path}
    elif not calibration.is_linear:
        third = {"layers": draw_layers}
    return {"line": draw_line, "loss": draw_loss, **third, "residuals": draw_residuals}


def draw_figures(calibration: Calibration) -> dict[str, bytes]:
    """Every figure of a calibration: file name → PNG."""
    return {f"{name}.png": to_png(draw(calibration)) for name, draw in drawings(calibration).items()}


def draw_line(calibration: Calibration) -> Figure:
    """The fit over the raw readings, the scale undone, with its bands; the exact solution alone where it diverged."""
    readings, exact = calibration.readings, calibration.exact
    figure, axes = make_canvas(readings.x_label, readings.y_label)
    ends = np.array(readings.t_u_range)
    if calibration.curve is not None and calibration.descent.verdict is not Verdict.FAILS:
        _draw_bands(axes, calibration.curve, np.linspace(ends[0], ends[1], 300))
    _draw_readings(axes, calibration)
    curve = ends if calibration.config.model == "line" else np.linspace(ends[0], ends[1], 300)
    exact_curve = ends if exact.basis.n_terms == 2 else curve
    if calibration.exploded:
        axes.set_title(headline(record_of(calibration)))
    else:
        axes.set_title(equation(record_of(calibration)))
        axes.plot(curve, calibration.predict(curve), color=ORANGE, label="gradient descent")
    what = "exact least squares" if calibration.is_linear else "exact line"
    axes.plot(exact_curve, exact.predict(exact_curve), "--", color=GREY, linewidth=1, label=what)
    rises = exact.predict(ends[1]) >= exact.predict(ends[0])
    axes.legend(loc="upper left" if rises else "upper right")
    return figure


def _draw_bands(axes: Axes, curve: Curve, t_u: NDArray[np.float64]) -> None:
    """Where the curve lies, and where a single observation does."""
    for band, alpha, what in (
        (curve.prediction_band(t_u), 0.15, "single observation"),
        (curve.confidence_band(t_u), 0.3, "curve" if not curve.is_line else "line"),
    ):
        if np.isfinite(band).all():
            axes.fill_between(
                t_u, *band, color=ORANGE, alpha=alpha, linewidth=0, label=f"{what}, {100 * curve.coverage:g} %"
            )


def _draw_readings(axes: Axes, calibration: Calibration) -> None:
    """The readings trained on as dots, those held out as open squares."""
    held, mask = calibration.readings.thinned, calibration.problem.mask
    n_held_out = int((~mask).sum())
    counts = calibration.readings.n - n_held_out, n_held_out
    for rows, n, style, what in zip((mask, ~mask), counts, "os", ("readings", "readings held out"), strict=True):
        t_u, t_c = held.t_u[rows], held.t_c[rows]
        if len(t_u):
            shown = _subset(len(t_u))
            fill = BLUE if style == "o" else "none"
            label = _count(what, shown, n)
            axes.plot(t_u[shown], t_c[shown], style, color=BLUE, markerfacecolor=fill, label=label)


def draw_loss(calibration: Calibration) -> Figure:
    """Loss against updates on log axes: what explodes, what crawls and what arrives."""
    history, exact, fit = calibration.fit.history, calibration.exact, calibration.fit
    figure, axes = make_canvas("Epochs (updates made)", f"Loss ({calibration.readings.y_unit}²)")
    curves = [("loss", history.loss, ORANGE)]
    if calibration.validation is not None:
        name = f"validation loss ({calibration.validation.method})"
        curves.append((name, calibration.validation.loss, GREEN))
    axes.set_yscale("log")
    lowest, highest = AXIS_LIMIT, 0.0
    for name, values, colour in curves:
        states = history.sample(2000)
        states = states[(values[states] > 0) & (values[states] < AXIS_LIMIT)]  # a log axis has neither 0 nor 1e308
        style = "o-" if len(states) <= FEW else "-"
        axes.plot(history.updates[states], values[states], style, color=colour, markersize=4, label=name)
        lowest, highest = values[states].min(initial=lowest), values[states].max(initial=highest)
    if calibration.config.loss != "huber" and exact.loss > 0:
        what = "lowest possible loss" if calibration.is_linear else "loss of the exact line"
        axes.axhline(exact.loss, linestyle="--", color=GREY, linewidth=1, label=what)
        lowest = min(lowest, exact.loss)
    if fit.diverged_at is not None:
        axes.axvline(fit.diverged_at - 1, color=BLUE, linewidth=1, label=f"overflow at epoch {fit.diverged_at:,}")
    if highest > 0:
        axes.set_ylim(lowest / 2, highest * 2)
        label_log_axis(axes, lowest, highest)
    if fit.n_epochs >= MANY:
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(0, (fit.diverged_at or fit.n_epochs + 1) * 1.15)
    elif fit.n_epochs < FEW:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(_title(calibration))
    if len(curves) > 1:  # two curves leave no corner that is surely free
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    else:
        axes.legend(loc="upper left" if calibration.exploded else "upper right")
    return figure


def draw_path(calibration: Calibration) -> Figure:
    """The way of (w, b), in the units trained in, over the contours of the squared loss."""
    problem, design = calibration.problem, calibration.problem.design
    history = calibration.fit.history
    optimum = problem.basis.change_to(problem.standard) @ calibration.exact.params
    states = history.sample(2000)
    explodes = calibration.exploded
    if explodes:  # it leaves every window: its first updates show the over-correction
        distance = np.linalg.norm(history.params[:200] - optimum, axis=1)
        is_far = distance > FAR * distance[0]
        states = np.arange(int(np.argmax(is_far)) if is_far.any() else len(distance))
        if len(states) <= FIRST:
            return _draw_explosion(calibration, optimum)
    path = history.params[states]
    suffix = "" if calibration.config.scaling == "none" else " (scaled readings)"
    figure, axes = make_canvas(f"w{suffix}", f"b{suffix}")

    corners = np.vstack([path, optimum])
    low, high = corners.min(axis=0), corners.max(axis=0)
    margin = 0.12 * np.maximum(high - low, 1e-3 * (1 + np.abs(high).max()))
    low, high = low - margin, high + margin
    w, b = np.meshgrid(np.linspace(low[0], high[0], 200), np.linspace(low[1], high[1], 200))
    loss = _squared_loss(design.features[0], design.targets[0], w, b) / calibration.exact.n
    levels = np.unique(np.geomspace(max(loss.min(), loss.max() * 1e-9, 1e-300), max(loss.max(), 1e-290), 16))
    axes.contour(w, b, loss, levels=levels, cmap="Blues_r", linewidths=0.8)

    marker = "o-" if len(states) <= FEW else "-"
    axes.plot(path[:, 0], path[:, 1], marker, color=ORANGE, markersize=4, label="gradient descent")
    axes.plot(*path[0], "s", color="black", markersize=6, label="start")
    axes.plot(*optimum, "*", color="black", markersize=11, label="exact least squares")
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    what = "The first updates" if explodes else "The way"
    axes.set_title(f"{what} of (w, b) over the contours of the squared loss")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def _draw_explosion(calibration: Calibration, optimum: NDArray[np.float64]) -> Figure:
    """The first updates of what explodes at once, from the optimum on symmetric-log axes: to and fro, ever further."""
    design, history = calibration.problem.design, calibration.fit.history
    away = history.params[: FIRST + 1] - optimum  # (states, 2)
    suffix = "" if calibration.config.scaling == "none" else " (scaled readings)"
    figure, axes = make_canvas(f"w − its optimum{suffix}", f"b − its optimum{suffix}")
    linear = [max(float(np.abs(away[:, k]).min()), 1e-12 * float(np.abs(away[:, k]).max()), LEAST) for k in (0, 1)]
    ends = [SPAN * max(float(np.abs(away[:, k]).max()), linear[k]) for k in (0, 1)]
    sides = [_symmetric_log(linear[k], ends[k]) for k in (0, 1)]
    w, b = np.meshgrid(*sides)
    features, targets = design.features[0], design.targets[0]
    loss = _squared_loss(features, targets, optimum[0] + w, optimum[1] + b) / calibration.exact.n
    levels = np.unique(np.geomspace(max(float(loss.min()), LEAST), max(float(loss.max()), 2 * LEAST), 16))
    axes.contour(w, b, loss, levels=levels, cmap="Blues_r", linewidths=0.8)
    axes.set_xscale("symlog", linthresh=linear[0])
    axes.set_yscale("symlog", linthresh=linear[1])
    for side, end, threshold in zip((axes.xaxis, axes.yaxis), ends, linear, strict=True):
        powers = np.unique(np.linspace(math.ceil(math.log10(threshold)) + 2, math.floor(math.log10(end)), 4).round())
        side.set_major_locator(FixedLocator([*(-(10.0 ** powers[::-1])), 0.0, *(10.0**powers)]))
        side.set_minor_locator(NullLocator())
    axes.plot(away[:, 0], away[:, 1], "o-", color=ORANGE, markersize=4, linewidth=1, label="gradient descent")
    axes.plot(*away[0], "s", color="black", markersize=6, label="start")
    axes.plot(0, 0, "*", color="black", markersize=11, label="exact least squares")
    for number, (x, y) in list(enumerate(away))[1:]:
        offset = (8 if x >= 0 else -8, 6 if y >= 0 else -6)
        placed: dict[str, Any] = {"ha": "left" if x >= 0 else "right", "va": "bottom" if y >= 0 else "top"}
        axes.annotate(f"{number}", (x, y), offset, textcoords="offset points", fontsize=8, color=ORANGE, **placed)
    axes.set_xlim(-ends[0], ends[0])
    axes.set_ylim(-ends[1], ends[1])
    axes.set_title(f"The first {len(away) - 1} updates of (w, b): to and fro, ever further away")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def _symmetric_log(threshold: float, end: float) -> NDArray[np.float64]:
    """From −end to end, evenly where a symmetric-log axis is linear up to the threshold."""
    half = np.concatenate([np.linspace(0, threshold, 20)[1:], np.geomspace(threshold, end, 100)[1:]])
    return np.concatenate([-half[::-1], [0.0], half])


def draw_residuals(calibration: Calibration) -> Figure:
    """Residuals against the readings; of the exact solution where the fit diverged."""
    readings, exact = calibration.readings, calibration.exact
    figure, axes = make_canvas(readings.x_label, f"Residual, {readings.y} − fit ({readings.y_unit})")
    held, mask = readings.thinned, calibration.problem.mask
    drawn = [np.flatnonzero(rows)[_subset(int(rows.sum()))] for rows in (mask, ~mask)]
    what = _count("residuals", np.concatenate(drawn), readings.n).capitalize()
    if calibration.exploded:
        predict = exact.predict
        axes.set_title(f"{what} of the exact {calibration.exact_name} (gradient descent diverged)")
    else:
        predict = calibration.predict
        axes.set_title(f"{what} (root mean square {calibration.rmse:.4g} {readings.y_unit})")
    axes.axhline(0, color=GREY, linewidth=1)
    for shown, fill in zip(drawn, (BLUE, "none"), strict=True):
        t_u, residual = held.t_u[shown], held.t_c[shown] - predict(held.t_u[shown])
        axes.vlines(t_u, 0, residual, color=BLUE, linewidth=1, alpha=0.5 if readings.n <= 200 else 0)
        axes.plot(t_u, residual, "o" if fill == BLUE else "s", color=BLUE, markerfacecolor=fill)
    return figure


def draw_layers(calibration: Calibration) -> Figure:
    """The gradient's norm in each layer of a network: where it vanishes on its way back, and where it explodes."""
    figure, axes = make_canvas("Epochs (updates made)", "Gradient norm of the layer")
    history = calibration.fit.history
    series = {
        name.removeprefix("gradient_norm/").replace("_", " "): values
        for name, values in calibration.series().items()
        if name.startswith("gradient_norm/")
    }
    states = history.sample(2000)
    shades = colormaps["viridis"](np.linspace(0, 0.92, len(series)))  # the nearer to the reading, the darker
    named = np.linspace(0, len(series) - 1, min(len(series), MOST_NAMES)).round()
    lowest, highest = AXIS_LIMIT, 0.0
    for i, ((name, norm), shade) in enumerate(zip(series.items(), shades, strict=True)):
        shown = states[(norm[states] > 0) & (norm[states] < AXIS_LIMIT)]
        axes.plot(history.updates[shown], norm[shown], color=shade, label=name if i in named else None)
        lowest, highest = norm[shown].min(initial=lowest), norm[shown].max(initial=highest)
    axes.set_yscale("log")
    if highest > 0:
        label_log_axis(axes, lowest, highest)
    if calibration.fit.n_epochs >= MANY:
        axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(0)
    axes.set_title(f"How the gradient reaches the layers ({calibration.config.activation})")
    figure.legend(loc="outside lower center", ncols=min(len(series), 5), frameon=False)
    return figure


def _subset(n: int) -> NDArray[np.intp]:
    """Evenly spread row numbers, at most MOST_POINTS of them."""
    return np.arange(n) if n <= MOST_POINTS else np.linspace(0, n - 1, MOST_POINTS).astype(np.intp)


def _count(what: str, shown: NDArray[Any], n: int) -> str:
    return what if len(shown) == n else f"{len(shown):,} of {n:,} {what}"


def _title(calibration: Calibration) -> str:
    fit = calibration.fit
    if fit.diverged_at is not None:
        return f"Diverged at epoch {fit.diverged_at:,}"
    if calibration.exploded:
        return f"Diverging after {count(fit.n_epochs, 'epoch')}"
    return f"{fit.status.value.capitalize()} after {fit.n_epochs:,} epoch{'s' if fit.n_epochs != 1 else ''}"


def _squared_loss(
    features: NDArray[Any], targets: NDArray[Any], w: NDArray[Any], b: NDArray[Any]
) -> NDArray[np.float64]:
    """Sum of squared residuals over a grid of w and b, from the few compressed rows."""
    total = np.zeros_like(w)
    for (x, one), y in zip(features, targets, strict=True):
        total += (x * w + one * b - y) ** 2
    return total
