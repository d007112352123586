"""Which of several fits is the best, on merits made up for it; on recorded sweeps in tests/tracking/test_sweeps.py."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from tempfit.calibration.pipeline import calibrate
from tempfit.config import CalibrationConfig
from tempfit.studies.ranking import Merit, loss_kind, rank, rounding_of
from tests.conftest import T_C, T_U

FIT = Merit(
    loss=3.0,
    rmse=3.0**0.5,
    validation_loss=None,
    close_at=None,
    n_epochs=100,
    failed=False,
    kind=("squared",),
    rounding=0.0,
)


def order(*merits: Merit) -> list[int]:
    return list(rank(merits).order)


def test_the_lowest_loss_first_what_failed_last():
    unfinished = replace(FIT, loss=None, rmse=None)
    early, late = replace(FIT, loss=0.1, failed=True, n_epochs=5), replace(FIT, loss=1e300, failed=True, n_epochs=86)
    assert order(early, unfinished, FIT, late, replace(FIT, loss=2.0)) == [4, 2, 1, 3, 0]


def test_within_a_thousandth_of_the_lowest_who_came_close_first_goes_first():
    """Steps of 0.1 % from the lowest: 1.0009 is on the first, 1.0011 on the second."""
    lowest = replace(FIT, loss=1.0, close_at=2000)
    equal, never = replace(FIT, loss=1.0009, close_at=30), replace(FIT, loss=1.0005)
    next_step = replace(FIT, loss=1.0011, close_at=1)
    for merits in itertools.permutations([lowest, equal, never, next_step]):
        assert [merits[position] for position in rank(merits).order] == [equal, lowest, never, next_step]


def test_the_start_can_be_close():
    assert order(replace(FIT, close_at=2), replace(FIT, close_at=1)) == [1, 0]


def test_of_a_perfect_fit_rounding_decides_nothing():
    """Temperatures up to 28 °C: 1e-22 of their square is 7.84e-20."""
    assert rounding_of(28.0) == pytest.approx(7.84e-20, rel=1e-12)
    slow = replace(FIT, loss=1e-30, close_at=800, rounding=rounding_of(28.0))
    quick = replace(slow, loss=5e-26, close_at=2)
    assert order(slow, quick) == [1, 0]
    assert order(replace(slow, rounding=0.0), replace(quick, rounding=0.0)) == [0, 1]


def test_the_validation_loss_counts_where_all_that_can_be_judged_have_one():
    seen, unseen = replace(FIT, loss=1.0, validation_loss=9.0), replace(FIT, validation_loss=4.0)
    failed = replace(FIT, loss=0.1, failed=True)
    assert (rank([seen, unseen, failed]).measure, order(seen, unseen, failed)) == ("validation_loss", [1, 0, 2])
    assert (rank([seen, unseen, FIT]).measure, order(seen, unseen, FIT)[0]) == ("loss", 0)


def test_losses_of_different_kinds_are_not_compared():
    """Nor are validation losses, which are of the same kinds; a failed one's kind does not matter."""
    squared = replace(FIT, validation_loss=5.0)
    huber = replace(FIT, loss=1.0, rmse=2.0, validation_loss=1.5, kind=("huber", 1.0))
    assert (rank([huber, squared]).measure, order(huber, squared)) == ("rmse", [1, 0])
    failed = replace(huber, failed=True)
    assert rank([failed, squared]).measure == "validation_loss"
    assert rank([huber, replace(huber, validation_loss=1.4)]).order == (1, 0)


def test_kinds_of_losses():
    def kind(**settings: object) -> tuple:
        return loss_kind(CalibrationConfig(**settings).model_dump())

    assert kind() == kind(l1=1.0, l2=2.0, huber_delta=3.0, model="polynomial") != kind(loss="huber")
    assert kind(loss="huber", huber_delta=1.0) == kind(loss="huber", huber_delta=1.0, model="polynomial")
    assert kind(loss="huber", huber_delta=1.0) != kind(loss="huber", huber_delta=2.0)
    line, *curves = kind(loss="huber"), *(kind(loss="huber", model="polynomial", degree=degree) for degree in (2, 3))
    assert len({line, *curves}) == 3  # each finds a scale of its own
    assert kind(loss="huber") == kind(loss="huber", degree=3)


@pytest.mark.parametrize("penalty", [{"l1": 0.3}, {"l2": 0.3}])
def test_a_penalty_is_no_part_of_the_loss_that_is_reported(penalty):
    """So that losses with and without can be compared."""
    result = calibrate((T_U, T_C), **penalty)
    assert result.loss == pytest.approx(result.rmse**2, rel=1e-12)
