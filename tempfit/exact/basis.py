"""The functions of the reading that a line or a polynomial is a sum of, and the way back to raw powers.

A polynomial in raw powers is as badly conditioned as a sum can be. Its terms are therefore made from the scaled
reading, and when standardized they are made orthogonal over the readings, each with mean square 1: the Hessian
of the mean squared error is then 2 times the identity, as it is for a standardized line. (Forsythe: Generation and use
of orthogonal polynomials for data-fitting with a digital computer, J. SIAM 5, 1957.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempfit.config import CalibrationConfig
from tempfit.exact.evidence import Evidence
from tempfit.exact.matrices import product, solve_upper, transform
from tempfit.exact.scaling import Scaling, fit_scaling


@dataclass(frozen=True, eq=False)
class Basis:
    """Terms of degree d, …, 1, 0 in the scaled reading t_un: `[t_un**d, …, t_un, 1] @ matrix`.

    So the two parameters of degree 1 are w and b, and coefficients stand in the order that numpy.polyval takes.

    scaling: raw readings to t_un. matrix: (terms, terms), lower triangular; the identity where the terms are powers.
    origin: t0, the reference point of the raw powers: coefficients are of powers of t_u − t0.
    Of several members' terms, scaling and matrix have the axis (members,) in front; shapes below begin with it, too.
    """

    scaling: Scaling
    matrix: NDArray[np.float64]
    origin: float = 0.0

    @property
    def n_terms(self) -> int:
        return self.matrix.shape[-1]

    def __getitem__(self, member: int) -> Basis:
        return Basis(self.scaling[member], self.matrix[member], self.origin)

    def features(self, t_u: NDArray[Any]) -> NDArray[np.float64]:
        """Readings (...,) in raw units → (..., terms), the value of every term; of several members (members, rows)."""
        t_un = self.scaling.apply(np.asarray(t_u, dtype=np.float64))
        terms = np.vander(t_un.reshape(-1), self.n_terms).reshape(*t_un.shape, self.n_terms)
        features: NDArray[np.float64] = terms if self._is_powers else terms @ self.matrix
        return features

    @cached_property
    def _is_powers(self) -> bool:
        return bool((self.matrix == np.eye(self.n_terms)).all())

    @cached_property
    def fold(self) -> NDArray[np.float64]:
        """(terms, terms) matrix that takes parameters to the coefficients of raw powers, and their covariance C to
        `fold C foldᵀ`."""
        with np.errstate(over="ignore", invalid="ignore"):  # powers of extreme readings
            return self._made_of(_substitution(self.scaling.after(Scaling(center=self.origin)), self.n_terms))

    def to_raw(self, params: NDArray[Any]) -> NDArray[Any]:
        """Parameters (..., terms) as coefficients of raw powers (..., terms); not finite where float64 cannot say."""
        with np.errstate(over="ignore", invalid="ignore"):
            return transform(self.fold, params)

    def to_powers(self, params: NDArray[Any]) -> NDArray[Any]:
        """Parameters (..., terms) as coefficients of the powers of t_un (..., terms)."""
        return transform(self.matrix, params)

    def change_to(self, other: Basis) -> NDArray[np.float64]:
        """(terms, terms), M with `other.features = self.features @ M`, hence `params_self = M @ params_other`."""
        change = other._made_of(_substitution(other.scaling.after(self.scaling), self.n_terms))
        if self._is_powers:
            return change
        return solve_upper(self.matrix[..., ::-1, ::-1], change[..., ::-1, :])[..., ::-1, :]

    def _made_of(self, substitution: NDArray[np.float64]) -> NDArray[np.float64]:
        """Powers of t_un as sums of other terms → these terms as sums of those; both (terms, terms)."""
        return substitution if self._is_powers else product(substitution, self.matrix)


def fit_basis(evidence: Evidence, config: CalibrationConfig) -> Basis:
    """The terms of every member that `config` asks for; an mlp's are those of a line."""
    n_terms = config.degree + 1 if config.model == "polynomial" else 2
    if n_terms > 2 and config.scaling == "standardize":
        return _orthogonal_terms(evidence, n_terms, config.t0)
    eye = np.broadcast_to(np.eye(n_terms), (evidence.members, n_terms, n_terms))
    return Basis(fit_scaling(evidence, config), eye, config.t0)


def standard_basis(evidence: Evidence, config: CalibrationConfig) -> Basis:
    """The best-conditioned terms for the model that `config` asks for, whatever the scaling: orthogonal over the
    readings, each with mean square 1."""
    return fit_basis(evidence, config.model_copy(update={"scaling": "standardize"}))


def _orthogonal_terms(evidence: Evidence, n_terms: int, origin: float) -> Basis:
    """Polynomials orthogonal over the readings, of the readings taken to ±1: what the evidence is a QR of.

    From the constant upwards, so that each term has its own degree; with positive leading coefficients.
    """
    triangle = evidence.factor[:, :n_terms, :n_terms] / np.sqrt(evidence.n)[:, None, None]
    matrix = solve_upper(triangle, np.eye(n_terms))[:, ::-1, ::-1]
    return Basis(Scaling(1 / evidence.scale, evidence.center), matrix, origin)


def _substitution(scaling: Scaling, n_terms: int) -> NDArray[np.float64]:
    """(terms, terms), T with `powers(t_un) = powers(t) @ T` for `t_un = factor * (t - center)`: the binomial theorem.

    Powers stand in descending order, as in numpy.vander. Of several members' scalings, (members, terms, terms).
    """
    factor, center = np.asarray(scaling.factor, dtype=np.float64), np.asarray(scaling.center, dtype=np.float64)
    matrix = np.zeros((*np.broadcast_shapes(factor.shape, center.shape), n_terms, n_terms), order="F")
    with np.errstate(over="ignore", invalid="ignore"):  # high powers of extreme readings are beyond float64
        for power in range(n_terms):
            for k in range(power + 1):  # the term of t**k in (factor * (t - center))**power
                coefficient = math.comb(power, k) * factor**power * (-center) ** (power - k)
                matrix[..., n_terms - 1 - k, n_terms - 1 - power] = coefficient
    return matrix
