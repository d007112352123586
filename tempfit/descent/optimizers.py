"""Update rules on (members, n_params, 1) parameters, with a learning rate of its own for every member.

Each follows torch.optim step by step (its defaults and its order of operations); they are written out here because
torch.optim takes one learning rate for a whole tensor and updates in place.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tempfit.descent.configs import Configs


class SGD:
    """Plain gradient descent, or with momentum: `buffer = momentum * buffer + grad`."""

    def __init__(self, learning_rate: Tensor, momentum: Tensor):
        self.learning_rate = learning_rate
        self.momentum = momentum if bool((momentum != 0).any()) else None
        self.buffer = torch.zeros_like(learning_rate)

    def step(self, params: Tensor, grad: Tensor) -> Tensor:
        if self.momentum is not None:
            grad = self.buffer = self.momentum * self.buffer + grad
        return torch.addcmul(params, self.learning_rate, grad, value=-1)

    def keep(self, index: Tensor) -> None:
        """Go on with these members only."""
        self.learning_rate, self.momentum, self.buffer = _select(index, self.learning_rate, self.momentum, self.buffer)


class Adam:
    """Kingma and Ba, Adam: a method for stochastic optimization (2015), with torch's betas and eps."""

    beta1, beta2, eps = 0.9, 0.999, 1e-8

    def __init__(self, learning_rate: Tensor):
        self.learning_rate = learning_rate
        self.mean = torch.zeros_like(learning_rate)
        self.square = torch.zeros_like(learning_rate)
        self.n_steps = 0

    def step(self, params: Tensor, grad: Tensor) -> Tensor:
        self.n_steps += 1
        self.mean = torch.lerp(self.mean, grad, 1 - self.beta1)
        self.square = self.beta2 * self.square + (1 - self.beta2) * grad * grad
        step_size = self.learning_rate / (1 - self.beta1**self.n_steps)
        denominator = self.square.sqrt() / (1 - self.beta2**self.n_steps) ** 0.5 + self.eps
        return params - step_size * self.mean / denominator

    def keep(self, index: Tensor) -> None:
        """Go on with these members only."""
        self.learning_rate, self.mean, self.square = _select(index, self.learning_rate, self.mean, self.square)


class RMSprop:
    """Tieleman and Hinton's RMSprop, with torch's alpha and eps, and its momentum."""

    alpha, eps = 0.99, 1e-8

    def __init__(self, learning_rate: Tensor, momentum: Tensor):
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.square = torch.zeros_like(learning_rate)
        self.buffer = torch.zeros_like(learning_rate)

    def step(self, params: Tensor, grad: Tensor) -> Tensor:
        self.square = self.alpha * self.square + (1 - self.alpha) * grad * grad
        self.buffer = self.momentum * self.buffer + grad / (self.square.sqrt() + self.eps)
        return params - self.learning_rate * self.buffer

    def keep(self, index: Tensor) -> None:
        """Go on with these members only."""
        self.learning_rate, self.momentum, self.square, self.buffer = _select(
            index, self.learning_rate, self.momentum, self.square, self.buffer
        )


Optimizer = SGD | Adam | RMSprop


def build_optimizer(configs: Configs, like: Tensor) -> Optimizer:
    """The optimizer that the configs name (one kind for all), its state of the shape and dtype of `like`."""

    def column(name: str) -> Tensor:
        return torch.from_numpy(configs.column(name)).to(like)[:, None, None].expand_as(like).contiguous()

    match configs.shared.optimizer:
        case "sgd":
            return SGD(column("learning_rate"), column("momentum"))
        case "adam":
            return Adam(column("learning_rate"))
        case "rmsprop":
            return RMSprop(column("learning_rate"), column("momentum"))


def _select(index: Tensor, *tensors: Tensor | None) -> tuple[Tensor, ...]:
    return tuple(tensor if tensor is None else tensor[index] for tensor in tensors)  # type: ignore[misc]
