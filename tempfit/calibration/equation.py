"""A calibration as an equation, with as many digits as make no difference to its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tempfit.calibration.record import Record
from tempfit.wording import count

ROUNDING = 1e-13  # of the largest temperature: a term that is smaller at every reading is none
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def headline(record: Record) -> str:
    """The result in a line: `Converged: t_c = 0.5368 · t_u − 17.305`."""
    if record.diverged_at is not None:
        return f"Diverged at epoch {record.diverged_at:,}: no {record.model} to use"
    if record.exploded:
        return f"Diverging after {count(record.n_epochs, 'epoch')}: no {record.model} to use"
    return f"{record.status.capitalize()}: {equation(record)}"


def equation(record: Record) -> str:
    """`t_c = 0.5368 · t_u − 17.305`: the final model with telling digits; of a network, what it is made of."""
    config = record.config
    if record.coefficients is not None:
        return write_sum(record, record.coefficients)
    sizes = [str(size) for size in (1, *config.widths, 1)]
    if len(sizes) > 10:
        sizes[4:-4] = "…"
    return f"{config.y} = mlp({config.x}), {'-'.join(sizes)} units, {config.activation}"


def write_sum(record: Record, coefficients: Sequence[float | None]) -> str:
    """The equation of the coefficients (terms,), such as those of the exact solution."""
    config, optimum = record.config, record.optimum
    values = np.array(coefficients, dtype=np.float64)
    x, y, t0 = config.x, config.y, config.t0
    if not np.isfinite(values).all():
        return f"{y} = polynomial of degree {len(values) - 1} in {x}, whose coefficients are beyond float64"
    terms, powers = [], np.arange(len(values))[::-1]
    x = f"({x} {'−' if t0 > 0 else '+'} {abs(t0):g})" if t0 else x
    uncertainties = np.array(optimum.uncertainties, dtype=np.float64)
    sd = math.nan if optimum.observation_sd is None else optimum.observation_sd
    largest = max(abs(end - t0) for end in record.data.t_u_range)
    with np.errstate(over="ignore", invalid="ignore"):
        is_rounding = np.abs(values) * np.float64(largest) ** powers < ROUNDING * _largest_reference(record)
    resolutions = find_resolutions(uncertainties, sd, largest)
    for power, value, resolution in zip(powers, np.where(is_rounding, 0.0, values), resolutions, strict=True):
        number = f"{abs(value):.{_digits(value, resolution, least=4 if power else 5)}g}"
        reading = {0: "", 1: f" · {x}"}.get(power, f" · {x}{str(power).translate(SUPERSCRIPTS)}")
        terms.append(("−" if value < 0 else "+", f"{number}{reading}"))
    (sign, first), *others = terms
    return f"{y} = {'−' if sign == '−' else ''}{first}" + "".join(f" {sign} {term}" for sign, term in others)


def _largest_reference(record: Record) -> float:
    """By size."""
    if record.data.t_c_range is not None:
        return max(map(abs, record.data.t_c_range))
    return 0.0 if record.evidence is None else record.evidence.largest


def find_resolutions(uncertainties: NDArray[np.float64], observation_sd: float, largest: float) -> NDArray[np.float64]:
    """(terms,), what of each coefficient, the highest first, still makes a difference. largest: distance of a reading
    from t0.

    Uncertain together, coefficients need more digits than each alone: for the largest reading, too.
    """
    powers = np.arange(len(uncertainties))[::-1]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        return np.fmin(uncertainties, observation_sd / np.float64(largest) ** powers)


def _digits(value: float, uncertainty: float, *, least: int) -> int:
    """Significant digits down to a hundredth of the standard uncertainty."""
    if value == 0 or not 0 < uncertainty < math.inf:
        return max(least, 6)
    return min(15, max(least, math.floor(math.log10(abs(value))) - math.floor(math.log10(uncertainty)) + 3))
