"""The batched gradient descent: forward, gradient, update, on a leading members axis, and its honest result.

One fit is a batch of one. A member that converges or diverges is taken out of the batch at the epoch it happens and
never stops the others: the loop runs in blocks of epochs, and after each block the recorded states tell exactly where
every member ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from tempfit.config import TrainingConfig
from tempfit.descent.history import Block, Fit, History, OnEpochs, gradient_norm, log_spaced
from tempfit.descent.losses import Loss, build_loss
from tempfit.descent.model import LinearModel, Model, build_model
from tempfit.descent.optimizers import Optimizer, build_optimizer
from tempfit.errors import SettingsError
from tempfit.exact.design import Design
from tempfit.words import Status

GROWN = 10.0  # times its start: a loss that has grown so far is on its way to overflow
FIRST_BLOCK, LAST_BLOCK = 8, 1024  # epochs between looks at the states; doubled from the first to the last
BLOCK_ELEMENTS = 4_000_000  # residuals (or params) kept until the block ends: 32 MB of float64
THREADED_ELEMENTS = 100_000  # residuals per epoch from which a second thread is of use
AUTO_CUDA_ELEMENTS = 1_000_000  # below this many residuals per epoch a CPU is faster than a GPU's launches


def train(
    design: Design,
    configs: Sequence[TrainingConfig],
    on_epochs: OnEpochs | None = None,
    *,
    keep: int | None = None,
    goals: ArrayLike = -np.inf,
) -> list[Fit]:
    """Fit every member of the batch by gradient descent on an autograd gradient.

    design: one member for every config, or a single one that all configs share; compressed for the squared loss of a
    line or polynomial, else the rows themselves. configs: one per member, all of one `structure`.
    on_epochs: called after every block of epochs; it may return True to stop.
    keep: how many states of a history to keep (2 or more), evenly spaced on a log axis; None keeps all.
    goals: (members,) or one for all, the loss that counts as close (`Fit.close_at`).
    Raises SettingsError when the configs do not share what they must, when a GPU is asked for that is not there, and
    when the loss is not even finite at the start values.
    """
    batch = _Batch(design, configs)
    record = _Record(configs, batch.stop(design, configs), np.broadcast_to(goals, len(configs)), keep)
    n_epochs = FIRST_BLOCK
    with _few_threads(batch.targets.numel()):
        while batch.members.size:
            block = batch.run_epochs(min(n_epochs, batch.block_limit))
            ended = record.add(block)
            if on_epochs is not None and on_epochs(record.trim(block)):
                break
            batch.drop(ended)
            n_epochs = min(2 * n_epochs, LAST_BLOCK)
    return record.fits()


@contextmanager
def _few_threads(n_residuals: int) -> Iterator[None]:
    """One thread for a small batch: a second has nothing to do but wait, at the cost of whatever else runs."""
    before = torch.get_num_threads()
    if n_residuals < THREADED_ELEMENTS:
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
        _Batch(design, [config]).start_gradient()


def structure(config: TrainingConfig) -> tuple[Any, ...]:
    """What the members of one batch must have in common."""
    shape: tuple[Any, ...] = ()
    if config.model == "polynomial":
        shape = (config.degree,)
    elif config.model == "mlp":
        shape = config.widths, config.activation
    return config.model, shape, config.optimizer, config.loss, config.dtype, config.device


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

    def __init__(self, design: Design, configs: Sequence[TrainingConfig]):
        if len({structure(config) for config in configs}) != 1:
            raise SettingsError("the members of one batch must share model, optimizer, loss, dtype and device")
        self.model: Model = build_model(configs[0])
        n_members = len(configs)
        dtype = getattr(torch, configs[0].dtype)
        device = pick_device(configs[0], n_members * design.targets.shape[1])

        def column(name: str, absent: float = 0.0) -> Tensor:
            values = [getattr(config, name) for config in configs]
            return torch.tensor([absent if v is None else v for v in values], dtype=dtype, device=device)[:, None, None]

        n_readings = design.n_readings.expand(n_members)
        self.loss: Loss = build_loss(configs, n_readings.to(device, dtype))
        scale = self.loss.row_scale(n_readings)
        scaled = self.model.scale_rows(
            design.features.expand(n_members, -1, -1), design.targets[..., None].expand(n_members, -1, -1), scale
        )
        # (members, rows, terms) and (members, rows, 1)
        self.features, self.targets = (rows.to(device, dtype).contiguous() for rows in scaled)
        start = torch.stack([self.model.start(config) for config in configs])
        self.params = start[..., None].to(device, dtype)  # (members, n_params, 1)
        self.optimizer: Optimizer = build_optimizer(configs, self.params)
        self.l1, self.l2 = column("l1"), column("l2")
        self.clip_norm = column("clip_norm", absent=torch.inf)
        self.has_penalty = any(config.l1 or config.l2 for config in configs)
        self.has_clip = any(config.clip_norm is not None for config in configs)
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
            loss=_to_numpy(self.loss.value(torch.stack(residuals)[..., 0])),
            params=_to_numpy(torch.stack(states)[..., 0]),
            gradient=_to_numpy(torch.stack(gradients)[..., 0]),
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

    def stop(self, design: Design, configs: Sequence[TrainingConfig]) -> _Stop:
        """What counts as a gradient of zero for these members. Raises SettingsError as `start_gradient`."""
        start = self.start_gradient()
        tolerance = np.array([config.tolerance for config in configs])
        rounding = 8 * float(torch.finfo(self.params.dtype).eps)
        if isinstance(self.model, LinearModel):
            return _OrthogonalResidual(tolerance, rounding, design, self.model.n_params)
        at_zero = self.gradient(torch.zeros_like(self.params))[1]
        largest = torch.maximum(start.norm(dim=1), at_zero.norm(dim=1))[:, 0]
        return _ShorterGradient(np.where(tolerance > 0, np.maximum(tolerance, rounding) * _to_numpy(largest), -1.0))

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


class _Stop(Protocol):
    """When a gradient counts as zero, so that a member has converged."""

    def reached(self, block: Block) -> NDArray[np.bool_]:
        """(states, members) of the block."""
        ...


class _OrthogonalResidual:
    """A sum of terms has converged where its residuals are orthogonal to every term: MINPACK's gtol.

    Each element of the gradient is a product of a column of features with the residuals, xⱼᵀr; relative to ‖xⱼ‖ ‖r‖ it
    is the cosine of the angle between them, which no unit of either changes (Moré, Garbow, Hillstrom: User guide for
    MINPACK-1, 1980). Below that there is what rounding leaves of such a product, which is made of y and xₖ pₖ.
    """

    def __init__(self, tolerance: NDArray[np.float64], rounding: float, design: Design, n_params: int):
        root = (2 / design.n_readings).sqrt()[:, None]
        columns = _to_numpy(design.features[..., :n_params].norm(dim=1) * root)
        self.columns = np.broadcast_to(columns, (len(tolerance), n_params))
        self.targets = np.broadcast_to(_to_numpy(design.targets.norm(dim=1, keepdim=True) * root), (len(tolerance), 1))
        self.tolerance, self.rounding = tolerance[:, None], rounding

    def reached(self, block: Block) -> NDArray[np.bool_]:
        members = block.members
        columns, tolerance = self.columns[members], self.tolerance[members]
        with np.errstate(over="ignore", invalid="ignore"):
            residual = np.sqrt(2 * block.loss)[..., None]
            summands = self.targets[members] + (columns * np.abs(block.params)).sum(axis=-1, keepdims=True)
            least = columns * np.maximum(tolerance * residual, self.rounding * summands)
            small: NDArray[np.bool_] = (np.abs(block.gradient) <= least).all(axis=-1)
        return small & (tolerance[:, 0] > 0)


class _ShorterGradient:
    """A network has converged where its gradient is a small part of what it was at the start."""

    def __init__(self, thresholds: NDArray[np.float64]):
        self.thresholds = thresholds

    def reached(self, block: Block) -> NDArray[np.bool_]:
        with np.errstate(invalid="ignore", over="ignore"):
            return gradient_norm(block.gradient) <= self.thresholds[block.members]


class _Record:
    """The states of every member up to its end, and how it ended."""

    def __init__(
        self,
        configs: Sequence[TrainingConfig],
        stop: _Stop,
        goals: NDArray[np.float64],
        keep: int | None,
    ):
        self.n_epochs = np.array([config.n_epochs for config in configs])
        self.stop, self.goals = stop, goals
        self.kept = {n: None if keep is None else log_spaced(n + 1, keep) for n in set(self.n_epochs.tolist())}
        self.states: list[list[History]] = [[] for _ in configs]
        self.latest: list[History | None] = [None] * len(configs)  # where not all states are kept
        self.status = [Status.STOPPED] * len(configs)  # until another end is seen
        self.close_at: list[int | None] = [None] * len(configs)
        self.last: NDArray[np.int_]

    def add(self, block: Block) -> NDArray[np.bool_]:
        """Append a block's states; which of its members ended in it: (members,), bool."""
        never = len(block.loss)
        with np.errstate(invalid="ignore", over="ignore"):
            norm = gradient_norm(block.gradient)  # (states, members)
            close = _first(block.loss <= self.goals[block.members])
        not_finite = _first(~(np.isfinite(block.loss) & np.isfinite(norm)))
        converged = _first(self.stop.reached(block))
        exhausted = self.n_epochs[block.members] - block.first  # state n_epochs is the last one
        diverged = np.where(not_finite < never, not_finite - 1, never)
        self.last = np.minimum(np.minimum(converged, exhausted), diverged)
        for column, (member, last) in enumerate(zip(block.members, self.last, strict=True)):
            self._append(member, column, block, min(last, never - 1))
            if self.close_at[member] is None and close[column] <= min(last, never - 1):
                self.close_at[member] = block.first + int(close[column]) + 1
            if last == never:
                continue
            if converged[column] == last:
                self.status[member] = Status.CONVERGED
            elif exhausted[column] == last:
                self.status[member] = Status.EXHAUSTED
            else:
                self.status[member] = Status.DIVERGED
        return self.last < never

    def _append(self, member: int, column: int, block: Block, last: int) -> None:
        """Keep what is to be kept of a member's states in the block, up to `last`; -1 is none of them."""
        kept = self.kept[int(self.n_epochs[member])]
        if kept is None:
            self.states[member].append(_take(block, slice(0, last + 1), column))
            return
        low, high = np.searchsorted(kept, [block.first, block.first + last + 1])
        if low < high:
            self.states[member].append(_take(block, kept[low:high] - block.first, column))
        if last >= 0:
            self.latest[member] = _take(block, slice(last, last + 1), column)

    def trim(self, block: Block) -> Block:
        """The block just added, with NaN for the states behind each member's end."""
        beyond = np.arange(len(block.loss))[:, None] > self.last
        return replace(
            block,
            loss=np.where(beyond, np.nan, block.loss),
            params=np.where(beyond[..., None], np.nan, block.params),
            gradient=np.where(beyond[..., None], np.nan, block.gradient),
        )

    def fits(self) -> list[Fit]:
        ends = zip(self.status, self.states, self.latest, self.close_at, strict=True)
        return [Fit(status, _join(states, latest), close_at) for status, states, latest, close_at in ends]


def _take(block: Block, states: slice | NDArray[np.int_], column: int) -> History:
    """Some states of one member, copied: views would keep torch's memory, and small pieces of it between large ones
    break the heap up."""
    return History(
        updates=block.first + np.arange(len(block.loss))[states],
        params=block.params[states, column].copy(),
        loss=block.loss[states, column].copy(),
        gradient=block.gradient[states, column].copy(),
    )


def _join(states: Sequence[History], latest: History | None) -> History:
    """Consecutive parts of a history as one, with the latest state if it is not the end of them already."""
    parts = [part for part in states if len(part)]
    if latest is not None and latest.updates[0] > parts[-1].updates[-1]:
        parts.append(latest)
    columns = zip(*((part.updates, part.params, part.loss, part.gradient) for part in parts), strict=True)
    return History(*(np.concatenate(column) for column in columns))


def _first(found: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(states, members) → (members,), the first state where `found`, or the number of states."""
    return np.where(found.any(axis=0), found.argmax(axis=0), len(found))


def _to_numpy(tensor: Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = tensor.to("cpu", torch.float64).numpy()
    return array
