"""How far gradient descent ended from the exact optimum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.checks.check import Check, chosen
from tempfit.calibration.checks.footing import ROUNDED
from tempfit.config import CalibrationConfig
from tempfit.exact.curve import Curve
from tempfit.exact.matrices import transform
from tempfit.words import Verdict

NEAR, FAR = 0.1, 1.0  # standard uncertainties of the exact line: descent that arrived, and that did not
MOST_ROUNDING = 1e-9  # of the largest temperature: what no condition number excuses in a descent
PLACES = 50  # at which a polynomial is compared with the best one; a line's ends do


@dataclass(frozen=True, eq=False)
class Descent:
    """How far gradient descent ended from the exact optimum, in standard uncertainties of the latter.

    Where those are smaller than what float64's rounding, magnified by the condition number of the Hessian, leaves of a
    descent, that takes their place. params: (members, terms), what descent found, in the terms of `best`; NaN where it
    exploded. best: the optimum of every member. condition: (members,).
    """

    params: NDArray[np.float64]
    best: Curve
    condition: NDArray[np.float64]
    config: CalibrationConfig

    @cached_property
    def figure(self) -> NDArray[np.float64]:
        """(members,), the largest distance within the readings; inf where it exploded."""
        best = self.best
        low, high = best.t_u_range
        x = best.basis.features(np.linspace(low, high, 2 if best.is_line else PLACES, axis=-1))
        off = np.abs(transform(x, self.params - best.params))
        rounding = np.minimum(ROUNDED * self.condition, MOST_ROUNDING) * np.abs(best.value_at(x)).max(axis=-1)
        u = np.sqrt(best.variance_at(x))  # what the references have in common is no leeway
        leeway = np.maximum(u, np.maximum(rounding, np.finfo(float).tiny)[..., None])
        figure = np.atleast_1d((off / leeway).max(axis=-1))
        return np.where(np.isnan(figure) & self.is_exploded, np.inf, figure)

    @property
    def is_exploded(self) -> NDArray[np.bool_]:
        """(members,), whether descent found nothing."""
        return np.atleast_1d(np.isnan(self.params).any(axis=-1))

    @property
    def p(self) -> NDArray[np.float64]:
        """(members,), NaN: the distance is no chance."""
        return np.full(len(self.figure), np.nan)

    @cached_property
    def verdict(self) -> NDArray[np.int8]:
        return chosen(
            (self.figure < NEAR, Verdict.PASSES), (self.figure < FAR, Verdict.DOUBTFUL), otherwise=Verdict.FAILS
        )

    def tell(self, member: int, names: Any = None) -> Check:
        figure, verdict = float(self.figure[member]), Verdict.of(self.verdict[member])
        if self.is_exploded[member]:
            return Check("descent", "distance in u", figure, None, verdict, "gradient descent diverged")
        sentence = f"gradient descent ended {figure:.2g} standard uncertainties from the exact optimum"
        if verdict is not Verdict.PASSES and (self.config.l1 or self.config.l2):
            sentence += ": the penalty holds it away (l1, l2)"
        elif verdict is not Verdict.PASSES:
            scaled = self.config.scaling == "standardize"
            sentence += ": train longer" if scaled else ": train longer, or scale the readings"
        return Check("descent", "distance in u", figure, None, verdict, sentence)
