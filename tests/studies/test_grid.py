"""Axes and grids: what is read, what is tried once, what is refused before anything runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tempfit
from tempfit.choices import SWITCHES, override, refuse_idle, settings_in_play
from tempfit.config import CalibrationConfig, ReadingsConfig, UncertaintyConfig
from tempfit.errors import SettingsError
from tempfit.readings.paired import Readings
from tempfit.studies.grid import MOST_TRIALS, SWEPT, make_grid, parse_axis
from tempfit.studies.outlook import make_outlook
from tempfit.studies.presets import PRESETS, preset_grid
from tests.conftest import T_C, T_U

BASE = CalibrationConfig()


@given(low=st.floats(1e-8, 1.0), factor=st.floats(10.1, 1e6), n=st.integers(2, 60))
def test_a_wide_range_is_spaced_on_a_log_axis(low, factor, n):
    high = low * factor
    values = parse_axis(f"learning_rate={low!r}..{high!r}:{n}").values
    assert values == pytest.approx(np.geomspace(low, high, n), rel=1e-9)


@given(low=st.floats(0.0, 0.1), high=st.floats(0.2, 0.99), n=st.integers(2, 30))
def test_a_range_that_starts_at_zero_or_is_narrow_is_linear(low, high, n):
    assert parse_axis(f"momentum=0..{high!r}:{n}").values == pytest.approx(np.linspace(0, high, n), rel=1e-9)
    assert parse_axis(f"momentum={low!r}..{high!r}:{n}:lin").values == pytest.approx(
        np.linspace(low, high, n), rel=1e-9, abs=1e-12
    )


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("learning_rate=1e-2,0.5", (0.01, 0.5)),
        ("learning-rate=1e-2", (0.01,)),
        ("scaling=none, standardize", ("none", "standardize")),  # here none is a value, not an absence
        ("clip_norm=none,1,10", (None, 1.0, 10.0)),
        ("n_epochs=1..1000:4", (1, 10, 100, 1000)),
        ("degree=1..5:9", (1, 2, 3, 4, 5)),  # each integer once
        ("hidden=13,16x16", ("13", "16x16")),
        ("learning_rate=1e-2..2e-2:3:log", (0.01, 0.0141421356237, 0.02)),
        ("optimizer=sgd,sgd,adam", ("sgd", "adam")),
    ],
)
def test_axes(text, values):
    assert parse_axis(text).values == values


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("learnin_rate=1,2", "did you mean learning_rate?"),
        ("lr=1,2", "no such setting as 'lr'; did you mean learning_rate?"),
        ("colour=red", "no such setting as 'colour'"),
        ("x=a,b", "x is no hyperparameter; give it once, as `x`"),
        ("mlruns=a,b", "give it once, as `mlruns`"),
        ("learning_rate", "write SETTING=VALUES"),
        ("=1,2", "write SETTING=VALUES"),
        ("learning_rate=", "no values"),
        ("learning_rate=1e-1..1e-3:5", "an empty range"),
        ("learning_rate=1e-3..1e-3:5", "an empty range"),
        ("learning_rate=1e-3..1e-1", "a range is LOW..HIGH:N"),
        ("learning_rate=a..b:3", "a range is LOW..HIGH:N"),
        ("learning_rate=1e-3..1e-1:1", "2 to 20,000 values, not 1"),
        ("learning_rate=1e-3..1e-1:5:cubic", "spacing is log"),
        ("momentum=0..0.9:5:log", "spacing is log"),
        ("learning_rate=1e-3,fast", "'fast' is no number"),
        ("momentum=0.5,1.5", "should be less than 1"),
        ("optimizer=sgd,lbfgs", "'lbfgs' is not one of sgd, adam, rmsprop"),
        ("learning_rate=none,1", "'none' is no number"),
        ("folds=1,5", "one fold leaves nothing"),
        ("hidden=13,9999x9999", "no more than 10,000"),
        ("holdout_rows=2,10", "give it once, as `holdout_rows`"),
    ],
)
def test_bad_axes_are_refused_with_one_line_that_says_what_to_do(text, words):
    with pytest.raises(SettingsError) as caught:
        make_grid(BASE, [text])
    assert words in str(caught.value)
    assert str(caught.value).startswith("`grid`")
    assert "\n" not in str(caught.value)


def test_every_combination_the_first_axis_slowest():
    grid = make_grid(BASE, ["learning_rate=0.1,0.2", "scaling=none,minmax"])
    chosen = [(trial.config.learning_rate, trial.config.scaling) for trial in grid.trials]
    assert chosen == [(0.1, "none"), (0.1, "minmax"), (0.2, "none"), (0.2, "minmax")]
    assert grid.trials[0].name == "learning_rate 0.1, scaling none"


def test_combinations_that_contradict_themselves_are_left_out_and_counted():
    grid = make_grid(BASE, ["optimizer=sgd,adam", "momentum=0,0.5,0.9"])
    assert len(grid.trials) == 4
    assert len(grid.left_out) == 2
    with pytest.raises(SettingsError, match=r"no combination of these values can be tried: .*momentum"):
        make_grid(BASE, ["optimizer=adam", "momentum=0.5,0.9"])
    with pytest.raises(SettingsError, match="two axes"):
        make_grid(BASE, ["momentum=0.5", "momentum=0.9"])


def test_settings_that_play_no_part_make_no_further_trials():
    grid = make_grid(BASE, ["scaling=none,factor", "factor=0.1,0.5"])
    assert [(t.config.scaling, t.config.factor) for t in grid.trials] == [
        ("none", 0.1),
        ("factor", 0.1),
        ("factor", 0.5),
    ]
    grid = make_grid(BASE, ["model=line,polynomial,mlp", "degree=2,3", "activation=tanh,relu", "seed=0,1"])
    n_by_model = {m: sum(t.config.model == m for t in grid.trials) for m in ("line", "polynomial", "mlp")}
    assert n_by_model == {"line": 1, "polynomial": 2, "mlp": 4}


def test_names_tell_close_values_apart():
    """Twelve learning rates around a border share their first three digits."""
    grid = make_grid(BASE, ["learning_rate=3.38e-4..3.402e-4:12:lin"])
    assert len({trial.name for trial in grid.trials}) == 12
    (axis,) = grid.axes
    assert [axis.write(value) for value in axis.values[:2]] == ["3.38e-4", "3.382e-4"]
    plain = make_grid(BASE, ["scaling=none,factor", "factor=0.1,0.5"])
    assert [trial.name for trial in plain.trials] == [
        "scaling none",
        "scaling factor, factor 0.1",
        "scaling factor, factor 0.5",
    ]


def test_more_than_a_limit_are_refused_unless_agreed():
    texts = ["learning_rate=1e-4..1e-1:101", "momentum=0..0.9:10"]
    assert math.prod(len(parse_axis(text).values) for text in texts) > MOST_TRIALS
    with pytest.raises(SettingsError, match=r"1,010 configurations are more than 1,000: .*`yes=True`"):
        make_grid(BASE, texts)
    assert len(make_grid(BASE, texts, agreed=True).trials) == 1010
    with pytest.raises(SettingsError, match="more than 20,000"):
        make_grid(BASE, ["learning_rate=1e-4..1e-1:1001", "momentum=0..0.9:1001"], agreed=True)


def test_every_hyperparameter_can_be_swept():
    not_swept = {"holdout_rows", *ReadingsConfig.model_fields, *UncertaintyConfig.model_fields}
    assert set(BASE.hyperparameters()) - SWEPT == not_swept


def test_what_is_off_plays_no_part_unless_it_was_varied():
    defaults = BASE.hyperparameters()
    assert not any(defaults[name] for name in SWITCHES)  # 0, none or no: as if it were not there
    assert not set(SWITCHES) & set(settings_in_play(BASE))
    assert settings_in_play(BASE, always=["l1", "factor"]).keys() - settings_in_play(BASE).keys() == {"l1"}
    assert settings_in_play(CalibrationConfig(l1=0.1))["l1"] == 0.1
    assert "seed" in settings_in_play(CalibrationConfig(folds=3))  # whose 0 is a seed as good as others


def test_presets_are_distinct_configurations_over_the_base():
    grid = preset_grid("tutorial", CalibrationConfig(experiment="mine", x_unit="mV"))
    assert {(trial.config.experiment, trial.config.x_unit) for trial in grid.trials} == {("mine", "mV")}
    with pytest.raises(SettingsError, match="leave out `clip_norm`, `n_epochs`"):
        preset_grid("tutorial", CalibrationConfig(clip_norm=1.0, n_epochs=10))
    assert len({trial.config for trial in grid.trials}) == len(grid.trials) == len(PRESETS["tutorial"])


@pytest.mark.parametrize(
    ("settings", "belongs"),
    [
        ({"degree": 3}, '`degree` plays no part: it belongs to `model="polynomial"`'),
        ({"hidden": "13x13"}, '`hidden` plays no part: it belongs to `model="mlp"`'),
        ({"activation": "relu"}, "`activation` plays no part"),
        ({"factor": 0.01}, '`factor` plays no part: it belongs to `scaling="factor"`'),
        ({"huber_delta": 2.0}, '`huber_delta` plays no part: it belongs to `loss="huber"`'),
        ({"seed": 3}, "`seed` plays no part"),
        ({"model": "mlp", "w_start": 2.0}, "`w_start` plays no part: it belongs to a line or a polynomial"),
    ],
    ids=str,
)
def test_settings_that_play_no_part_are_refused_and_named_with_what_they_belong_to(settings, belongs):
    config = CalibrationConfig(**settings)
    for refused in (
        lambda: refuse_idle(config),
        lambda: tempfit.calibrate((T_U, T_C), **settings),
        lambda: make_outlook(Readings(T_U, T_C), config) if config.model == "line" else refuse_idle(config),
        lambda: make_grid(config, ["learning_rate=0.1,0.2"]),
    ):
        with pytest.raises(SettingsError) as caught:
            refused()
        assert str(caught.value).startswith(belongs)


def test_what_plays_a_part_somewhere_is_taken():
    refuse_idle(CalibrationConfig(**CalibrationConfig().model_dump()))  # written out whole, and read back
    refuse_idle(CalibrationConfig(degree=2, huber_delta=None, factor=0.1))  # the defaults' values
    assert len(make_grid(CalibrationConfig(degree=3), ["model=line,polynomial"]).trials) == 2
    assert len(make_grid(CalibrationConfig(factor=0.2), ["scaling=none,factor"]).trials) == 2
    with pytest.raises(SettingsError, match="`degree` plays no part"):
        make_grid(CalibrationConfig(), ["degree=2,3"])


def test_what_is_given_overrides_and_takes_what_belongs_to_the_overridden_along():
    lab = CalibrationConfig(model="polynomial", degree=3, learning_rate=0.1)
    assert override(lab, {"model": "line"}) == {"model": "line", "learning_rate": 0.1}
    assert override(lab, {"degree": 4})["degree"] == 4
    with pytest.raises(SettingsError, match="`factor` plays no part"):
        tempfit.calibrate((T_U, T_C), lab, factor=0.2)
    with pytest.raises(SettingsError, match="`degree` plays no part"):
        override(CalibrationConfig(degree=3), {"model": "polynomial"})
