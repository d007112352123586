"""What single readings do to the line: outliers, influence, a line that rests on one of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.checks.check import Check, format_p, name_readings, unchecked
from tempfit.calibration.checks.sample import Sample
from tempfit.calibration.checks.shape import INSIGNIFICANT
from tempfit.calibration.significance import DOUBT, REFUSE, f_tail, least_seen
from tempfit.exact.problem import Problem
from tempfit.readings.paired import Readings
from tempfit.words import Verdict

INFLUENTIAL, MOVED = 1.0, 0.05  # Cook's distance that an outlier may have, and the p-value of any reading's
DECIDING = 0.5  # leverage
LONE = 0.95  # leverage from which on the other readings are asked whether they tell the slope, too
MANY_SET_ASIDE, FEWEST_SET_ASIDE = 0.25, 3  # of the readings, and readings: the line does not fit them
FEWEST_TO_SET_ASIDE = 3  # degrees of freedom: with two, no residual is beyond Huber's delta


def check_outliers(sample: Sample, readings: Readings) -> Check:
    """The largest externally studentized residual, its p-value by Bonferroni.

    Cook and Weisberg: Residuals and Influence in Regression (1982), section 2.2.
    """
    from scipy.special import stdtr

    t = studentized(sample)
    worst = int(np.argmax(np.abs(t)))
    figure = float(abs(t[worst]))
    p = min(1.0, 2 * sample.n * float(stdtr(sample.freedom - 1, -figure)))
    test = f"largest studentized residual {figure:.3g}, {format_p(p)}"
    if p >= DOUBT:
        others = np.median(np.sqrt(1 - sample.leverage) * sample.root_weights)
        sd = sample.sd * sample.unit / max(float(others), np.finfo(float).tiny)
        seen = least_seen(sample.freedom - 1, DOUBT / sample.n) * sd
        sentence = f"no outlier ({test}); a reading would be one from {seen:.2g} {readings.y_unit} on"
        return Check("outliers", "studentized residual", figure, p, Verdict.PASSES, sentence)
    far = np.flatnonzero(2 * sample.n * stdtr(sample.freedom - 1, -np.abs(t)) < DOUBT)
    lie = "lies" if len(far) == 1 else "lie"
    sentence = f"{name_readings(sample.rows[far])} {lie} off the line ({test}): look what happened there"
    sentence += ', or use `loss="huber"`' if readings.u_u is None else ""
    fails = p < REFUSE and cook(sample)[worst] > INFLUENTIAL
    verdict = Verdict.FAILS if fails else Verdict.DOUBTFUL
    return Check("outliers", "studentized residual", figure, p, verdict, sentence)


def check_set_aside(sample: Sample, problem: Problem) -> Check:
    """What Huber's loss set aside."""
    assert problem.robust is not None
    if sample.freedom < FEWEST_TO_SET_ASIDE:
        return unchecked("outliers", "of so few readings, Huber's loss sets none aside")
    aside = sample.rows[problem.robust.set_aside]
    share = len(aside) / sample.n
    if not len(aside):
        return Check("outliers", "share set aside", 0.0, None, Verdict.PASSES, "Huber's loss set no reading aside")
    sentence = f"Huber's loss set aside {name_readings(aside)}: too far from the line for chance, and counted less"
    verdict = Verdict.DOUBTFUL
    if share > MANY_SET_ASIDE and len(aside) >= FEWEST_SET_ASIDE:
        verdict, sentence = Verdict.FAILS, f"{sentence}: too many for outliers"
    return Check("outliers", "share set aside", share, None, verdict, sentence)


def find_single(sample: Sample, problem: Problem) -> Check | None:
    """Whether the model rests on a single reading; None where it does not.

    It does where, without that reading, the others lie at too few places to carry it; a line of readings that weigh the
    same also where the others' own slope is not significant (F test, by the scatter about the line).
    """
    if sample.leverage.max() <= LONE:
        return None
    scale = 1e9 / float(np.ptp(sample.z))
    _, first, times = np.unique(np.round(sample.z * scale), return_index=True, return_counts=True)
    n_terms = sample.x.shape[1]
    if len(times) == n_terms and (times == 1).any():
        row = int(first[times == 1][-1])
        why = "the others lie at one place" if n_terms == 2 else f"the others lie at {n_terms - 1} places"
    elif n_terms == 2 and not sample.is_weighted:
        row = int(np.argmax(sample.leverage))
        figure = _slope_without(sample, row) / max(sample.rss / sample.freedom, sample.rounding)
        p = float(f_tail(1, sample.freedom, figure))
        if p < INSIGNIFICANT:
            return None
        why = f"the others tell no slope (F(1, {sample.freedom:,}) = {figure:.3g}, {format_p(p)})"
    else:
        return None
    model = "line" if n_terms == 2 else "model"
    sentence = f"the {model} rests on reading {sample.rows[row]:,} alone: {why}"
    is_accepted = problem.is_single_accepted
    sentence += (
        "" if is_accepted else "; take further readings beside it, or accept that (`accept_single_reading=True`)"
    )
    verdict = Verdict.DOUBTFUL if is_accepted else Verdict.FAILS
    return Check("influence", "leverage", float(sample.leverage[row]), None, verdict, sentence)


def _slope_without(sample: Sample, row: int) -> float:
    """The sum of squares that the slope of all readings but one explains."""
    z, t_c = (np.delete(values, row) for values in (sample.z, sample.t_c))
    z = z - z.mean()
    return float(z @ t_c) ** 2 / float(z @ z)


def check_influence(sample: Sample) -> Check:
    """The largest distance by which leaving one reading out would move the line (Cook, Technometrics 19, 1977).

    It is compared with the F distribution, as Cook does: with p = 0.05 the line moves to the edge of its own joint
    confidence region of 95 %. A reading may also have so much leverage that the line follows wherever it lies.
    """
    from scipy.special import fdtrc

    distance, n_terms = cook(sample), sample.x.shape[1]
    worst = int(np.argmax(distance))
    figure = float(distance[worst])
    p = float(fdtrc(n_terms, sample.freedom, figure))
    leading = int(np.argmax(sample.leverage))
    deciding = max(DECIDING, n_terms**2 / sample.n)  # at the ends of a polynomial, leverage grows with n_terms²
    if p < MOVED:
        sentence = f"without reading {sample.rows[worst]:,} the line would be another (Cook's distance {figure:.2g})"
    elif sample.leverage[leading] > deciding and not sample.is_weighted:  # weights are meant to decide
        share = f"leverage {sample.leverage[leading]:.2g}"
        sentence = f"the line follows reading {sample.rows[leading]:,} wherever it lies ({share})"
    else:
        sentence = f"no reading decides the line alone (largest Cook's distance {figure:.2g})"
        return Check("influence", "Cook's distance", figure, p, Verdict.PASSES, sentence)
    sentence += ": take further readings beside it"
    return Check("influence", "Cook's distance", figure, p, Verdict.DOUBTFUL, sentence)


def studentized(sample: Sample) -> NDArray[np.float64]:
    """(n,), each residual by the standard deviation that the other readings give it."""
    left = np.maximum(1 - sample.leverage, np.finfo(float).eps)
    others = (sample.rss - np.square(sample.residual) / left) / (sample.freedom - 1)
    t: NDArray[np.float64] = sample.residual / np.sqrt(left * np.maximum(others, sample.rounding))
    return np.where(sample.leverage > 1 - 1e-9, 0.0, t)  # a reading that the line must pass has no residual


def cook(sample: Sample) -> NDArray[np.float64]:
    """(n,), Cook's distance; inf for a reading that the line must pass."""
    left = 1 - sample.leverage
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = np.square(sample.residual) * sample.leverage / (sample.x.shape[1] * sample.sd**2 * left**2)
    return np.where(left < 1e-9, np.inf, squares)
