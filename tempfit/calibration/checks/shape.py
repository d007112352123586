"""Whether the readings have the shape of the model: slope, curvature, and the uncertainties stated.

By evidence alone. Each check measures every member, decides for each, and tells of the one that is asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.checks.check import Check, Names, chosen, format_p, unchecked
from tempfit.calibration.checks.footing import Footing
from tempfit.calibration.significance import DOUBT, REFUSE, f_tail, least_seen
from tempfit.config import MOST_DEGREE
from tempfit.exact.least_squares import LeastSquares
from tempfit.exact.matrices import solve_upper
from tempfit.words import Verdict

INSIGNIFICANT = 0.05  # p-value from which on the reading tells nothing of the temperature
INCONSISTENT = 0.05  # of χ²: ISO/TS 28037 takes the quantile of 95 %
NEGLIGIBLE, MATERIAL = 0.1, 0.5  # standard deviations of an observation: curvature that does no harm, and that does
TOO_FEW_PLACES = 1e-10  # of a standardized power: what rounding leaves of one that the lower ones can make
UNDOUBTED = 6.6  # an F(1, ν) below it has a p above DOUBT, whatever ν: χ²'s quantile is 6.63, F's are larger
GRID = 51  # places at which a curve of higher degree is asked for its largest deviation


@dataclass(frozen=True, eq=False)
class Slope:
    """F test of the model against a constant: whether the reading tells anything of the temperature."""

    footing: Footing

    @cached_property
    def explained(self) -> NDArray[np.float64]:
        """(members,), the sum of squares that the model explains beyond the mean."""
        return np.square(self.footing.evidence.targets[:, 1 : self.footing.n_terms]).sum(axis=1)

    @cached_property
    def is_flat(self) -> NDArray[np.bool_]:
        """(members,), whether all references are the same."""
        return self.explained <= self.footing.evidence.n * self.footing.rounding

    @cached_property
    def figure(self) -> NDArray[np.float64]:
        """(members,), F; NaN where all references are the same."""
        on = self.footing
        with np.errstate(divide="ignore", invalid="ignore"):
            f = self.explained / (on.n_terms - 1) / np.maximum(on.rss / on.freedom, on.rounding)
        return np.where(self.is_flat, np.nan, f)

    @cached_property
    def p(self) -> NDArray[np.float64]:
        return f_tail(self.footing.n_terms - 1, self.footing.freedom, self.figure)

    @cached_property
    def verdict(self) -> NDArray[np.int8]:
        return chosen((self.p < INSIGNIFICANT, Verdict.PASSES), otherwise=Verdict.FAILS)

    def tell(self, member: int, names: Names) -> Check:
        what = f"the reading {names.x} tells nothing of {names.y}"
        if self.is_flat[member]:
            return Check("slope", "F", math.nan, None, Verdict.FAILS, f"{what}: all references are the same")
        figure, p = float(self.figure[member]), float(self.p[member])
        between, freedom = self.footing.n_terms - 1, int(self.footing.freedom[member])
        test = f"F({between}, {freedom:,}) = {figure:.3g}, {format_p(p)}"
        verdict = Verdict.of(self.verdict[member])
        if verdict is Verdict.PASSES:
            return Check("slope", "F", figure, p, verdict, f"the temperature depends on the reading ({test})")
        return Check("slope", "F", figure, p, verdict, f"{what} beyond their mean ({test})")


@dataclass(frozen=True, eq=False)
class Curvature:
    """F test of the model against one of the next degree.

    It fails sooner where residuals that are like their neighbours say the same: a large misfit hides itself in its own
    scatter. alike: (members,), whether they are; False where nobody looked.
    """

    footing: Footing
    alike: NDArray[np.bool_] | bool = field(default=False)

    @property
    def _power(self) -> NDArray[np.float64]:
        """(members,), the norm of what lower powers cannot make of the next one."""
        return self.footing.evidence.factor[:, self.footing.n_terms, self.footing.n_terms]

    @cached_property
    def is_unseen(self) -> NDArray[np.bool_]:
        """(members,), whether the readings are at too few places to see the next degree."""
        factor, n_terms = self.footing.evidence.factor, self.footing.n_terms
        standardized = self._power * (factor[:, 0, 0] / factor[:, 1, 1]) ** n_terms
        return standardized <= TOO_FEW_PLACES * self.footing.evidence.n

    @cached_property
    def variance(self) -> NDArray[np.float64]:
        """(members,), of the residuals of the higher model."""
        on = self.footing
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.maximum(on.evidence.rss(on.n_terms + 1) / (on.freedom - 1), on.rounding)

    @cached_property
    def figure(self) -> NDArray[np.float64]:
        """(members,), F."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.square(self.footing.evidence.targets[:, self.footing.n_terms]) / self.variance

    @cached_property
    def p(self) -> NDArray[np.float64]:
        return f_tail(1, self.footing.freedom - 1, self.figure)

    @cached_property
    def small_p(self) -> NDArray[np.float64]:
        """(members,), p where it is below DOUBT; where it is not, it may be 1: of many members, most need no more."""
        p, few = np.ones(len(self.figure)), np.flatnonzero(~(self.figure < UNDOUBTED))
        p[few] = f_tail(1, self.footing.freedom[few] - 1, self.figure[few])
        return p

    @cached_property
    def off(self) -> NDArray[np.float64]:
        """(members,), by how much the model is off at most within the range, for a coefficient of 1 of the next power.

        That power less what the lower ones make of it is a polynomial; a parabola is largest at an end or its vertex.
        """
        factor, n_terms = self.footing.evidence.factor, self.footing.n_terms
        with np.errstate(divide="ignore", invalid="ignore"):
            made = solve_upper(factor[:, :n_terms, :n_terms], factor[:, :n_terms, n_terms, None])[..., 0]
        made = np.where(self.is_unseen[:, None], 0.0, made)
        if n_terms == 2:
            z = np.stack([-np.ones(len(factor)), np.ones(len(factor)), np.clip(made[:, 1] / 2, -1, 1)]).T
        else:
            z = np.broadcast_to(np.cos(np.linspace(0, np.pi, GRID)), (len(factor), GRID))
        left = np.ones_like(z)
        for power in reversed(range(n_terms)):
            left = left * z - made[:, power, None]
        return np.abs(left).max(axis=1)

    @cached_property
    def deviation(self) -> NDArray[np.float64]:
        """(members,), by how much the model is off at most within the range, in the unit of t_c."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.abs(self.footing.evidence.targets[:, self.footing.n_terms]) / self._power * self.off

    @cached_property
    def verdict(self) -> NDArray[np.int8]:
        with np.errstate(divide="ignore", invalid="ignore"):
            times = self.deviation / np.sqrt(self.footing.rss / self.footing.freedom)
        fails = ((self.small_p < REFUSE) | self.alike) & (times > MATERIAL)
        return chosen(
            (self.footing.is_untestable | self.is_unseen, Verdict.NOT_CHECKED),
            ((self.small_p >= DOUBT) | (times < NEGLIGIBLE), Verdict.PASSES),
            (fails, Verdict.FAILS),
            otherwise=Verdict.DOUBTFUL,
        )

    def tell(self, member: int, names: Names) -> Check:
        verdict, on = Verdict.of(self.verdict[member]), self.footing
        if verdict is Verdict.NOT_CHECKED:
            unseen = "too few different readings to see one"
            why = on.why_untestable(member) if on.is_untestable[member] else unseen
            return unchecked("curvature", why)
        figure, p, n_terms = float(self.figure[member]), float(self.p[member]), on.n_terms
        freedom = int(on.freedom[member]) - 1
        model, other = ("line", "quadratic") if n_terms == 2 else (f"degree {n_terms - 1}", f"degree {n_terms}")
        test = f"F(1, {freedom}) = {figure:.3g}, {format_p(p)}"
        size = f"{self.deviation[member]:.2g} {names.y_unit}"
        if p >= DOUBT:
            sd = math.sqrt(self.variance[member]) / self._power[member] * self.off[member]
            seen = f"{least_seen(freedom, DOUBT) * sd:.2g} {names.y_unit}"
            sentence = f"no curvature seen beyond the {model} ({test}); it would be from {seen} on"
        elif verdict is Verdict.PASSES:
            sentence = f"curvature beyond the {model} is certain ({test}), but at most {size}, which the scatter hides"
        else:
            sentence = f"a {other} fits better than the {model}, which is off by up to {size} ({test})"
            if n_terms <= MOST_DEGREE and not names.both_uncertain:
                sentence += f': use `model="polynomial", degree={n_terms}`'
        return Check("curvature", "F", figure, p, verdict, sentence)


@dataclass(frozen=True, eq=False)
class Consistency:
    """Whether the residuals are as large as the stated uncertainties say (ISO/TS 28037:2010, clause 6)."""

    exact: LeastSquares

    @property
    def figure(self) -> NDArray[np.float64]:
        """(members,), χ²."""
        return np.atleast_1d(self.exact.chi_squared)

    @cached_property
    def p(self) -> NDArray[np.float64]:
        from scipy.special import chdtrc

        return np.asarray(chdtrc(np.atleast_1d(self.exact.residual_freedom), self.figure))

    @property
    def small_p(self) -> NDArray[np.float64]:
        return self.p

    @cached_property
    def verdict(self) -> NDArray[np.int8]:
        return chosen(
            (self.p < REFUSE, Verdict.FAILS),
            ((self.p < INCONSISTENT) | (self.p > 1 - REFUSE), Verdict.DOUBTFUL),
            otherwise=Verdict.PASSES,
        )

    def tell(self, member: int, names: Any = None) -> Check:
        figure, p = float(self.figure[member]), float(self.p[member])
        freedom = int(np.atleast_1d(self.exact.residual_freedom)[member])
        test = f"χ² = {figure:.4g} for {freedom:,} degrees of freedom, {format_p(p)}"
        if p < INCONSISTENT:
            sentence = f"the residuals are larger than the stated uncertainties allow ({test}): "
            sentence += "those are too small, or the model does not fit"
        elif p > 1 - REFUSE:
            sentence = f"the residuals are smaller than the stated uncertainties ({test}): those look too large"
        else:
            sentence = f"the stated uncertainties explain the residuals ({test})"
        return Check("consistency", "χ²", figure, p, Verdict.of(self.verdict[member]), sentence)
