"""Readings held out: which, by what scaling, with what loss, and what is said of it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempfit.calibration.calibration import Calibration
from tempfit.calibration.pipeline import calibrate
from tempfit.config import CalibrationConfig
from tempfit.descent.batches import fit_setups
from tempfit.descent.setup import normalize
from tempfit.descent.validation import Validation
from tempfit.errors import InputError, ReadingsError, SettingsError
from tempfit.exact.holdout import held_out_rows
from tempfit.readings.paired import as_readings
from tempfit.words import Status
from tests.conftest import T_C, T_U

BOOK = {"scaling": "factor", "factor": 0.1, "learning_rate": 1e-2, "n_epochs": 3000, "holdout_rows": "2,10"}
HELD_OUT = np.isin(np.arange(11), [2, 10])


def press(t_u: np.ndarray, t_c: np.ndarray, degree: int) -> float:
    """Allen's PRESS over n, in closed form: leaving row i out multiplies its residual by 1 / (1 - h_ii)."""
    x = np.vander((t_u - t_u.mean()) / np.ptp(t_u), degree + 1)
    hat = x @ np.linalg.pinv(x)
    return float(np.mean(((t_c - hat @ t_c) / (1 - np.diag(hat))) ** 2))


def at_state(result: Calibration, updates: int) -> float:
    (position,) = np.flatnonzero(result.validation.updates == updates)
    return float(result.validation.loss[position])


def validation(loss: list[float], training_loss: float, updates: list[int] | None = None) -> Validation:
    steps = np.arange(len(loss)) if updates is None else np.array(updates)
    return Validation("2 readings held out", 2, steps, np.array(loss), training_loss)


def test_the_books_split():
    """The book's printed numbers, to half their last digit: epoch 3,000 reports losses from before its update, and the
    params after it. The exact ones are numpy's lstsq on the nine readings left, to more digits."""
    result = calibrate((T_U, T_C), **BOOK)
    assert result.fit.history.loss[2999] == pytest.approx(3.0125, abs=5e-5)
    assert result.validation.loss[2999] == pytest.approx(3.5756, abs=5e-5)
    assert result.fit.params == pytest.approx([5.1964, -16.7512], abs=5e-5)
    assert (result.validation.method, result.validation.n) == ("2 readings held out", 2)
    assert [result.exact.w, result.exact.b] == pytest.approx([0.5205039831686, -16.798596148926], rel=1e-12)
    assert result.exact.loss == pytest.approx(3.01228659, abs=5e-9)
    assert result.exact.n == 9
    w, b = np.linalg.lstsq(np.vander(T_U[~HELD_OUT], 2), T_C[~HELD_OUT], rcond=None)[0]
    assert [result.exact.w, result.exact.b] == pytest.approx([w, b], rel=1e-11)
    assert not result.validation.overfits


def test_the_books_split_at_the_exact_optimum():
    exact = calibrate((T_U, T_C), holdout_rows="2,10")
    assert exact.status is Status.CONVERGED
    assert exact.loss == pytest.approx(3.01228659, abs=5e-9)
    assert exact.validation.final == pytest.approx(3.54439000, abs=5e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_state_is_judged_by_its_own_params(dtype):
    """By numpy in raw units, state by state; float32 rounds the params, not the judgement of them."""
    result = calibrate((T_U, T_C), **BOOK | {"dtype": dtype, "n_epochs": 300})
    w, b = result.coefficient_history.T
    residual = w[:, None] * T_U[HELD_OUT] + b[:, None] - T_C[HELD_OUT]
    assert result.validation.loss == pytest.approx((residual**2).mean(axis=1), rel=1e-10)
    assert result.validation.updates.tolist() == list(range(301))


def test_hubers_loss_is_judged_by_hubers_loss():
    """torch.nn.HuberLoss's formula, written out; with a delta that both of its branches are used."""
    result = calibrate((T_U, T_C), loss="huber", huber_delta=1.7, holdout_rows="2,10")
    size = np.abs(result.predict(T_U[HELD_OUT]) - T_C[HELD_OUT])
    assert size.min() < 1.7 < size.max()
    rho = np.where(size <= 1.7, size**2 / 2, 1.7 * (size - 1.7 / 2))
    assert result.validation.final == pytest.approx(rho.mean(), rel=1e-12)


def test_a_networks_validation_loss_is_its_predictions():
    result = calibrate((T_U, T_C), model="mlp", optimizer="adam", learning_rate=1e-2, holdout_rows="2,10", l2=1e-3)
    residual = result.predict(T_U[HELD_OUT]) - T_C[HELD_OUT]
    assert result.validation.final == pytest.approx(np.mean(residual**2), rel=1e-12)  # without the penalty


@pytest.mark.parametrize("scaling", ["standardize", "minmax"])
@pytest.mark.parametrize("model", ["line", "polynomial", "mlp"])
def test_scaling_is_learned_from_the_training_rows_alone(model, scaling):
    """A held-out reading a million times too large must leave no trace in the fit."""
    options = {"model": model, "scaling": scaling, "n_epochs": 50, "learning_rate": 0.01, "holdout_rows": "2,10"}
    far = T_U.copy()
    far[2] *= 1e6
    plain, with_outlier = calibrate((T_U, T_C), **options), calibrate((far, T_C), **options)
    alone = calibrate((T_U[~HELD_OUT], T_C[~HELD_OUT]), **options | {"holdout_rows": None})
    assert with_outlier.fit.history.params.tolist() == plain.fit.history.params.tolist()
    assert with_outlier.fit.history.params == pytest.approx(alone.fit.history.params, rel=1e-12, abs=1e-14)
    assert with_outlier.validation.final > 1e6 * plain.validation.final or model == "mlp"  # tanh saturates
    assert alone.validation is None


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_leaving_one_out_in_turn_is_press(degree):
    result = calibrate((T_U, T_C), model="polynomial", degree=degree, folds=11)
    assert result.fit.status is Status.CONVERGED
    assert result.validation.final == pytest.approx(press(T_U, T_C, degree), rel=1e-9)
    assert (result.validation.method, result.validation.n) == ("11 folds", 11)
    assert result.exact.n == 11  # the model itself is fitted to all
    assert result.predict(T_U) == pytest.approx(calibrate((T_U, T_C), model="polynomial", degree=degree).predict(T_U))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(8, 30), folds=st.integers(2, 6))
def test_k_folds_are_k_fits_made_by_hand(seed, n, folds):
    """numpy's least squares without each fold, judged on it; the mean over readings, not over folds of unequal size."""
    rng = np.random.default_rng(seed)
    t_u = rng.uniform(0, 100, n)
    t_c = 0.5 * t_u - 3 + rng.normal(0, 2, n)
    config = CalibrationConfig(folds=folds, seed=seed)
    squares = []
    masks = held_out_rows(n, config)
    for held_out in masks:
        p = np.linalg.lstsq(np.vander(t_u[~held_out], 2), t_c[~held_out], rcond=None)[0]
        squares += (np.vander(t_u[held_out], 2) @ p - t_c[held_out]).tolist()
    assert (np.sum(masks, axis=0) == 1).all()  # each reading is held out once
    assert max(m.sum() for m in masks) - min(m.sum() for m in masks) <= 1
    result = calibrate((t_u, t_c), config)
    assert result.validation.final == pytest.approx(np.mean(np.square(squares)), rel=1e-8)
    assert result.validation.n == n


def test_folds_of_networks_are_networks_trained_without_them():
    options = {"model": "mlp", "hidden": "4", "optimizer": "adam", "learning_rate": 0.02, "n_epochs": 300, "seed": 3}
    judged = calibrate((T_U, T_C), folds=3, **options)
    total = 0.0
    for held_out in held_out_rows(11, judged.config):
        alone = calibrate((T_U[~held_out], T_C[~held_out]), **options)
        total += float(np.sum((alone.predict(T_U[held_out]) - T_C[held_out]) ** 2))
    assert judged.validation.final == pytest.approx(total / 11, rel=1e-8)


def test_a_fold_that_ended_earlier_counts_with_its_last_state():
    """The first reading lies so far out that the fit to all takes another number of epochs than the folds.

    With one factor for all, every fold has its own curvature: some converge before the fit does, others would go on.
    """
    t_u, t_c = T_U.copy(), T_C.copy()
    t_u[0], t_c[0] = 5.0, -14.0
    config = CalibrationConfig(
        **{"scaling": "factor", "factor": 0.05, "learning_rate": 0.05, "n_epochs": 20_000, "tolerance": 1e-6}, folds=4
    )
    result = calibrate((t_u, t_c), config)
    fits, n_epochs = [], []
    for held_out in held_out_rows(11, config):
        fits.append((held_out, calibrate((t_u[~held_out], t_c[~held_out]), config, folds=0)))
        n_epochs.append(fits[-1][1].fit.n_epochs)
    assert min(n_epochs) < result.fit.n_epochs < max(n_epochs)
    assert result.validation.updates.tolist() == result.fit.history.updates.tolist()
    for k in (0, 1, 100, min(n_epochs), min(n_epochs) + 1, result.fit.n_epochs):
        total = 0.0
        for held_out, alone in fits:
            w, b = alone.coefficient_history[min(k, alone.fit.n_epochs)]
            total += float(np.sum((w * t_u[held_out] + b - t_c[held_out]) ** 2))
        assert at_state(result, k) == pytest.approx(total / 11, rel=1e-9), k


@pytest.mark.parametrize("split", [{"holdout_rows": "2,10"}, {"folds": 4}])
@pytest.mark.parametrize("n_epochs", [500, 5000])
def test_thinned_histories_are_judged_at_the_states_they_keep(split, n_epochs):
    config = CalibrationConfig(**BOOK | {"holdout_rows": None, "n_epochs": n_epochs, "tolerance": 1e-12} | split)
    setup = normalize(as_readings((T_U, T_C), config), config)
    (whole,), (thinned,) = (fit_setups([setup], keep=keep) for keep in (None, 40))
    assert len(thinned.fit.history) <= 40
    assert thinned.validation.updates.tolist() == thinned.fit.history.updates.tolist()
    assert thinned.validation.loss == pytest.approx(whole.validation.loss[thinned.validation.updates], rel=1e-12)
    assert thinned.validation.final == whole.validation.final
    assert thinned.validation.training_loss == whole.fit.loss


def test_holdout_draws_its_fraction_by_the_seed():
    masks = [held_out_rows(50, CalibrationConfig(holdout=0.2, seed=seed))[0] for seed in (0, 0, 1)]
    assert [mask.sum() for mask in masks] == [10, 10, 10]
    assert masks[0].tolist() == masks[1].tolist()
    assert masks[0].tolist() != masks[2].tolist()
    result = calibrate((T_U, T_C), holdout=0.2)  # 2.2 readings of 11
    assert (result.validation.method, result.exact.n) == ("2 readings held out", 9)
    assert calibrate((T_U, T_C), holdout_rows="4,4").validation.method == "1 reading held out"
    assert held_out_rows(50, CalibrationConfig()) == []


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"holdout_rows": "2,11"}, SettingsError, "holdout_rows: there is no row 11; rows count from 0 to 10"),
        ({"holdout_rows": "9" * 30}, SettingsError, "holdout_rows: there is no row 999"),
        ({"holdout_rows": "2;10"}, SettingsError, "holdout_rows: "),
        ({"folds": 12}, SettingsError, "folds: 11 readings cannot be dealt into 12 folds"),
        ({"folds": 1}, SettingsError, "`folds`: one fold leaves nothing to train on"),
        ({"holdout": 0.04}, SettingsError, "holdout: 0.04 of 11 readings is none; use 0.091 or more"),
        ({"holdout": 1.0}, SettingsError, "holdout: should be less than 1, got 1.0"),
        ({"holdout": 0.8}, ReadingsError, "2 readings that are not held out, 2 of them different, do not carry a line"),
        ({"holdout_rows": ",".join(map(str, range(11)))}, ReadingsError, "0 readings that are not held out"),
        ({"folds": 2, "model": "polynomial", "degree": 5}, ReadingsError, "do not carry a polynomial of degree 5"),
        ({"holdout": 0.2, "folds": 3}, SettingsError, "three ways to validate; choose one"),
        ({"holdout": 0.2, "holdout_rows": "1"}, SettingsError, "three ways to validate; choose one"),
        ({"holdout_rows": "1", "folds": 3}, SettingsError, "three ways to validate; choose one"),
    ],
    ids=str,
)
def test_what_cannot_be_held_out_is_told_in_a_line(options, error, message):
    with pytest.raises(InputError) as caught:
        calibrate((T_U, T_C), **options)
    assert type(caught.value) is error
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("n", [3, 7, 11, 13, 64, 1000])
def test_the_fraction_that_an_error_proposes_is_enough(n):
    with pytest.raises(SettingsError) as caught:
        held_out_rows(n, CalibrationConfig(holdout=0.1 / n))
    (proposed,) = re.findall(r"use (\S+) or more", str(caught.value))
    assert held_out_rows(n, CalibrationConfig(holdout=float(proposed)))[0].sum() == 1


@pytest.mark.parametrize(
    ("loss", "training_loss", "has_risen", "has_gap"),
    [
        ([80.0, 20.0, 10.0], 9.0, False, False),  # falls all the way
        ([80.0, 10.0, 10.4], 9.0, False, False),  # 4 % is a wobble
        ([80.0, 10.0, 10.6], 9.0, True, False),
        ([80.0, 20.0, 10.0], 2.6, False, False),  # 3.8 times
        ([80.0, 20.0, 10.0], 2.4, False, True),  # 4.2 times
        ([80.0, 10.0, 20.0], 2.0, True, True),
        ([80.0, 10.0, np.inf], 9.0, True, True),
        ([80.0, 20.0, 10.0], 0.0, False, True),  # a network may reach 0
        ([80.0, 1e-30, 1e-29], 1e-31, False, False),  # rounding
        ([0.0, 0.0, 0.0], 0.0, False, False),
    ],
)
def test_overfitting_shows_in_a_rise_or_a_gap(loss, training_loss, has_risen, has_gap):
    seen = validation(loss, training_loss)
    assert (seen.has_risen, seen.has_gap) == (has_risen, has_gap)
    assert seen.overfits == (has_risen or has_gap)
    assert seen.verdict().startswith("overfits: " if seen.overfits else "no overfitting seen: ")


def test_verdicts_name_the_numbers():
    risen = validation([80.0, 10.0, 20.0], 9.0, updates=[0, 1234, 5000])
    assert (risen.lowest_at, risen.final) == (1234, 20.0)
    assert risen.verdict() == (
        "overfits: the validation loss was lowest, 10, after 1,234 updates and has risen to 20 since"
    )
    assert validation([80.0, 10.0], 2.0).verdict() == (
        "overfits: the validation loss, 10, is more than 4 times the training loss, 2"
    )
    assert validation([80.0, 10.0], 9.0).verdict() == ("no overfitting seen: validation loss 10, training loss 9")


@pytest.mark.parametrize("split", [{"holdout_rows": "2,10"}, {"folds": 11}, {"folds": 2}])
@pytest.mark.parametrize("model", [{}, {"model": "polynomial", "degree": 3}])
def test_perfect_readings_claim_no_overfitting(model, split):
    """Training and validation losses are rounding, some 1e-29, whose ratio is chance."""
    result = calibrate((T_U, 0.5 * T_U - 17), **model, **split)
    assert result.validation.final < 1e-24
    assert not result.validation.overfits


@pytest.mark.parametrize("split", [{"holdout_rows": "2,10"}, {"folds": 4}])
def test_a_diverging_fit_has_no_nan_in_its_validation(split):
    result = calibrate((T_U, T_C), scaling="none", learning_rate=1e-2, **split)
    assert result.status is Status.DIVERGED
    assert not np.isnan(result.validation.loss).any()
    assert len(result.validation.loss) == len(result.fit.history)
    assert not result.validation.overfits
    assert result.validation.verdict().startswith("no telling: ")


def test_a_fold_that_diverges_is_no_overfitting():
    """0.0328 is below 0.03298, the critical rate of all eleven; without a low reading, that of the others is lower.

    Some of those folds overflow in the 4,262 epochs that the fit takes, some are only on the way to it.
    """
    config = CalibrationConfig(scaling="factor", learning_rate=0.0328, folds=11)
    rates = [
        2 / np.linalg.eigvalsh(2 * x.T @ x / len(x))[-1]
        for x in (np.vander(0.1 * T_U[~held_out], 2) for held_out in held_out_rows(11, config))
    ]
    n_diverged = sum(rate < 0.0328 for rate in rates)
    assert 0 < n_diverged < 11
    result = calibrate((T_U, T_C), config)
    assert result.status is Status.CONVERGED
    assert result.validation.diverged == n_diverged
    assert not result.validation.overfits
    assert result.validation.verdict() == (
        f"no telling: {n_diverged} of 11 folds diverged; use a smaller learning rate"
    )
