"""A simulated fleet, one sensor in twenty of which is bad in a known way: who is told to be odd, and by what.

`python -m tests.fleet.simulations` prints the table of docs/fleets.md. Good sensors are siblings: slope, intercept and
scatter differ by 0.5 %, 0.3 °C and 10 %; each has 24 readings anywhere in the range, in the order in which they were
taken. All of it is judged by the exact solution, where gradient descent ends to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.members import calibrate_members
from tempfit.config import CalibrationConfig
from tempfit.exact.evidence import gather
from tempfit.fleet.judging import FleetJudgement, concatenate, figures_of, judge_fleet

W, B, S = 0.5, -17.0, 0.1  # of the typical sensor, °C
W_SPREAD, B_SPREAD, S_SPREAD = 0.0025, 0.3, 0.1  # of good siblings; of s, of its logarithm
RANGE, N_READINGS = 80.0, 24
BAD = 0.05  # of all sensors
CHUNK = 20_000  # sensors calibrated at once
FDR = 0.01

Floats = NDArray[np.float64]
Fault = Callable[[np.random.Generator, Floats, Floats, Floats], tuple[Floats, Floats]]


def bend(size: float) -> Fault:
    """The middle lies `size` s off the straight line through the ends."""
    return lambda rng, t_u, t_c, s: (t_u, t_c + size * s * (1 - np.square(t_u / (RANGE / 2) - 1)))


def scatter(times: float) -> Fault:
    """The scatter is so many times as large."""
    return lambda rng, t_u, t_c, s: (t_u, t_c + np.sqrt(times**2 - 1) * s * rng.normal(size=t_u.shape))


def offset(size: float) -> Fault:
    """The intercept is `size` standard deviations of good siblings' off, to either side."""
    return lambda rng, t_u, t_c, s: (t_u, t_c + size * B_SPREAD * rng.choice([-1, 1], (len(t_u), 1)))


def gain(size: float) -> Fault:
    """The slope likewise."""
    return lambda rng, t_u, t_c, s: (t_u, t_c + size * W_SPREAD * rng.choice([-1, 1], (len(t_u), 1)) * t_u)


def drift(size: float) -> Fault:
    """The reference drifts steadily by `size` s, from the first reading to the last."""
    return lambda rng, t_u, t_c, s: (t_u, t_c + size * s * np.linspace(0, 1, N_READINGS))


def stuck(rng: np.random.Generator, t_u: Floats, t_c: Floats, s: Floats) -> tuple[Floats, Floats]:
    """The last quarter of the readings repeats the one before."""
    first = N_READINGS * 3 // 4
    return np.where(np.arange(N_READINGS) < first, t_u, t_u[:, first - 1, None]), t_c


def exchanged(rng: np.random.Generator, t_u: Floats, t_c: Floats, s: Floats) -> tuple[Floats, Floats]:
    """Reading and reference stand in each other's place."""
    return t_c, t_u


def outlier(size: float) -> Fault:
    """One reading, any, is `size` s off."""

    def fault(rng: np.random.Generator, t_u: Floats, t_c: Floats, s: Floats) -> tuple[Floats, Floats]:
        is_off = np.arange(N_READINGS) == rng.integers(N_READINGS, size=(len(t_u), 1))
        return t_u, t_c + size * s * is_off * rng.choice([-1, 1], (len(t_u), 1))

    return fault


FAULTS: dict[str, Fault] = {
    **{f"a bend of {size} s": bend(size) for size in (2, 4, 8)},
    **{f"scatter {times} times as large": scatter(times) for times in (2, 3)},
    **{f"an offset of {size} σ": offset(size) for size in (4, 6, 8)},
    **{f"a slope {size} σ off": gain(size) for size in (4, 6, 8)},
    "a steady drift of 8 s, order by lot": drift(8),
    "stuck for the last quarter": stuck,
    "reading and reference exchanged": exchanged,
    **{f"an outlier of {size} s": outlier(size) for size in (8, 16)},
}


@dataclass(frozen=True, eq=False)
class Simulated:
    """What is told of each sensor. kinds: (sensors,), the place of what is wrong among FAULTS; −1 of good ones.

    usable: whether its own checks have nothing against it.
    """

    kinds: NDArray[np.int_]
    judgement: FleetJudgement
    usable: NDArray[np.bool_]

    @property
    def share_false(self) -> float:
        """Of the good among those told to be odd."""
        return float((self.kinds[self.judgement.is_accused] < 0).mean())

    def share_found(self, fault: str) -> float:
        return float(self.judgement.is_accused[self._with(fault)].mean())

    def share_not_usable(self, fault: str) -> float:
        return float((~self.usable[self._with(fault)]).mean())

    def told_by(self, fault: str) -> str:
        """The tests that accuse a tenth at least of those found, the most frequent first; – where nobody is."""
        accused = self.judgement.accused[self._with(fault)]
        found = max(1, accused.any(axis=1).sum())
        shares = dict(zip(self.judgement.tests, accused.sum(axis=0) / found, strict=True))
        return (
            ", ".join(sorted((name for name in shares if shares[name] >= 0.1), key=lambda name: -shares[name])) or "–"
        )

    def _with(self, fault: str) -> NDArray[np.bool_]:
        return self.kinds == list(FAULTS).index(fault)


def simulate(n_sensors: int, *, seed: int) -> Simulated:
    """A fleet with as many of each fault, judged at the rate FDR."""
    rng = np.random.default_rng(seed)
    each = round(BAD * n_sensors / len(FAULTS))
    kinds = rng.permutation(
        np.repeat(np.arange(-1, len(FAULTS)), [n_sensors - each * len(FAULTS), *[each] * len(FAULTS)])
    )
    figures, usable = [], []
    for first in range(0, n_sensors, CHUNK):
        t_u, t_c = _readings(rng, kinds[first : first + CHUNK])
        calibrations = calibrate_members(gather(t_u, t_c), CalibrationConfig())
        figures.append(figures_of(calibrations.solved))
        usable.append(calibrations.usable)
    return Simulated(kinds, judge_fleet(concatenate(figures), FDR), np.concatenate(usable))


def _readings(rng: np.random.Generator, kinds: NDArray[np.int_]) -> tuple[Floats, Floats]:
    n = (len(kinds), 1)
    t_u = rng.uniform(0, RANGE, (len(kinds), N_READINGS))
    s = S * np.exp(rng.normal(0, S_SPREAD, n))
    t_c = rng.normal(W, W_SPREAD, n) * t_u + rng.normal(B, B_SPREAD, n) + s * rng.normal(size=t_u.shape)
    for kind, fault in enumerate(FAULTS.values()):
        rows = np.flatnonzero(kinds == kind)
        t_u[rows], t_c[rows] = fault(rng, t_u[rows].copy(), t_c[rows].copy(), s[rows])
    return t_u, t_c


def table(simulated: Simulated) -> str:
    """That of docs/fleets.md, in Markdown."""
    lines = ["| what is wrong | odd | by | own checks |", "|---|---|---|---|"]
    for fault in FAULTS:
        found, alone = simulated.share_found(fault), simulated.share_not_usable(fault)
        lines.append(f"| {fault} | {100 * found:.0f} % | {simulated.told_by(fault)} | {100 * alone:.0f} % |")
    return "\n".join(lines)


if __name__ == "__main__":
    fleet = simulate(100_000, seed=1)
    good = fleet.kinds < 0
    print(table(fleet))
    print(f"good: {100 * fleet.share_false:.2f} % of {fleet.judgement.is_accused.sum():,} told odd", end=", ")
    print(f"{(~fleet.usable[good]).sum():,} of {good.sum():,} not usable by their own checks")
