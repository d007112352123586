"""The loop: against torch.optim step by step, against itself on rows and on factors, alone and in company."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tempfit.config import CalibrationConfig, TrainingConfig
from tempfit.descent.forecast import make_forecast
from tempfit.descent.history import Block, History, log_spaced
from tempfit.errors import SettingsError
from tempfit.exact.basis import fit_basis
from tempfit.exact.design import Design, build_design, compressed
from tempfit.words import Status
from tests.conftest import T_C, T_U
from tests.tools import compress, descend, evidence_of, line_design, scaling_of


def random_design(seed: int, rows: int = 20, members: int = 1) -> Design:
    """Readings around a line with noise, already of the order of 1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(rng.normal(), rng.uniform(0.3, 2), (members, rows))
    y = rng.normal() * x + rng.normal() + rng.normal(0, rng.uniform(0.01, 1), (members, rows))
    return build_design(x, y)


def member(design: Design, i: int) -> Design:
    return Design(design.features[i : i + 1], design.targets[i : i + 1], design.n_readings[i : i + 1])


def torch_optim_params(config: TrainingConfig, n_epochs: int) -> np.ndarray:
    """(n_epochs + 1, 2), w and b step by step from the loss's own graph, torch's losses, clipping and optimizers."""
    x, y = torch.from_numpy(0.1 * T_U), torch.from_numpy(T_C)
    params = torch.tensor([config.w_start, config.b_start], dtype=torch.float64, requires_grad=True)
    optimizer = {
        "sgd": lambda: torch.optim.SGD([params], config.learning_rate, config.momentum),
        "adam": lambda: torch.optim.Adam([params], config.learning_rate),
        "rmsprop": lambda: torch.optim.RMSprop([params], config.learning_rate, momentum=config.momentum),
    }[config.optimizer]()
    loss_fn = torch.nn.MSELoss() if config.loss == "squared" else torch.nn.HuberLoss(delta=config.huber_delta)
    states = [params.detach().clone()]
    for _ in range(n_epochs):
        optimizer.zero_grad()
        loss = loss_fn(params[0] * x + params[1], y)
        (loss + config.l1 * params.abs().sum() + config.l2 * params.square().sum()).backward()
        if config.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_([params], config.clip_norm)
        optimizer.step()
        states.append(params.detach().clone())
    return torch.stack(states).numpy()


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "sgd"},
        {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 1e-3},
        {"optimizer": "adam", "learning_rate": 0.1},
        {"optimizer": "rmsprop"},
        {"optimizer": "rmsprop", "momentum": 0.5, "learning_rate": 1e-3},
        {"clip_norm": 1.0},
        {"clip_norm": 1.0, "optimizer": "adam"},
        {"l1": 0.3},
        {"l2": 0.1},
        {"loss": "huber", "huber_delta": 2.0},
        {"loss": "huber", "huber_delta": 1.0, "optimizer": "adam", "learning_rate": 0.1, "l2": 0.01, "clip_norm": 0.5},
        {"w_start": -2.0, "b_start": 5.0},
    ],
    ids=str,
)
def test_follows_torch_step_by_step(options):
    config = TrainingConfig(**{"learning_rate": 1e-2, "n_epochs": 200, "tolerance": 0} | options)
    design = build_design(0.1 * T_U, T_C)
    (fit,) = descend(design if config.loss == "huber" else compress(design), [config])
    assert fit.history.params == pytest.approx(torch_optim_params(config, 200), rel=1e-9, abs=1e-12)


def test_one_start_value_per_member_and_one_of_everything_else():
    """A batch of different configurations equals each of them trained alone."""
    configs = [
        TrainingConfig(learning_rate=rate, momentum=momentum, clip_norm=clip, l1=l1, l2=l2, w_start=w, n_epochs=n)
        for rate, momentum, clip, l1, l2, w, n in [
            (1e-2, 0.0, None, 0.0, 0.0, 1.0, 300),
            (1e-3, 0.9, 1.0, 0.0, 0.1, 0.0, 400),
            (3e-2, 0.0, 5.0, 0.2, 0.0, -3.0, 17),
            (1.0, 0.0, None, 0.0, 0.0, 1.0, 500),  # diverges
        ]
    ]
    design = line_design(0.1 * T_U, T_C)
    together = descend(design, configs)
    for config, fit in zip(configs, together, strict=True):
        (alone,) = descend(design, [config])
        assert (fit.status, fit.n_epochs) == (alone.status, alone.n_epochs)
        assert fit.history.loss == pytest.approx(alone.history.loss, rel=1e-12)
        assert fit.history.params == pytest.approx(alone.history.params, rel=1e-12)
    assert [fit.status for fit in together] == [Status.EXHAUSTED] * 3 + [Status.DIVERGED]
    assert [fit.n_epochs for fit in together[:3]] == [300, 400, 17]


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(3, 60),
    options=st.sampled_from(
        [
            {"n_epochs": 300},
            {"n_epochs": 300, "momentum": 0.9},
            {"n_epochs": 300, "l1": 0.01, "l2": 0.01, "clip_norm": 1.0},
            # Adam and RMSprop divide by the gradient's own size, so near the optimum they magnify rounding without
            # bound, on rows and on factors alike: only the way there can be compared.
            {"n_epochs": 30, "optimizer": "adam"},
            {"n_epochs": 30, "optimizer": "rmsprop"},
        ]
    ),
)
def test_rows_and_their_factor_have_the_same_history(seed, rows, options):
    design = random_design(seed, rows)
    config = TrainingConfig(learning_rate=0.01, tolerance=0, **options)
    (on_rows,), (on_factor,) = descend(design, [config]), descend(compress(design), [config])
    scale = np.abs(on_rows.history.params).max()
    assert on_factor.history.loss == pytest.approx(on_rows.history.loss, rel=1e-9, abs=1e-9 * on_rows.history.loss[0])
    assert on_factor.history.params == pytest.approx(on_rows.history.params, rel=1e-9, abs=1e-9 * scale)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    optimizer=st.sampled_from(["sgd", "adam", "rmsprop"]),
    loss=st.sampled_from(["squared", "huber"]),
)
def test_a_member_does_not_depend_on_the_others(seed, optimizer, loss):
    rng = np.random.default_rng(seed)
    design = random_design(seed, rows=12, members=4)
    rates = 10 ** rng.uniform(-3, 0.5, 4)  # some diverge, some converge, some do neither
    configs = [
        TrainingConfig(learning_rate=r, n_epochs=200, optimizer=optimizer, loss=loss, huber_delta=1) for r in rates
    ]
    together = descend(design, configs)
    for i, (config, fit) in enumerate(zip(configs, together, strict=True)):
        (alone,) = descend(member(design, i), [config])
        assert (fit.status, fit.n_epochs) == (alone.status, alone.n_epochs)
        assert fit.history.params == pytest.approx(alone.history.params, rel=1e-12, abs=1e-14)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scaling=st.sampled_from(["factor", "standardize", "minmax"]))
def test_scaling_folded_back_is_the_fit_on_raw_units(seed, scaling):
    """On raw units, gradient descent preconditioned by A Aᵀ walks where plain descent walks on scaled units.

    With params_raw = fold · params_scaled the gradients obey g_scaled = foldᵀ · g_raw, so a step in scaled units is a
    step of learning_rate · fold · foldᵀ · g_raw in raw ones.
    """
    rng = np.random.default_rng(seed)
    t_u = rng.normal(20, 8, 15)
    t_c = 0.5 * t_u - 3 + rng.normal(0, 0.5, 15)
    scaled, evidence = CalibrationConfig(scaling=scaling), evidence_of(t_u, t_c)
    basis = fit_basis(evidence, scaled)[0]
    config = TrainingConfig(learning_rate=1e-2, n_epochs=100, tolerance=0)
    (fit,) = descend(compressed(evidence, fit_basis(evidence, scaled)), [config])

    x = np.stack([t_u, np.ones_like(t_u)], axis=1)
    raw = basis.fold @ [config.w_start, config.b_start]
    precondition = basis.fold @ basis.fold.T
    for k in range(101):
        assert basis.to_raw(fit.history.params[k]) == pytest.approx(raw, rel=1e-9, abs=1e-9)
        raw = raw - config.learning_rate * precondition @ (2 / 15 * x.T @ (x @ raw - t_c))


def test_one_percent_around_the_critical_learning_rate():
    """Fifty random problems below and above their own critical rate, as a hundred members of one batch."""
    design = compress(random_design(seed=7, members=50))
    critical = [make_forecast(member(design, i), CalibrationConfig()).critical_learning_rate for i in range(50)]
    twice = Design(*(np.concatenate([part, part]) for part in (design.features, design.targets, design.n_readings)))
    rates = [0.99 * rate for rate in critical] + [1.01 * rate for rate in critical]
    # 1 % above, the error grows by 1.02 per epoch: its square passes 1e308 at epoch 18,000 from an error of order 1
    fits = descend(twice, [TrainingConfig(learning_rate=rate, n_epochs=40_000, tolerance=1e-9) for rate in rates])
    assert {fit.status for fit in fits[:50]} <= {Status.CONVERGED, Status.EXHAUSTED}
    assert all(fit.loss <= fit.history.loss[0] for fit in fits[:50])
    assert [fit.status for fit in fits[50:]] == [Status.DIVERGED] * 50


def test_defaults_converge_to_the_exact_line_on_the_hardest_sane_data():
    rng = np.random.default_rng(1)
    for offset, spread in [(0.0, 1.0), (1e8, 1e-2), (-273.15, 1e-3), (1e-12, 1e-12), (0.0, 1e9)]:
        t_u = offset + spread * rng.normal(size=50)
        t_c = 20 + 3 * (t_u - offset) / spread + rng.normal(size=50)
        scale = scaling_of(t_u, CalibrationConfig())
        design = line_design(scale.apply(t_u), t_c)
        (fit,) = descend(design, [TrainingConfig()])
        best = np.linalg.lstsq(design.features[0], design.targets[0], rcond=None)[0]
        assert fit.status is Status.CONVERGED
        assert fit.params == pytest.approx(best, rel=1e-9)


def test_history_belongs_to_the_states_it_says():
    (fit,) = descend(line_design(0.1 * T_U, T_C), [TrainingConfig(learning_rate=1e-2, n_epochs=50, tolerance=0)])
    residual = fit.history.params[:, :1] * (0.1 * T_U) + fit.history.params[:, 1:] - T_C
    assert fit.history.loss == pytest.approx((residual**2).mean(axis=1), rel=1e-12)
    assert fit.history.gradient[:, 1] == pytest.approx(2 * residual.mean(axis=1), rel=1e-9)
    assert len(fit.history) == 51
    assert fit.n_epochs == 50


def history_of(updates: np.ndarray) -> History:
    return History(updates, np.zeros((len(updates), 2)), np.zeros(len(updates)), np.zeros((len(updates), 2)))


@pytest.mark.parametrize("n_states", [1, 5, 300, 301, 100_001])
def test_sample_of_the_history_has_its_ends_and_no_repeats(n_states):
    states = history_of(np.arange(n_states)).sample(300)
    assert states[0] == 0
    assert states[-1] == n_states - 1
    assert len(states) <= 300
    assert (np.diff(states) > 0).all()


@pytest.mark.parametrize("keep", [None, 2000])
def test_sample_is_even_in_updates_even_where_the_history_was_thinned(keep):
    """300 points on five decades lie 1e5^(1/299) = 1.039 apart; of 2000 states kept, some 1.006 apart, the nearest."""
    updates = np.arange(100_001) if keep is None else log_spaced(100_001, keep)
    sampled = updates[history_of(updates).sample(300)] + 1
    assert (sampled[0], sampled[-1], len(sampled) <= 300) == (1, 100_001, True)
    late = sampled[sampled > 300]
    assert (late[1:] / late[:-1]).max() < 1.039 * 1.006**2


@settings(max_examples=20, deadline=None)
@given(
    rates=st.lists(st.floats(-3.0, 0.0), min_size=1, max_size=4),
    n_epochs=st.lists(st.integers(1, 2500), min_size=4, max_size=4),
    keep=st.integers(2, 80),
    stop_after=st.sampled_from([None, 1, 3, 700]),
    model=st.sampled_from(["line", "mlp"]),
    goal=st.sampled_from([-np.inf, 0.0, 2.94, 25.0, 1e4]),
)
def test_a_thinned_history_ends_as_the_whole_one_does(rates, n_epochs, keep, stop_after, model, goal):
    """Rates from far below to thirty times the line's critical 0.033: some members diverge, some converge (to a
    tolerance that a few hundred epochs reach), some are stopped, some use up their epochs."""
    design = build_design(0.1 * T_U, T_C)
    configs = [
        TrainingConfig(model=model, hidden="3", learning_rate=10**rate, n_epochs=n, tolerance=1e-4, l2=0.01)
        for rate, n in zip(rates, n_epochs, strict=False)
    ]

    def stop(block: Block) -> bool:
        return stop_after is not None and block.first + len(block.loss) >= stop_after

    whole_fits = descend(design, configs, stop, goals=goal)
    thin_fits = descend(design, configs, stop, keep=keep, goals=goal)
    for whole, thin, config in zip(whole_fits, thin_fits, configs, strict=True):
        for name in ("status", "n_epochs", "diverged_at", "close_at", "loss"):
            assert getattr(thin, name) == getattr(whole, name), name
        assert thin.params.tolist() == whole.params.tolist()
        assert whole.history.updates.tolist() == list(range(len(whole.history)))
        kept = thin.history.updates
        assert (kept[0], kept[-1]) == (0, whole.n_epochs)
        assert (np.diff(kept) > 0).all()
        assert len(kept) <= keep
        assert set(kept[:-1]) <= set(log_spaced(config.n_epochs + 1, keep))
        for name in ("params", "loss", "gradient"):
            assert getattr(thin.history, name).tolist() == getattr(whole.history, name)[kept].tolist(), name
        reached = whole.history.loss <= goal
        assert whole.close_at == (1 + int(np.argmax(reached)) if reached.any() else None)


def test_every_way_to_end_is_among_those_that_thinning_keeps():
    """What the property above is worth: its ranges hold every status."""
    design = build_design(0.1 * T_U, T_C)
    rates = {0.5: Status.DIVERGED, 0.03: Status.CONVERGED, 0.001: Status.EXHAUSTED}
    configs = [TrainingConfig(learning_rate=rate, n_epochs=2500, tolerance=1e-4, l2=0.01) for rate in rates]
    fits = descend(design, configs, keep=20)
    assert [fit.status for fit in fits] == list(rates.values())
    assert fits[0].diverged_at == fits[0].history.updates[-1] + 2


def test_an_overflowing_loss_at_the_start_is_refused_even_where_the_gradient_is_none():
    """The residuals 1e160, -2e160, 1e160 are orthogonal to both terms; their squares are beyond float64."""
    with pytest.raises(SettingsError, match="not finite at the start"):
        descend(build_design(np.array([-1.0, 0.0, 1.0]), np.array([1e160, -2e160, 1e160])), [TrainingConfig()])


def test_on_epochs_sees_every_state_once_and_can_stop():
    seen = []

    def look(block):
        assert np.isfinite(block.loss).all()
        seen.extend(range(block.first, block.first + len(block.loss)))
        return len(seen) > 100

    (fit,) = descend(line_design(0.1 * T_U, T_C), [TrainingConfig(learning_rate=1e-2, tolerance=0)], look)
    assert fit.status is Status.STOPPED
    assert seen == list(range(len(seen)))
    assert len(fit.history) == len(seen)


def test_structure_must_be_shared():
    design = line_design(T_U, T_C)
    with pytest.raises(SettingsError, match="must share"):
        descend(design, [TrainingConfig(), TrainingConfig(optimizer="adam")])


def test_a_start_that_overflows_is_refused():
    with pytest.raises(SettingsError, match="float64"):
        descend(line_design(1e25 * T_U, T_C), [TrainingConfig(dtype="float32")])


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a machine without a GPU")
def test_missing_gpu_is_told():
    with pytest.raises(SettingsError, match='`device="cpu"`'):
        descend(line_design(T_U, T_C), [TrainingConfig(device="cuda")])
