"""What counts as close to the lowest loss."""

from __future__ import annotations

from typing import Any

import numpy as np

CLOSE = 1e-3  # relative: what lies within 0.1 % of the lowest loss is close to it
PERFECT = 1e-22  # of the references squared: what rounding may leave of the loss of a perfect fit
CLOSE_NETWORK = 1e-12  # of the references' mean square: what a network may leave of a perfect line


def near(lowest: Any, mean_square: Any, rounding: float = PERFECT) -> Any:
    """The loss that counts as close to the lowest: within 0.1 % of it; of a perfect fit, what rounding leaves.

    mean_square: of the references, unit of t_c squared. Numbers, or (members,) of several.
    """
    return lowest + np.maximum(CLOSE * lowest, rounding * mean_square)
