"""The quadratic that gradient descent on the squared loss walks on, of every member, by its principal axes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tempfit.config import CalibrationConfig
from tempfit.descent.configs import Configs
from tempfit.descent.model import build_model
from tempfit.errors import SettingsError
from tempfit.exact.design import Design
from tempfit.exact.goal import near


@dataclass(frozen=True, eq=False)
class Quadratic:
    """The loss with its L2 penalty around its optimum, along the eigenvectors of its Hessian.

    design: `compressed`, of lines or polynomials. config: what all members are trained by. Arrays over terms stand in
    the order of the eigenvalues. Raises SettingsError when the Hessian is beyond what numbers can say, as that of high
    raw powers can be.
    """

    design: Design
    config: CalibrationConfig

    @cached_property
    def eigenvalues(self) -> NDArray[np.float64]:
        """(members, terms), ascending, of the Hessian with its penalty; of Huber's loss, of its quadratic part.

        By the singular values of the features: forming the Hessian would square their condition number.
        """
        if np.isfinite(self.design.features).all():
            curvature = 1.0 if self.config.loss == "huber" else 2.0
            with np.errstate(over="ignore"):
                eigenvalues = curvature * np.square(self._singular) / self._n + 2 * self.config.l2
            if np.isfinite(eigenvalues).all():
                return np.maximum(eigenvalues, np.finfo(np.float64).tiny)
        raise SettingsError(
            f'the curvature of the loss is not finite with `scaling="{self.config.scaling}"`: '
            'scale the readings (`scaling="standardize"`)'
        )

    @property
    def critical_learning_rate(self) -> NDArray[np.float64]:
        """(members,), with the chosen momentum; above it plain gradient descent diverges."""
        return 2 * (1 + self.config.momentum) / self.eigenvalues[:, -1]

    @property
    def condition_number(self) -> NDArray[np.float64]:
        """(members,), λmax / λmin."""
        return self.eigenvalues[:, -1] / self.eigenvalues[:, 0]

    @cached_property
    def resting(self) -> NDArray[np.float64]:
        """(members, terms), unit of t_c, as a root mean square: the residual that an L2 penalty holds back.

        It keeps the share n l2 / (σ² + n l2) of the target as residual; 2 σ² / n + 2 l2 is the eigenvalue.
        """
        return -2 * self.config.l2 / self.eigenvalues * self._target / np.sqrt(self._n)

    @cached_property
    def moving(self) -> NDArray[np.float64]:
        """(members, terms), likewise: what training takes to 0 from its start."""
        return self._residual / np.sqrt(self._n) - self.resting

    @cached_property
    def excess(self) -> NDArray[np.float64]:
        """(members, terms), the parts of the loss with its penalty above its minimum at the start."""
        gradient = 2 / self._n * self._singular * self._residual + 2 * self.config.l2 * self._start
        return gradient * (gradient / (2 * self.eigenvalues))  # the square alone may overflow

    @cached_property
    def floor(self) -> NDArray[np.float64]:
        """(members,), the mean squared error of exact least squares, which no parameters can lower."""
        return np.square(self.design.targets[:, self._n_terms :]).sum(axis=1) / self.design.n_readings

    @cached_property
    def minimum(self) -> NDArray[np.float64]:
        """(members,), of the loss with its penalty."""
        if self.config.l2 == 0:
            return self.floor
        optimum = 2 / self._n * self._singular * self._target / self.eigenvalues
        return self.floor + np.square(self.resting).sum(axis=1) + self.config.l2 * np.square(optimum).sum(axis=1)

    @property
    def mean_square(self) -> NDArray[np.float64]:
        """(members,), of the references."""
        return np.square(self.design.targets).sum(axis=1) / self.design.n_readings

    @property
    def goal(self) -> NDArray[np.float64]:
        """(members,), the loss with its penalty that is within 0.1 % of its minimum (of a perfect fit, what rounding
        leaves)."""
        return np.asarray(near(self.minimum, self.mean_square))

    @property
    def _n(self) -> NDArray[np.float64]:
        return self.design.n_readings[:, None]

    @property
    def _n_terms(self) -> int:
        return self.design.features.shape[-1]

    @cached_property
    def _axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Singular vectors and values: left (members, rows, terms), singular (members, terms), and the eigenvectors as
        columns (members, terms, terms)."""
        left, singular, right = np.linalg.svd(self.design.features, full_matrices=False)
        return left[..., ::-1], singular[:, ::-1], right[:, ::-1].mT

    @cached_property
    def _singular(self) -> NDArray[np.float64]:
        return _singular_values(self.design.features[:, :2]) if self._n_terms == 2 else self._axes[1]

    @cached_property
    def _target(self) -> NDArray[np.float64]:
        """(members, terms), the part of the references that the terms can make."""
        return (self._axes[0].mT @ self.design.targets[..., None])[..., 0]

    @cached_property
    def _start(self) -> NDArray[np.float64]:
        """(members, terms), the start along the axes."""
        configs = Configs(self.config, self.design.members)
        start = build_model(self.config).start(configs).numpy()
        return (self._axes[2].mT @ start[..., None])[..., 0]

    @cached_property
    def _residual(self) -> NDArray[np.float64]:
        """(members, terms), at the start."""
        return self._singular * self._start - self._target


def _singular_values(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """(members, 2), ascending, of matrices (members, 2, 2) with a zero: what LAPACK takes one by one (there: dlas2).

    The larger is half of √((a + d)² + (b − c)²) + √((a − d)² + (b + c)²), and both have the product |ad − bc|, of which
    one half is 0, so that no digit cancels.
    """
    (a, b), (c, d) = np.moveaxis(matrix, 0, -1)
    largest = (np.hypot(a + d, b - c) + np.hypot(a - d, b + c)) / 2
    return np.stack([np.abs(a / largest * d - b / largest * c), largest], axis=1)
