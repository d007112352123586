"""What all figures share: the canvas, the colours, the axes that read well."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator
from PIL import Image

SIZE, DPI = (7.2, 4.6), 100  # the tutorial's dpi; wide enough for MLflow's artifact pane
SMALL, PALETTE = 15_000, 64  # bytes, which base64 makes 20,000; colours, which are enough for lines, dots and bands
AXIS_LIMIT = 1e290  # what a log axis can still pad
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"  # told apart by colour-blind readers
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")  # Okabe and Ito's


class Picture(Figure):
    """A figure that shows itself where a notebook's cell ends with it, whatever its backend."""

    def _repr_png_(self) -> bytes:
        return to_png(self)


def make_canvas(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    figure, (axes,) = make_panels((x_label, y_label))
    return figure, axes


def make_panels(*labels: tuple[str, str], extra_height: float = 0.0) -> tuple[Figure, list[Axes]]:
    """A figure with one panel beside the other for each pair of labels (x, y), `extra_height` inches for a legend."""
    size = (SIZE[0] * len(labels), SIZE[1] + extra_height)
    figure = Picture(figsize=size, dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))
    panels = list(figure.subplots(1, len(labels), squeeze=False)[0])
    for axes, (x_label, y_label) in zip(panels, labels, strict=True):
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.grid(alpha=0.25)
    return figure, panels


@contextmanager
def _any_script() -> Iterator[None]:
    """A sign of a name that no font here has is drawn as a box, without a word on the terminal."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield


def to_png(figure: Figure) -> bytes:
    buffer = BytesIO()
    with _any_script():
        FigureCanvasAgg(figure).print_png(buffer)  # lays it out as it draws; `savefig` draws it twice
    return buffer.getvalue()


def to_small_png(png: bytes, limit: int = SMALL) -> bytes:
    """The picture in at most `limit` bytes: with few colours and, where that is not enough, with fewer pixels.

    For what is kept once more for every run, beside the picture itself.
    """
    picture = Image.open(BytesIO(png)).convert("RGB")
    whole, scale = picture.size, 1.0
    while True:
        buffer = BytesIO()
        picture.quantize(PALETTE, Image.Quantize.FASTOCTREE).save(buffer, format="png", optimize=True)
        if buffer.tell() <= limit or min(picture.size) <= 2:
            return buffer.getvalue()
        scale *= 0.8
        width, height = (max(1, round(side * scale)) for side in whole)
        picture = Image.open(BytesIO(png)).convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def to_svg(figure: Figure) -> bytes:
    """The figure as SVG, its text as outlines, the same bytes for the same figure."""
    buffer, dpi = BytesIO(), figure.dpi
    figure.dpi = 200  # of what is drawn as pixels
    with _any_script(), rc_context({"svg.hashsalt": "tempfit", "svg.fonttype": "path"}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    figure.dpi = dpi  # which is SVG's own by now
    return buffer.getvalue()


def label_log_axis(axes: Axes, low: float, high: float) -> None:
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
