"""What single readings do to the line: outliers, influence, a line that rests on one of them.

By a second pass over the rows, of as many members as are to be looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.checks.check import Check, Names, chosen, format_p, name_readings, unchecked
from tempfit.calibration.checks.sample import Sample
from tempfit.calibration.checks.shape import INSIGNIFICANT
from tempfit.calibration.checks.tally import Tally, p_of_outlier
from tempfit.calibration.significance import DOUBT, REFUSE, f_tail, least_seen
from tempfit.exact.evidence import gather, merge
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

    tally: Tally

    @property
    def figure(self) -> NDArray[np.float64]:
        """(members,), the largest."""
        return self.tally.outlier.figure

    @cached_property
    def p(self) -> NDArray[np.float64]:
        return np.minimum(1.0, p_of_outlier(self.tally.sample, self.figure))

    @cached_property
    def verdict(self) -> NDArray[np.int8]:
        moves = self.tally.outlier.beside > INFLUENTIAL
        cases = (self.p >= DOUBT, Verdict.PASSES), ((self.p < REFUSE) & moves, Verdict.FAILS)
        return chosen(*cases, otherwise=Verdict.DOUBTFUL)

    def tell(self, member: int, names: Names) -> Check:
        sample, figure, p = self.tally.sample, float(self.figure[member]), float(self.p[member])
        test = f"largest studentized residual {figure:.3g}, {format_p(p)}"
        if p >= DOUBT:
            others = np.median(np.sqrt(1 - sample.leverage[member]) * sample.root_weights[member])
            sd = sample.sd[member] * sample.unit[member] / max(float(others), np.finfo(float).tiny)
            seen = least_seen(sample.freedom - 1, DOUBT / sample.n) * sd
            sentence = f"no outlier ({test}); a reading would be one from {seen:.2g} {names.y_unit} on"
        else:
            far = self.tally.outliers[member]
            lie = "lies" if len(far) == 1 else "lie"
            sentence = f"{name_readings(far)} {lie} off the line ({test}): look what happened there"
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

    tally: Tally

    @property
    def figure(self) -> NDArray[np.float64]:
        """(members,), Cook's distance."""
        return self.tally.distance.figure

    @cached_property
    def p(self) -> NDArray[np.float64]:
        from scipy.special import fdtrc

        sample = self.tally.sample
        return np.asarray(fdtrc(sample.n_terms, sample.freedom, self.figure))

    @cached_property
    def is_deciding(self) -> NDArray[np.bool_]:
        """(members,), whether the line follows one reading wherever it lies; weights are meant to decide."""
        # At the ends of a polynomial, leverage grows with n_terms².
        sample = self.tally.sample
        deciding = max(DECIDING, sample.n_terms**2 / sample.n)
        return (self.tally.leverage.figure > deciding) & (not sample.is_weighted)

    @cached_property
    def verdict(self) -> NDArray[np.int8]:
        return chosen(((self.p < MOVED) | self.is_deciding, Verdict.DOUBTFUL), otherwise=Verdict.PASSES)

    def tell(self, member: int, names: Names) -> Check:
        figure, p = float(self.figure[member]), float(self.p[member])
        distance, leverage = self.tally.distance, self.tally.leverage
        if p < MOVED:
            row = distance.row[member]
            sentence = f"without reading {row:,} the line would be another (Cook's distance {figure:.2g})"
        elif self.is_deciding[member]:
            row, share = leverage.row[member], f"leverage {leverage.figure[member]:.2g}"
            sentence = f"the line follows reading {row:,} wherever it lies ({share})"
        else:
            sentence = f"no reading decides the line alone (largest Cook's distance {figure:.2g})"
        verdict = Verdict.of(self.verdict[member])
        sentence += "" if verdict is Verdict.PASSES else ": take further readings beside it"
        return Check("influence", "Cook's distance", figure, p, verdict, sentence)


def find_single(
    tally: Tally, samples: Callable[[], Iterable[Sample]], member: int, *, is_accepted: bool
) -> Check | None:
    """Whether a member's model rests on a single reading; None where it does not.

    It does where, without that reading, the others lie at too few places to carry it; a line of readings that weigh the
    same also where the others' own slope is not significant (F test, by the scatter about the line).
    samples: the rows once more, block by block. is_accepted: whether the user answers for it.
    """
    sample, largest = tally.sample, tally.leverage
    leverage, number, n_terms = float(largest.figure[member]), int(largest.row[member]), sample.n_terms
    if leverage <= LONE:
        return None
    low, high = tally.ends[:, member]
    places = _find_places(samples(), member, 1e9 / float(high - low), n_terms)
    lone = [place for place in places if place.times == 1]
    if len(places) == n_terms and lone:
        number, leverage = lone[-1].number, lone[-1].leverage
        why = "the others lie at one place" if n_terms == 2 else f"the others lie at {n_terms - 1} places"
    elif n_terms == 2 and not sample.is_weighted:
        scatter = max(float(tally.rss[member]) / sample.freedom, float(sample.rounding[member]))
        figure = _slope_without(samples(), member, number) / scatter
        p = float(f_tail(1, sample.freedom, figure))
        if p < INSIGNIFICANT:
            return None
        why = f"the others tell no slope (F(1, {sample.freedom:,}) = {figure:.3g}, {format_p(p)})"
    else:
        return None
    model = "line" if n_terms == 2 else "model"
    sentence = f"the {model} rests on reading {number:,} alone: {why}"
    sentence += (
        "" if is_accepted else "; take further readings beside it, or accept that (`accept_single_reading=True`)"
    )
    verdict = Verdict.DOUBTFUL if is_accepted else Verdict.FAILS
    return Check("influence", "leverage", leverage, None, verdict, sentence)


@dataclass(frozen=True)
class _Place:
    """Where readings lie, how many, and the number and the leverage of the first of them."""

    z: float
    times: int
    number: int
    leverage: float


def _find_places(samples: Iterable[Sample], member: int, scale: float, most: int) -> list[_Place]:
    """The places of a member's readings, from the lowest; beyond `most` they are not counted further."""
    places: dict[float, _Place] = {}
    for sample in samples:
        found, first, times = np.unique(np.round(sample.z[member] * scale), return_index=True, return_counts=True)
        for z, row, n in zip(found[: most + 1].tolist(), first.tolist(), times.tolist(), strict=False):
            new = _Place(z, n, int(sample.rows[row]), float(sample.leverage[member, row]))
            known = places.get(z, new)
            places[z] = new if known is new else replace(known, times=known.times + n)
        if len(places) > most:
            break
    return [places[z] for z in sorted(places)]


def _slope_without(samples: Iterable[Sample], member: int, number: int) -> float:
    """The sum of squares that the slope of all readings but one explains."""
    parts = []
    for sample in samples:
        others = sample.rows != number
        if others.any():
            parts.append(gather(sample.z[member, others][None], sample.t_c[member, others][None], degree=1))
    return float(merge(parts).targets[0, 1]) ** 2
