"""What a report shows of the readings themselves."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tempfit.calibration.filed import CALIBRATION_FILE, RESIDUALS_FILE
from tempfit.errors import RunsError


@dataclass(frozen=True, eq=False)
class Observed:
    """The readings of a run, (rows,) each, as its artifact residuals.parquet keeps them."""

    t_u: NDArray[np.float64]
    t_c: NDArray[np.float64]
    t_p: NDArray[np.float64]
    residual: NDArray[np.float64]
    trained_on: NDArray[np.bool_]


def read_observed(parquet: bytes, run: str) -> Observed:
    """The readings in the artifact residuals.parquet of `run`. Raises RunsError where it is damaged."""
    try:
        frame = pd.read_parquet(BytesIO(parquet))
        return Observed(**{name: frame[name].to_numpy() for name in Observed.__dataclass_fields__})
    except (ValueError, KeyError, OSError) as error:
        reason = f"no column {error}" if isinstance(error, KeyError) else str(error).partition("\n")[0]
        raise RunsError(
            f"run {run}: its {RESIDUALS_FILE} is damaged ({reason}); calibrate again, or report its "
            f"{CALIBRATION_FILE}, which has no readings to show"
        ) from None
