"""What single readings do to the line: outliers, influence, a line that rests on one of them.

By a second pass over the rows, of as many members as are to be looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.checks.check import Check, Names, chosen, format_p, name_readings, unchecked
from tempfit.calibration.checks.sample import Sample
from tempfit.calibration.checks.shape import INSIGNIFICANT
from tempfit.calibration.significance import DOUBT, REFUSE, f_tail, least_seen
from tempfit.words import Verdict

INFLUENTIAL, MOVED = 1.0, 0.05  # Cook's distance that an outlier may have, and the p-value of any reading's
DECIDING = 0.5  # leverage
LONE = 0.95  # leverage from which on the other readings are asked whether they tell the slope, too
MANY_SET_ASIDE, FEWEST_SET_ASIDE = 0.25, 3  # of the readings, and readings: the line does not fit them
FEWEST_TO_SET_ASIDE = 3  # degrees of freedom: with two, no residual is beyond Huber's delta


@dataclass(frozen=True, eq=False)
class Outliers:
    """The largest externally studentized residual, its p-value by Bonferroni.

    Cook and Weisberg: Residuals and Influence in Regression (1982), section 2.2.
    """

    sample: Sample

    @cached_property
    def _size(self) -> NDArray[np.float64]:
        return np.abs(self.sample.studentized)

    @cached_property
    def figure(self) -> NDArray[np.float64]:
        """(members,), the largest."""
        return self._size.max(axis=1)

    @cached_property
    def p_each(self) -> NDArray[np.float64]:
        """(members, n), of every reading, times their number."""
        from scipy.special import stdtr

        return 2 * self.sample.n * np.asarray(stdtr(self.sample.freedom - 1, -self._size))

    @cached_property
    def p(self) -> NDArray[np.float64]:
        return np.minimum(1.0, self.p_each.min(axis=1))

    @cached_property
    def verdict(self) -> NDArray[np.int8]:
        worst = self._size.argmax(axis=1)
        moves = np.take_along_axis(self.sample.distance, worst[:, None], axis=1)[:, 0] > INFLUENTIAL
        cases = (self.p >= DOUBT, Verdict.PASSES), ((self.p < REFUSE) & moves, Verdict.FAILS)
        return chosen(*cases, otherwise=Verdict.DOUBTFUL)

    def tell(self, member: int, names: Names) -> Check:
        sample, figure, p = self.sample, float(self.figure[member]), float(self.p[member])
        test = f"largest studentized residual {figure:.3g}, {format_p(p)}"
        if p >= DOUBT:
            others = np.median(np.sqrt(1 - sample.leverage[member]) * sample.root_weights[member])
            sd = sample.sd[member] * sample.unit[member] / max(float(others), np.finfo(float).tiny)
            seen = least_seen(sample.freedom - 1, DOUBT / sample.n) * sd
            sentence = f"no outlier ({test}); a reading would be one from {seen:.2g} {names.y_unit} on"
        else:
            far = np.flatnonzero(self.p_each[member] < DOUBT)
            lie = "lies" if len(far) == 1 else "lie"
            sentence = f"{name_readings(sample.rows[far])} {lie} off the line ({test}): look what happened there"
            sentence += "" if names.both_uncertain else ', or use `loss="huber"`'
        return Check("outliers", "studentized residual", figure, p, Verdict.of(self.verdict[member]), sentence)


@dataclass(frozen=True, eq=False)
class SetAside:
    """What Huber's loss set aside. aside: (members, n), which readings."""

    sample: Sample
    aside: NDArray[np.bool_]

    @cached_property
    def figure(self) -> NDArray[np.float64]:
        """(members,), their share."""
        return self.aside.mean(axis=1)

    @cached_property
    def verdict(self) -> NDArray[np.int8]:
        n_aside = self.aside.sum(axis=1)
        return chosen(
            (np.full(len(n_aside), self.sample.freedom < FEWEST_TO_SET_ASIDE), Verdict.NOT_CHECKED),
            (n_aside == 0, Verdict.PASSES),
            ((self.figure > MANY_SET_ASIDE) & (n_aside >= FEWEST_SET_ASIDE), Verdict.FAILS),
            otherwise=Verdict.DOUBTFUL,
        )

    def tell(self, member: int, names: Names) -> Check:
        verdict = Verdict.of(self.verdict[member])
        if verdict is Verdict.NOT_CHECKED:
            return unchecked("outliers", "of so few readings, Huber's loss sets none aside")
        sentence = "Huber's loss set no reading aside"
        if verdict is not Verdict.PASSES:
            which = name_readings(self.sample.rows[self.aside[member]])
            sentence = f"Huber's loss set aside {which}: too far from the line for chance, and counted less"
        if verdict is Verdict.FAILS:
            sentence += ": too many for outliers"
        return Check("outliers", "share set aside", float(self.figure[member]), None, verdict, sentence)


@dataclass(frozen=True, eq=False)
class Influence:
    """The largest distance by which leaving one reading out would move the line (Cook, Technometrics 19, 1977).

    It is compared with the F distribution, as Cook does: with p = 0.05 the line moves to the edge of its own joint
    confidence region of 95 %. A reading may also have so much leverage that the line follows wherever it lies.
    """

    sample: Sample

    @cached_property
    def figure(self) -> NDArray[np.float64]:
        """(members,), Cook's distance."""
        return self.sample.distance.max(axis=1)

    @cached_property
    def p(self) -> NDArray[np.float64]:
        from scipy.special import fdtrc

        return np.asarray(fdtrc(self.sample.n_terms, self.sample.freedom, self.figure))

    @cached_property
    def is_deciding(self) -> NDArray[np.bool_]:
        """(members,), whether the line follows one reading wherever it lies; weights are meant to decide."""
        # At the ends of a polynomial, leverage grows with n_terms².
        deciding = max(DECIDING, self.sample.n_terms**2 / self.sample.n)
        return (self.sample.leverage.max(axis=1) > deciding) & (not self.sample.is_weighted)

    @cached_property
    def verdict(self) -> NDArray[np.int8]:
        return chosen(((self.p < MOVED) | self.is_deciding, Verdict.DOUBTFUL), otherwise=Verdict.PASSES)

    def tell(self, member: int, names: Names) -> Check:
        sample, figure = self.sample, float(self.figure[member])
        p, leverage = float(self.p[member]), sample.leverage[member]
        if p < MOVED:
            row = sample.rows[sample.distance[member].argmax()]
            sentence = f"without reading {row:,} the line would be another (Cook's distance {figure:.2g})"
        elif self.is_deciding[member]:
            row, share = sample.rows[leverage.argmax()], f"leverage {leverage.max():.2g}"
            sentence = f"the line follows reading {row:,} wherever it lies ({share})"
        else:
            sentence = f"no reading decides the line alone (largest Cook's distance {figure:.2g})"
        verdict = Verdict.of(self.verdict[member])
        sentence += "" if verdict is Verdict.PASSES else ": take further readings beside it"
        return Check("influence", "Cook's distance", figure, p, verdict, sentence)


def find_single(sample: Sample, member: int, *, is_accepted: bool) -> Check | None:
    """Whether a member's model rests on a single reading; None where it does not.

    It does where, without that reading, the others lie at too few places to carry it; a line of readings that weigh the
    same also where the others' own slope is not significant (F test, by the scatter about the line).
    is_accepted: whether the user answers for it.
    """
    leverage, z, n_terms = sample.leverage[member], sample.z[member], sample.n_terms
    if leverage.max() <= LONE:
        return None
    scale = 1e9 / float(np.ptp(z))
    _, first, times = np.unique(np.round(z * scale), return_index=True, return_counts=True)
    if len(times) == n_terms and (times == 1).any():
        row = int(first[times == 1][-1])
        why = "the others lie at one place" if n_terms == 2 else f"the others lie at {n_terms - 1} places"
    elif n_terms == 2 and not sample.is_weighted:
        row = int(np.argmax(leverage))
        scatter = max(float(sample.rss[member]) / sample.freedom, float(sample.rounding[member]))
        figure = _slope_without(z, sample.t_c[member], row) / scatter
        p = float(f_tail(1, sample.freedom, figure))
        if p < INSIGNIFICANT:
            return None
        why = f"the others tell no slope (F(1, {sample.freedom:,}) = {figure:.3g}, {format_p(p)})"
    else:
        return None
    model = "line" if n_terms == 2 else "model"
    sentence = f"the {model} rests on reading {sample.rows[row]:,} alone: {why}"
    sentence += (
        "" if is_accepted else "; take further readings beside it, or accept that (`accept_single_reading=True`)"
    )
    verdict = Verdict.DOUBTFUL if is_accepted else Verdict.FAILS
    return Check("influence", "leverage", float(leverage[row]), None, verdict, sentence)


def _slope_without(z: NDArray[np.float64], t_c: NDArray[np.float64], row: int) -> float:
    """The sum of squares that the slope of all readings but one explains."""
    z, t_c = np.delete(z, row), np.delete(t_c, row)
    z = z - z.mean()
    return float(z @ t_c) ** 2 / float(z @ z)
