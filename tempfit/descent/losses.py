"""The losses that residuals are judged by."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from tempfit.descent.configs import Configs
from tempfit.descent.model import Model
from tempfit.errors import SettingsError
from tempfit.exact.design import Design


class Loss(Protocol):
    """A mean over readings of ρ(residual).

    `psi` is its derivative with respect to the residuals, where autograd starts its way back to the parameters.
    `row_scale` is multiplied into features and targets once, before the loop, so that weights cost nothing in it.
    """

    def row_scale(self, n_readings: Tensor) -> Tensor:
        """(members,) → (members, 1, 1), the factor of the rows."""
        ...

    def psi(self, residual: Tensor) -> Tensor:
        """dloss/dresidual, of the residuals' shape."""
        ...

    def value(self, residual: Tensor) -> Tensor:
        """The loss over dimension -1 of residuals that end in (…, rows)."""
        ...

    def select(self, index: Tensor) -> Loss:
        """The loss of a selection of members."""
        ...


class SquaredLoss:
    """Mean squared error. With rows scaled by √(2/n) it is half their squared norm, so psi is the residual itself."""

    def row_scale(self, n_readings: Tensor) -> Tensor:
        return (2.0 / n_readings).sqrt()[:, None, None]

    def psi(self, residual: Tensor) -> Tensor:
        return residual

    def value(self, residual: Tensor) -> Tensor:
        return 0.5 * residual.square().sum(dim=-1)

    def select(self, index: Tensor) -> SquaredLoss:
        return self


class HuberLoss:
    """Mean of Huber's ρ as in torch.nn.HuberLoss: r²/2 up to delta, delta·(|r| - delta/2) beyond.

    delta: (members,), in the unit of t_c. It needs the rows themselves: compressed ones have other residuals.
    """

    def __init__(self, delta: Tensor, n_readings: Tensor):
        self.delta = delta
        self.n_readings = n_readings

    def row_scale(self, n_readings: Tensor) -> Tensor:
        return torch.ones_like(n_readings)[:, None, None]

    def psi(self, residual: Tensor) -> Tensor:
        delta = self.delta[:, None, None]
        return residual.clamp(-delta, delta) / self.n_readings[:, None, None]

    def value(self, residual: Tensor) -> Tensor:
        size, delta = residual.abs(), self.delta[:, None]
        rho = torch.where(size <= delta, 0.5 * size.square(), delta * (size - 0.5 * delta))
        return rho.sum(dim=-1) / self.n_readings

    def select(self, index: Tensor) -> HuberLoss:
        return HuberLoss(self.delta[index], self.n_readings[index])


def build_loss(configs: Configs, n_readings: Tensor) -> Loss:
    """The loss that the configs name (one kind for all), for readings (members,) of the dtype to compute in."""
    if configs.shared.loss != "huber":  # York's is the square of residuals of another kind
        return SquaredLoss()
    delta = configs.column("huber_delta", absent=np.nan)
    if np.isnan(delta).any():
        raise SettingsError("huber_delta: training takes a number; `Setup.training` has what suits the readings")
    return HuberLoss(torch.from_numpy(delta).to(n_readings), n_readings)


def scaled_rows(design: Design, model: Model, loss: Loss) -> tuple[Tensor, Tensor]:
    """Features (members, rows, terms) and targets (members, rows, 1) as the loss wants them, float64."""
    features, targets = torch.from_numpy(design.features), torch.from_numpy(design.targets)[..., None]
    return model.scale_rows(features, targets, loss.row_scale(torch.from_numpy(design.n_readings)))
