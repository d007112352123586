"""What least squares fits a curve to: readings that weigh differently, and York's, moved along his line."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tempfit.errors import ReadingsError
from tempfit.exact.york import adjust
from tempfit.readings.paired import Readings


@dataclass(frozen=True, eq=False)
class Points:
    """Weighted points, (rows,) each.

    t_u, t_c: the readings and references, where both axes are uncertain adjusted to York's line. variances: of their
    residuals, by the uncertainties stated.
    """

    t_u: NDArray[np.float64]
    t_c: NDArray[np.float64]
    variances: NDArray[np.float64]

    @property
    def mean_variance(self) -> float:
        """Variance of an observation of mean weight: the harmonic mean."""
        return 1 / float((1 / self.variances).mean())

    def root_weights(self, variance: float) -> NDArray[np.float64]:
        """(rows,), square roots of weights that are 1 where the variance is this one."""
        return np.sqrt(variance / self.variances)


def weigh(readings: Readings, mask: NDArray[np.bool_]) -> Points | None:
    """The readings of the mask as weighted points; None where no uncertainties are stated.

    Raises ReadingsError where the uncertainties leave (nearly) all the weight to readings at one place.
    """
    if readings.u_c is None:
        return None
    t_u, t_c, variances = readings.t_u[mask], readings.t_c[mask], readings.u_c[mask] ** 2
    if readings.u_u is not None:
        adjusted = adjust(t_u, t_c, readings.u_u[mask], readings.u_c[mask])
        t_u, t_c, variances = adjusted.t_u, adjusted.t_c, adjusted.variance
    weights = 1 / variances
    center = float(np.average(t_u, weights=weights))
    spread = math.sqrt(float(np.average((t_u - center) ** 2, weights=weights)))
    refuse_lone_weight(readings.source, center, spread, (float(t_u.min()), float(t_u.max())))
    return Points(t_u, t_c, variances)


def refuse_lone_weight(source: str, center: float, spread: float, ends: tuple[float, float]) -> None:
    """Raise ReadingsError where (nearly) all the weight is on readings of `center`.

    spread: weighted standard deviation of the readings. ends: the lowest and the highest of them.
    """
    low, high = ends
    if spread <= 1e-12 * max(abs(low), abs(high)) or spread <= 1e-6 * (high - low):
        raise ReadingsError(
            f"{source}: by the uncertainties in column u_c, (nearly) all the weight is on readings of "
            f'{center:g}; a line needs weight at different temperatures: correct the column, or use `u_c="none"`'
        )
