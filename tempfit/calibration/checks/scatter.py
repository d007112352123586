"""Whether the scatter is what least squares takes it for: independent from reading to reading, and alike everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.checks.check import Check, format_p, format_share, unchecked
from tempfit.calibration.checks.sample import Sample
from tempfit.calibration.quadratic_forms import Ratio
from tempfit.calibration.significance import DOUBT, power_of, two_sided, two_sided_beta
from tempfit.words import Verdict

EXACT = 40  # most readings whose residuals' quadratic forms are taken exactly
FEW = 20  # most readings whose errors are taken for normal where they need not be, and whose design is asked for power
POWERLESS = 0.1  # power below which a check is none: ten times its false alarms
GROWTH = 10  # of the scatter over the readings, for a check that is to have power


def check_autocorrelation(sample: Sample) -> Check:
    """Durbin and Watson's d of the residuals in the order of the file: exact up to EXACT readings, and by the beta
    distribution of its moments, which is off by less than 0.001 then, beyond.

    Durbin and Watson: Testing for serial correlation in least squares regression, Biometrika 37 (1950) 409, 38 (1951)
    159 and 58 (1971) 1. Where a few readings would not even show a random walk, they are not checked.
    """
    n = sample.n
    d = float(np.square(np.diff(sample.residual)).sum()) / sample.rss
    sees = ""
    if n <= EXACT:
        steps = np.diff(sample.space, axis=0)
        ratio = Ratio(steps.T @ steps)
        if n <= FEW:
            power = power_of(ratio, (sample.space.T * sample.root_weights) @ np.tri(n))
            drift = f"a drift that is a random walk would be seen in {format_share(power)} of cases"
            if power < POWERLESS:
                return unchecked("autocorrelation", f"with {n} readings at these places, {drift} only")
            sees = f"; {drift}"
        mean, p = float(ratio.eigenvalues.mean()), two_sided(ratio.below(d))
    else:
        mean, p = _durbin_watson_by_moments(sample, d)
    test = f"Durbin–Watson {d:.3g}, expected {mean:.3g}, {format_p(p)}"
    if p >= DOUBT:
        sentence = f"no likeness of residuals to their neighbours in the file seen ({test}){sees}"
        return Check("autocorrelation", "Durbin–Watson", d, p, Verdict.PASSES, sentence)
    if d < mean:
        sentence = (
            f"residuals are like their neighbours in the file ({test}): something drifts or bends, and the "
            "uncertainties are too small"
        )
    else:
        sentence = f"residuals alternate from one to the next in the file ({test}): look how the readings were taken"
    return Check("autocorrelation", "Durbin–Watson", d, p, Verdict.DOUBTFUL, sentence)


def _durbin_watson_by_moments(sample: Sample, d: float) -> tuple[float, float]:
    """The mean of Durbin and Watson's d, and its two-sided p-value, without any matrix of n rows and columns."""
    n, k = sample.x.shape
    # A takes the differences' sum of squares: d = eᵀAe / eᵀe, tr A = 2(n - 1), tr A² = 2(3n - 4).
    steps = np.diff(sample.x, axis=0)
    ax = np.zeros_like(sample.x)
    ax[:-1] -= steps
    ax[1:] += steps
    xax = sample.x.T @ ax @ sample.inverse
    trace = 2 * (n - 1) - np.trace(xax)
    trace_of_square = 2 * (3 * n - 4) - 2 * np.trace(ax.T @ ax @ sample.inverse) + np.trace(xax @ xax)
    mean = float(trace / (n - k))
    variance = 2 * float(trace_of_square - trace * mean) / ((n - k) * (n - k + 2))
    return mean, two_sided_beta(d / 4, mean / 4, variance / 16, n)


def check_scatter(sample: Sample) -> Check:
    """Whether the scatter depends on the reading: Breusch and Pagan's regression of the squared residuals on it.

    Of more than FEW readings n R², in the form of Koenker, J. Econometrics 17 (1981) 107, which does not take the
    errors for normal. With fewer, that has hardly any power and does not keep to its level: theirs is the statistic of
    Breusch and Pagan, Econometrica 47 (1979) 1287, with its exact distribution for normal errors. Where it would not
    even show a scatter that is GROWTH times as large at one end as at the other, they are not checked.
    """
    z = sample.z - sample.z.mean()
    squares = np.square(sample.residual)
    name, measure, n, sees = "heteroscedasticity", "Breusch–Pagan", sample.n, ""
    if n <= FEW:
        ratio = Ratio((sample.space.T * z) @ sample.space)
        share = (sample.z - sample.z.min()) / np.ptp(sample.z)
        power = power_of(ratio, *(sample.space.T * (1 + (GROWTH - 1) * way) for way in (share, 1 - share)))
        growth = f"a scatter {GROWTH} times as large at one end would be seen in {format_share(power)} of cases"
        if power < POWERLESS:
            return unchecked(name, f"with {n} readings at these places, {growth} only")
        sees = f"; {growth}"
        below = ratio.below(float(z @ squares) / sample.rss)
        figure = (n * float(z @ squares) / sample.rss) ** 2 / (2 * float(z @ z))
        p, grows = two_sided(below), below > 0.5
    else:
        figure, p, grows = _koenker(z, squares)
    test = f"Breusch–Pagan {figure:.3g}, {format_p(p)}"
    if p >= DOUBT:
        sentence = f"no change of the scatter with the reading seen ({test}){sees}"
        return Check(name, measure, figure, p, Verdict.PASSES, sentence)
    way = "grows" if grows else "shrinks"
    advice = "correct the column u_c" if sample.is_weighted else "weight the readings by a column u_c"
    sentence = f"the scatter {way} with the reading ({test}): {advice}"
    return Check(name, measure, figure, p, Verdict.DOUBTFUL, sentence)


def _koenker(z: NDArray[np.float64], squares: NDArray[np.float64]) -> tuple[float, float, bool]:
    """n R² of the squares on z, both (n,), its p-value, and whether they grow with it."""
    from scipy.special import chdtrc

    squares = squares - squares.mean()
    slope = float(z @ squares)
    total = float(z @ z) * float(squares @ squares)
    figure = len(z) * slope**2 / total if total > 0 else 0.0
    return figure, float(chdtrc(1, figure)), slope > 0
