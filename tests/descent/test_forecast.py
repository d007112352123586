"""The forecast against what then really happens."""

from __future__ import annotations

import ast
import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tempfit.calibration.pipeline import calibrate
from tempfit.config import CalibrationConfig
from tempfit.descent.model import MLP
from tempfit.descent.setup import normalize
from tempfit.errors import SettingsError
from tempfit.readings.paired import as_readings
from tempfit.wording import format_rate
from tempfit.words import Outcome, Status
from tests.conftest import T_C, T_U
from tests.tools import start_of


def forecast(**settings):
    config = CalibrationConfig(**settings)
    return normalize(as_readings((T_U, T_C), config), config).forecast


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "settings",
    [
        {"scaling": "none", "learning_rate": 1e-2},
        {"scaling": "none", "learning_rate": 4e-4},
        {"scaling": "factor", "learning_rate": 0.05},
        {"scaling": "minmax", "learning_rate": 2.0},
        {"scaling": "none", "learning_rate": 1e-2, "l2": 0.01},
    ],
    ids=str,
)
def test_overflow_happens_at_the_epoch_foretold(settings, dtype):
    result = calibrate((T_U, T_C), **settings, dtype=dtype)
    assert result.status is Status.DIVERGED
    assert result.forecast.stable is False
    assert result.forecast.overflow_epoch == result.fit.diverged_at
    assert result.forecast.epochs_needed is None


@pytest.mark.parametrize(
    "settings",
    [
        {"scaling": "factor", "learning_rate": 1e-2},
        {"scaling": "minmax", "learning_rate": 1e-1},
        {"scaling": "minmax", "learning_rate": 0.7},
        {"scaling": "standardize", "learning_rate": 0.5},
        {"scaling": "standardize", "learning_rate": 0.01},
        pytest.param({"scaling": "none", "learning_rate": 3.3e-4, "n_epochs": 100_000}, marks=pytest.mark.integration),
    ],
    ids=str,
)
def test_forecast_and_training_count_the_same_epoch(settings):
    result = calibrate((T_U, T_C), **settings, tolerance=0)
    within = result.fit.history.loss <= 1.001 * result.exact.loss
    assert result.forecast.stable is True
    # As the tutorial counts: epoch k reports the loss of the state after k - 1 updates.
    assert result.forecast.epochs_needed == result.fit.close_at == 1 + np.argmax(within)
    assert result.forecast.overflow_epoch is None


def test_a_start_at_the_optimum_is_close_at_the_first_epoch():
    exact = calibrate((T_U, T_C), scaling="none").exact
    assert forecast(scaling="none", learning_rate=1e-4, w_start=exact.w, b_start=exact.b).epochs_needed == 1


def test_momentum_moves_the_critical_rate():
    """Heavy ball is stable below 2 (1 + momentum) / λmax (Polyak 1964)."""
    plain, heavy = forecast(), forecast(momentum=0.9)
    assert heavy.critical_learning_rate == pytest.approx(1.9 * plain.critical_learning_rate, rel=1e-12)
    for factor, status in [(0.99, {Status.CONVERGED}), (1.01, {Status.DIVERGED})]:
        rate = factor * heavy.critical_learning_rate
        assert calibrate((T_U, T_C), momentum=0.9, learning_rate=rate, n_epochs=100_000).status in status


def test_huber_is_stable_below_its_critical_rate():
    rate = forecast(loss="huber").critical_learning_rate
    assert calibrate((T_U, T_C), loss="huber", learning_rate=0.99 * rate).status is Status.CONVERGED


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"scaling": "none", "learning_rate": 1e-2}, ["29.4 times", "3.39e-4", "epoch 88", 'scaling="standardize"']),
        ({"scaling": "none", "learning_rate": 1e-4}, ["259,8", "more than the 5,000", 'scaling="standardize"']),
        ({"scaling": "none", "learning_rate": 1e-2, "clip_norm": 1.0}, ["clipping", "over-correction"]),
        ({"learning_rate": 2.0}, ["2 times the critical 1", "learning_rate=0.5"]),
        ({"optimizer": "adam"}, ["adam adapts"]),
        ({}, ["stable", "at epoch 2."]),
    ],
    ids=str,
)
def test_advice_names_cause_and_cure(settings, says):
    advice = forecast(**settings).advice
    for words in says:
        assert words in advice


ADVISED = re.compile(r"`([a-z0-9_]+=[^`]*)`")


def cures(advice: str) -> list[dict[str, Any]]:
    """The settings that an advice names, cure by cure, as Python reads them."""
    found = ([setting.split("=") for setting in cure.split(", ")] for cure in ADVISED.findall(advice))
    return [{name: ast.literal_eval(value) for name, value in cure} for cure in found]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    scaling=st.sampled_from(["none", "factor", "standardize", "minmax"]),
    times=st.one_of(st.floats(1e-3, 0.9), st.floats(1.1, 100.0)),
    more=st.sampled_from(
        [{}, {}, {"l2": 0.01}, {"momentum": 0.9}, {"clip_norm": 0.1}, {"degree": 2}, {"loss": "huber"}]
    ),
)
def test_advice_that_is_followed_works(seed, scaling, times, more):
    """Data of any size and offset; a cure of more than 300,000 epochs is believed, for the sake of time."""
    rng = np.random.default_rng(seed)
    t_u = np.sort(10.0 ** rng.uniform(-1, 2) * (rng.uniform(-3, 3) + rng.uniform(0, 1, 12)))
    t_c = 0.5 * t_u - 17 + rng.normal(0, 0.1 * np.ptp(t_u), 12)
    chosen = {"scaling": scaling, **more} | ({"model": "polynomial"} if "degree" in more else {})
    config = CalibrationConfig(**chosen)
    critical = normalize(as_readings((t_u, t_c), config), config).forecast.critical_learning_rate
    chosen["learning_rate"] = times * critical
    assume(chosen["learning_rate"] <= 1e6)
    told = calibrate((t_u, t_c), **chosen, n_epochs=10).forecast  # few, so that slow is told, too
    for cure in cures(told.advice):
        if cure.get("n_epochs", 0) <= 300_000:
            followed = calibrate((t_u, t_c), **{**chosen, "n_epochs": 5000, **cure})
            assert followed.outcome in (Outcome.ARRIVES, Outcome.SETTLES), (told.advice, cure)
            assert followed.forecast.stable is True


def test_every_explosion_has_a_cure_and_the_better_one_comes_first():
    first, second = cures(forecast(scaling="none", learning_rate=1e-2).advice)
    assert first == {"scaling": "standardize", "learning_rate": 0.5}
    assert second.keys() == {"learning_rate", "n_epochs"}
    assert calibrate((T_U, T_C), scaling="none", **second).outcome is Outcome.ARRIVES
    assert cures(forecast(learning_rate=2.0).advice) == [{"learning_rate": 0.5}]
    far = make_forecast_at(1e6)  # where the smaller step would take more epochs than there may be
    assert far == [{"scaling": "standardize", "learning_rate": 0.5}]


def make_forecast_at(offset: float) -> list[dict[str, Any]]:
    config = CalibrationConfig(scaling="none", learning_rate=1e-2)
    return cures(normalize(as_readings((T_U + offset, T_C), config), config).forecast.advice)


def test_a_network_is_not_advised_what_it_has_already():
    assert "adam" not in forecast_network(optimizer="adam", learning_rate=0.01, scaling="none")
    assert 'scaling="standardize"' in forecast_network(optimizer="adam", learning_rate=0.01, scaling="none")
    assert "`" not in forecast_network()
    assert 'optimizer="adam", learning_rate=0.01' in forecast_network(optimizer="sgd", learning_rate=0.01)


def forecast_network(**settings) -> str:
    return forecast(model="mlp", **settings).advice


@pytest.mark.parametrize(("rate", "text"), [(0.5, "0.5"), (3.39938e-4, "3.4e-4"), (1e-2, "0.01"), (1e-5, "1e-5")])
def test_rates_read_as_people_write_them(rate, text):
    assert format_rate(rate) == text


# Relative distance of a rate to the critical one: nearer to 1, an epoch changes too little for 300 to tell.
RATES = st.one_of(st.floats(0.01, 0.97), st.floats(1.03, 30.0))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    scaling=st.sampled_from(["none", "factor", "standardize", "minmax"]),
    rate=RATES,
    l2=st.sampled_from([0.0, 0.0, 1e-3, 0.1, 10.0]),
    degree=st.integers(1, 3),
)
def test_the_curve_is_the_history_that_training_records(seed, scaling, rate, l2, degree):
    """Up to the rounding of the residuals: 1e-9 relative, or 1e-14 of the targets' mean square where little is left."""
    rng = np.random.default_rng(seed)
    t_u = rng.normal(rng.normal(0, 3), rng.uniform(0.5, 3), 20)
    t_c = np.polyval(rng.normal(size=degree + 1), t_u) + rng.normal(0, rng.uniform(0.01, 1), 20)
    chosen = {"scaling": scaling, "model": "polynomial", "degree": degree, "l2": l2}
    critical = calibrate((t_u, t_c), **chosen, n_epochs=1).forecast.critical_learning_rate
    result = calibrate((t_u, t_c), **chosen, learning_rate=min(rate * critical, 1e6), n_epochs=300, tolerance=0)
    history, curve = result.fit.history, result.forecast.loss_curve
    predicted = curve.loss_after(history.updates)
    assert predicted == pytest.approx(history.loss, rel=1e-9, abs=1e-14 * float(np.mean(t_c**2)))
    if result.fit.diverged_at is not None:
        assert curve.loss_after(result.fit.diverged_at - 1) == np.inf
        assert curve.overflow_epoch == result.fit.diverged_at


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "prelu"])
def test_a_networks_curvature_at_the_start_is_that_of_its_whole_hessian(activation):
    """The largest eigenvalue of the Hessian by autograd, of the loss written out with torch.nn.functional."""
    config = CalibrationConfig(model="mlp", hidden="4x3", activation=activation, seed=3)
    setup = normalize(as_readings((T_U, T_C), config), config)
    model = MLP(config)
    t_un = torch.from_numpy(setup.rows.features[:, :, :1])

    def loss(params):
        return torch.nn.functional.mse_loss(model.forward(t_un, params[None, :, None])[0, :, 0], torch.from_numpy(T_C))

    whole = torch.autograd.functional.hessian(loss, start_of(config)).numpy()
    largest = np.abs(np.linalg.eigvalsh(whole)).max()
    told = setup.forecast
    assert told.eigenvalues[-1] == pytest.approx(largest, rel=1e-3)  # 50 power iterations come from below
    assert told.critical_learning_rate == pytest.approx(2 / largest, rel=1e-3)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_network_is_warned_of_its_first_updates(seed):
    """At half the critical rate of the start the first losses only fall; at one and a half times it they do not."""
    config = CalibrationConfig(model="mlp", seed=seed, optimizer="sgd", learning_rate=0.5)
    told = normalize(as_readings((T_U, T_C), config), config).forecast
    assert told.warns
    assert "first updates over-correct" in told.advice
    for factor, over_corrects in [(0.5, False), (1.5, True)]:
        result = calibrate((T_U, T_C), config, learning_rate=factor * told.critical_learning_rate, n_epochs=20)
        assert result.forecast.warns is over_corrects
        assert bool((np.diff(result.fit.history.loss) > 0).any()) is over_corrects
    assert not forecast(model="mlp", optimizer="adam", learning_rate=0.5).warns


def test_networks_are_small():
    with pytest.raises(SettingsError, match="100x100 has 10,401 parameters"):
        calibrate((T_U, T_C), model="mlp", hidden="100x100")
