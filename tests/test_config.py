"""Settings: one declaration, with unit, bounds and a description for each."""

from __future__ import annotations

import pytest

from tempfit.config import CalibrationConfig, parse_config, read_settings_file
from tempfit.errors import SettingsError


def test_every_setting_says_what_it_is():
    for name, field in CalibrationConfig.model_fields.items():
        assert field.description is not None, name
        assert field.description.endswith("."), name


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 0}, "file.toml: learning_rate: should be greater than 0, got 0"),
        ({"learning_rate": float("inf")}, "file.toml: learning_rate: should be a finite number, got inf"),
        ({"n_epochs": 2.5}, "n_epochs: should be a valid integer, got a number with a fractional part, got 2.5"),
        ({"scaling": "log"}, "scaling: should be 'none', 'factor', 'standardize' or 'minmax', got 'log'"),
        ({"factor": -1, "l1": -1}, "factor: should be greater than 0, got -1; l1: should be greater than or equal"),
        ({"lr": 1}, "file.toml: lr: no such setting"),
        ({"optimizer": "adam", "momentum": 0.9}, "momentum is for sgd and rmsprop"),
        ({"x": "a", "y": "a"}, "x and y name the same column 'a'"),
    ],
)
def test_bad_values_are_named(values, message):
    with pytest.raises(SettingsError) as caught:
        parse_config(values, source="file.toml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_config_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        CalibrationConfig().learning_rate = 1.0


def test_hyperparameters_are_all_but_where_the_run_is_filed():
    names = set(CalibrationConfig().hyperparameters())
    assert set(CalibrationConfig.model_fields) - names == {"mlruns", "experiment"}


def test_settings_files(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text('scaling = "factor"\nfactor = 0.1\n')
    assert parse_config(read_settings_file(path)).factor == 0.1
    for content in (b"scaling = ", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(SettingsError, match=r"settings\.toml: not a readable TOML settings file"):
            read_settings_file(path)
    with pytest.raises(SettingsError, match="No such file"):
        read_settings_file(tmp_path / "nowhere.toml")
