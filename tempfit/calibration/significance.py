"""How probable a figure is by chance, and what a check by it would see."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tempfit.calibration.quadratic_forms import Ratio

DOUBT, REFUSE = 0.01, 0.001  # p-values below which a check is doubtful, and below which it fails
SEEN = 0.9  # power with which a check sees what its sentence says that it would
LARGE = 100_000  # readings from which a beta distribution is normal


def f_tail(between: ArrayLike, within: ArrayLike, value: ArrayLike) -> NDArray[np.float64]:
    """The probability of a larger F, of the shape of its arguments."""
    from scipy.special import fdtrc

    return np.asarray(fdtrc(between, within, value))


def two_sided(below: float) -> float:
    """The two-sided p-value of what lies above a share `below` of its distribution."""
    return 2 * min(below, 1 - below)


def two_sided_beta(value: float, mean: float, variance: float, n: int) -> float:
    """The p-value of a beta variable with these moments; normal for a large n."""
    from scipy.special import betainc, erfc

    if n > LARGE:
        return float(erfc(abs(value - mean) / math.sqrt(2 * variance)))
    size = mean * (1 - mean) / variance - 1
    if size <= 0:
        return 1.0
    below = float(betainc(mean * size, (1 - mean) * size, min(max(value, 0.0), 1.0)))
    return two_sided(below)


def least_seen(freedom: int, level: float) -> float:
    """The effect, in standard deviations of its estimate, that a two-sided t test at the level sees with power SEEN."""
    from scipy.special import nctdtrinc, stdtrit

    return float(nctdtrinc(freedom, 1 - SEEN, stdtrit(freedom, 1 - level / 2)))


def power_of(ratio: Ratio, *roots: NDArray[np.float64]) -> float:
    """The power of a check by the ratio against the alternative, of several as in `Ratio.power`, that it sees best."""
    return _power_at(ratio.form.tobytes(), *(np.ascontiguousarray(root).tobytes() for root in roots))


@lru_cache(maxsize=256)
def _power_at(form: bytes, *roots: bytes) -> float:
    """It depends on the places of the readings alone, which one thermometer after another may share."""
    n_terms = math.isqrt(len(form) // 8)
    ratio = Ratio(np.frombuffer(form).reshape(n_terms, n_terms))
    if ratio.is_constant:
        return 0.0
    limits = ratio.quantiles(DOUBT)
    return max(ratio.power(np.frombuffer(root).reshape(n_terms, -1), limits) for root in roots)
