"""Whether a calibration line may be used: checks, each a figure, then a verdict, then a sentence.

Each measures all members at once, decides for each, and makes a sentence of the one that is asked for. By evidence
alone: slope, curvature, consistency with stated uncertainties, and how far the descent ended from the exact optimum.
The others need a pass over the rows of the members that are to be looked at, block by block where those are many,
which leaves a `Tally`: neighbours in the file (autocorrelation), and single readings and their scatter (outliers or
what Huber's loss set aside, influence, heteroscedasticity). What the readings say is judged by the exact solution, so
it holds for every fit of the same problem; `Descent` judges the fit itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tempfit.calibration.checks.check import Check, Names, is_usable, unchecked
from tempfit.calibration.checks.descent import Descent
from tempfit.calibration.checks.footing import Footing
from tempfit.calibration.checks.sample import Sample, each_sample
from tempfit.calibration.checks.scatter import Autocorrelation, Heteroscedasticity
from tempfit.calibration.checks.shape import Consistency, Curvature, Slope
from tempfit.calibration.checks.single import Influence, Outliers, SetAside, find_single
from tempfit.calibration.checks.tally import Tally, tally
from tempfit.exact.large import AnyReadings
from tempfit.exact.problem import Problem
from tempfit.words import Verdict

__all__ = [
    "Autocorrelation",
    "Check",
    "Consistency",
    "Curvature",
    "Descent",
    "Footing",
    "Heteroscedasticity",
    "Influence",
    "Names",
    "Outliers",
    "Sample",
    "SetAside",
    "Slope",
    "Tally",
    "check_readings",
    "is_usable",
    "without_rows",
]

NEED_ROWS = ("outliers", "influence", "autocorrelation", "heteroscedasticity")


def check_readings(readings: AnyReadings, problem: Problem) -> tuple[Check, ...]:
    """What the readings of one member say of the model, by the exact solution of `problem` (Huber's, where trained)."""
    names = Names(readings.x, readings.y, readings.y_unit, both_uncertain="u_u" in readings.weighted_by)
    footing, told = Footing(problem.judged, problem.standard.n_terms), tally(readings, problem)
    checks = [Slope(footing).tell(0, names)]
    single = find_single(told, lambda: each_sample(readings, problem), 0, is_accepted=problem.is_single_accepted)
    if footing.is_untestable[0]:
        checks += _untestable(footing, problem, single)
    else:
        neighbours, robust = Autocorrelation(told), problem.robust
        outliers = Outliers(told) if robust is None else SetAside(told.sample, robust.set_aside[None])
        checks.append(Curvature(footing, neighbours.is_alike).tell(0, names))
        checks.append(outliers.tell(0, names))
        checks.append(single or Influence(told).tell(0, names))
        checks.append(neighbours.tell(0, names))
        checks.append(Heteroscedasticity(told).tell(0, names))
    if problem.is_stated:
        checks.append(Consistency(problem.exact).tell(0))
    return tuple(checks)


def _untestable(footing: Footing, problem: Problem, single: Check | None) -> list[Check]:
    """Of a perfect fit nothing can be tested, and nothing with one degree of freedom, but what the readings alone say.

    single: what `find_single` found.
    """
    why = footing.why_untestable(0)
    names = ("curvature", *NEED_ROWS)
    checks = [single if single and name == single.name else unchecked(name, why) for name in names]
    return checks + _scatter(footing, is_stated=problem.is_stated)


def _scatter(footing: Footing, *, is_stated: bool) -> list[Check]:
    """Of a perfect fit, what its uncertainty would be made of."""
    if not footing.is_perfect[0] or is_stated:
        return []
    sentence = f"{footing.why_untestable(0)}: their scatter tells nothing of the uncertainty"
    return [Check("scatter", "", math.nan, None, Verdict.DOUBTFUL, sentence)]


def without_rows(told: Sequence[Check], footing: Footing, *, is_stated: bool) -> tuple[Check, ...]:
    """The checks of one member that evidence carries (`told`: slope, curvature, consistency), and in their places those
    that need rows, which were not kept."""
    why = footing.why_untestable(0) if footing.is_untestable[0] else "its rows were not kept"
    missing = [unchecked(name, why) for name in NEED_ROWS]
    return (*told[:2], *missing, *_scatter(footing, is_stated=is_stated), *told[2:])
