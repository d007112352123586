"""Simulated calibrations: what the checks see, and whether intervals cover what they say.

`python -m tests.simulations` prints the table of power in docs/checks.md, from 400 calibrations a cell. The readings
are equidistant over a range of 100 standard deviations s of their scatter, which is normal. All of it is judged by the
exact solution, where gradient descent ends to rounding.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.checks import Check, check_readings
from tempfit.config import CalibrationConfig
from tempfit.descent.setup import normalize
from tempfit.exact.curve import Curve
from tempfit.readings.paired import Readings
from tempfit.words import Verdict

W, B = 0.5, -17.0
RANGE = 100.0  # of t_c, in s
SIZES = (4, 5, 7, 11, 20, 40)  # numbers of readings

Noise = Callable[[np.random.Generator, NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]


def good(rng: np.random.Generator, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places x (n,), from -1 to 1, in the order in which the readings are taken, and their errors (n,), in s."""
    return x, rng.normal(size=len(x))


def bend(size: float) -> Noise:
    """The middle lies `size` s off the straight line through the ends."""
    return lambda rng, x: (x, size * (1 - x * x) + rng.normal(size=len(x)))


def random_walk(step: float) -> Noise:
    """From each reading to the next, the reference drifts by a normal step of `step` s; taken in rising order."""
    return lambda rng, x: (x, step * rng.normal(size=len(x)).cumsum() + rng.normal(size=len(x)))


def steady_drift(size: float) -> Noise:
    """The reference drifts by `size` s from the first reading to the last; taken in an order drawn by lot."""

    def noise(rng: np.random.Generator, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return rng.permutation(x), np.linspace(0, size, len(x)) + rng.normal(size=len(x))

    return noise


def outlier(size: float) -> Noise:
    """One reading, any, is `size` s off."""

    def noise(rng: np.random.Generator, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        error = rng.normal(size=len(x))
        error[rng.integers(len(x))] += size * rng.choice([-1, 1])
        return x, error

    return noise


def growing(times: float) -> Noise:
    """The scatter at the upper end is so many times that at the lower end."""
    return lambda rng, x: (x, np.linspace(1, times, len(x)) * rng.normal(size=len(x)))


# What is wrong with the readings → what it is, and which check is to see it.
ALTERNATIVES: dict[str, tuple[Noise, str]] = {
    **{f"a bend of {size} s": (bend(size), "curvature") for size in (1, 2, 4, 8)},
    **{f"a drift that is a random walk, {step} s a step": (random_walk(step), "autocorrelation") for step in (1, 4)},
    **{f"a steady drift of {size} s, order by lot": (steady_drift(size), "autocorrelation") for size in (4, 8)},
    **{f"an outlier of {size} s": (outlier(size), "outliers") for size in (4, 8, 16)},
    "scatter 10 times as large at one end": (growing(10), "heteroscedasticity"),
}


def calibrations(
    n: int | NDArray[np.float64], n_simulated: int, noise: Noise = good, *, seed: int, loss: str = "squared"
) -> Iterator[tuple[Curve, tuple[Check, ...]]]:
    """The exact line and the checks of so many calibrations of n readings, or of readings at places of any scale."""
    rng, config = np.random.default_rng(seed), CalibrationConfig(loss=loss)
    x = np.linspace(-1, 1, n) if isinstance(n, int) else 2 * (n - n.min()) / np.ptp(n) - 1
    for _ in range(n_simulated):
        places, error = noise(rng, x)
        t_u = RANGE / W / 2 * places
        readings = Readings(t_u, W * t_u + B + error)
        problem = normalize(readings, config).problem
        yield problem.best, check_readings(readings, problem)


def share_seen(alternative: str, n: int, n_simulated: int, *, seed: int) -> float:
    """How often the check that is to see it doubts or refuses the line."""
    noise, name = ALTERNATIVES[alternative]
    judged = (next(check for check in checks if check.name == name)
              for _, checks in calibrations(n, n_simulated, noise, seed=seed))  # fmt: skip
    return sum(check.verdict in (Verdict.DOUBTFUL, Verdict.FAILS) for check in judged) / n_simulated


def is_checked(alternative: str, n: int) -> bool:
    """Whether the check that is to see it is made of n readings at all, in any of ten orders drawn."""
    noise, name = ALTERNATIVES[alternative]
    verdicts = {c.verdict for _, checks in calibrations(n, 10, noise, seed=0) for c in checks if c.name == name}
    return verdicts != {Verdict.NOT_CHECKED}


def shares_doubted(n: int, n_simulated: int, *, seed: int, loss: str = "squared") -> tuple[float, float]:
    """How often good readings are doubted (or worse), and how often they are refused."""
    verdicts = [{check.verdict for check in checks} for _, checks in calibrations(n, n_simulated, seed=seed, loss=loss)]
    refused = sum(Verdict.FAILS in found for found in verdicts)
    doubted = sum(bool({Verdict.DOUBTFUL, Verdict.FAILS} & found) for found in verdicts)
    return doubted / n_simulated, refused / n_simulated


def coverages(
    n: int | NDArray[np.float64], n_simulated: int, noise: Noise = good, *, seed: int, loss: str = "squared"
) -> dict[str, float]:
    """How often each kind of interval holds what it is for; new observations are good ones."""
    rng, at = np.random.default_rng(seed + 1), RANGE / W * np.array([-0.5, 0.2, 0.6])
    truth, hits = W * at + B, []
    for curve, _ in calibrations(n, n_simulated, noise, seed=seed, loss=loss):
        k = float(curve.coverage_factor())
        (low, high), (lower, upper) = curve.confidence_band(at), curve.prediction_band(at)
        observed = truth + rng.normal(size=3)
        inverse = curve.invert(observed[1])
        hits.append([
            abs(curve.w - W) <= k * curve.u_w,
            abs(curve.b - B) <= k * curve.u_b,
            *((low <= truth) & (truth <= high)),
            *((lower <= observed) & (observed <= upper)),
            bool(inverse.low <= at[1] <= inverse.high),
        ])  # fmt: skip
    names = ["w", "b", *(f"{kind} {place}" for kind in ("line", "observation") for place in ("low", "inside", "out"))]
    return dict(zip([*names, "inverse"], np.mean(hits, axis=0).tolist(), strict=True))


def power_table(sizes: Sequence[int], n_simulated: int, *, seed: int) -> str:
    """The table of docs/checks.md, in Markdown: – where it is not checked."""
    lines = [f"| what is wrong | seen by | {' | '.join(str(n) for n in sizes)} |", "|---" * (len(sizes) + 2) + "|"]
    for alternative, (_, name) in ALTERNATIVES.items():
        cells = [
            f"{100 * share_seen(alternative, n, n_simulated, seed=seed):.0f} %" if is_checked(alternative, n) else "–"
            for n in sizes
        ]
        lines.append(f"| {alternative} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=400, help="a cell of the table")
    print(power_table(SIZES, parser.parse_args().simulations, seed=1))
