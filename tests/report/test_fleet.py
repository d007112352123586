"""The sentences of a fleet, read as a person reads them."""

from __future__ import annotations

from dataclasses import replace

from tempfit.fleet.summing import FleetSummary
from tempfit.report.fleet import describe_accused, describe_odd, fleet_summary

NONE_ODD = FleetSummary(
    source="loggers.csv",
    sha256="0123456789abcdef",
    y_unit="°C",
    n_rows=48,
    left_out={},
    n_sensors=3,
    n_calibrated=3,
    not_calibrated={},
    n_diverged=0,
    n_usable=3,
    failing={},
    fdr=0.01,
    n_accused=0,
    accused={},
    is_compared=True,
    spread={},
    readings=(16, 16),
    worst=(),
)


def test_how_many_are_odd_and_how_often_that_is_wrong() -> None:
    assert describe_accused(NONE_ODD) == "no sensor"
    alone = replace(NONE_ODD, is_compared=False)
    assert describe_accused(alone) == "no sensor; too few sensors to compare them with each other"
    some = replace(NONE_ODD, n_accused=2, accused={"w": 2, "s": 1})
    assert describe_accused(some) == "2 sensors (w 2, s 1); at most 1 % of those told are expected to be good"


def test_why_one_is_odd() -> None:
    row = {
        "n": 8167,
        "fleet_q": 0.0,
        "fleet_accused_by": ["curvature", "w", "s"],
        "fleet_w_z": -5.0,
        "fleet_s_z": 7.123,
    }
    assert describe_odd(row) == (
        "curvature fails, w lies 5 standard deviations below its siblings' and s lies 7.12 standard deviations above "
        "its siblings' (q < 1e-300, 8,167 readings)"
    )
    row |= {"fleet_accused_by": ["curvature"], "fleet_q": 2.8e-41}
    assert describe_odd(row) == "curvature fails (q = 2.8e-41, 8,167 readings)"


def test_a_long_name_does_not_push_all_lines_to_the_right() -> None:
    row = {"thermometer": "a" * 300 + "/7", "n": 9, "fleet_q": 1e-9, "fleet_accused_by": ["curvature"]}
    *_, (label, _) = fleet_summary(replace(NONE_ODD, n_accused=1, worst=(row,)))
    assert (len(label), label[:2], label[-3:]) == (40, "aa", "a/7")


def test_what_was_read_and_left_out() -> None:
    lines = fleet_summary(NONE_ODD)
    assert ("fleet", "3 of 3 sensors calibrated, 3 usable by their own checks, 0 odd") in lines
    assert ("sensors", "3 of 3 calibrated, of 16 readings each") in lines
    left_out = {"unsteady": 12, "no number in column 'note'; if it is no sensor, leave it out by `without`": 0}
    lines = fleet_summary(replace(NONE_ODD, readings=(3, 16), left_out=left_out))
    assert ("sensors", "3 of 3 calibrated, of 3 to 16 readings each") in lines
    assert [text for label, text in lines if label == "left out"] == ["12 rows: unsteady", list(left_out)[1]]
