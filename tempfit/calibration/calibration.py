"""One data set's whole result: what is printed, plotted and stored."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from tempfit.calibration.judged import Judged
from tempfit.descent.model import MLP
from tempfit.exact.large import AnyReadings


@dataclass(frozen=True, eq=False, repr=False)
class Calibration(Judged):
    """A line (or another model) through paired readings, how it was found, and how far it is from the exact one."""

    readings: AnyReadings = field(kw_only=True)

    def predict(self, t_u: ArrayLike) -> NDArray[np.float64]:
        """The temperatures, in the unit of t_c, at readings t_u of any shape in raw units."""
        features = self.problem.basis.features(np.asarray(t_u, dtype=np.float64))
        if self.is_linear:
            return features @ self.fit.params
        rows = torch.from_numpy(features[..., 0].reshape(1, -1, 1))
        params = torch.from_numpy(self.fit.params)[None, :, None]
        return MLP(self.config).forward(rows, params).numpy().reshape(np.shape(t_u))

    @cached_property
    def rmse(self) -> float:
        """Root of the mean squared residual of what was trained on, in the unit of t_c."""
        if self.is_linear:
            return super().rmse
        mask, root_weights, rows = self.problem.mask, self.problem.root_weights, self.readings.thinned
        residual = self.predict(rows.t_u[mask]) - rows.t_c[mask]  # of all rows: a network needs them
        if root_weights is not None:
            residual *= root_weights
        return float(np.hypot.reduce(residual)) / math.sqrt(self.exact.n)
