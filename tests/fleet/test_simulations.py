"""What a simulated fleet shows of what docs/fleets.md promises: few good sensors told, bad ones as often as it says.

Every tolerance is of four binomial standard deviations, one in 16,000 by chance; the seeds are fixed.
"""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT
from tests.fleet import simulations
from tests.fleet.simulations import FAULTS, FDR, Simulated, simulate

PAGE = (ROOT / "docs" / "fleets.md").read_text(encoding="utf-8")
OF_THE_PAGE = 100_000  # sensors


def rows() -> dict[str, tuple[float, str, float]]:
    """The page's table: what is wrong → the share told odd, by what, the share that fails its own checks."""
    cells = re.findall(r"^\| ([^|]+) \| (\d+) % \| ([^|]+) \| (\d+) % \|$", PAGE, re.MULTILINE)
    return {name: (int(found) / 100, by, int(alone) / 100) for name, found, by, alone in cells}


def error(share: float, n: float) -> float:
    """Near 0 and 1 as if at 2 %."""
    share = min(max(share, 0.02), 0.98)
    return 4 * (share * (1 - share) / n) ** 0.5


def hold(fleet: Simulated) -> None:
    n_told = fleet.judgement.is_accused.sum()
    assert fleet.share_false <= FDR + 4 * (FDR * (1 - FDR) / n_told) ** 0.5
    told = rows()
    assert list(told) == list(FAULTS)
    n, n_page = (simulations.BAD * n / len(FAULTS) for n in (len(fleet.kinds), OF_THE_PAGE))
    for fault, (found, by, alone) in told.items():
        for share, seen in ((found, fleet.share_found(fault)), (alone, fleet.share_not_usable(fault))):
            # Both are drawn, and what is told is rounded to 1 %.
            assert seen == pytest.approx(share, abs=error(share, n) + error(share, n_page) + 0.005), fault
        assert fleet.told_by(fault).split(", ")[0] == by.split(", ")[0], fault


def test_few_good_sensors_are_told_and_bad_ones_as_often_as_the_page_says():
    hold(simulate(20_000, seed=2))


@pytest.mark.integration
@pytest.mark.parametrize("seed", range(3, 8))
def test_a_fleet_of_100_000_is_as_the_page_says(seed):
    hold(simulate(OF_THE_PAGE, seed=seed))


def test_good_sensors_fail_their_own_checks_by_the_thousand():
    """Each at p < 0.001, whatever the number of sensors: what the rate is for."""
    fleet = simulate(20_000, seed=2)
    good = fleet.kinds < 0
    share = (~fleet.usable[good]).mean()
    assert share == pytest.approx(0.001, abs=4 * (0.001 / good.sum()) ** 0.5)
    assert fleet.judgement.is_accused[good].mean() < share
