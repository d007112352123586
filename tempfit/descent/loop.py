"""The batched gradient descent: forward, gradient, update, on a leading members axis, and its honest result.

One fit is a batch of one. A member that converges or diverges is taken out of the batch at the epoch it happens and
never stops the others: the loop runs in blocks of epochs, and after each block the recorded states tell exactly where
every member ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tempfit.config import TrainingConfig
from tempfit.descent.configs import Configs
from tempfit.descent.history import Block, Fits, OnEpochs
from tempfit.descent.losses import Loss, build_loss
from tempfit.descent.model import LinearModel, Model, build_model
from tempfit.descent.optimizers import Optimizer, build_optimizer
from tempfit.descent.recording import ENDS, Ends, Histories, trim
from tempfit.descent.stopping import OrthogonalResidual, ShorterGradient, Stop
from tempfit.errors import SettingsError
from tempfit.exact.design import Design

GROWN = 10.0  # times its start: a loss that has grown so far is on its way to overflow
FIRST_BLOCK, LAST_BLOCK = 2, 1024  # epochs between looks at the states; doubled from the first to the last
BLOCK_ELEMENTS = 4_000_000  # residuals (or params) kept until the block ends: 32 MB of float64
THREADED_ELEMENTS = 100_000  # residuals per epoch from which a second thread is of use
AUTO_CUDA_ELEMENTS = 1_000_000  # below this many residuals per epoch a CPU is faster than a GPU's launches


def train(
    design: Design,
    configs: Configs,
    on_epochs: OnEpochs | None = None,
    *,
    keep: int | None = None,
    goals: ArrayLike = -np.inf,
) -> Fits:
    """Fit every member of the batch by gradient descent on an autograd gradient.

    design: one member for every config, or a single one that all configs share; compressed for the squared loss of a
    line or polynomial, else the rows themselves. configs: of the members.
    on_epochs: called after every block of epochs; it may return True to stop.
    keep: how many states of a history to keep, evenly spaced on a log axis; None keeps all. With 2, which are its ends,
    no member is looked at by itself.
    goals: (members,) or one for all, the loss that counts as close (`Fit.close_at`).
    Raises SettingsError when a GPU is asked for that is not there, and when the loss is not even finite at the start
    values.
    """
    with _few_threads(configs.members * design.targets.shape[1]):
        batch = _Batch(design, configs)
        stop, goals = batch.stop(design, configs), np.broadcast_to(goals, configs.members)
        ends = Ends(configs, stop, goals, batch.model.n_params)
        histories = Histories(configs.column("n_epochs"), keep) if keep != ENDS else None
        n_epochs = FIRST_BLOCK
        while batch.members.size:
            block = batch.run_epochs(min(n_epochs, batch.block_limit))
            last = ends.add(block)
            if histories is not None:
                histories.add(block, last)
            if on_epochs is not None and on_epochs(trim(block, last)):
                break
            batch.drop(last < len(block.loss))
            n_epochs = min(2 * n_epochs, LAST_BLOCK)
    return ends.fits(histories)


def _few_threads(n_residuals: int) -> AbstractContextManager[None]:
    """One thread for a small batch: a second has nothing to do but wait, at the cost of whatever else runs."""
    return one_thread() if n_residuals < THREADED_ELEMENTS else nullcontext()


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch works in this thread, and in those that are started meanwhile, without others beside it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_start(design: Design, config: TrainingConfig) -> None:
    """Raises SettingsError as `train` would before its first epoch: no such device, or no finite loss to start from."""
    pick_device(config, n_residuals=0)
    # Readings are checked to be far from overflow in float64: only start values can bring it near.
    if config.dtype == "float32" or max(abs(config.w_start), abs(config.b_start)) > 1e100:
        _Batch(design, Configs(config, 1)).start_gradient()


def pick_device(config: TrainingConfig, n_residuals: int) -> torch.device:
    """Where to train: `auto` takes a GPU when there is one and an epoch has enough residuals to keep it busy."""
    if config.device == "auto":
        large = n_residuals >= AUTO_CUDA_ELEMENTS
        return torch.device("cuda" if large and torch.cuda.is_available() else "cpu")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise SettingsError('`device`: cuda is not available on this machine; use `device="cpu"`')
    return torch.device(config.device)


class _Batch:
    """The members that still train, and the loop."""

    def __init__(self, design: Design, configs: Configs):
        shared, n_members = configs.shared, configs.members
        self.model: Model = build_model(shared)
        dtype, device = getattr(torch, shared.dtype), pick_device(shared, n_members * design.targets.shape[1])

        def column(name: str, absent: float = 0.0) -> Tensor:
            return torch.as_tensor(configs.column(name, absent), dtype=dtype, device=device)[:, None, None]

        n_readings = torch.from_numpy(design.n_readings).expand(n_members)
        self.loss: Loss = build_loss(configs, n_readings.to(device, dtype))
        scale = self.loss.row_scale(n_readings)
        features, targets = torch.from_numpy(design.features), torch.from_numpy(design.targets)[..., None]
        scaled = self.model.scale_rows(features.expand(n_members, -1, -1), targets.expand(n_members, -1, -1), scale)
        # (members, rows, terms) and (members, rows, 1)
        self.features, self.targets = (rows.to(device, dtype).contiguous() for rows in scaled)
        self.params = self.model.start(configs)[..., None].to(device, dtype)  # (members, n_params, 1)
        self.optimizer: Optimizer = build_optimizer(configs, self.params)
        self.l1, self.l2 = column("l1"), column("l2")
        self.clip_norm = column("clip_norm", absent=torch.inf)
        self.has_penalty, self.has_clip = configs.any("l1") or configs.any("l2"), configs.any("clip_norm")
        self.members = np.arange(n_members)
        self.n_epochs = 0

    @property
    def block_limit(self) -> int:
        """The most epochs whose residuals, params and gradients may be kept at once."""
        return max(1, BLOCK_ELEMENTS // max(self.targets.numel(), self.params.numel()))

    def run_epochs(self, n_epochs: int) -> Block:
        """Train `n_epochs` epochs; the states that they started from."""
        states, residuals, gradients = [], [], []
        params = self.params
        for _ in range(n_epochs):
            residual, grad = self.gradient(params)
            states.append(params)
            residuals.append(residual)
            gradients.append(grad)
            if self.has_clip:  # per member, as torch.nn.utils.clip_grad_norm_
                grad = grad * (self.clip_norm / (grad.norm(dim=1, keepdim=True) + 1e-6)).clamp(max=1)
            params = self.optimizer.step(params, grad)
        self.params = params
        self.n_epochs += n_epochs
        return Block(
            first=self.n_epochs - n_epochs,
            members=self.members,
            loss=_to_numpy(self.loss.value(_stack(residuals))),
            params=_to_numpy(_stack(states)),
            gradient=_to_numpy(_stack(gradients)),
        )

    def gradient(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Residuals (members, rows, 1) and the gradient (members, n_params, 1) of loss and penalties.

        Autograd goes back from dloss/dresidual, which every loss knows in closed form; starting it from the summed
        loss gives the same numbers and costs half as much again.
        """
        leaf = params.detach().requires_grad_()
        forward = self.model.residual(self.features, self.targets, leaf)  # t_p - t_c
        residual = forward.detach()
        torch.autograd.backward(forward, self.loss.psi(residual))
        grad = cast(Tensor, leaf.grad)
        if self.has_penalty:
            grad = grad + 2 * self.l2 * params + self.l1 * params.sign()
        return residual, grad

    def start_gradient(self) -> Tensor:
        """The gradient at the start values. Raises SettingsError when it or the loss is not finite there."""
        residual, grad = self.gradient(self.params)
        if not bool(grad.isfinite().all()) or not bool(self.loss.value(residual[..., 0]).isfinite().all()):
            raise SettingsError(
                f"the loss or its gradient is not finite at the start values in {str(grad.dtype).partition('.')[2]}: "
                'scale the readings (`scaling="standardize"`), start smaller, or use `dtype="float64"`'
            )
        return grad

    def stop(self, design: Design, configs: Configs) -> Stop:
        """What counts as a gradient of zero for these members. Raises SettingsError as `start_gradient`."""
        start = self.start_gradient()
        tolerance = configs.column("tolerance")
        rounding = 8 * float(torch.finfo(self.params.dtype).eps)
        if isinstance(self.model, LinearModel):
            return OrthogonalResidual(tolerance, rounding, design, self.model.n_params)
        at_zero = self.gradient(torch.zeros_like(self.params))[1]
        largest = torch.maximum(start.norm(dim=1), at_zero.norm(dim=1))[:, 0]
        return ShorterGradient(np.where(tolerance > 0, np.maximum(tolerance, rounding) * _to_numpy(largest), -1.0))

    def drop(self, ended: NDArray[np.bool_]) -> None:
        """Take members out of the batch; the others' numbers do not change by it."""
        if not ended.any():
            return
        self.members = self.members[~ended]
        keep = torch.from_numpy(np.flatnonzero(~ended)).to(self.params.device)
        self.features, self.targets, self.params = self.features[keep], self.targets[keep], self.params[keep]
        self.l1, self.l2, self.clip_norm = self.l1[keep], self.l2[keep], self.clip_norm[keep]
        self.loss = self.loss.select(keep)
        self.optimizer.keep(keep)


def _stack(states: list[Tensor]) -> Tensor:
    """(states, members, …) of some (members, …, 1); in memory, members are neighbours, along whom all are looked at."""
    return torch.stack(states)[..., 0].mT.contiguous().mT


def _to_numpy(tensor: Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = tensor.to("cpu", torch.float64).numpy()
    return array
