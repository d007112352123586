"""Which readings a fit does not see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tempfit.config import CalibrationConfig
from tempfit.errors import SettingsError


def held_out_rows(n: int, config: CalibrationConfig) -> list[NDArray[np.bool_]]:
    """Masks (n,) of the readings to hold out: none, one, or one per fold.

    Raises SettingsError when there are no such rows, or not enough.
    """
    if config.holdout_rows is not None:
        rows = np.array([int(row) for row in config.holdout_rows.split(",")])
        if rows.max() >= n:
            raise SettingsError(f"holdout_rows: there is no row {rows.max()}; rows count from 0 to {n - 1}")
        return [np.isin(np.arange(n), rows)]
    order = np.random.default_rng(config.seed).permutation(n)
    if config.holdout:
        n_held_out = round(config.holdout * n)
        if not n_held_out:
            raise SettingsError(f"holdout: {config.holdout:g} of {n} readings is none; use {1 / n:.2g} or more")
        return [np.isin(np.arange(n), order[:n_held_out])]
    if config.folds > n:
        raise SettingsError(f"folds: {n} readings cannot be dealt into {config.folds} folds")
    return [np.isin(np.arange(n), order[fold :: config.folds]) for fold in range(config.folds)]
