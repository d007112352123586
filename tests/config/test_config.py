"""Settings: one declaration, with unit, bounds and a description for each."""

from __future__ import annotations

import pytest
from prefect.utilities.callables import parameter_schema

from flows.calibrate import calibrate
from tempfit.choices import parse_config, read_settings_file
from tempfit.config import CalibrationConfig
from tempfit.errors import SettingsError
from tempfit.settings import BOUNDS
from tempfit.wording import format_limit


def test_every_setting_says_what_it_is():
    for name, field in CalibrationConfig.model_fields.items():
        assert field.description is not None, name
        assert field.description.endswith("."), name


def test_every_setting_has_a_title_with_unit_and_bounds_in_prefects_form():
    """For people who see no command line: words that begin with a capital, not the name of the setting taken apart."""
    shown = parameter_schema(calibrate.fn).model_dump()["definitions"]["CalibrationConfig"]["properties"]
    titles = {name: setting["title"] for name, setting in shown.items()}
    assert list(titles) == list(CalibrationConfig.model_fields)
    assert len(set(titles.values())) == len(titles)
    for name, title in titles.items():
        assert title[0].isupper(), name
        assert "_" not in title, name
        assert "--" not in title, name
        bounds = [
            key for key in BOUNDS if any(hasattr(bound, key) for bound in CalibrationConfig.model_fields[name].metadata)
        ]
        assert all(BOUNDS[key].format("").strip() in title for key in bounds), name
        assert not bounds or title.endswith(")"), name
    assert titles["u_c"] == "Column of the references' standard uncertainties"  # where pydantic says "U C"
    assert titles["learning_rate"] == "Learning rate (above 0, at most 1e6)"
    assert titles["n_epochs"] == "Most epochs to train (epochs; 1 or more, at most 10,000,000)"
    assert titles["huber_delta"] == "Residual beyond which Huber's loss is linear (in the references' unit; above 0)"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 0}, "file.toml: learning_rate: should be greater than 0, got 0"),
        ({"learning_rate": float("inf")}, "file.toml: learning_rate: should be a finite number, got inf"),
        ({"n_epochs": 2.5}, "n_epochs: 2.5 is no whole number"),
        ({"scaling": "log"}, "scaling: 'log' is not one of none, factor, standardize, minmax"),
        ({"factor": -1, "l1": -1}, "factor: should be greater than 0, got -1; l1: should be greater than or equal"),
        ({"lr": 1}, "file.toml: lr: no such setting"),
        ({"optimizer": "adam", "momentum": 0.9}, "`momentum` plays no part with adam"),
        ({"x": "a", "y": "a"}, "`x` and `y` name the same column 'a'"),
        (
            {"model": "mlp", "activation": "gelu"},
            "activation: 'gelu' is not one of tanh, sigmoid, relu, leaky_relu, prelu",
        ),
        ({"degree": 10}, "degree: should be less than or equal to 9, got 10"),
        ({"degree": 0}, "degree: should be greater than or equal to 1, got 0"),
        ({"seed": -1}, "seed: should be greater than or equal to 0, got -1"),
        ({"seed": 2**32}, "seed: should be less than 4294967296, got 4294967296"),
        ({"folds": 1}, "`folds`: one fold leaves nothing to train on; use 2 or more, or 0 for none"),
        ({"folds": 1001}, "folds: should be less than or equal to 1000, got 1001"),
        ({"holdout": 1}, "holdout: should be less than 1, got 1"),
        ({"holdout": 0.1, "folds": 5}, "`holdout`, `holdout_rows` and `folds` are three ways to validate; choose one"),
        ({"holdout": 0.1, "holdout_rows": "1"}, "three ways to validate; choose one"),
        ({"holdout_rows": "0", "folds": 5}, "three ways to validate; choose one"),
    ],
)
def test_bad_values_are_named(values, message):
    with pytest.raises(SettingsError) as caught:
        parse_config(values, source="file.toml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("hidden", "widths"),
    [("1", (1,)), ("13", (13,)), ("16x16x16", (16, 16, 16)), ("3000", (3000,)), ("x".join(["2"] * 64), (2,) * 64)],
)
def test_hidden_layers_are_written_as_widths(hidden, widths):
    assert CalibrationConfig(model="mlp", hidden=hidden).widths == widths


@pytest.mark.parametrize(
    "hidden",
    ["", "0", "x", "13x", "x13", "4x0x4", "4,3", "4X3", "-4", "10000", "4 x3", "4\n", "٤", "x".join(["2"] * 65)],
)
def test_other_ways_to_write_hidden_layers_are_refused(hidden):
    with pytest.raises(SettingsError, match="hidden"):
        parse_config({"hidden": hidden})


@pytest.mark.parametrize("rows", ["", ",", "1,", "2, 10", "-1", "1.5", "a", "1\n"])
def test_other_ways_to_write_rows_are_refused(rows):
    with pytest.raises(SettingsError, match="holdout_rows"):
        parse_config({"holdout_rows": rows})


@pytest.mark.parametrize(
    ("settings", "label"),
    [
        ({}, "standardize, sgd 0.5"),
        ({"model": "polynomial", "degree": 3}, "degree 3, standardize, sgd 0.5"),
        (
            {"model": "mlp", "hidden": "4x3", "optimizer": "adam", "learning_rate": 0.01, "scaling": "factor"},
            "mlp 4x3 tanh, factor 0.1, adam 0.01",
        ),
    ],
)
def test_labels_tell_models_apart(settings, label):
    assert CalibrationConfig(**settings).label == label


def test_a_config_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        CalibrationConfig().learning_rate = 1.0


def test_hyperparameters_are_all_but_where_the_run_is_filed_and_as_whose():
    names = set(CalibrationConfig().hyperparameters())
    assert set(CalibrationConfig.model_fields) - names == {"mlruns", "experiment", "thermometer"}


@pytest.mark.parametrize("name", ["", " ", " boiler", "boiler ", "a\nb", "a\x1b[31m", "\ud800", "x" * 256])
def test_names_that_no_thermometer_can_have_are_refused(name):
    with pytest.raises(SettingsError, match=r"settings: thermometer: (String )?should "):
        parse_config({"thermometer": name})


@pytest.mark.parametrize("name", ["Kessel 2, Rücklauf", "x" * 255])
def test_names_of_thermometers(name):
    assert parse_config({"thermometer": name}).thermometer == name


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


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("n_epochs", "1e4", 10_000),
        ("n_epochs", "5e3", 5000),
        ("n_epochs", "12.0", 12),
        ("clip_norm", "none", None),
        ("huber_delta", "None", None),
        ("holdout_rows", "none", None),
        ("thermometer", "none", None),
        ("x", "none", "none"),  # a column's name, as any other
        ("learning_rate", "1e-2", 0.01),
    ],
)
def test_texts_are_read_as_people_write_them(name, text, value):
    assert getattr(parse_config({name: text}), name) == value


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scaling": "standardise"}, "scaling: 'standardise' is not one of none, factor, standardize, minmax; did you"),
        ({"n_epochs": "1.5"}, "n_epochs: '1.5' is no whole number"),
        ({"n_epochs": "1e999999999"}, "n_epochs: '1e999999999' is no whole number"),
        ({"n_epochs": "1e9"}, "n_epochs: should be less than or equal to 10000000, got 1000000000"),
        ({"learning_rate": "0,01"}, "learning_rate: '0,01' is no number; decimals have a point: 0.01"),
        ({"coverage": 95}, "coverage: should be less than 1, got 95; did you mean 0.95?"),
        ({"holdout": "20"}, "holdout: should be less than 1, got 20; did you mean 0.2?"),
        ({"tolerance": 5}, "tolerance: should be less than 1, got 5"),  # nobody writes it as a percentage
        ({"lr": 0.1}, "lr: no such setting; did you mean learning_rate?"),
    ],
)
def test_what_is_wrong_and_what_may_have_been_meant(values, message):
    with pytest.raises(SettingsError) as caught:
        parse_config(values)
    assert message in str(caught.value)
    assert str(caught.value).endswith("?") == ("did you" in message)


def test_limits_are_never_rounded_up():
    """3.39938e-4 is where descent on the tutorial's raw readings begins to diverge: 3.4e-4 would be beyond it."""
    assert format_limit(3.39938e-4) == "3.39e-4"
    assert format_limit(0.5 - 1e-16) == "0.5"  # its rounding is none
    assert float(format_limit(0.79199, 3)) <= 0.79199
