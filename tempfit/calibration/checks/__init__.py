"""Whether a calibration line may be used: checks, each a figure, then a verdict, then a sentence.

By evidence alone, all members at once are measured and decided, and a sentence is made for who is read: slope,
curvature, consistency with stated uncertainties, and how far the descent ended from the exact optimum. The others look
at the rows of one member: neighbours in the file (autocorrelation), and single readings and their scatter (outliers,
influence, heteroscedasticity). What the readings say is judged by the exact solution, so it holds for every fit of the
same problem; `Descent` judges the fit itself.
"""

from __future__ import annotations

import math

from tempfit.calibration.checks.check import Check, Names, is_usable, unchecked
from tempfit.calibration.checks.descent import Descent
from tempfit.calibration.checks.footing import Footing
from tempfit.calibration.checks.sample import take_sample
from tempfit.calibration.checks.scatter import check_autocorrelation, check_scatter
from tempfit.calibration.checks.shape import Consistency, Curvature, Slope
from tempfit.calibration.checks.single import check_influence, check_outliers, check_set_aside, find_single
from tempfit.calibration.significance import DOUBT
from tempfit.exact.problem import Problem
from tempfit.readings.paired import Readings
from tempfit.words import Verdict

__all__ = ["Check", "Consistency", "Curvature", "Descent", "Footing", "Names", "Slope", "check_readings", "is_usable"]


def check_readings(readings: Readings, problem: Problem) -> tuple[Check, ...]:
    """What the readings of one member say of the model, by the exact solution of `problem` (Huber's, where trained)."""
    names = Names(readings.x, readings.y, readings.y_unit, both_uncertain=readings.u_u is not None)
    footing = Footing(problem.judged, problem.standard.n_terms)
    sample = take_sample(readings, problem)
    checks = [Slope(footing).tell(0, names)]
    single = find_single(sample, problem)
    if footing.is_untestable[0]:
        checks += _untestable(footing, problem, single)
    else:
        neighbours = check_autocorrelation(sample)
        alike = neighbours.p is not None and neighbours.p < DOUBT
        checks.append(Curvature(footing, alike).tell(0, names))
        is_robust = problem.robust is not None
        checks.append(check_set_aside(sample, problem) if is_robust else check_outliers(sample, readings))
        checks.append(single or check_influence(sample))
        checks.append(neighbours)
        checks.append(check_scatter(sample))
    if problem.is_stated:
        checks.append(Consistency(problem.exact).tell(0))
    return tuple(checks)


def _untestable(footing: Footing, problem: Problem, single: Check | None) -> list[Check]:
    """Of a perfect fit nothing can be tested, and nothing with one degree of freedom, but what the readings alone say.

    single: what `find_single` found.
    """
    why = footing.why_untestable(0)
    names = ("curvature", "outliers", "influence", "autocorrelation", "heteroscedasticity")
    checks = [single if single and name == single.name else unchecked(name, why) for name in names]
    if footing.is_perfect[0] and not problem.is_stated:
        sentence = f"{why}: their scatter tells nothing of the uncertainty"
        checks.append(Check("scatter", "", math.nan, None, Verdict.DOUBTFUL, sentence))
    return checks
