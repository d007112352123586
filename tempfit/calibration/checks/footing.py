"""What checks by evidence alone stand on: least squares of every member, in sums of squares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tempfit.exact.evidence import Evidence

ROUNDED = 1e-13  # of the largest temperature: residuals of a perfect fit
FEWEST_FREE = 2  # degrees of freedom from which on a check has something to test


@dataclass(frozen=True, eq=False)
class Footing:
    """The evidence of every member, and the number of terms of the model that is checked."""

    evidence: Evidence
    n_terms: int

    @cached_property
    def rss(self) -> NDArray[np.float64]:
        """(members,), residual sum of squares."""
        return self.evidence.rss(self.n_terms)

    @cached_property
    def freedom(self) -> NDArray[np.float64]:
        """(members,), degrees of freedom of the residuals."""
        return self.evidence.n - self.n_terms

    @cached_property
    def rounding(self) -> NDArray[np.float64]:
        """(members,), square of a residual that is rounding."""
        return np.square(ROUNDED * self.evidence.largest)

    @cached_property
    def is_perfect(self) -> NDArray[np.bool_]:
        """(members,), whether the residuals are rounding, so that nothing can be tested."""
        return self.rss <= self.evidence.n * self.rounding

    @cached_property
    def is_untestable(self) -> NDArray[np.bool_]:
        """(members,), whether nothing can be tested: of a perfect fit, and with one degree of freedom."""
        return self.is_perfect | (self.freedom < FEWEST_FREE)

    def why_untestable(self, member: int) -> str:
        return "the readings lie on it to rounding" if self.is_perfect[member] else "too few readings"
