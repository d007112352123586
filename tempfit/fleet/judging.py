"""Which of many sensors are odd: by their checks and beside their siblings, at a stated rate of false discoveries.

A check that fails by a small p accuses a thousand good sensors of a million at p < 0.001. So each sensor gets one p
from all of its tests, the smallest times their number (Bonferroni), and those of all sensors are adjusted together
(Benjamini and Hochberg, Controlling the false discovery rate, J. R. Stat. Soc. B 57, 1995): of the sensors accused, a
share of `fdr` at most is expected to be good. Slope and descent do not accuse: slope fails by a large p, descent has
none, and who fails one of them is not usable, whatever the rate.

A check accuses where it fails by itself, which for curvature takes one that matters beside the scatter. Elsewhere its p
counts as 1. That keeps the rate: a p that is only made larger is no more often small, and the test still counts among
the sensor's, as it has to. To keep the p of a curvature that is certain and harms nobody would not: as a discovery that
accuses nobody, it would make room for false ones (Finner and Roters, On the false discovery rate and expected type I
errors, Biometrical Journal 43, 2001).

What a sensor's own readings cannot show, its siblings do: w and b far from the fleet's median, to either side, and an s
far above it. A small s harms nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tempfit.calibration.checks.descent import MOST_ROUNDING
from tempfit.calibration.members import Solved
from tempfit.calibration.record_arrays import as_column
from tempfit.fleet.siblings import BLOCK, Distances, Floats, compare, compare_scatters
from tempfit.words import Verdict

BY_SMALL_P = ("curvature", "consistency")  # checks that fail by one
SIBLINGS = ("w", "b", "s")
SIDES = (2, 2, 1)  # to which each may lie too far


@dataclass(frozen=True, eq=False)
class Figures:
    """What a fleet is judged by, (members,) each, of the readings alone; NaN where a sensor has none.

    w, u_w, b, u_b: the exact line and its standard uncertainties; NaN of a polynomial. u_freedom: of these, degrees of
    freedom. s: standard deviation of the residuals; where uncertainties are stated, in units of these. freedom: of s.
    p: (members, checks), of BY_SMALL_P; where the check does not fail, it may be 1. fails: likewise, whether it does.
    """

    w: Floats
    u_w: Floats
    b: Floats
    u_b: Floats
    u_freedom: Floats
    s: Floats
    freedom: Floats
    p: Floats
    fails: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class FleetJudgement:
    """Which sensors are odd, (members,) each.

    w_z, b_z, s_z: how far from the siblings' median, in standard deviations; NaN where it is not compared. p: the
    smallest of the sensor's p-values times their number, at most 1; NaN where there is none. q: adjusted, over all
    sensors. tests: what one can be accused by. accused: (members, tests). fdr: the rate that was asked for.
    """

    w_z: Floats
    b_z: Floats
    s_z: Floats
    p: Floats
    q: Floats
    tests: tuple[str, ...]
    accused: NDArray[np.bool_]
    fdr: float

    @property
    def is_accused(self) -> NDArray[np.bool_]:
        """(members,), whether of anything."""
        return np.asarray(self.accused.any(axis=1))

    @property
    def is_compared(self) -> bool:
        """Whether there were siblings enough to compare with."""
        return not np.isnan(self.s_z).all()

    def columns(self) -> dict[str, pa.Array]:
        """Those of the fleet's table, null where there is no number."""
        numbers = {"w_z": self.w_z, "b_z": self.b_z, "s_z": self.s_z, "p": self.p, "q": self.q}
        ends = np.cumsum(np.concatenate([[0], self.accused.sum(axis=1)])).astype(np.int32)
        names = pa.array(self.tests, pa.string()).take(pa.array(np.nonzero(self.accused)[1]))
        return {
            **{f"fleet_{name}": as_column(values) for name, values in numbers.items()},
            "fleet_accused_by": pa.ListArray.from_arrays(ends, names),
        }


def figures_of(solved: Solved) -> Figures:
    """What some sensors are judged by, from their exact solutions: of the readings, not of where a descent ends.

    Without what all references have in common, which moves all sensors alike. A scatter below rounding is rounding.
    """
    exact = solved.exact
    rounding = MOST_ROUNDING * solved.evidence.largest
    own = replace(exact, observation_sd=np.maximum(exact.observation_sd, rounding), u_common=0.0)
    s = np.maximum(exact.residual_sd, rounding)
    s = np.where(np.isinf(exact.degrees_of_freedom), s / np.sqrt(exact.variance), s)
    nothing = np.full((len(solved), 2), np.nan)
    line, u = (own.coefficients, own.uncertainties) if own.is_line else (nothing, nothing)
    p, fails = np.full((2, len(solved), len(BY_SMALL_P)), np.nan)
    for k, name in enumerate(BY_SMALL_P):
        if (check := solved.accusing.get(name)) is not None:
            p[:, k] = np.where(check.verdict == Verdict.NOT_CHECKED.code, np.nan, check.small_p)
            fails[:, k] = check.verdict == Verdict.FAILS.code
    freedom = np.asarray(exact.residual_freedom, float)
    return Figures(line[:, 0], u[:, 0], line[:, 1], u[:, 1], exact.degrees_of_freedom, s, freedom, p, fails == 1)


def concatenate(parts: Sequence[Figures]) -> Figures:
    """The figures of all parts' sensors, one part's behind the other's."""
    return Figures(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Figures)))


def judge_fleet(figures: Figures, fdr: float) -> FleetJudgement:
    """Compare each sensor with its siblings, where there are enough, and accuse as many as `fdr` allows.

    A sensor is not taken to be more certain of w and b than the typical scatter would make it: of a few readings, some
    lie on a line by chance. So its variance is never below that which its own and its siblings' s say together, whose
    degrees of freedom add (Smyth, Linear models and empirical Bayes methods, Stat. Appl. Genet. Mol. Biol. 3, 2004).
    """
    scatters = compare_scatters(figures.s, figures.freedom)
    with np.errstate(divide="ignore", invalid="ignore"):
        times = np.where(np.isinf(figures.u_freedom), 1.0, np.maximum(1.0, scatters.typical / figures.s))
    freedom = figures.u_freedom + scatters.prior_freedom
    with ThreadPoolExecutor(len(SIBLINGS)) as pool:
        s = pool.submit(lambda: scatters.distances)
        variances = (np.square(times * figures.u_w), np.square(times * figures.u_b))
        w, b = pool.map(partial(compare, freedom=freedom), (figures.w, figures.b), variances)
        compared = (w, b, s.result())
        each = np.empty((len(BY_SMALL_P) + len(SIBLINGS), len(figures.s)))  # (tests, members)
        blocks = [slice(first, first + BLOCK) for first in range(0, len(figures.s), BLOCK)]
        p = np.concatenate([*pool.map(partial(_least_p, figures, compared, each), blocks), np.empty(0)])
    q = _adjusted(p)
    found = q <= fdr
    level = fdr * found.sum() / max(1, (~np.isnan(p)).sum())  # what Benjamini and Hochberg accept, whoever is at it
    accused = found & (each <= level)
    return FleetJudgement(w.z, b.z, compared[2].z, p, q, (*BY_SMALL_P, *SIBLINGS), accused.T, fdr)


def _least_p(figures: Figures, compared: Sequence[Distances], each: Floats, some: slice) -> Floats:
    """Of some members the smallest p times the number of tests; those of all tests are put into each."""
    checks = zip(figures.p[some].T, figures.fails[some].T, strict=True)
    p = [np.where(np.isnan(p) | fails, p, 1.0) for p, fails in checks]
    distances = [they[some] for they in compared]
    number = np.sum([~np.isnan(values) for values in (*p, *(they.z for they in distances))], axis=0)
    p += [they.p(sides, number) for they, sides in zip(distances, SIDES, strict=True)]
    np.multiply(p, number, out=each[:, some])
    return np.where(number > 0, np.fmin(np.fmin.reduce(each[:, some]), 1.0), np.nan)


def _adjusted(p: Floats) -> Floats:
    """By Benjamini and Hochberg, of the sensors that have a p. One of 1 stays 1, so that only the others are sorted."""
    from scipy.stats import false_discovery_control

    q, small = np.where(np.isnan(p), np.nan, 1.0), p < 1
    if small.any():
        q[small] = np.minimum(1.0, false_discovery_control(p[small]) * ((~np.isnan(p)).sum() / small.sum()))
    return q
