"""What differs between runs, and which is the best, on runs made up for it."""

from __future__ import annotations

import json
import math
import sys

import pytest

from tempfit.choices import settings_in_play
from tempfit.cli.compare import as_dict, cell, format_number
from tempfit.config import CalibrationConfig
from tempfit.studies.compare import Comparison, RecordedData, RecordedRun, compare
from tempfit.wording import format_value
from tempfit.words import Status

SHA256 = "ef41d5ea" + "0" * 56


def recorded(
    run_id: str,
    metrics: dict[str, float] | None = None,
    status: str = "converged",
    sha256: str = SHA256,
    outcome: str | None = None,
    **settings,
) -> RecordedRun:
    params = {name: str(value) for name, value in CalibrationConfig(**settings).hyperparameters().items()}
    data = RecordedData("thermometer.csv", (21.8, 81.9), (-4.0, 28.0))
    tags = {"data_sha256": sha256, **({} if outcome is None else {"outcome": outcome})}
    return RecordedRun(run_id, f"run {run_id}", "1", status, params, metrics or {}, tags, data)


def order(comparison: Comparison) -> list[str]:
    return [run.run_id for run in comparison.runs]


def test_only_what_differs_in_the_order_of_the_settings():
    comparison = compare(
        [
            recorded("a", learning_rate=0.5, scaling="none", momentum=0.9),
            recorded("b", learning_rate=1e-4, scaling="none", clip_norm=1.0, momentum=0.9),
        ]
    )
    assert comparison.differing == ("learning_rate", "clip_norm")
    assert [row.settings for row in comparison.rows] == [
        {"learning_rate": 0.5, "clip_norm": None},
        {"learning_rate": 1e-4, "clip_norm": 1.0},
    ]
    assert comparison.common("momentum") == 0.9
    assert comparison.common("clip_norm") is None


def test_equal_values_written_differently_do_not_differ():
    first, second = recorded("a", learning_rate=0.5), recorded("b", learning_rate=0.5)
    again = RecordedRun(**{**vars(second), "params": {**second.params, "learning_rate": "5e-1"}})
    assert compare([first, again]).differing == ()


def test_a_setting_younger_than_a_run_had_its_default():
    old, new = recorded("a"), recorded("b", model="polynomial", degree=3, tolerance=1e-3)
    old = RecordedRun(
        **{**vars(old), "params": {k: v for k, v in old.params.items() if k not in ("model", "tolerance")}}
    )
    comparison = compare([old, new])
    assert comparison.differing == ("model", "tolerance")
    assert comparison.settings(old) == {"model": "line", "tolerance": 1e-12}  # what CalibrationConfig has by default
    assert compare([old, recorded("c")]).differing == ()


def test_a_param_that_is_not_recorded_is_one_that_was_off_or_idle():
    """A run keeps the settings that play a part, an older one keeps all: they compare alike."""
    config = CalibrationConfig(scaling="none")
    whole = recorded("whole", scaling="none")
    lean = RecordedRun(**{**vars(whole), "params": {k: str(v) for k, v in settings_in_play(config).items()}})
    assert len(lean.params) < len(whole.params) - 10
    assert compare([whole, lean]).differing == ()
    clipped, scaled = recorded("clipped", scaling="none", clip_norm=1.0), recorded("scaled", scaling="factor")
    assert compare([lean, clipped]).written(lean) == {"clip_norm": "none"}
    comparison = compare([lean, scaled, recorded("half", scaling="factor", factor=0.5)])
    assert comparison.written(lean) == {"scaling": "none", "factor": ""}


def test_a_setting_that_plays_no_part_does_not_differ_and_is_not_shown():
    """The width of a line's hidden layers."""
    line, narrow, wide = (
        recorded("a"),
        recorded("b", model="mlp", hidden="3", learning_rate=0.5),
        recorded("c", model="mlp", hidden="13x13", learning_rate=0.5),
    )
    assert compare([line, narrow]).differing == ("model",)
    comparison = compare([line, narrow, wide])
    assert comparison.differing == ("model", "hidden")
    assert comparison.written(line) == {"model": "line", "hidden": ""}
    assert comparison.settings(line) == {"model": "line", "hidden": None}
    assert comparison.written(wide) == {"model": "mlp", "hidden": "13x13"}


def test_settings_of_another_version_are_compared_as_text():
    first, second = recorded("a"), recorded("b")
    first = RecordedRun(**{**vars(first), "params": {**first.params, "optimizer": "lbfgs", "warmup": "10"}})
    comparison = compare([first, second])
    assert comparison.settings(first) == {"optimizer": "lbfgs", "warmup": "10"}
    assert comparison.settings(second) == {"optimizer": "sgd", "warmup": None}


def test_other_data_are_a_column():
    comparison = compare([recorded("a"), recorded("b", sha256="abcdef0123" + "0" * 54)])
    assert comparison.differing == ("data",)
    assert [row.settings["data"] for row in comparison.rows] == ["thermometer.csv ef41d5ea", "thermometer.csv abcdef01"]


def test_best_first_diverged_last():
    runs = [
        recorded("early", {"loss": 1.0, "n_epochs": 86}, status="diverged"),  # a loss before it overflowed
        recorded("late", {"loss": 1e300, "n_epochs": 3998}, status="diverged"),
        recorded("failed", {}, status="failed"),
        recorded("worse", {"loss": 3.0, "close_at": 1}),
        recorded("slow", {"loss": 2.9276455708956386, "close_at": 2685}),
        recorded("quick", {"loss": 2.9276455708956391, "close_at": 229}),  # the same loss but for rounding
        recorded("never", {"loss": 2.9276455708956391}),
    ]
    assert order(compare(runs)) == ["quick", "slow", "never", "worse", "failed", "late", "early"]


@pytest.mark.parametrize("settings", [{"loss": "huber"}, {"loss": "york"}])
def test_losses_of_different_kinds_give_way_to_the_rmse(settings):
    squared = recorded("squared", {"loss": 2.9, "rmse": 1.7})
    other = recorded("other", {"loss": 1.0, "rmse": 1.9}, **settings)
    comparison = compare([other, squared])
    assert (comparison.measure, order(comparison)) == ("rmse", ["squared", "other"])
    comparison = compare([other, recorded("same", {"loss": 0.9, "rmse": 2.0}, **settings)])
    assert (comparison.measure, order(comparison)) == ("loss", ["same", "other"])


def test_the_results_that_some_run_has():
    line = recorded("line", {"loss": 2.9, "rmse": 1.7, "w": 0.5, "b": -17.0, "n_epochs": 1.0, "close_at": 2.0})
    curve = recorded("curve", {"loss": 2.0, "rmse": 1.4, "c2": 1.0, "c1": 2.0, "c0": 3.0}, model="polynomial")
    results = {row.run.run_id: row.results for row in compare([line, curve]).rows}
    names = ["status", "loss", "rmse", "w", "b", "n_epochs", "close_at"]
    assert list(results["line"]) == list(results["curve"]) == names
    assert results["line"]["n_epochs"] == 1
    assert isinstance(results["line"]["n_epochs"], int)
    assert results["curve"]["w"] is results["curve"]["close_at"] is None
    assert "w" not in compare([curve, curve]).rows[0].results
    validated = recorded("held out", {"loss": 2.9, "validation_loss": 3.3})
    assert compare([line, validated]).rows[1].results["validation_loss"] == 3.3


def test_what_is_left_out_still_counts_for_what_differs():
    runs = [recorded(f"{k:032x}", {"loss": float(k)}, learning_rate=0.1 if k < 3 else 0.2) for k in range(1, 5)]
    comparison = compare(runs, n_shown=2)
    assert [row.run for row in comparison.rows] == runs[:2]
    assert comparison.n_left_out == 2
    assert comparison.differing == ("learning_rate",)  # the best share it: that says something
    assert len({comparison.short_id(run) for run in runs}) == 4  # ids that differ in their last digit alone


def test_ids_are_as_short_as_they_can_be():
    runs = [recorded("abcdef01" + "0" * 24), recorded("abcdef02" + "0" * 24)]
    comparison = compare(runs)
    assert [comparison.short_id(run) for run in runs] == ["abcdef01", "abcdef02"]
    runs = [recorded("abcdef0120" + "0" * 22), recorded("abcdef0121" + "0" * 22)]
    comparison = compare(runs)
    assert [comparison.short_id(run) for run in runs] == ["abcdef0120", "abcdef0121"]


def test_coefficients():
    assert recorded("a", {"w": 0.5, "b": -17.0}).coefficients == (0.5, -17.0)
    assert recorded("a", {"c0": 3.0, "c1": 2.0, "c2": 1.0}).coefficients == (1.0, 2.0, 3.0)
    assert recorded("a", {"loss": 1.0}).coefficients == ()  # a network's
    assert recorded("a", {"w": 1e200, "b": 1e199}, status="diverged").coefficients == ()


def test_what_is_on_its_way_to_overflow_counts_as_diverged_as_in_a_sweep():
    runs = [
        recorded("overflowed", {"loss": 1e300, "diverged_at": 4000}, status=Status.DIVERGED),  # before there was a tag
        recorded("on its way", {"loss": 1e9, "n_epochs": 5000, "w": 1.0, "b": 2.0}, "exhausted", outcome="explodes"),
        recorded("slow", {"loss": 90.0}, "exhausted", outcome="crawls"),
    ]
    assert [run.diverged for run in runs] == [True, True, False]
    assert [run.overflowed for run in runs] == [True, False, False]
    assert runs[1].coefficients == ()
    comparison = compare(runs)
    assert order(comparison) == ["slow", "on its way", "overflowed"]
    assert [row.results["outcome"] for row in comparison.rows] == ["crawls", "explodes", None]
    assert "outcome" not in compare(runs[:1] * 2).rows[0].results
    assert [cell(row, "status") for row in comparison.rows] == [
        "exhausted",
        "exhausted (explodes)",
        "diverged at 4,000",
    ]
    assert [cell(row, "loss") for row in comparison.rows] == ["90", "1e9", "–"]


def test_the_validation_loss_orders_where_all_that_can_be_judged_have_it():
    small = recorded("small", {"loss": 1.0, "rmse": 1.0, "validation_loss": 9.0}, holdout=0.2)
    sound = recorded("sound", {"loss": 2.9, "rmse": 1.7, "validation_loss": 3.3}, holdout=0.2)
    exploded = recorded("exploded", {"loss": 1e300, "diverged_at": 88}, status="diverged", holdout=0.2)
    failed = recorded("failed", {}, status="failed", holdout=0.2)
    comparison = compare([small, sound, exploded, failed])
    assert (comparison.measure, order(comparison)[:2]) == ("validation_loss", ["sound", "small"])
    without = recorded("without", {"loss": 2.0, "rmse": 1.4})
    comparison = compare([small, sound, without])
    assert (comparison.measure, order(comparison)) == ("loss", ["small", "without", "sound"])
    assert compare([exploded, failed]).measure == "loss"


def test_measures_that_are_missing_or_not_finite_come_after_and_before_the_diverged():
    """MLflow keeps infinity as the largest float."""
    runs = [
        recorded("exploded", {"loss": 1.0, "diverged_at": 88}, status="diverged"),
        recorded("nan", {"loss": math.nan, "close_at": 1}),
        recorded("infinite", {"loss": sys.float_info.max}),
        recorded("none", {}),
        recorded("worst", {"loss": 1e300}),
        recorded("best", {"loss": 3.0}),
    ]
    comparison = compare(runs)
    assert order(comparison) == ["best", "worst", "nan", "infinite", "none", "exploded"]
    assert [row.results["loss"] for row in comparison.rows][2:5] == [None] * 3
    json.dumps(as_dict(comparison, "", None), allow_nan=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5"),
        (0.00034, "3.4e-4"),
        (0.0, "0"),
        (-1.0, "-1"),
        (-0.00034, "-3.4e-4"),
        (5000, "5000"),
        (None, "none"),
        ("adam", "adam"),
    ],
)
def test_settings_as_they_are_typed(value, text):
    assert format_value(value) == text


def test_settings_have_as_many_digits_as_tell_the_runs_apart():
    rates = [recorded(str(k), learning_rate=rate) for k, rate in enumerate((0.000146779926762, 0.01, 0.5))]
    assert [compare(rates).written(run)["learning_rate"] for run in rates] == ["1.47e-4", "0.01", "0.5"]
    near = [recorded("a", w_start=1.23456), recorded("b", w_start=1.23457), recorded("c", w_start=-0.5)]
    assert [compare(near).written(run)["w_start"] for run in near] == ["1.23456", "1.23457", "-0.5"]


def test_numbers_as_people_write_them():
    assert format_number(2.9276455708956, 6) == "2.92765"
    assert format_number(1.94080e10, 6) == "1.9408e10"
    assert format_number(3e-7, 4) == "3e-7"
