"""Networks against torch.nn step by step, alone and in company; what padding counts for; where training starts."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tempfit.calibration.pipeline import calibrate
from tempfit.config import TrainingConfig
from tempfit.descent.history import Fit, gradient_norm
from tempfit.descent.model import MLP
from tempfit.errors import SettingsError
from tempfit.exact.design import Design, build_design, design_of, stack
from tempfit.words import Status
from tests.conftest import T_C, T_U
from tests.tools import descend, scaling_of, start_of

ACTIVATIONS = {
    "tanh": torch.nn.Tanh,
    "sigmoid": torch.nn.Sigmoid,
    "relu": torch.nn.ReLU,
    "leaky_relu": torch.nn.LeakyReLU,
    "prelu": torch.nn.PReLU,
}
T_UN = (T_U - T_U.mean()) / T_U.std()


def mlp_config(**options: object) -> TrainingConfig:
    return TrainingConfig(**{"model": "mlp", "learning_rate": 2e-3, "n_epochs": 60, "tolerance": 0} | options)


def torch_network(config: TrainingConfig, params: torch.Tensor) -> torch.nn.Sequential:
    """torch's own layers with a copy of the flat params: weight (in, out) by rows, bias, a PReLU's slope."""
    sizes = [1, *config.widths, 1]
    modules: list[torch.nn.Module] = []
    for number, (n_in, n_out) in enumerate(pairwise(sizes), start=1):
        modules.append(torch.nn.Linear(n_in, n_out, dtype=torch.float64))
        if number < len(sizes) - 1:
            prelu = config.activation == "prelu"
            modules.append(torch.nn.PReLU(dtype=torch.float64) if prelu else ACTIVATIONS[config.activation]())
    network = torch.nn.Sequential(*modules)
    at = 0
    with torch.no_grad():
        for parameter in network.parameters():
            values = params[at : at + parameter.numel()]
            is_weight = parameter.dim() == 2  # torch.nn.Linear keeps (out, in)
            parameter.copy_(values.reshape(parameter.shape[::-1]).T if is_weight else values)
            at += parameter.numel()
    assert at == len(params)
    return network


def flat(network: torch.nn.Sequential) -> np.ndarray:
    parameters = [parameter.detach() for parameter in network.parameters()]
    return torch.cat([(p.T if p.dim() == 2 else p).reshape(-1) for p in parameters]).numpy()


def torch_params(config: TrainingConfig, t_un: np.ndarray = T_UN, t_c: np.ndarray = T_C) -> np.ndarray:
    """(n_epochs + 1, n_params), step by step by torch's layers, losses, clipping and optimizers."""
    network = torch_network(config, start_of(config))
    x, y = torch.from_numpy(t_un)[:, None], torch.from_numpy(t_c)[:, None]
    parameters = list(network.parameters())
    optimizer = {
        "sgd": lambda: torch.optim.SGD(parameters, config.learning_rate, config.momentum),
        "adam": lambda: torch.optim.Adam(parameters, config.learning_rate),
        "rmsprop": lambda: torch.optim.RMSprop(parameters, config.learning_rate, momentum=config.momentum),
    }[config.optimizer]()
    loss_fn = torch.nn.MSELoss() if config.loss == "squared" else torch.nn.HuberLoss(delta=config.huber_delta)
    states = [flat(network)]
    for _ in range(config.n_epochs):
        optimizer.zero_grad()
        penalty = sum(config.l1 * p.abs().sum() + config.l2 * p.square().sum() for p in parameters)
        (loss_fn(network(x), y) + penalty).backward()
        if config.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)
        optimizer.step()
        states.append(flat(network))
    return np.array(states)


def check_against_torch(config: TrainingConfig) -> None:
    """Both round, in another order: some 1e-16 an epoch, which 60 epochs of a stable descent do not magnify to 1e-9.

    A learning rate so large that the loss jumps about would: there, rounding decides where it jumps.
    """
    (fit,) = descend(build_design(T_UN, T_C), [config])
    reference = torch_params(config)
    assert np.abs(reference[-1] - reference[0]).max() > 0.05  # it did train
    assert fit.history.params == pytest.approx(reference, rel=1e-9, abs=1e-11)


@pytest.mark.parametrize("hidden", ["13", "4x3", "5x5x5"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_networks_follow_torch_step_by_step(activation, hidden):
    check_against_torch(mlp_config(activation=activation, hidden=hidden, seed=3))


@pytest.mark.parametrize(
    "options",
    [
        {"momentum": 0.9, "learning_rate": 5e-4},
        {"optimizer": "adam", "learning_rate": 0.05},
        {"optimizer": "rmsprop"},
        {"optimizer": "rmsprop", "momentum": 0.5, "learning_rate": 1e-3},
        {"clip_norm": 1.0},
        {"clip_norm": 1.0, "optimizer": "adam"},
        {"l1": 0.3},
        {"l2": 0.1},
        {"loss": "huber", "huber_delta": 2.0},
        {"loss": "huber", "huber_delta": 1.0, "optimizer": "adam", "l1": 0.01, "l2": 0.01, "clip_norm": 0.5},
    ],
    ids=str,
)
@pytest.mark.parametrize("activation", ["tanh", "prelu"])
def test_remedies_work_on_networks_as_in_torch(activation, options):
    check_against_torch(mlp_config(activation=activation, hidden="4x3", seed=5, **options))


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    loss=st.sampled_from(["squared", "huber"]),
)
def test_a_network_does_not_depend_on_the_others_in_its_batch(seed, activation, loss):
    """Nor on rows of zeros: the members have 5 to 20 readings, so that all but one are padded when stacked."""
    rng = np.random.default_rng(seed)
    designs, configs = [], []
    for k in range(4):
        t_un = rng.normal(size=rng.integers(5, 21))
        designs.append(build_design(t_un, np.sin(2 * t_un) + rng.normal(0, 0.1, len(t_un))))
        rate = float(10 ** rng.uniform(-3, -1.5))
        config = mlp_config(
            hidden="5x4",
            activation=activation,
            loss=loss,
            huber_delta=1,
            seed=seed + k,
            learning_rate=rate,
            n_epochs=40 + k,
        )
        configs.append(config)
    together = descend(stack(designs), configs)
    assert len({fit.params[0] for fit in together}) == 4
    for design, config, fit in zip(designs, configs, together, strict=True):
        (alone,) = descend(design, [config])
        assert (fit.status, fit.n_epochs) == (alone.status, alone.n_epochs)
        assert fit.history.params == pytest.approx(alone.history.params, rel=1e-9, abs=1e-12)
        assert fit.history.loss == pytest.approx(alone.history.loss, rel=1e-9)


def test_a_diverging_network_does_not_stop_the_others():
    design = build_design(T_UN, T_C)
    configs = [mlp_config(activation="relu", learning_rate=rate, seed=1) for rate in (10.0, 1e-3)]
    exploded, trained = descend(design, configs)
    assert exploded.status is Status.DIVERGED
    assert trained.status is Status.EXHAUSTED
    assert np.isfinite(exploded.history.params).all()
    assert trained.history.params == pytest.approx(descend(design, configs[1:])[0].history.params, rel=1e-12)


@pytest.mark.parametrize(
    "config",
    [
        TrainingConfig(learning_rate=1e-2, n_epochs=60, tolerance=0),
        TrainingConfig(learning_rate=1e-2, n_epochs=60, tolerance=0, loss="huber", huber_delta=1.0),
        TrainingConfig(learning_rate=1e-2, n_epochs=60, tolerance=0, model="polynomial", degree=3),
        *(mlp_config(activation=activation, hidden="4x3") for activation in ACTIVATIONS),
        mlp_config(loss="huber", huber_delta=1.0),
    ],
    ids=lambda config: f"{config.model} {config.activation} {config.loss}",
)
def test_rows_of_zeros_count_for_nothing(config):
    """A network's output at a reading of 0 is not 0, so only the feature that says `this row is one` can silence it."""
    terms = np.vander(T_UN, 4 if config.model == "polynomial" else 2)
    design = design_of(terms, T_C)
    zeros = np.zeros((1, 30, terms.shape[1]))
    padded = Design(
        features=np.concatenate([design.features, zeros], axis=1),
        targets=np.concatenate([design.targets, zeros[..., 0]], axis=1),
        n_readings=design.n_readings,
    )
    (plain,), (with_zeros,) = descend(design, [config]), descend(padded, [config])
    assert with_zeros.history.loss == pytest.approx(plain.history.loss, rel=1e-10)
    assert with_zeros.history.params == pytest.approx(plain.history.params, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", ["1", "13", "4x3", "5x5x5"])
def test_layers_cover_all_parameters_once(hidden, activation):
    config = mlp_config(hidden=hidden, activation=activation)
    model = MLP(config)
    covered = np.concatenate([np.arange(model.n_params)[layer] for layer in model.layers.values()])
    assert covered.tolist() == list(range(model.n_params))
    assert list(model.layers) == [f"hidden_{k + 1}" for k in range(len(config.widths))] + ["output"]
    assert model.n_params == sum(p.numel() for p in torch_network(config, start_of(config)).parameters())


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_unpacked_layers_predict_what_the_network_does(activation):
    """By numpy, from the layers alone: weight (in, out), bias (out,), and PReLU's slope."""
    config = mlp_config(hidden="5x4x3", activation=activation, seed=8)
    model = MLP(config)
    params = np.random.default_rng(8).normal(size=model.n_params)
    layers = model.unpack(params)
    assert [np.shape(layer["weight"]) for layer in layers] == [(1, 5), (5, 4), (4, 3), (3, 1)]
    assert [("slope" in layer) for layer in layers] == [activation == "prelu"] * 3 + [False]
    units = T_UN[:, None]
    for layer in layers:
        units = units @ np.array(layer["weight"]) + np.array(layer["bias"])
        if layer["name"] != "output":
            slope = {"relu": 0, "leaky_relu": 0.01, "prelu": layer.get("slope")}.get(activation)
            match activation:
                case "tanh":
                    units = np.tanh(units)
                case "sigmoid":
                    units = 1 / (1 + np.exp(-units))
                case _:
                    units = np.maximum(units, 0) + slope * np.minimum(units, 0)
    predicted = model.forward(torch.from_numpy(T_UN)[None, :, None], torch.from_numpy(params)[None, :, None])
    reference = torch_network(config, torch.from_numpy(params))(torch.from_numpy(T_UN)[:, None])
    assert predicted[0, :, 0].numpy() == pytest.approx(units[:, 0], rel=1e-12, abs=1e-13)
    assert predicted[0, :, 0].numpy() == pytest.approx(reference[:, 0].detach().numpy(), rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_starts_lie_within_their_bounds_and_fill_them(activation):
    """Uniform in ±sqrt(6 / (in + out)) (Glorot and Bengio) or ±sqrt(6 / in) (He et al.), biases in ±1/sqrt(in).

    Of 1600 uniform draws the largest is below 0.98 of the bound with a probability of 0.98^1600, some 1e-14; of the
    40 biases, below 0.7 with one of 0.7^40, some 6e-7.
    """
    config = mlp_config(hidden="40x40", activation=activation, seed=11)
    first, second, output = MLP(config).unpack(start_of(config).numpy())
    for layer in (first, second, output):
        n_in, n_out = np.shape(layer["weight"])
        fan = n_in + n_out if activation in ("tanh", "sigmoid") else n_in
        assert np.abs(layer["weight"]).max() <= math.sqrt(6 / fan)
        assert np.abs(layer["bias"]).max() <= 1 / math.sqrt(n_in)
        assert layer.get("slope", 0.25) == 0.25  # torch.nn.PReLU's
    fan = 80 if activation in ("tanh", "sigmoid") else 40
    assert np.abs(second["weight"]).max() > 0.98 * math.sqrt(6 / fan)
    assert np.abs(second["bias"]).max() > 0.7 / math.sqrt(40)
    assert abs(np.mean(second["weight"])) < 5 * math.sqrt(6 / fan / 3 / 1600)  # five standard errors


@settings(max_examples=30, deadline=None)
@given(seeds=st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=2, unique=True))
def test_equal_seeds_start_equally_and_different_ones_differently(seeds):
    configs = [mlp_config(hidden="5", seed=seed) for seed in (seeds[0], *seeds)]
    starts = [start_of(config) for config in configs]
    assert torch.equal(starts[0], starts[1])
    assert not torch.isclose(starts[0], starts[2], rtol=1e-6).all()


def test_seeds_that_torchs_generator_cannot_tell_apart_are_refused():
    """Its Mersenne Twister is seeded with 32 bits: 0 and 2**32 would start alike."""
    largest = mlp_config(seed=2**32 - 1)
    assert not torch.equal(start_of(largest), start_of(mlp_config()))
    with pytest.raises(ValueError, match="less than 4294967296"):
        mlp_config(seed=2**32)


def test_a_start_depends_neither_on_torchs_global_seed_nor_on_the_batch():
    config = mlp_config(seed=4)
    torch.manual_seed(1)
    start = start_of(config)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert torch.equal(start_of(config), start)
    assert torch.equal(torch.get_rng_state(), before)  # nor does it touch it
    fits = descend(build_design(T_UN, T_C), [mlp_config(seed=9), config])
    assert fits[1].history.params[0].tolist() == start.tolist()


def test_networks_of_different_shapes_cannot_share_a_batch():
    design = build_design(T_UN, T_C)
    for other in ({"hidden": "12"}, {"activation": "relu"}, {"model": "line"}):
        with pytest.raises(SettingsError, match="must share"):
            descend(design, [mlp_config(), mlp_config(**other)])


def layer_norms(fit: Fit, config: TrainingConfig) -> dict[str, float]:
    """Gradient norm of each layer at the start."""
    return {name: float(gradient_norm(fit.history.gradient[0, s])) for name, s in MLP(config).layers.items()}


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_vanishes_in_a_deep_sigmoid_network_and_not_in_a_relu_one(seed):
    """Back through a layer, the gradient is multiplied by the weights and by the activation's slope.

    sigmoid' ≤ 1/4, and Glorot's weights of 8 to 8 units keep a vector's size on average (variance 2 / 16, times 8
    units: 1), but for the forward pass's. So nine more hidden layers leave some 4^-9 = 4e-6 of the gradient; 1e-3 is
    far on the safe side of that. relu' is 1 for half of the units, and He's weights make up for the other half: the
    same nine layers leave it of the same order, give or take the luck of the draw.
    """
    ratios = {}
    for activation in ("sigmoid", "relu"):
        config = mlp_config(hidden="x".join(["8"] * 10), activation=activation, seed=seed, n_epochs=1)
        (fit,) = descend(build_design(T_UN, T_C), [config])
        norms = layer_norms(fit, config)
        ratios[activation] = norms["hidden_1"] / norms["output"]
        if activation == "sigmoid":
            hidden = [norms[f"hidden_{k}"] for k in range(1, 11)]
            assert all(nearer < 0.5 * further for nearer, further in pairwise(hidden[1:]))  # layer by layer
    assert ratios["sigmoid"] < 1e-3
    assert ratios["relu"] > 1e-2


def test_thirteen_tanh_units_fit_the_tutorials_readings_closer_than_any_line_and_overfit():
    """2.92764557 is the exact line's loss (rational arithmetic); no line through the nine can go below 3.0122865."""
    result = calibrate((T_U, T_C), model="mlp", optimizer="adam", learning_rate=0.01)
    assert result.loss < 0.5 * 2.92764557
    assert result.excess_loss == pytest.approx(result.loss / 2.92764557089563972 - 1, rel=1e-9)
    judged = calibrate((T_U, T_C), model="mlp", optimizer="adam", learning_rate=0.01, holdout_rows="2,10")
    assert judged.loss < 0.5 * 3.01228659
    assert judged.validation is not None
    assert judged.validation.overfits
    assert judged.validation.has_risen
    assert judged.validation.verdict().startswith("overfits: ")
    assert judged.validation.final > 3.54439  # the exact line of the nine predicts the two held out better


@pytest.mark.parametrize("scaling", ["none", "factor", "standardize", "minmax"])
def test_predictions_are_those_that_the_loss_was_made_of(scaling):
    result = calibrate((T_U, T_C), model="mlp", scaling=scaling, optimizer="adam", learning_rate=0.01, n_epochs=200)
    residual = result.predict(T_U) - T_C
    assert result.loss == pytest.approx(np.mean(residual**2), rel=1e-12)
    assert result.rmse == pytest.approx(math.sqrt(np.mean(residual**2)), rel=1e-12)
    assert result.predict(T_U.reshape(11, 1)).shape == (11, 1)
    assert result.predict(50.0) == pytest.approx(result.predict([50.0])[0], rel=1e-14)
    scaled = scaling_of(T_U, result.config).apply(T_U)
    reference = torch_network(result.config, torch.from_numpy(result.fit.params))(torch.from_numpy(scaled)[:, None])
    assert result.predict(T_U) == pytest.approx(reference[:, 0].detach().numpy(), rel=1e-12)
