"""What all figures share."""

from __future__ import annotations

import warnings

import pytest

from tempfit.plots.canvas import make_canvas, to_png, to_svg


@pytest.mark.parametrize("write", [to_png, to_svg])
def test_a_name_in_a_script_without_a_font_is_drawn_without_a_warning(write) -> None:
    figure, axes = make_canvas("reading", "temperature")
    axes.set_title("\U0010fffd")  # for private use: in no font
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert len(write(figure)) > 1_000
    assert not told
