"""A header of C99 and C++11 that stands alone, for firmware."""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

from tempfit.errors import SettingsError
from tempfit.exact.curve import Curve
from tempfit.export.expressions import horner
from tempfit.export.fragment import Fragment
from tempfit.export.text import one_line

NAME = "thermometer"  # what all names in it begin with
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)


def check_name(name: str) -> None:
    """Raise SettingsError where the names of C functions cannot begin so."""
    if not IDENTIFIER.fullmatch(name):
        raise SettingsError(
            f"`name`: {one_line(name)!r} cannot begin the names of C functions; use letters, digits and _, a letter "
            "first"
        )


def write(fragment: Fragment) -> str:
    """Functions in double precision, of the scaled reading, by Horner's rule.

    The variance of the curve is a sum of squares of polynomials, the rows of a root of the parameters' covariance, so
    that rounding cannot make it negative.
    """
    curve, name, upper = fragment.curve, fragment.name, fragment.name.upper()
    low, high = (_number(value) for value in curve.t_u_range)
    root = ",\n".join(f"        {{{', '.join(_number(value) for value in row)}}}" for row in _root(curve))
    n = curve.basis.n_terms
    unit = _comment(one_line(fragment.y_unit))
    comment = "\n".join(f" * {_comment(line)}" for line in fragment.comments)
    return f"""\
/*
{comment}
 */
#ifndef {upper}_CALIBRATION_H
#define {upper}_CALIBRATION_H

#include <math.h>

/* The readings that it was calibrated with: beyond them, nothing is known. */
#define {upper}_T_U_LOW {low}
#define {upper}_T_U_HIGH {high}

/* The temperature at a reading ({unit}). */
static inline double {name}_t_c(double t_u)
{{
    const double z = {fragment.scaled("t_u")};
    return {horner(fragment.powers, "z")};
}}

/* Standard uncertainty of that temperature, for the mean of many readings ({unit}). */
static inline double {name}_u_mean(double t_u)
{{
    static const double root[{n}][{n}] = {{
{root}
    }};
    const double z = {fragment.scaled("t_u")};
    double variance = {_number(curve.u_common**2)};
    for (int i = 0; i < {n}; i++) {{
        double term = root[i][0];
        for (int j = 1; j < {n}; j++) {{
            term = term * z + root[i][j];
        }}
        variance += term * term;
    }}
    return sqrt(variance);
}}

/* Standard uncertainty of that temperature, for a single reading ({unit}). */
static inline double {name}_u_prediction(double t_u)
{{
    return hypot({name}_u_mean(t_u), {_number(curve.observation_sd)});
}}

#endif
"""


def _number(value: float) -> str:
    """A constant expression of C, to the last bit."""
    if math.isfinite(value):
        return f"({value!r})" if value < 0 else repr(value)
    return "NAN" if math.isnan(value) else "HUGE_VAL" if value > 0 else "(-HUGE_VAL)"


def _comment(line: str) -> str:
    """The line with nothing in it that ends a comment, begins another, or is a trigraph."""
    return re.sub(r"(?<=\*)(?=/)|(?<=/)(?=\*)|(?<=\?)(?=\?)", " ", line)


def _root(curve: Curve) -> list[list[float]]:
    """(terms, terms), R with the curve's variance the sum of squares of `R @ powers of the scaled reading`."""
    triangle = np.linalg.cholesky(curve.cofactor)
    root: NDArray[np.float64] = curve.observation_sd * (curve.basis.matrix @ triangle).T
    return [[float(value) for value in row] for row in root]
