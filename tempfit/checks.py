"""Whether a calibration line may be used: checks, each with a figure, a verdict and a sentence.

What the readings say of the model (slope, curvature, outliers, influence, autocorrelation, heteroscedasticity, χ²) is
judged by the exact solution, so it holds for every fit of the same problem; `check_descent` judges the fit itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from tempfit.config import MOST_DEGREE, CalibrationConfig
from tempfit.curve import Curve
from tempfit.problem import Problem
from tempfit.quadratic_forms import Ratio
from tempfit.readings import Readings

DOUBT, REFUSE = 0.01, 0.001  # p-values below which a check is doubtful, and below which it fails
SLOPE = 0.05  # p-value from which on the reading tells nothing of the temperature
INCONSISTENT = 0.05  # of χ²: ISO/TS 28037 takes the quantile of 95 %
NEGLIGIBLE, MATERIAL = 0.1, 0.5  # standard deviations of an observation: curvature that does no harm, and that does
INFLUENTIAL, MOVED = 1.0, 0.05  # Cook's distance that an outlier may have, and the p-value of any reading's
DECIDING = 0.5  # leverage
NEAR, FAR = 0.1, 1.0  # standard uncertainties of the exact line: descent that arrived, and that did not
MANY_SET_ASIDE, FEWEST_SET_ASIDE = 0.25, 3  # of the readings, and readings: the line does not fit them
FEWEST_TO_SET_ASIDE = 3  # degrees of freedom: with two, no residual is beyond Huber's delta
LONE = 0.95  # leverage from which on the other readings are asked whether they tell the slope, too
ROUNDING = 1e-13  # of the largest temperature: residuals of a perfect fit
MOST_ROUNDING = 1e-9  # of the same: what no condition number excuses in a descent
LEAST_P = 1e-12  # that is written out
EXACT = 40  # most readings whose residuals' quadratic forms are taken exactly
FEW = 20  # most readings whose errors are taken for normal where they need not be, and whose design is asked for power
POWERLESS = 0.1  # power below which a check is none: ten times its false alarms
GROWTH = 10  # of the scatter over the readings, for a check that is to have power
SEEN = 0.9  # power with which a check sees what its sentence says that it would
LARGE = 100_000  # readings from which a beta distribution is normal
MOST_NAMED = 10  # readings that a sentence lists


class Verdict(StrEnum):
    """What a check says of the line."""

    PASSES = "passes"
    DOUBTFUL = "doubtful"
    FAILS = "fails"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class Check:
    """One check: its figure of merit, what kind of figure that is, its p-value where it has one, and what follows."""

    name: str
    measure: str
    figure: float
    p: float | None
    verdict: Verdict
    sentence: str


@dataclass(frozen=True, eq=False)
class Sample:
    """The readings trained on, as their exact fit sees them; rows in the order of the file.

    rows: (n,), their numbers among all readings, from 1. z: (n,), scaled readings. root_weights: (n,).
    x: (n, terms), weighted terms. inverse: (terms, terms), (xᵀx)⁻¹. t_c: (n,), weighted. residual: (n,), weighted,
    t_c − fit. leverage: (n,). is_weighted: by uncertainties stated. largest: of all t_c, by size.
    unit: of t_c, residual and largest, a power of two near the largest t_c: so no power of them leaves float64.
    """

    rows: NDArray[np.int_]
    z: NDArray[np.float64]
    root_weights: NDArray[np.float64]
    x: NDArray[np.float64]
    inverse: NDArray[np.float64]
    t_c: NDArray[np.float64]
    residual: NDArray[np.float64]
    leverage: NDArray[np.float64]
    freedom: int
    is_weighted: bool
    largest: float
    unit: float

    @property
    def n(self) -> int:
        return len(self.residual)

    @property
    def rss(self) -> float:
        """Residual sum of squares."""
        return float(self.residual @ self.residual)

    @property
    def sd(self) -> float:
        """Standard deviation of the residuals."""
        return math.sqrt(self.rss / self.freedom)

    @property
    def is_perfect(self) -> bool:
        """Whether the residuals are rounding, so that nothing can be tested."""
        return self.rss <= self.n * self.rounding

    @property
    def rounding(self) -> float:
        """Square of a residual that is rounding."""
        return (ROUNDING * self.largest) ** 2

    @cached_property
    def space(self) -> NDArray[np.float64]:
        """(n, freedom), an orthonormal basis of the space that the fit's terms leave to residuals."""
        return np.linalg.qr(self.x, mode="complete").Q[:, self.x.shape[1] :]

    def without_terms(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,), what the fit's terms cannot make of values (n,); twice, since once leaves rounding."""
        for _ in range(2):
            values = values - self.x @ (self.inverse @ (self.x.T @ values))
        return values


def check_readings(readings: Readings, problem: Problem) -> tuple[Check, ...]:
    """What the readings say of the model, by the exact solution of `problem` (Huber's, where that is trained)."""
    sample = _take_sample(readings, problem)
    checks = [_check_slope(sample, problem, readings)]
    single = _find_single(sample, problem)
    if sample.is_perfect or sample.freedom < 2:
        checks += _not_checked(sample, problem, single)
    else:
        neighbours = _check_autocorrelation(sample)
        checks.append(_check_curvature(sample, problem, readings, neighbours))
        is_robust = problem.robust is not None
        checks.append(_check_set_aside(sample, problem) if is_robust else _check_outliers(sample, readings))
        checks.append(single or _check_influence(sample))
        checks.append(neighbours)
        checks.append(_check_scatter(sample))
    if problem.is_stated:
        checks.append(_check_consistency(problem))
    return tuple(checks)


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


def is_usable(checks: Sequence[Check]) -> bool:
    """Whether no check fails."""
    return all(check.verdict is not Verdict.FAILS for check in checks)


def _take_sample(readings: Readings, problem: Problem) -> Sample:
    rows, points = np.flatnonzero(problem.mask), problem.points
    t_u, t_c = (readings.t_u[rows], readings.t_c[rows]) if points is None else (points.t_u, points.t_c)
    root_weights = np.ones(len(rows)) if points is None else points.root_weights(problem.variance)
    if problem.robust is not None:  # least squares with these weights is Huber's optimum
        root_weights = root_weights * np.sqrt(problem.robust.weights)
    terms = problem.standard.features(t_u)
    x = terms * root_weights[:, None]
    inverse = np.asarray(np.linalg.inv(x.T @ x), dtype=np.float64)
    largest = float(np.abs(t_c).max())
    unit = 2.0 ** math.frexp(largest)[1]
    weighted = root_weights * (t_c / unit)
    return Sample(
        rows=rows + 1,
        z=problem.standard.scaling.apply(t_u),
        root_weights=root_weights,
        x=x,
        inverse=inverse,
        t_c=weighted,
        residual=weighted - x @ (problem.best.params / unit),
        leverage=np.einsum("ij,ij->i", x @ inverse, x),
        freedom=len(rows) - problem.standard.n_terms,
        is_weighted=points is not None,
        largest=largest / unit,
        unit=unit,
    )


def _check_slope(sample: Sample, problem: Problem, readings: Readings) -> Check:
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
    p = _f_tail(between, sample.freedom, figure)
    test = f"F({between}, {sample.freedom:,}) = {figure:.3g}, {_p(p)}"
    if p < SLOPE:
        return Check("slope", "F", figure, p, Verdict.PASSES, f"the temperature depends on the reading ({test})")
    return Check("slope", "F", figure, p, Verdict.FAILS, f"{what} beyond their mean ({test})")


def _unchecked(name: str, why: str) -> Check:
    return Check(name, "", math.nan, None, Verdict.NOT_CHECKED, f"not checked: {why}")


def _not_checked(sample: Sample, problem: Problem, single: Check | None) -> list[Check]:
    """Of a perfect fit nothing can be tested, and nothing with one degree of freedom, but what the readings alone say.

    single: what `_find_single` found.
    """
    why = "the readings lie on it to rounding" if sample.is_perfect else "too few readings"
    names = ("curvature", "outliers", "influence", "autocorrelation", "heteroscedasticity")
    checks = [single if single and name == single.name else _unchecked(name, why) for name in names]
    if sample.is_perfect and not problem.is_stated:
        sentence = f"{why}: their scatter tells nothing of the uncertainty"
        checks.append(Check("scatter", "", math.nan, None, Verdict.DOUBTFUL, sentence))
    return checks


def _check_curvature(sample: Sample, problem: Problem, readings: Readings, neighbours: Check) -> Check:
    """F test of the model against one of the next degree.

    It fails sooner where residuals that are alike (`neighbours`) say the same: a large misfit hides itself in its own
    scatter.
    """
    n_terms = problem.standard.n_terms
    power = sample.without_terms(sample.root_weights * sample.z**n_terms)
    squares = float(power @ power)
    if squares <= (1e-10 * sample.n) ** 2:  # too few different readings for the next degree
        return _unchecked("curvature", "too few different readings to see one")
    coefficient = float(power @ sample.residual) / squares
    explained = coefficient**2 * squares
    figure = explained / max((sample.rss - explained) / (sample.freedom - 1), sample.rounding)
    p = _f_tail(1, sample.freedom - 1, figure)
    off = float(np.abs(power / sample.root_weights).max()) * sample.unit  # by how much, for a coefficient of 1
    deviation = abs(coefficient) * off
    times = float(np.abs(coefficient * power).max()) / sample.sd  # of each reading's own standard deviation
    model, other = ("line", "quadratic") if n_terms == 2 else (f"degree {n_terms - 1}", f"degree {n_terms}")
    test = f"F(1, {sample.freedom - 1}) = {figure:.3g}, {_p(p)}"
    if p >= DOUBT:
        sd = math.sqrt(max((sample.rss - explained) / (sample.freedom - 1), sample.rounding))
        seen = _least_seen(sample.freedom - 1, DOUBT) * sd / math.sqrt(squares) * off
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


def _check_outliers(sample: Sample, readings: Readings) -> Check:
    """The largest externally studentized residual, its p-value by Bonferroni.

    Cook and Weisberg: Residuals and Influence in Regression (1982), section 2.2.
    """
    from scipy.special import stdtr

    t = _studentized(sample)
    worst = int(np.argmax(np.abs(t)))
    figure = float(abs(t[worst]))
    p = min(1.0, 2 * sample.n * float(stdtr(sample.freedom - 1, -figure)))
    test = f"largest studentized residual {figure:.3g}, {_p(p)}"
    if p >= DOUBT:
        others = np.median(np.sqrt(1 - sample.leverage) * sample.root_weights)
        sd = sample.sd * sample.unit / max(float(others), np.finfo(float).tiny)
        seen = _least_seen(sample.freedom - 1, DOUBT / sample.n) * sd
        sentence = f"no outlier ({test}); a reading would be one from {seen:.2g} {readings.y_unit} on"
        return Check("outliers", "studentized residual", figure, p, Verdict.PASSES, sentence)
    far = np.flatnonzero(2 * sample.n * stdtr(sample.freedom - 1, -np.abs(t)) < DOUBT)
    lie = "lies" if len(far) == 1 else "lie"
    sentence = f"{_name(sample.rows[far])} {lie} off the line ({test}): look what happened there"
    sentence += ', or use `loss="huber"`' if readings.u_u is None else ""
    fails = p < REFUSE and _cook(sample)[worst] > INFLUENTIAL
    verdict = Verdict.FAILS if fails else Verdict.DOUBTFUL
    return Check("outliers", "studentized residual", figure, p, verdict, sentence)


def _check_set_aside(sample: Sample, problem: Problem) -> Check:
    """What Huber's loss set aside."""
    assert problem.robust is not None
    if sample.freedom < FEWEST_TO_SET_ASIDE:
        return _unchecked("outliers", "of so few readings, Huber's loss sets none aside")
    aside = sample.rows[problem.robust.set_aside]
    share = len(aside) / sample.n
    if not len(aside):
        return Check("outliers", "share set aside", 0.0, None, Verdict.PASSES, "Huber's loss set no reading aside")
    sentence = f"Huber's loss set aside {_name(aside)}: too far from the line for chance, and counted less"
    verdict = Verdict.DOUBTFUL
    if share > MANY_SET_ASIDE and len(aside) >= FEWEST_SET_ASIDE:
        verdict, sentence = Verdict.FAILS, f"{sentence}: too many for outliers"
    return Check("outliers", "share set aside", share, None, verdict, sentence)


def _find_single(sample: Sample, problem: Problem) -> Check | None:
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
        p = _f_tail(1, sample.freedom, figure)
        if p < SLOPE:
            return None
        why = f"the others tell no slope (F(1, {sample.freedom:,}) = {figure:.3g}, {_p(p)})"
    else:
        return None
    model = "line" if n_terms == 2 else "model"
    sentence = f"the {model} rests on reading {sample.rows[row]:,} alone: {why}"
    is_accepted = problem.uncertainty.accept_single_reading
    sentence += "" if is_accepted else "; take further readings beside it, or accept that (accept_single_reading)"
    verdict = Verdict.DOUBTFUL if is_accepted else Verdict.FAILS
    return Check("influence", "leverage", float(sample.leverage[row]), None, verdict, sentence)


def _slope_without(sample: Sample, row: int) -> float:
    """The sum of squares that the slope of all readings but one explains."""
    z, t_c = (np.delete(values, row) for values in (sample.z, sample.t_c))
    z = z - z.mean()
    return float(z @ t_c) ** 2 / float(z @ z)


def _check_influence(sample: Sample) -> Check:
    """The largest distance by which leaving one reading out would move the line (Cook, Technometrics 19, 1977).

    It is compared with the F distribution, as Cook does: with p = 0.05 the line moves to the edge of its own joint
    confidence region of 95 %. A reading may also have so much leverage that the line follows wherever it lies.
    """
    from scipy.special import fdtrc

    distance, n_terms = _cook(sample), sample.x.shape[1]
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


def _check_autocorrelation(sample: Sample) -> Check:
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
            power = _power(ratio, (sample.space.T * sample.root_weights) @ np.tri(n))
            drift = f"a drift that is a random walk would be seen in {_percent(power)} of cases"
            if power < POWERLESS:
                return _unchecked("autocorrelation", f"with {n} readings at these places, {drift} only")
            sees = f"; {drift}"
        mean, p = float(ratio.eigenvalues.mean()), _two_sided(ratio.below(d))
    else:
        mean, p = _durbin_watson_by_moments(sample, d)
    test = f"Durbin–Watson {d:.3g}, expected {mean:.3g}, {_p(p)}"
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
    return mean, _two_sided_beta(d / 4, mean / 4, variance / 16, n)


def _check_scatter(sample: Sample) -> Check:
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
        power = _power(ratio, *(sample.space.T * (1 + (GROWTH - 1) * way) for way in (share, 1 - share)))
        growth = f"a scatter {GROWTH} times as large at one end would be seen in {_percent(power)} of cases"
        if power < POWERLESS:
            return _unchecked(name, f"with {n} readings at these places, {growth} only")
        sees = f"; {growth}"
        below = ratio.below(float(z @ squares) / sample.rss)
        figure = (n * float(z @ squares) / sample.rss) ** 2 / (2 * float(z @ z))
        p, grows = _two_sided(below), below > 0.5
    else:
        figure, p, grows = _koenker(z, squares)
    test = f"Breusch–Pagan {figure:.3g}, {_p(p)}"
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


def _check_consistency(problem: Problem) -> Check:
    """Whether the residuals are as large as the stated uncertainties say (ISO/TS 28037:2010, clause 6)."""
    from scipy.special import chdtrc

    exact = problem.exact
    figure, freedom = exact.chi_squared, exact.residual_freedom
    p = float(chdtrc(freedom, figure))
    test = f"χ² = {figure:.4g} for {freedom:,} degrees of freedom, {_p(p)}"
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


def _studentized(sample: Sample) -> NDArray[np.float64]:
    """(n,), each residual by the standard deviation that the other readings give it."""
    left = np.maximum(1 - sample.leverage, np.finfo(float).eps)
    others = (sample.rss - np.square(sample.residual) / left) / (sample.freedom - 1)
    t: NDArray[np.float64] = sample.residual / np.sqrt(left * np.maximum(others, sample.rounding))
    return np.where(sample.leverage > 1 - 1e-9, 0.0, t)  # a reading that the line must pass has no residual


def _cook(sample: Sample) -> NDArray[np.float64]:
    """(n,), Cook's distance; inf for a reading that the line must pass."""
    left = 1 - sample.leverage
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = np.square(sample.residual) * sample.leverage / (sample.x.shape[1] * sample.sd**2 * left**2)
    return np.where(left < 1e-9, np.inf, squares)


def _f_tail(between: int, within: int, value: float) -> float:
    from scipy.special import fdtrc

    return float(fdtrc(between, within, value))


def _two_sided(below: float) -> float:
    """The two-sided p-value of what lies above a share `below` of its distribution."""
    return 2 * min(below, 1 - below)


def _power(ratio: Ratio, *roots: NDArray[np.float64]) -> float:
    """The power of a check by the ratio against the alternative, of several as in `Ratio.power`, that it sees best."""
    return _power_at(ratio.form.tobytes(), *(np.ascontiguousarray(root).tobytes() for root in roots))


@lru_cache(maxsize=256)
def _power_at(form: bytes, *roots: bytes) -> float:
    """It depends on the places of the readings alone, which one thermometer after another may share."""
    n_terms = math.isqrt(len(form) // 8)
    ratio = Ratio(np.frombuffer(form).reshape(n_terms, n_terms))
    if ratio.is_constant:
        return 0.0
    limits = ratio.quantiles(DOUBT)
    return max(ratio.power(np.frombuffer(root).reshape(n_terms, -1), limits) for root in roots)


def _least_seen(freedom: int, level: float) -> float:
    """The effect, in standard deviations of its estimate, that a two-sided t test at the level sees with power SEEN."""
    from scipy.special import nctdtrinc, stdtrit

    return float(nctdtrinc(freedom, 1 - SEEN, stdtrit(freedom, 1 - level / 2)))


def _two_sided_beta(value: float, mean: float, variance: float, n: int) -> float:
    """The p-value of a beta variable with these moments; normal for a large n."""
    from scipy.special import betainc, erfc

    if n > LARGE:
        return float(erfc(abs(value - mean) / math.sqrt(2 * variance)))
    size = mean * (1 - mean) / variance - 1
    if size <= 0:
        return 1.0
    below = float(betainc(mean * size, (1 - mean) * size, min(max(value, 0.0), 1.0)))
    return _two_sided(below)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"


def _p(p: float) -> str:
    """A p-value as people read it."""
    if p >= 0.001:
        return f"p = {p:.3f}"
    return f"p = {p:.1e}" if p >= LEAST_P else f"p < {LEAST_P:g}"


def _name(rows: NDArray[np.int_]) -> str:
    """`reading 6`, `readings 3, 6 and 9`."""
    if len(rows) == 1:
        return f"reading {rows[0]:,}"
    if len(rows) > MOST_NAMED:
        return f"readings {', '.join(f'{row:,}' for row in rows[:MOST_NAMED])} and {len(rows) - MOST_NAMED:,} more"
    return f"readings {', '.join(f'{row:,}' for row in rows[:-1])} and {rows[-1]:,}"
