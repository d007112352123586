"""Least-squares problems as rows of features and targets: what the loop runs on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempfit.exact.basis import Basis
from tempfit.exact.evidence import Evidence
from tempfit.exact.matrices import product, transform
from tempfit.exact.scaling import Scaling


@dataclass(frozen=True, eq=False)
class Design:
    """Least-squares problems, one per member.

    features: (members, rows, terms), float64: for a line `[t_u, 1]` per row, scaled or raw; a row more than terms where
    they stand for evidence. A row of zeros stands for no reading.
    targets: (members, rows), float64: t_c.
    n_readings: (members,), float64: how many readings the rows stand for; the divisor of a mean over readings.

    Rows of readings that do not weigh the same are multiplied by the square roots of their weights, whose mean is 1.
    """

    features: NDArray[np.float64]
    targets: NDArray[np.float64]
    n_readings: NDArray[np.float64]

    @property
    def members(self) -> int:
        return self.features.shape[0]

    def __getitem__(self, members: Any) -> Design:
        """Some of the problems: a slice, positions, or a mask."""
        return Design(self.features[members], self.targets[members], self.n_readings[members])

    def rmse(self, params: NDArray[np.float64]) -> NDArray[np.float64]:
        """(members,), root of the mean squared residual, of mean weight, that params (members, terms) leave."""
        with np.errstate(over="ignore", invalid="ignore"):  # of a diverged fit
            residual = transform(self.features, params) - self.targets
            return np.hypot.reduce(residual, axis=1) / np.sqrt(self.n_readings)  # (squares would overflow sooner)


def compressed(evidence: Evidence, basis: Basis) -> Design:
    """The problems of the evidence in the terms of `basis`, with a row more than there are terms.

    Same loss, same gradients, same exact solution as the rows that the evidence was gathered from.
    """
    n_terms = basis.n_terms
    frame = Basis(Scaling(1 / evidence.scale, evidence.center), np.eye(n_terms))
    features = np.zeros((evidence.members, n_terms + 1, n_terms), order="F")
    features[:, :-1] = product(evidence.factor[:, :n_terms, n_terms - 1 :: -1], frame.change_to(basis))
    targets = np.empty((evidence.members, n_terms + 1), order="F")
    targets[:, :-1] = evidence.targets[:, :n_terms]
    targets[:, -1] = np.sqrt(evidence.rss(n_terms))
    return Design(features, targets, evidence.n)


def build_design(t_u: NDArray[Any], t_c: NDArray[Any]) -> Design:
    """Readings and references of shape (rows,) or (members, rows) as the Design of a line with those rows."""
    t_u = np.asarray(t_u, dtype=np.float64)
    return design_of(np.stack([t_u, np.ones_like(t_u)], axis=-1), t_c)


def design_of(features: NDArray[Any], t_c: NDArray[Any], root_weights: NDArray[Any] | None = None) -> Design:
    """Features (rows, terms) or (members, rows, terms) and references (rows,) or (members, rows) as a Design.

    root_weights: of the shape of t_c, the square roots of the readings' weights; None where all weigh the same.
    """
    if root_weights is not None:
        features, t_c = features * root_weights[..., None], t_c * root_weights
    targets = np.atleast_2d(np.array(t_c, dtype=np.float64))
    members, n_rows = targets.shape
    return Design(features.reshape(members, n_rows, -1), targets, np.full(members, float(n_rows)))


def stack(designs: Sequence[Design]) -> Design:
    """The members of several designs as those of one; rows of zeros are added where others have more."""
    if len(designs) == 1:
        return designs[0]
    n_rows = max(design.targets.shape[1] for design in designs)
    missing = [(0, n_rows - design.targets.shape[1]) for design in designs]
    return Design(
        features=np.concatenate(
            [np.pad(d.features, ((0, 0), m, (0, 0))) for d, m in zip(designs, missing, strict=True)]
        ),
        targets=np.concatenate([np.pad(d.targets, ((0, 0), m)) for d, m in zip(designs, missing, strict=True)]),
        n_readings=np.concatenate([design.n_readings for design in designs]),
    )
