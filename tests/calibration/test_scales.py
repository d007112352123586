"""Which known scales a thermometer is compatible with: the constants, the test by other ways, what it does not tell."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from scipy.constants import convert_temperature

from tempfit.calibration.pipeline import calibrate
from tempfit.calibration.recording import record_of
from tempfit.calibration.scales import KNOWN, Scale, identify
from tempfit.report.summary import describe_scales, summary
from tests.conftest import T_C, T_U


def found(curve) -> dict[str, Scale]:
    return {scale.symbol: scale for scale in identify(curve)}


@pytest.mark.parametrize("symbol", ["°C", "°F", "K", "°R"])
def test_the_constants_are_those_of_scipy(symbol):
    name, w, b = KNOWN[symbol]
    for t in (-40.0, 0.0, 100.0, 671.67):
        assert w * t + b == pytest.approx(convert_temperature(t, name, "Celsius"), rel=1e-12, abs=1e-12)


def test_water_boils_at_80_degrees_of_reaumur():
    _, w, b = KNOWN["°Ré"]
    assert (w * 0 + b, w * 80 + b) == (0, 100)


def exact_f(symbol: str) -> Fraction:
    """F of the tutorial's readings from raw sums in rational arithmetic, by the extra sum of squares.

    The sum of squares about the scale's line less that about the best line, over 2 s².
    """
    w, b = {"°F": (Fraction(5, 9), Fraction(-160, 9)), "°C": (Fraction(1), Fraction(0))}[symbol]
    x, y = ([Fraction(str(value)) for value in values] for values in (T_U, T_C))
    n, sx, sy = len(x), sum(x), sum(y)
    sxx, sxy = sum(v * v for v in x), sum(u * v for u, v in zip(x, y, strict=True))
    slope = (n * sxy - sx * sy) / (n * sxx - sx * sx)
    start = (sy - slope * sx) / n

    def squares(slope, start):
        return sum((v - slope * u - start) ** 2 for u, v in zip(x, y, strict=True))

    rss = squares(slope, start)
    return (squares(w, b) - rss) / 2 / (rss / (n - 2))


def test_the_tutorial_thermometer_is_in_fahrenheit():
    result = calibrate((T_U, T_C))
    best, *others = result.scales
    assert (best.name, best.symbol, best.compatible) == ("Fahrenheit", "°F", True)
    assert (best.w, best.b) == (5 / 9, -160 / 9)
    assert best.statistic == pytest.approx(float(exact_f("°F")), rel=1e-10)
    assert best.statistic == pytest.approx(0.52394602665, rel=1e-10)
    assert best.p == pytest.approx(scipy.stats.f.sf(0.52394602665, 2, 9), rel=1e-10)
    assert best.p == pytest.approx(0.609191688, rel=1e-8)
    assert not any(scale.compatible for scale in others)
    assert {scale.symbol for scale in others} == {"°C", "K", "°R", "°Ré"}
    assert [scale.p for scale in others] == sorted((scale.p for scale in others), reverse=True)
    celsius = found(result.exact)["°C"]
    assert celsius.statistic == pytest.approx(float(exact_f("°C")), rel=1e-10)
    assert celsius.p == pytest.approx(scipy.stats.f.sf(celsius.statistic, 2, 9), rel=1e-8)


@pytest.mark.parametrize("t0", [0.0, 50.0, -1e4])
@pytest.mark.parametrize("symbol", ["°F", "K", "°Ré"])
def test_neither_a_reference_point_nor_far_readings_cost_digits(symbol, t0):
    """Against the raw covariance, where that can be inverted; and the same readings a million further off are told."""
    rng = np.random.default_rng(1)
    _, w, b = KNOWN[symbol]
    t_c = np.linspace(-20, 90, 30)
    curve = calibrate(((t_c - b) / w + rng.normal(size=30), t_c), t0=t0).exact
    scale = found(curve)[symbol]
    raw = curve.about(0.0)
    off = raw.coefficients - np.array([w, b])
    assert scale.statistic == pytest.approx(off @ np.linalg.solve(raw.covariance, off) / 2, rel=1e-5)
    far = replace(curve, basis=replace(curve.basis, scaling=replace(curve.basis.scaling, center=1e6)))
    assert not any(scale.compatible for scale in identify(far))


def test_what_all_references_have_in_common_widens_it():
    """Readings in °F whose references are all 3 K too high: told apart from °F, unless such an error is allowed for."""
    rng = np.random.default_rng(2)
    t_u = np.linspace(30, 200, 20)
    data = t_u, (t_u - 32) / 1.8 + 3 + rng.normal(scale=0.5, size=20)
    assert not found(calibrate(data).exact)["°F"].compatible
    curve = calibrate(data, u_common=2.0).exact
    scale = found(curve)["°F"]
    assert scale.compatible
    raw = curve.about(0.0)
    off = raw.coefficients - np.array(KNOWN["°F"][1:])
    assert scale.statistic == pytest.approx(off @ np.linalg.solve(raw.covariance, off) / 2, rel=1e-8)


def test_stated_uncertainties_take_chi_squared():
    import pandas as pd

    frame = pd.DataFrame({"t_u": T_U, "t_c": T_C, "u_c": np.full(11, 2.0)})
    scale = found(calibrate(frame).exact)["°F"]
    s = calibrate((T_U, T_C)).exact.observation_sd
    assert scale.statistic == pytest.approx(0.52394602665 * s**2 / 4, rel=1e-9)
    assert scale.p == pytest.approx(scipy.stats.chi2.sf(2 * scale.statistic, 2), rel=1e-12)


@pytest.mark.integration
def test_p_is_uniform_for_thermometers_in_fahrenheit():
    """2,000 calibrations, of which only the readings' noise differs; one solution is found for all of them at once."""
    rng = np.random.default_rng(3)
    t_u = rng.uniform(20, 90, 11)
    curve = calibrate((t_u, (t_u - 32) / 1.8 + rng.normal(size=11))).exact
    features = curve.basis.features(t_u)
    t_c = (t_u - 32) / 1.8 + rng.normal(scale=1.5, size=(2000, 11))
    params = t_c @ np.linalg.pinv(features).T
    sd = np.sqrt(((t_c - params @ features.T) ** 2).sum(axis=1) / 9)
    members = [replace(curve, params=p, observation_sd=float(s)) for p, s in zip(params, sd, strict=True)]
    scales = [found(member)["°F"] for member in members]
    p = np.array([scale.p for scale in scales])
    assert scipy.stats.kstest(p, "uniform").pvalue > 0.001
    n_rejected = sum(not scale.compatible for scale in scales)
    assert scipy.stats.binomtest(n_rejected, 2000, 0.05).pvalue > 0.001


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        ((T_U, 2 * T_U), {}),  # perfect
        ((T_U, np.full(11, 7.0)), {}),
        ((T_U, (T_U - 32) / 1.8), {}),
        ((T_U, T_C), {"model": "polynomial"}),
        ((T_U, T_C), {"model": "mlp", "n_epochs": 2}),
        ((T_U, T_C + 273.15), {"y_unit": "K"}),
    ],
    ids=["perfect", "flat", "perfect in °F", "polynomial", "mlp", "references in K"],
)
def test_there_is_no_say_on(data, settings):
    result = calibrate(data, **settings)
    assert result.scales == ()
    assert record_of(result).scales == ()
    assert "scale" not in dict(summary(record_of(result)))


def test_the_descent_has_no_say_in_it_and_huber_does():
    expected = calibrate((T_U, T_C)).scales
    raw = {"scaling": "none"}
    assert calibrate((T_U, T_C), **raw, learning_rate=1e-4).scales == expected  # it crawls
    for n_epochs in (10, 5000):  # it is diverging, and it has overflowed: there is no line to say it of
        assert calibrate((T_U, T_C), **raw, learning_rate=1e-2, n_epochs=n_epochs).scales == ()
    outlier = T_C.copy()
    outlier[3] += 40
    result = calibrate((T_U, outlier), loss="huber")
    robust, plain = result.scales, calibrate((T_U, outlier)).scales
    at_its_end = found(result.curve)  # where the descent arrived, at Huber's optimum
    assert [scale.statistic for scale in robust] == pytest.approx(
        [at_its_end[scale.symbol].statistic for scale in robust], rel=1e-6
    )
    assert (robust[0].symbol, plain[0].symbol) == ("°F", "°F")
    assert robust[0].p > 0.5 > 0.2 > plain[0].p  # near the 0.61 without the outlier, which Huber's loss weighs less


def test_it_is_said_where_the_unit_is_unknown():
    lines = dict(summary(record_of(calibrate((T_U, T_C)))))
    assert lines["scale"] == "compatible with °F (Fahrenheit): F = 0.524, p = 0.609; not with °C, K, °R, °Ré"
    assert "scale" not in dict(summary(record_of(calibrate((T_U, T_C), x_unit="°F"))))
    assert dict(summary(record_of(calibrate((3 * T_U, T_C)))))["scale"] == (
        "compatible with none of °C, °F, K, °R, °Ré (name a unit that is known by `x_unit`)"
    )
    entry = record_of(calibrate((T_U, T_C))).as_dict()["scales"][0]
    assert list(entry) == ["scale", "symbol", "w", "b", "F", "p", "compatible"]
    assert (entry["scale"], entry["F"]) == ("Fahrenheit", pytest.approx(0.524, abs=5e-4))


def test_more_than_one_scale_is_told():
    """With few and rough readings near 0, where °C and °Ré hardly differ."""
    scales = record_of(calibrate(([-20.0, -3.0, 4.0, 19.0], [-25.0, -1.0, 2.0, 23.0]))).scales
    text = describe_scales(scales)
    assert [scale.symbol for scale in scales if scale.compatible] == ["°Ré", "°C"]
    assert text.startswith("compatible with °Ré (Réaumur): F = ")
    assert "; °C (Celsius): F = " in text
    assert text.endswith("; not with °F, K, °R")
