"""What a report shows of the readings themselves."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Observed:
    """The readings of a run, (rows,) each, as its artifact residuals.parquet keeps them."""

    t_u: NDArray[np.float64]
    t_c: NDArray[np.float64]
    t_p: NDArray[np.float64]
    residual: NDArray[np.float64]
    trained_on: NDArray[np.bool_]


def read_observed(parquet: bytes) -> Observed:
    """The readings in a run's artifact residuals.parquet."""
    frame = pd.read_parquet(BytesIO(parquet))
    return Observed(**{name: frame[name].to_numpy() for name in Observed.__dataclass_fields__})
