"""The line through readings of which both axes are uncertain: errors in variables.

York, Evensen, López Martínez and De Basabe Delgado: Unified equations for the slope, intercept, and standard errors of
the best straight line, Am. J. Phys. 72 (2004) 367; with uncorrelated errors it is ISO/TS 28037:2010, clause 7. It
minimizes `χ² = Σ (t_c - w t_u - b)² / (u_c² + w² u_u²)`, which is what the loop makes small by gradient descent, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tempfit.errors import ReadingsError

MOST_ITERATIONS = 10_000
CONVERGED = 1e-14  # of the slope, or of the scatter of the references about their mean


@dataclass(frozen=True, eq=False)
class Adjusted:
    """Points whose weighted least-squares line is York's line, and has its uncertainties and its χ².

    t_u: (rows,), the readings that York's line makes most probable. t_c: (rows,), the references moved along the line
    by as much. variance: (rows,), of a residual: u_c² + w² u_u².
    """

    t_u: NDArray[np.float64]
    t_c: NDArray[np.float64]
    variance: NDArray[np.float64]


def adjust(
    t_u: NDArray[np.float64], t_c: NDArray[np.float64], u_u: NDArray[np.float64], u_c: NDArray[np.float64]
) -> Adjusted:
    """Find York's line by his iteration on the slope, and the points adjusted to it.

    All (rows,), float64: readings and references, and their standard uncertainties, u_c above 0.
    Raises ReadingsError where the iteration does not end, as when the uncertainties are as large as the range.
    """
    factor = 1 / t_u.std()
    x, y = factor * (t_u - t_u.mean()), t_c - t_c.mean()
    x_variance, y_variance, scatter = np.square(factor * u_u), np.square(u_c), y.std(ddof=1)
    slope = np.float64(0.0)  # the first step makes it the weighted line's
    with np.errstate(all="ignore"):
        for _ in range(MOST_ITERATIONS):
            weight = 1 / (y_variance + slope**2 * x_variance)
            from_mean = x - (weight * x).sum() / weight.sum()
            rise = y - (weight * y).sum() / weight.sum()
            beta = weight * (from_mean * y_variance + slope * rise * x_variance)
            before, slope = slope, (weight * beta * rise).sum() / (weight * beta * from_mean).sum()
            if not abs(slope - before) > CONVERGED * (abs(slope) + scatter):
                break
    if not np.isfinite(slope) or abs(slope - before) > CONVERGED * (abs(slope) + scatter):
        raise ReadingsError(
            "the fit with both axes uncertain does not converge: the uncertainties (u_c, u_u) are too large for the "
            'range of the readings; correct them, or ignore the readings\' by `u_u="none"`'
        )
    moved = beta - from_mean  # along x, in scaled units
    return Adjusted(t_u=t_u + moved / factor, t_c=t_c + slope * moved, variance=1 / weight)
