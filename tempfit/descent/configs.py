"""The settings of a batch's members: one config, and a column for each setting in which they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tempfit.config import TrainingConfig
from tempfit.errors import SettingsError

VARYING = (  # settings in which the members of a batch may differ
    *("learning_rate", "momentum", "clip_norm", "l1", "l2", "huber_delta"),
    *("n_epochs", "tolerance", "w_start", "b_start", "seed"),
)


@dataclass(frozen=True, eq=False)
class Configs:
    """What every member of a batch is trained by.

    shared: the config of all. members: how many there are. varied: setting → (members,), its value for each; NaN stands
    for none. A fleet has no such columns, a sweep has those that its grid varies.
    """

    shared: TrainingConfig
    members: int
    varied: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, configs: Sequence[TrainingConfig]) -> Self:
        """One member for each config. Raises SettingsError where they do not share what a batch must."""
        if len({structure(config) for config in configs}) != 1:
            raise SettingsError("the members of one batch must share model, optimizer, loss, dtype and device")
        first, varied = configs[0], {}
        for name in VARYING:
            values = [getattr(config, name) for config in configs]
            if any(value != values[0] for value in values):
                varied[name] = np.array([np.nan if value is None else value for value in values])
        return cls(first, len(configs), varied)

    def column(self, name: str, absent: float = 0.0) -> NDArray[Any]:
        """(members,), a setting's values; `absent` where there is none."""
        if name in self.varied:
            column = self.varied[name]
            return np.where(np.isnan(column), absent, column) if column.dtype == np.float64 else column
        value = getattr(self.shared, name)
        return np.full(self.members, absent if value is None else value)

    def any(self, name: str) -> bool:
        """Whether a setting that is off at 0 or none is on for any member."""
        return bool((self.column(name) != 0).any()) if name in self.varied else bool(getattr(self.shared, name))


def structure(config: TrainingConfig) -> tuple[Any, ...]:
    """What the members of one batch must have in common."""
    shape: tuple[Any, ...] = ()
    if config.model == "polynomial":
        shape = (config.degree,)
    elif config.model == "mlp":
        shape = config.widths, config.activation
    return config.model, shape, config.optimizer, config.loss, config.dtype, config.device
