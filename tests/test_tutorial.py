"""The tutorial's numbers, reproduced: every row of the design's table, in float32 and in float64.

Pedigree of the literals: the book's printed epochs (float32) and the design's table, which was computed by
implementations other than this one. The exact line is rational arithmetic on the eleven pairs.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

import tempfit
from tempfit.config import CalibrationConfig
from tempfit.descent.forecast import make_forecast
from tempfit.descent.history import Fit
from tempfit.words import Status
from tests.conftest import T_C, T_U
from tests.tools import descend, line_design, scaling_of

RAW = {"scaling": "none"}
TENTH = {"scaling": "factor", "factor": 0.1}
DTYPES = ["float32", "float64"]


def fit(n_epochs: int, **settings) -> Fit:
    config = CalibrationConfig(n_epochs=n_epochs, tolerance=0, **settings)
    design = line_design(scaling_of(T_U, config).apply(T_U), T_C)
    (result,) = descend(design, [config])
    return result


class Printed:
    """A number as printed: equal to what lies within half its last digit, and the 1e-5 that float32 codes differ by."""

    def __init__(self, text: str):
        mantissa, _, exponent = text.partition("e")
        self.value = float(text)
        self.slack = 0.5 * 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2])) + 1e-5 * abs(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and abs(other - self.value) <= self.slack

    def __repr__(self) -> str:
        return f"{self.value} ± {self.slack:.2g}"


def check(result: Fit, losses: dict[int, str], params: dict[int, tuple[str, str]]) -> None:
    """losses: epoch → loss before its update. params: epoch → (w, b) after its update; as printed."""
    for epoch, text in losses.items():
        assert result.history.loss[epoch - 1] == Printed(text), epoch
    for epoch, texts in params.items():
        assert list(result.history.params[epoch]) == [Printed(text) for text in texts], epoch


@pytest.mark.parametrize("dtype", DTYPES)
def test_start(dtype):
    result = fit(1, learning_rate=1e-2, dtype=dtype, **RAW)
    assert result.history.loss[0] == Printed("1763.8846")
    assert list(result.history.gradient[0]) == [Printed("4517.2969"), Printed("82.6000")]


@pytest.mark.parametrize("dtype", DTYPES)
def test_raw_at_1e_2_explodes(dtype):
    result = fit(200, learning_rate=1e-2, dtype=dtype, **RAW)
    check(
        result,
        {1: "1763.8846", 2: "5802485.5", 3: "1.94080e10", 10: "9.0901e34"},
        {1: ("-44.1730", "-0.8260"), 2: ("2568.4", "45.16")},
    )
    assert result.status is Status.DIVERGED
    assert result.diverged_at == {"float32": 11, "float64": 88}[dtype]
    assert np.isfinite(result.history.loss).all()
    assert np.isfinite(result.history.params).all()


@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.integration), "float64"])
def test_raw_at_1e_4_crawls(dtype):
    result = fit(100_000, learning_rate=1e-4, dtype=dtype, **RAW)
    losses = {
        2: "323.0905",
        3: "78.9296",
        10: "29.1052",
        100: "29.02267",
        1000: "28.2130",
        5000: "24.9077",
        10_000: "21.3770",
    }
    losses[100_000] = "3.7167"
    check(
        result,
        losses,
        {
            1: ("0.5483", "-0.0083"),
            100: ("0.2327", "-0.0438"),
            10_000: ("0.28112", "-2.79110"),
            100_000: ("0.48390", "-14.30322"),
        },
    )
    assert result.status is Status.EXHAUSTED


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_tenth_at_1e_2_is_cured(dtype):
    result = fit(10_000, learning_rate=1e-2, dtype=dtype, **TENTH)
    losses = {
        1: "80.3643",
        2: "37.5749",
        10: "29.0305",
        100: "22.1487",
        500: "7.8601",
        1000: "3.8285",
        5000: "2.927647",
    }
    losses[10_000] = "2.9276456"
    check(result, losses, {1: ("1.7761", "0.1064"), 100: ("2.7553", "-2.5162"), 5000: ("5.3671", "-17.3012")})
    if dtype == "float64":  # float32 stalls a little before
        assert result.params == pytest.approx([5.36772, -17.30478], abs=6e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_adam_at_1e_1_on_raw_readings(dtype):
    result = fit(2000, learning_rate=1e-1, optimizer="adam", dtype=dtype, **RAW)
    check(result, {500: "7.6129", 1000: "3.0867", 2000: "2.927646"}, {2000: ("0.5367", "-17.3021")})


@pytest.mark.parametrize(
    ("settings", "final_loss"),
    [
        (RAW | {"learning_rate": 1e-2, "clip_norm": 1}, 17.56),
        (RAW | {"learning_rate": 1e-2, "optimizer": "rmsprop"}, 3.004),
        (RAW | {"learning_rate": 1e-4, "momentum": 0.9}, 7.474),
    ],
    ids=["clipping", "rmsprop", "momentum"],
)
def test_what_remedies_reach_in_5000_epochs(settings, final_loss):
    assert fit(5000, **settings).loss == pytest.approx(final_loss, rel=2.5e-4)  # printed with 4 digits


def test_l2_does_not_stop_the_explosion():
    assert fit(5000, learning_rate=1e-2, l2=0.01, **RAW).diverged_at == 88


@pytest.mark.parametrize(
    ("settings", "epoch"),
    [
        (RAW | {"learning_rate": 1e-1, "optimizer": "adam"}, 1404),
        ({"scaling": "minmax", "learning_rate": 1e-1}, 432),
        ({"scaling": "standardize", "learning_rate": 0.5}, 2),  # after one update
    ],
    ids=["adam", "minmax", "standardize"],
)
def test_epoch_that_reports_a_loss_within_a_thousandth_of_the_lowest(settings, epoch):
    lowest = 2.92764557089563972
    assert 1 + np.argmax(fit(5000, **settings).history.loss <= 1.001 * lowest) == epoch


def exact_by_fractions() -> tuple[Fraction, Fraction, Fraction]:
    """w, b and loss in rational arithmetic, from the normal equations."""
    x = [Fraction(str(value)) for value in T_U.tolist()]
    y = [Fraction(str(value)) for value in T_C.tolist()]
    n, sx, sy = len(x), sum(x), sum(y)
    sxx, sxy = sum(a * a for a in x), sum(a * c for a, c in zip(x, y, strict=True))
    w = (n * sxy - sx * sy) / (n * sxx - sx * sx)
    b = (sy - w * sx) / n
    return w, b, sum((w * a + b - c) ** 2 for a, c in zip(x, y, strict=True)) / n


@pytest.mark.parametrize("scaling", ["none", "factor", "standardize", "minmax"])
def test_exact_solution_to_twelve_digits(scaling):
    exact = tempfit.calibrate(T_U, T_C, scaling=scaling).exact
    w, b, loss = exact_by_fractions()
    assert (w, b) == (Fraction(152075, 283314), Fraction(-2451344, 141657))
    assert exact.w == pytest.approx(float(w), rel=1e-12)
    assert exact.b == pytest.approx(float(b), rel=1e-12)
    assert exact.loss == pytest.approx(float(loss), rel=1e-12)
    assert exact.loss == pytest.approx(2.92764557089563972, rel=1e-12)
    assert exact.degrees_of_freedom == 9
    assert exact.residual_sd == pytest.approx(1.89162191664695914, rel=1e-12)
    assert exact.u_w == pytest.approx(0.0355386003267285, rel=1e-12)
    assert exact.u_b == pytest.approx(1.92722725958692839, rel=1e-12)
    assert exact.correlation == pytest.approx(-0.955206236195554, rel=1e-12)
    assert exact.r_squared == pytest.approx(0.962045844101530, rel=1e-12)
    assert exact.predict(50.0) == pytest.approx(9.533810542, rel=1e-9)
    assert exact.u_mean(50.0) == pytest.approx(0.573922, rel=1e-6)
    assert exact.u_prediction(50.0) == pytest.approx(1.976770, rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "eigenvalues", "critical", "condition"),
    [
        (RAW, (0.175108, 5883.42126), 3.39938e-4, 33598.9),
        (TENTH, (0.169876, 60.6460874), 0.0329782, 357.0),
        ({"scaling": "standardize"}, (2.0, 2.0), 1.0, 1.0),
    ],
    ids=["raw", "a tenth", "standardized"],
)
def test_stability_table(settings, eigenvalues, critical, condition):
    config = CalibrationConfig(**settings)
    design = line_design(scaling_of(T_U, config).apply(T_U), T_C)
    forecast = make_forecast(design, config)
    assert forecast.eigenvalues == pytest.approx(eigenvalues, rel=3e-6)  # the table has 6 digits
    assert forecast.critical_learning_rate == pytest.approx(critical, rel=3e-6)
    assert forecast.condition_number == pytest.approx(condition, rel=2e-5)


def test_hessian_is_that_of_the_loss_by_autograd():
    x, y = torch.from_numpy(T_U), torch.from_numpy(T_C)
    by_autograd = torch.autograd.functional.hessian(
        lambda params: ((params[0] * x + params[1] - y) ** 2).mean(), torch.tensor([1.0, 0.0], dtype=torch.float64)
    )
    forecast = make_forecast(line_design(T_U, T_C), CalibrationConfig(**RAW))
    # eigvalsh loses the digits of the smaller one to the condition number, 3.4e4
    assert forecast.eigenvalues == pytest.approx(np.linalg.eigvalsh(by_autograd.numpy()), rel=1e-11)
