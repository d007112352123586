"""How far gradient descent ended from the exact optimum."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tempfit.calibration.checks.check import Check
from tempfit.calibration.checks.sample import ROUNDING
from tempfit.config import CalibrationConfig
from tempfit.exact.curve import Curve
from tempfit.exact.problem import Problem
from tempfit.words import Verdict

NEAR, FAR = 0.1, 1.0  # standard uncertainties of the exact line: descent that arrived, and that did not
MOST_ROUNDING = 1e-9  # of the largest temperature: what no condition number excuses in a descent


def check_descent(curve: Curve | None, problem: Problem, config: CalibrationConfig, condition: float) -> Check:
    """How far gradient descent ended from the exact optimum, in standard uncertainties of the latter.

    Where those are smaller than what float64's rounding, magnified by the condition number of the Hessian, leaves of a
    descent, that takes their place. curve: what it found; None where it exploded.
    """
    if curve is None:
        return Check("descent", "distance in u", math.inf, None, Verdict.FAILS, "gradient descent diverged")
    best = replace(problem.best, u_common=0.0)  # what the references have in common is no leeway
    low, high = problem.t_u_range
    t_u = np.linspace(low, high, 2 if best.is_line else 50)
    off = np.abs(best.basis.features(t_u) @ (curve.params - best.params))
    rounding = min(ROUNDING * condition, MOST_ROUNDING) * float(np.abs(best.predict(t_u)).max())
    figure = float((off / np.maximum(best.u_mean(t_u), max(rounding, np.finfo(float).tiny))).max())
    distance = f"gradient descent ended {figure:.2g} standard uncertainties from the exact optimum"
    if figure < NEAR:
        return Check("descent", "distance in u", figure, None, Verdict.PASSES, distance)
    if config.l1 or config.l2:
        advice = "the penalty holds it away (l1, l2)"
    else:
        advice = "train longer" if config.scaling == "standardize" else "train longer, or scale the readings"
    verdict = Verdict.DOUBTFUL if figure < FAR else Verdict.FAILS
    return Check("descent", "distance in u", figure, None, verdict, f"{distance}: {advice}")
