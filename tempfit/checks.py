"""Whether a calibration line may be used: checks, each with a figure, a verdict and a sentence.

What the readings say of the model (slope, curvature, outliers, influence, autocorrelation, heteroscedasticity, χ²) is
judged by the exact solution, so it holds for every fit of the same problem; `check_descent` judges the fit itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from tempfit.config import MOST_DEGREE, CalibrationConfig
from tempfit.curve import Curve
from tempfit.problem import Problem
from tempfit.readings import Readings

DOUBT, REFUSE = 0.01, 0.001  # p-values below which a check is doubtful, and below which it fails
SLOPE = 0.05  # p-value from which on the reading tells nothing of the temperature
INCONSISTENT = 0.05  # of χ²: ISO/TS 28037 takes the quantile of 95 %
NEGLIGIBLE, MATERIAL = 0.1, 0.5  # standard deviations of an observation: curvature that does no harm, and that does
INFLUENTIAL, MOVED = 1.0, 0.05  # Cook's distance that an outlier may have, and the p-value of any reading's
DECIDING = 0.5  # leverage
NEAR, FAR = 0.1, 1.0  # standard uncertainties of the exact line: descent that arrived, and that did not
MANY_SET_ASIDE, FEWEST_SET_ASIDE = 0.25, 3  # of the readings, and readings: the line does not fit them
ROUNDING = 1e-13  # of the largest temperature: residuals of a perfect fit
TOLERANCE = 1e-11  # of the error at the start: what training by default leaves of the way to a perfect fit
LEAST_P = 1e-12  # that is written out
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
    x: (n, terms), weighted terms. inverse: (terms, terms), (xᵀx)⁻¹. residual: (n,), weighted, t_c − fit.
    leverage: (n,). is_weighted: by uncertainties stated. largest: of all t_c, by size.
    """

    rows: NDArray[np.int_]
    z: NDArray[np.float64]
    root_weights: NDArray[np.float64]
    x: NDArray[np.float64]
    inverse: NDArray[np.float64]
    residual: NDArray[np.float64]
    leverage: NDArray[np.float64]
    freedom: int
    is_weighted: bool
    largest: float

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

    def without_terms(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,), what the fit's terms cannot make of values (n,); twice, since once leaves rounding."""
        for _ in range(2):
            values = values - self.x @ (self.inverse @ (self.x.T @ values))
        return values


def check_readings(readings: Readings, problem: Problem) -> tuple[Check, ...]:
    """What the readings say of the model, by the exact solution of `problem` (Huber's, where that is trained)."""
    sample = _take_sample(readings, problem)
    checks = [_check_slope(sample, problem, readings)]
    if sample.is_perfect or sample.freedom < 2:
        checks += _not_checked(sample, problem)
    else:
        neighbours = _check_autocorrelation(sample)
        checks.append(_check_curvature(sample, problem, readings, neighbours))
        is_robust = problem.robust is not None
        checks.append(_check_set_aside(sample, problem) if is_robust else _check_outliers(sample, readings))
        checks.append(_check_influence(sample))
        checks.append(neighbours)
        checks.append(_check_scatter(sample))
    if problem.is_stated:
        checks.append(_check_consistency(problem))
    return tuple(checks)


def check_descent(curve: Curve | None, problem: Problem, config: CalibrationConfig) -> Check:
    """How far gradient descent ended from the exact optimum, in standard uncertainties of the latter.

    curve: what it found; None where it diverged.
    """
    if curve is None:
        return Check("descent", "distance in u", math.inf, None, Verdict.FAILS, "gradient descent diverged")
    best = replace(problem.best, u_common=0.0)  # what the references have in common is no leeway
    low, high = problem.t_u_range
    t_u = np.linspace(low, high, 2 if best.is_line else 50)
    off = np.abs(best.basis.features(t_u) @ (curve.params - best.params))
    rounding = ROUNDING * float(np.abs(best.predict(t_u)).max()) + TOLERANCE * math.sqrt(problem.start_error(config))
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
    return Sample(
        rows=rows + 1,
        z=problem.standard.scaling.apply(t_u),
        root_weights=root_weights,
        x=x,
        inverse=inverse,
        residual=root_weights * (t_c - terms @ problem.best.params),
        leverage=np.einsum("ij,ij->i", x @ inverse, x),
        freedom=len(rows) - problem.standard.n_terms,
        is_weighted=points is not None,
        largest=float(np.abs(t_c).max()),
    )


def _check_slope(sample: Sample, problem: Problem, readings: Readings) -> Check:
    """F test of the model against a constant: whether the reading tells anything of the temperature."""
    between, constant = problem.standard.n_terms - 1, sample.x[:, -1]
    fitted = sample.x @ problem.best.params
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


def _not_checked(sample: Sample, problem: Problem) -> list[Check]:
    """Of a perfect fit nothing can be tested, and nothing with one degree of freedom."""
    why = "the readings lie on it to rounding" if sample.is_perfect else "too few readings"
    names = ("curvature", "outliers", "influence", "autocorrelation", "heteroscedasticity")
    checks = [Check(name, "", math.nan, None, Verdict.NOT_CHECKED, f"not checked: {why}") for name in names]
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
        sentence = "not checked: too few different readings to see one"
        return Check("curvature", "F", math.nan, None, Verdict.NOT_CHECKED, sentence)
    coefficient = float(power @ sample.residual) / squares
    explained = coefficient**2 * squares
    figure = explained / max((sample.rss - explained) / (sample.freedom - 1), sample.rounding)
    p = _f_tail(1, sample.freedom - 1, figure)
    deviation = float(np.abs(coefficient * power / sample.root_weights).max())
    times = float(np.abs(coefficient * power).max()) / sample.sd  # of each reading's own standard deviation
    model, other = ("line", "quadratic") if n_terms == 2 else (f"degree {n_terms - 1}", f"degree {n_terms}")
    test = f"F(1, {sample.freedom - 1}) = {figure:.3g}, {_p(p)}"
    if p >= DOUBT:
        return Check("curvature", "F", figure, p, Verdict.PASSES, f"no curvature seen beyond the {model} ({test})")
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
        return Check("outliers", "studentized residual", figure, p, Verdict.PASSES, f"no outlier ({test})")
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
    aside = sample.rows[problem.robust.set_aside]
    share = len(aside) / sample.n
    if not len(aside):
        return Check("outliers", "share set aside", 0.0, None, Verdict.PASSES, "Huber's loss set no reading aside")
    sentence = f"Huber's loss set aside {_name(aside)}: too far from the line for chance, and counted less"
    verdict = Verdict.DOUBTFUL
    if share > MANY_SET_ASIDE and len(aside) >= FEWEST_SET_ASIDE:
        verdict, sentence = Verdict.FAILS, f"{sentence}: too many for outliers"
    return Check("outliers", "share set aside", share, None, verdict, sentence)


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
    """Durbin and Watson's d of the residuals in the order of the file, by the beta distribution of its moments.

    Durbin and Watson: Testing for serial correlation in least squares regression, Biometrika 37 (1950) 409 and 38
    (1951) 159.
    """
    n, k = sample.x.shape
    d = float(np.square(np.diff(sample.residual)).sum()) / sample.rss
    # A takes the differences' sum of squares: d = eᵀAe / eᵀe, tr A = 2(n - 1), tr A² = 2(3n - 4).
    steps = np.diff(sample.x, axis=0)
    ax = np.zeros_like(sample.x)
    ax[:-1] -= steps
    ax[1:] += steps
    xax = sample.x.T @ ax @ sample.inverse
    trace = 2 * (n - 1) - np.trace(xax)
    trace_of_square = 2 * (3 * n - 4) - 2 * np.trace(ax.T @ ax @ sample.inverse) + np.trace(xax @ xax)
    mean = trace / (n - k)
    variance = 2 * (trace_of_square - trace * mean) / ((n - k) * (n - k + 2))
    p = _two_sided_beta(d / 4, mean / 4, variance / 16, n)
    test = f"Durbin–Watson {d:.3g}, expected {mean:.3g}, {_p(p)}"
    if p >= DOUBT:
        sentence = f"residuals do not depend on their neighbours in the file ({test})"
        return Check("autocorrelation", "Durbin–Watson", d, p, Verdict.PASSES, sentence)
    if d < mean:
        sentence = (
            f"residuals are like their neighbours in the file ({test}): something drifts or bends, and the "
            "uncertainties are too small"
        )
    else:
        sentence = f"residuals alternate from one to the next in the file ({test}): look how the readings were taken"
    return Check("autocorrelation", "Durbin–Watson", d, p, Verdict.DOUBTFUL, sentence)


def _check_scatter(sample: Sample) -> Check:
    """Whether the scatter depends on the reading: n R² of the squared residuals on it.

    Breusch and Pagan, Econometrica 47 (1979) 1287, in the form of Koenker, J. Econometrics 17 (1981) 107, which does
    not take the errors for normal.
    """
    from scipy.special import chdtrc

    squares = np.square(sample.residual)
    squares = squares - squares.mean()
    z = sample.z - sample.z.mean()
    slope = float(z @ squares)
    total = float(z @ z) * float(squares @ squares)
    figure = sample.n * slope**2 / total if total > 0 else 0.0
    p = float(chdtrc(1, figure))
    test = f"Breusch–Pagan {figure:.3g}, {_p(p)}"
    name, measure = "heteroscedasticity", "Breusch–Pagan"
    if p >= DOUBT:
        return Check(name, measure, figure, p, Verdict.PASSES, f"the scatter is the same everywhere ({test})")
    way = "grows" if slope > 0 else "shrinks"
    advice = "correct the column u_c" if sample.is_weighted else "weight the readings by a column u_c"
    sentence = f"the scatter {way} with the reading ({test}): {advice}"
    return Check(name, measure, figure, p, Verdict.DOUBTFUL, sentence)


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


def _two_sided_beta(value: float, mean: float, variance: float, n: int) -> float:
    """The p-value of a beta variable with these moments; normal for a large n."""
    from scipy.special import betainc, erfc

    if n > LARGE:
        return float(erfc(abs(value - mean) / math.sqrt(2 * variance)))
    size = mean * (1 - mean) / variance - 1
    if size <= 0:
        return 1.0
    below = float(betainc(mean * size, (1 - mean) * size, min(max(value, 0.0), 1.0)))
    return 2 * min(below, 1 - below)


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
