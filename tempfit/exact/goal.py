"""What counts as close to the lowest loss."""

from __future__ import annotations

CLOSE = 1e-3  # relative: what lies within 0.1 % of the lowest loss is close to it


PERFECT = 1e-22  # of the references squared: what rounding may leave of the loss of a perfect fit


CLOSE_NETWORK = 1e-12  # of the references' mean square: what a network may leave of a perfect line
