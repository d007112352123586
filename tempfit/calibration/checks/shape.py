"""Whether the readings have the shape of the model: slope, curvature, and the uncertainties stated."""

from __future__ import annotations

import math

import numpy as np

from tempfit.calibration.checks.check import Check, format_p, unchecked
from tempfit.calibration.checks.sample import Sample
from tempfit.calibration.significance import DOUBT, REFUSE, f_tail, least_seen
from tempfit.config import MOST_DEGREE
from tempfit.exact.problem import Problem
from tempfit.readings.paired import Readings
from tempfit.words import Verdict

SLOPE = 0.05  # p-value from which on the reading tells nothing of the temperature
INCONSISTENT = 0.05  # of χ²: ISO/TS 28037 takes the quantile of 95 %
NEGLIGIBLE, MATERIAL = 0.1, 0.5  # standard deviations of an observation: curvature that does no harm, and that does


def check_slope(sample: Sample, problem: Problem, readings: Readings) -> Check:
    """F test of the model against a constant: whether the reading tells anything of the temperature."""
    between, constant = problem.standard.n_terms - 1, sample.x[:, -1]
    fitted = sample.x @ problem.best.params / sample.unit
    about_mean = fitted - constant * float(constant @ fitted) / float(constant @ constant)
    explained = float(about_mean @ about_mean)
    what = f"the reading {readings.x} tells nothing of {readings.y}"
    if explained <= sample.n * sample.rounding:
        sentence = f"{what}: all references are the same"
        return Check("slope", "F", math.nan, None, Verdict.FAILS, sentence)
    figure = explained / between / max(sample.rss / sample.freedom, sample.rounding)
    p = f_tail(between, sample.freedom, figure)
    test = f"F({between}, {sample.freedom:,}) = {figure:.3g}, {format_p(p)}"
    if p < SLOPE:
        return Check("slope", "F", figure, p, Verdict.PASSES, f"the temperature depends on the reading ({test})")
    return Check("slope", "F", figure, p, Verdict.FAILS, f"{what} beyond their mean ({test})")


def check_curvature(sample: Sample, problem: Problem, readings: Readings, neighbours: Check) -> Check:
    """F test of the model against one of the next degree.

    It fails sooner where residuals that are alike (`neighbours`) say the same: a large misfit hides itself in its own
    scatter.
    """
    n_terms = problem.standard.n_terms
    power = sample.without_terms(sample.root_weights * sample.z**n_terms)
    squares = float(power @ power)
    if squares <= (1e-10 * sample.n) ** 2:  # too few different readings for the next degree
        return unchecked("curvature", "too few different readings to see one")
    coefficient = float(power @ sample.residual) / squares
    explained = coefficient**2 * squares
    figure = explained / max((sample.rss - explained) / (sample.freedom - 1), sample.rounding)
    p = f_tail(1, sample.freedom - 1, figure)
    off = float(np.abs(power / sample.root_weights).max()) * sample.unit  # by how much, for a coefficient of 1
    deviation = abs(coefficient) * off
    times = float(np.abs(coefficient * power).max()) / sample.sd  # of each reading's own standard deviation
    model, other = ("line", "quadratic") if n_terms == 2 else (f"degree {n_terms - 1}", f"degree {n_terms}")
    test = f"F(1, {sample.freedom - 1}) = {figure:.3g}, {format_p(p)}"
    if p >= DOUBT:
        sd = math.sqrt(max((sample.rss - explained) / (sample.freedom - 1), sample.rounding))
        seen = least_seen(sample.freedom - 1, DOUBT) * sd / math.sqrt(squares) * off
        sentence = f"no curvature seen beyond the {model} ({test}); it would be from {seen:.2g} {readings.y_unit} on"
        return Check("curvature", "F", figure, p, Verdict.PASSES, sentence)
    size = f"{deviation:.2g} {readings.y_unit}"
    if times < NEGLIGIBLE:
        sentence = f"curvature beyond the {model} is certain ({test}), but at most {size}, which the scatter hides"
        return Check("curvature", "F", figure, p, Verdict.PASSES, sentence)
    sentence = f"a {other} fits better than the {model}, which is off by up to {size} ({test})"
    if n_terms <= MOST_DEGREE and readings.u_u is None:
        sentence += f': use `model="polynomial", degree={n_terms}`'
    alike = neighbours.p is not None and neighbours.p < DOUBT
    fails = (p < REFUSE or alike) and times > MATERIAL
    return Check("curvature", "F", figure, p, Verdict.FAILS if fails else Verdict.DOUBTFUL, sentence)


def check_consistency(problem: Problem) -> Check:
    """Whether the residuals are as large as the stated uncertainties say (ISO/TS 28037:2010, clause 6)."""
    from scipy.special import chdtrc

    exact = problem.exact
    figure, freedom = exact.chi_squared, exact.residual_freedom
    p = float(chdtrc(freedom, figure))
    test = f"χ² = {figure:.4g} for {freedom:,} degrees of freedom, {format_p(p)}"
    if p < INCONSISTENT:
        sentence = f"the residuals are larger than the stated uncertainties allow ({test}): "
        sentence += "those are too small, or the model does not fit"
        verdict = Verdict.FAILS if p < REFUSE else Verdict.DOUBTFUL
        return Check("consistency", "χ²", figure, p, verdict, sentence)
    if p > 1 - REFUSE:
        sentence = f"the residuals are smaller than the stated uncertainties ({test}): those look too large"
        return Check("consistency", "χ²", figure, p, Verdict.DOUBTFUL, sentence)
    return Check(
        "consistency", "χ²", figure, p, Verdict.PASSES, f"the stated uncertainties explain the residuals ({test})"
    )
