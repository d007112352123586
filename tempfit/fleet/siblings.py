"""How far each sensor lies from its siblings: by the fleet's median and spread, and what its own readings leave open.

The spread τ between sensors is that of good ones, taken as normal, and found by medians, which odd ones hardly move.
Half of a normal distribution lies within 1/1.4826 standard deviations. With the variance uᵢ² of each sensor's own
figure beside the common τ², half of the distances dᵢ from the median lie within that many √(τ² + uᵢ²) where τ² is the
median of (1.4826 dᵢ)² − uᵢ²; without uᵢ that is the median of absolute deviations, as it is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

FEWEST = 10  # sensors that are a fleet to be compared with
TO_SIGMA = 1.4826  # times the median of absolute deviations: the standard deviation of a normal distribution
EFFICIENCY = 0.37  # of that median beside the standard deviation (Hampel et al., Robust Statistics, 1986, section 2.3)

BLOCK = 50_000  # members at a time

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Distances:
    """z: (members,), from the median, in standard deviations; NaN where there is nothing to compare, or nobody.

    freedom: (members,), degrees of freedom of these standard deviations. spread: τ, in the unit compared.
    """

    z: Floats
    freedom: Floats
    spread: float

    def __getitem__(self, members: slice) -> Distances:
        return Distances(self.z[members], self.freedom[members], self.spread)

    def p(self, sides: int, number: NDArray[np.int64]) -> Floats:
        """(members,), the p-value of one or both sides, NaN where there is no z; 1 where it times a number (members,)
        of tests is no less: only small ones count.

        By Student's t, which takes longer than the normal distribution, whose p is never larger.
        """
        from scipy.special import ndtri, stdtr

        tail = -np.abs(self.z) if sides == 2 else -self.z
        p = np.where(np.isnan(self.z), np.nan, 1.0)
        limits = ndtri(1 / (sides * np.maximum(1, np.arange(number.max(initial=0) + 1))))
        near = np.flatnonzero(tail < limits[number])
        p[near] = np.minimum(1.0, sides * stdtr(self.freedom[near], tail[near]))
        return p


def compare(values: Floats, variances: Floats, freedom: Floats | float) -> Distances:
    """Each value (members,) with the others; variances: of each by its own readings, with so many degrees of freedom.

    Those of τ² + uᵢ² are Welch and Satterthwaite's (JCGM 100:2008, G.4.1) with what a median of so many sensors has, as
    if all of the spread were τ.
    """
    known = np.isfinite(values) & np.isfinite(variances)
    n = int(known.sum())
    if n < FEWEST:
        nothing = np.full(len(values), np.nan)
        return Distances(nothing, nothing, np.nan)
    of_known = (values[known], variances[known]) if n < len(values) else (values, variances)
    middle = np.median(of_known[0])
    squares = in_blocks(lambda value, variance: np.square(TO_SIGMA * (value - middle)) - variance, *of_known)
    spread = max(0.0, float(np.median(squares)))

    def distance(value: Floats, variance: Floats, freedom: Floats) -> Floats:
        total, off = spread + variance, value - middle
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(np.isfinite(off + total), np.where(off == 0, 0.0, off / np.sqrt(total)), np.nan)
            own = np.where(total > 0, np.square(variance / total) / freedom, 0.0)
        return np.stack([z, 1 / (1 / (EFFICIENCY * n) + own)])

    z, of_z = in_blocks(distance, values, variances, np.broadcast_to(freedom, len(values)))
    return Distances(z, of_z, spread**0.5)


def in_blocks(function: Callable[..., Floats], *arrays: Floats) -> Floats:
    """The function of arrays (members,), (…, members), some members at a time: what is made on the way stays in the
    cores' caches."""
    blocks = [slice(first, first + BLOCK) for first in range(0, max(1, len(arrays[0])), BLOCK)]
    return np.concatenate([function(*(array[some] for array in arrays)) for some in blocks], axis=-1)


@dataclass(frozen=True, eq=False)
class Scatters:
    """The standard deviations s (members,) of the residuals beside each other, by their cube roots.

    roots: of s², over that of the median sensor, typical: its s. own: variances of these by the sensor's own readings.
    compared: as `compare` has it.
    """

    roots: Floats
    own: Floats
    compared: Distances
    typical: float

    @property
    def prior_freedom(self) -> float:
        """What the others' s say of one, in degrees of freedom: few where sensors differ, infinitely many where all
        scatter alike."""
        spread = self.compared.spread
        return 2 / (9 * spread**2) if spread else np.inf

    @cached_property
    def distances(self) -> Distances:
        """On the scale between cube roots and logarithms that suits."""
        from scipy.special import boxcox

        def distance(roots: Floats, own: Floats) -> Floats:
            total = self.compared.spread**2 + own
            return np.asarray(boxcox(roots, np.square(own / total)) / np.sqrt(total))

        with np.errstate(divide="ignore", invalid="ignore"):
            return replace(self.compared, z=in_blocks(distance, self.roots, self.own))


def compare_scatters(s: Floats, freedom: Floats) -> Scatters:
    """As `compare`, of cube roots: that of s² is nearly normal about 1 − 2/(9ν) times the cube root of σ², relative
    variance 2/(9ν) (Wilson and Hilferty, The distribution of chi-square, Proc. Natl. Acad. Sci. 17, 1931).

    Where good sensors differ, they do so by factors: what is normal is the logarithm. Between the two scales lies a
    power (Box and Cox), by the square of the share of the sensor's own variance, which simulations bear out.
    """

    def root(s: Floats, freedom: Floats) -> Floats:
        own = 2 / (9 * freedom)
        return np.stack([np.cbrt(np.square(s)) / (1 - own), own / np.square(1 - own)])

    with np.errstate(divide="ignore", invalid="ignore"):
        roots, own = in_blocks(root, s, freedom)
        known = np.isfinite(roots)
        middle = float(np.median(roots if known.all() else roots[known])) if known.any() else np.nan
        roots = roots / middle
        return Scatters(roots, own, compare(roots, own, np.inf), middle**1.5)
