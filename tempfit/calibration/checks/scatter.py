"""Whether the scatter is what least squares takes it for: independent from reading to reading, and alike everywhere.

By the rows. Figures are of all members at once; an exact p-value is found for each, since it depends on its places.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.checks.check import Check, Names, chosen, format_p, format_share, unchecked
from tempfit.calibration.checks.sample import Sample
from tempfit.calibration.checks.tally import Tally
from tempfit.calibration.quadratic_forms import Ratio
from tempfit.calibration.significance import DOUBT, power_of, two_sided, two_sided_beta
from tempfit.words import Verdict

EXACT = 40  # most readings whose residuals' quadratic forms are taken exactly
FEW = 20  # most readings whose errors are taken for normal where they need not be, and whose design is asked for power
POWERLESS = 0.1  # power below which a check is none: ten times its false alarms
GROWTH = 10  # of the scatter over the readings, for a check that is to have power


@dataclass(frozen=True, eq=False)
class Autocorrelation:
    """Durbin and Watson's d of the residuals in the order of the file: exact up to EXACT readings, and by the beta
    distribution of its moments, which is off by less than 0.001 then, beyond.

    Durbin and Watson: Testing for serial correlation in least squares regression, Biometrika 37 (1950) 409, 38 (1951)
    159 and 58 (1971) 1. Where a few readings would not even show a random walk, they are not checked.
    """

    tally: Tally

    @property
    def sample(self) -> Sample:
        return self.tally.sample

    @cached_property
    def figure(self) -> NDArray[np.float64]:
        """(members,), d."""
        return self.tally.steps / self.tally.rss

    @cached_property
    def power(self) -> NDArray[np.float64]:
        """(members,), of few readings, against a drift that is a random walk; NaN of many."""
        sample, powers = self.sample, np.full(len(self.figure), np.nan)
        if sample.n <= FEW:
            for member, ratio in enumerate(self._ratios):
                walk = (sample.space[member].T * sample.root_weights[member]) @ np.tri(sample.n)
                powers[member] = power_of(ratio, walk)
        return powers

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """(members,), of d."""
        return self._mean_and_p[0]

    @cached_property
    def p(self) -> NDArray[np.float64]:
        """(members,), two-sided; NaN where it is not checked."""
        return np.where(self.power < POWERLESS, np.nan, self._mean_and_p[1])

    @cached_property
    def is_alike(self) -> NDArray[np.bool_]:
        """(members,), whether residuals have to do with their neighbours'."""
        return self.p < DOUBT

    @cached_property
    def verdict(self) -> NDArray[np.int8]:
        cases = (np.isnan(self.p), Verdict.NOT_CHECKED), (self.is_alike, Verdict.DOUBTFUL)
        return chosen(*cases, otherwise=Verdict.PASSES)

    def tell(self, member: int, names: Names) -> Check:
        n, d, mean, p = self.sample.n, float(self.figure[member]), self.mean[member], float(self.p[member])
        verdict, sees = Verdict.of(self.verdict[member]), ""
        if n <= FEW:
            drift = f"a drift that is a random walk would be seen in {format_share(self.power[member])} of cases"
            if verdict is Verdict.NOT_CHECKED:
                return unchecked("autocorrelation", f"with {n} readings at these places, {drift} only")
            sees = f"; {drift}"
        test = f"Durbin–Watson {d:.3g}, expected {mean:.3g}, {format_p(p)}"
        if verdict is Verdict.PASSES:
            sentence = f"no likeness of residuals to their neighbours in the file seen ({test}){sees}"
        elif d < mean:
            sentence = (
                f"residuals are like their neighbours in the file ({test}): something drifts or bends, and the "
                "uncertainties are too small"
            )
        else:
            sentence = (
                f"residuals alternate from one to the next in the file ({test}): look how the readings were taken"
            )
        return Check("autocorrelation", "Durbin–Watson", d, p, verdict, sentence)

    @cached_property
    def _ratios(self) -> list[Ratio]:
        steps = np.diff(self.sample.space, axis=1)
        return [Ratio(step.T @ step) for step in steps]

    @cached_property
    def _mean_and_p(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self.sample.n > EXACT:
            return self._by_moments()
        means = [float(ratio.eigenvalues.mean()) for ratio in self._ratios]
        exact = [two_sided(ratio.below(float(d))) for ratio, d in zip(self._ratios, self.figure, strict=True)]
        return np.array(means), np.array(exact)

    def _by_moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Without any matrix of n rows and columns."""
        n, k, inverse = self.sample.n, self.sample.n_terms, self.sample.inverse
        # A takes the differences' sum of squares: d = eᵀAe / eᵀe, tr A = 2(n - 1), tr A² = 2(3n - 4).
        xax = self.tally.x_steps @ inverse
        trace = 2 * (n - 1) - _trace(xax)
        trace_of_square = 2 * (3 * n - 4) - 2 * _trace(self.tally.x_turns @ inverse) + _trace(xax @ xax)
        mean = trace / (n - k)
        variance = 2 * (trace_of_square - trace * mean) / ((n - k) * (n - k + 2))
        told = zip(self.figure / 4, mean / 4, variance / 16, strict=True)
        return mean, np.array([two_sided_beta(float(d), float(m), float(v), n) for d, m, v in told])


@dataclass(frozen=True, eq=False)
class Heteroscedasticity:
    """Whether the scatter depends on the reading: Breusch and Pagan's regression of the squared residuals on it.

    Of more than FEW readings n R², in the form of Koenker, J. Econometrics 17 (1981) 107, which does not take the
    errors for normal. With fewer, that has hardly any power and does not keep to its level: theirs is the statistic of
    Breusch and Pagan, Econometrica 47 (1979) 1287, with its exact distribution for normal errors. Where it would not
    even show a scatter that is GROWTH times as large at one end as at the other, they are not checked.
    """

    tally: Tally

    @property
    def sample(self) -> Sample:
        return self.tally.sample

    @cached_property
    def figure(self) -> NDArray[np.float64]:
        """(members,), Breusch and Pagan's statistic of few readings, n R² of many."""
        n, trend = self.sample.n, self.tally.trend
        if n <= FEW:
            return np.square(n * trend.zs / self.tally.rss) / (2 * trend.zz)
        total = trend.zz * trend.ss
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(total > 0, n * np.square(trend.zs) / total, 0.0)

    @cached_property
    def _ratios(self) -> list[Ratio]:
        z = self.sample.z - self.tally.trend.z[:, None]
        return [Ratio((space.T * places) @ space) for space, places in zip(self.sample.space, z, strict=True)]

    @cached_property
    def power(self) -> NDArray[np.float64]:
        """(members,), of few readings, against a scatter that is GROWTH times as large at one end; NaN of many."""
        powers = np.full(len(self.sample.z), np.nan)
        if self.sample.n <= FEW:
            for member, (ratio, z) in enumerate(zip(self._ratios, self.sample.z, strict=True)):
                space, share = self.sample.space[member], (z - z.min()) / np.ptp(z)
                roots = (space.T * (1 + (GROWTH - 1) * way) for way in (share, 1 - share))
                powers[member] = power_of(ratio, *roots)
        return powers

    @cached_property
    def _below(self) -> NDArray[np.float64]:
        """(members,), of few readings, the probability of a smaller ratio."""
        ratios = zip(self._ratios, self.tally.trend.zs / self.tally.rss, strict=True)
        return np.array([ratio.below(float(value)) for ratio, value in ratios])

    @cached_property
    def p(self) -> NDArray[np.float64]:
        """(members,), NaN where it is not checked."""
        from scipy.special import chdtrc

        if self.sample.n > FEW:
            return np.asarray(chdtrc(1, self.figure))
        return np.where(self.power < POWERLESS, np.nan, 2 * np.minimum(self._below, 1 - self._below))

    @cached_property
    def grows(self) -> NDArray[np.bool_]:
        """(members,), whether the scatter is larger at higher readings."""
        return self._below > 0.5 if self.sample.n <= FEW else self.tally.trend.zs > 0

    @cached_property
    def verdict(self) -> NDArray[np.int8]:
        cases = (np.isnan(self.p), Verdict.NOT_CHECKED), (self.p >= DOUBT, Verdict.PASSES)
        return chosen(*cases, otherwise=Verdict.DOUBTFUL)

    def tell(self, member: int, names: Names) -> Check:
        n, figure, p = self.sample.n, float(self.figure[member]), float(self.p[member])
        name, verdict, sees = "heteroscedasticity", Verdict.of(self.verdict[member]), ""
        if n <= FEW:
            share = format_share(self.power[member])
            growth = f"a scatter {GROWTH} times as large at one end would be seen in {share} of cases"
            if verdict is Verdict.NOT_CHECKED:
                return unchecked(name, f"with {n} readings at these places, {growth} only")
            sees = f"; {growth}"
        test = f"Breusch–Pagan {figure:.3g}, {format_p(p)}"
        if verdict is Verdict.PASSES:
            sentence = f"no change of the scatter with the reading seen ({test}){sees}"
        else:
            way = "grows" if self.grows[member] else "shrinks"
            advice = "correct the column u_c" if self.sample.is_weighted else "weight the readings by a column u_c"
            sentence = f"the scatter {way} with the reading ({test}): {advice}"
        return Check(name, "Breusch–Pagan", figure, p, verdict, sentence)


def _trace(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.trace(matrices, axis1=1, axis2=2)
