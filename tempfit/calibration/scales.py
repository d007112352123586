"""Which known temperature scales a thermometer in an unknown unit is compatible with.

A reading in a known scale is taken to °C by a line whose w and b are known exactly. Whether that line is within the
uncertainty of the fitted one is told by a joint test of both coefficients, which are too correlated to be told apart
one by one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tempfit.exact.curve import Curve

REFERENCE_UNIT = "°C"  # what the references have to be in
SIGNIFICANCE = 0.05
ROUNDING = 1e-13  # of the temperatures: an uncertainty that is smaller is made of rounding

KNOWN = {  # symbol → name, and (w, b): a reading t in the scale is w t + b in °C
    "°C": ("Celsius", 1.0, 0.0),
    "°F": ("Fahrenheit", 5 / 9, -160 / 9),
    "K": ("kelvin", 1.0, -273.15),
    "°R": ("Rankine", 5 / 9, -273.15),
    "°Ré": ("Réaumur", 5 / 4, 0.0),
}


@dataclass(frozen=True)
class Scale:
    """A known scale beside a fitted line.

    w, b: what takes a reading in the scale to °C. statistic: F of the test that the fitted line is this one; p: its
    probability to be as large or larger, if it is. compatible: p ≥ 0.05.
    """

    name: str
    symbol: str
    w: float
    b: float
    statistic: float
    p: float
    compatible: bool


def identify(curve: Curve) -> tuple[Scale, ...]:
    """Every known scale beside a line fitted to references in °C, the most probable first.

    F = (p − p₀)ᵀ C⁻¹ (p − p₀) / 2, with p₀ the parameters that the scale would have, follows the F distribution with 2
    and ν degrees of freedom if it is the scale (the joint confidence region of Draper and Smith, Applied Regression
    Analysis, 3rd ed., chapter 5); 2 F follows chi-squared with 2 where the uncertainties are stated. C includes
    u_common, which adds to the constant; ν stays that of the fit then, which errs on the safe side: p is too large.
    Empty for a polynomial, and where the uncertainty is unknown or nothing but rounding: of a perfect fit.
    """
    from scipy.special import chdtrc, fdtrc  # costs the start of the program a tenth of a second

    # "not above", so that NaN is none, too
    if not curve.is_line or not curve.observation_sd > ROUNDING * float(np.abs(curve.params).sum()):
        return ()
    covariance = curve.params_covariance
    covariance[-1, -1] += curve.u_common**2
    freedom, scaling = curve.degrees_of_freedom, curve.basis.scaling
    found = []
    for symbol, (name, w, b) in KNOWN.items():
        expected = np.linalg.solve(curve.basis.matrix, [w / scaling.factor, w * scaling.center + b])
        off = curve.params - expected
        with np.errstate(over="ignore", invalid="ignore"):  # temperatures of another size than any scale's
            statistic = float(np.nan_to_num(off @ np.linalg.solve(covariance, off), nan=math.inf)) / 2
        p = float(chdtrc(2, 2 * statistic) if math.isinf(freedom) else fdtrc(2, freedom, statistic))
        found.append(Scale(name, symbol, w, b, statistic, p, p >= SIGNIFICANCE))
    return tuple(sorted(found, key=lambda scale: (-scale.p, scale.statistic)))
