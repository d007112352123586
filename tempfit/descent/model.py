"""What is fitted: a sum of terms, or a small neural network.

Both kinds of model keep the parameters of a member in one flat vector, so optimizers, penalties and clipping know
neither of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tempfit.config import ModelConfig, TrainingConfig
from tempfit.descent.configs import Configs

PRELU_START = 0.25  # as torch.nn.PReLU
LEAK = 0.01  # as torch.nn.LeakyReLU


class Model(Protocol):
    """How a member's flat parameters and its features make residuals.

    n_params: per member. width: the most values that a row has on its way to a temperature. layers: name → its slice of
    the parameters; empty where there is one layer only.
    """

    n_params: int
    width: int
    layers: Mapping[str, slice]

    def start(self, configs: Configs) -> Tensor:
        """(members, n_params), float64, where the members' training starts."""
        ...

    def scale_rows(self, features: Tensor, targets: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Features (members, rows, terms) and targets (members, rows, 1) for which `residual` comes out `scale` times
        as large; scale: (members, 1, 1)."""
        ...

    def residual(self, features: Tensor, targets: Tensor, params: Tensor) -> Tensor:
        """`t_p - t_c`, (members, rows, 1), of features (members, rows, terms), targets (members, rows, 1) and params
        (members, n_params, 1); 0 in rows of zeros."""
        ...


class LinearModel:
    """A line, `w * t_u + b`, or any other sum of terms: `features @ params`."""

    layers: Mapping[str, slice] = {}
    width = 1

    def __init__(self, n_terms: int):
        self.n_params = n_terms

    def start(self, configs: Configs) -> Tensor:
        params = torch.zeros(configs.members, self.n_params, dtype=torch.float64)
        params[:, -2], params[:, -1] = (torch.from_numpy(configs.column(name)) for name in ("w_start", "b_start"))
        return params

    def scale_rows(self, features: Tensor, targets: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        return scale * features, scale * targets

    def residual(self, features: Tensor, targets: Tensor, params: Tensor) -> Tensor:
        return torch.baddbmm(targets, features, params, beta=-1)


class YorkLine(LinearModel):
    """A line whose residuals are divided by √(1 + (w u_u / u_c)²), so that their squares sum to York's χ².

    Its features are a line's, weighted by 1 / u_c, and u_u / u_c beside them.
    """

    def __init__(self) -> None:
        super().__init__(2)

    def scale_rows(self, features: Tensor, targets: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        return torch.cat([scale * features[..., :2], features[..., 2:]], dim=-1), scale * targets

    def residual(self, features: Tensor, targets: Tensor, params: Tensor) -> Tensor:
        along_y = super().residual(features[..., :2], targets, params)
        return along_y / (1 + (params[:, :1] * features[..., 2:]).square()).sqrt()


class MLP:
    """A fully connected network from one reading to one temperature, with an activation after each hidden layer.

    Its features are a line's: the scaled reading, and a 1 that says that the row is one.
    """

    def __init__(self, config: ModelConfig):
        self.activation = config.activation
        self.sizes = [1, *config.widths, 1]  # units from the reading to the temperature
        self.width = max(self.sizes)
        layers, end = {}, 0
        for number, (n_in, n_out) in enumerate(zip(self.sizes, self.sizes[1:], strict=False), start=1):
            hidden = number < len(self.sizes) - 1
            start, end = end, end + (n_in + 1) * n_out + (self.activation == "prelu" and hidden)
            layers[f"hidden_{number}" if hidden else "output"] = slice(start, end)
        self.layers: Mapping[str, slice] = layers
        self.n_params = end

    def start(self, configs: Configs) -> Tensor:
        """Drawn from a member's seed alone, so that it starts the same in any company.

        Weights by Glorot and Bengio (2010) for tanh and sigmoid, by He et al. (2015) for the relu family, so that
        what vanishes in a deep network is the activation's doing and not the start's; biases as torch.nn.Linear.
        """
        return torch.stack([self._draw(int(seed)) for seed in configs.column("seed")])

    def _draw(self, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        params = torch.full((self.n_params,), PRELU_START, dtype=torch.float64)
        saturating = self.activation in ("tanh", "sigmoid")
        for layer, n_in, n_out in zip(self.layers.values(), self.sizes, self.sizes[1:], strict=False):
            drawn = 2 * torch.rand((n_in + 1) * n_out, generator=generator, dtype=torch.float64) - 1
            n_weights = n_in * n_out
            drawn[:n_weights] *= math.sqrt(6 / (n_in + n_out if saturating else n_in))
            drawn[n_weights:] /= math.sqrt(n_in)
            params[layer.start : layer.start + len(drawn)] = drawn
        return params

    def scale_rows(self, features: Tensor, targets: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        return torch.cat([features[..., :1], scale * features[..., 1:]], dim=-1), scale * targets

    def residual(self, features: Tensor, targets: Tensor, params: Tensor) -> Tensor:
        return features[..., 1:] * self.forward(features[..., :1], params) - targets

    def forward(self, t_un: Tensor, params: Tensor) -> Tensor:
        """Temperatures (members, rows, 1) at scaled readings (members, rows, 1)."""
        units = t_un
        for (name, layer), n_in, n_out in zip(self.layers.items(), self.sizes, self.sizes[1:], strict=False):
            bias_at = layer.start + n_in * n_out
            weight = params[:, layer.start : bias_at].reshape(-1, n_in, n_out)
            bias = params[:, bias_at : bias_at + n_out].reshape(-1, 1, n_out)
            units = torch.baddbmm(bias, units, weight)
            if name != "output":
                units = self._activate(units, params[:, layer.stop - 1 : layer.stop])
        return units

    def unpack(self, params: NDArray[np.float64]) -> list[dict[str, Any]]:
        """A member's flat params (n_params,) as its layers: weight (in, out), bias (out,), and a prelu's slope."""
        layers = []
        for (name, layer), n_in, n_out in zip(self.layers.items(), self.sizes, self.sizes[1:], strict=False):
            weight, bias, slope = np.split(params[layer], [n_in * n_out, (n_in + 1) * n_out])
            unpacked = {"name": name, "weight": weight.reshape(n_in, n_out).tolist(), "bias": bias.tolist()}
            layers.append(unpacked | ({"slope": float(slope[0])} if len(slope) else {}))
        return layers

    def _activate(self, units: Tensor, slope: Tensor) -> Tensor:
        match self.activation:
            case "tanh":
                return units.tanh()
            case "sigmoid":
                return units.sigmoid()
            case "relu":
                return units.relu()
            case "leaky_relu":
                return torch.nn.functional.leaky_relu(units, LEAK)
            case "prelu":
                return torch.where(units > 0, units, slope * units)


def build_model(config: TrainingConfig) -> Model:
    """The model that `config` asks for."""
    match config.model:
        case "line" if config.loss == "york":
            return YorkLine()
        case "line":
            return LinearModel(2)
        case "polynomial":
            return LinearModel(config.degree + 1)
        case "mlp":
            return MLP(config)
