"""Whether a calibration line may be used: checks, each with a figure, a verdict and a sentence.

What the readings say of the model (slope, curvature, outliers, influence, autocorrelation, heteroscedasticity, χ²) is
judged by the exact solution, so it holds for every fit of the same problem; `check_descent` judges the fit itself.
"""

from __future__ import annotations

import math

from tempfit.calibration.checks.check import Check, is_usable, unchecked
from tempfit.calibration.checks.descent import check_descent
from tempfit.calibration.checks.sample import Sample, take_sample
from tempfit.calibration.checks.scatter import check_autocorrelation, check_scatter
from tempfit.calibration.checks.shape import check_consistency, check_curvature, check_slope
from tempfit.calibration.checks.single import check_influence, check_outliers, check_set_aside, find_single
from tempfit.exact.problem import Problem
from tempfit.readings.paired import Readings
from tempfit.words import Verdict

__all__ = ["Check", "Verdict", "check_descent", "check_readings", "is_usable"]


def check_readings(readings: Readings, problem: Problem) -> tuple[Check, ...]:
    """What the readings say of the model, by the exact solution of `problem` (Huber's, where that is trained)."""
    sample = take_sample(readings, problem)
    checks = [check_slope(sample, problem, readings)]
    single = find_single(sample, problem)
    if sample.is_perfect or sample.freedom < 2:
        checks += _not_checked(sample, problem, single)
    else:
        neighbours = check_autocorrelation(sample)
        checks.append(check_curvature(sample, problem, readings, neighbours))
        is_robust = problem.robust is not None
        checks.append(check_set_aside(sample, problem) if is_robust else check_outliers(sample, readings))
        checks.append(single or check_influence(sample))
        checks.append(neighbours)
        checks.append(check_scatter(sample))
    if problem.is_stated:
        checks.append(check_consistency(problem))
    return tuple(checks)


def _not_checked(sample: Sample, problem: Problem, single: Check | None) -> list[Check]:
    """Of a perfect fit nothing can be tested, and nothing with one degree of freedom, but what the readings alone say.

    single: what `_find_single` found.
    """
    why = "the readings lie on it to rounding" if sample.is_perfect else "too few readings"
    names = ("curvature", "outliers", "influence", "autocorrelation", "heteroscedasticity")
    checks = [single if single and name == single.name else unchecked(name, why) for name in names]
    if sample.is_perfect and not problem.is_stated:
        sentence = f"{why}: their scatter tells nothing of the uncertainty"
        checks.append(Check("scatter", "", math.nan, None, Verdict.DOUBTFUL, sentence))
    return checks
