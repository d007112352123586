"""Fleets with known odd ones, and good ones, of which few may be accused."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import stats

from tempfit.calibration.members import solve_members
from tempfit.config import CalibrationConfig
from tempfit.exact.evidence import gather
from tempfit.fleet.judging import Figures, FleetJudgement, concatenate, figures_of, judge_fleet
from tempfit.fleet.siblings import FEWEST, compare, compare_scatters

N_ROWS = 12
# Benjamini and Hochberg (1995), section 4: of these 15, at a rate of 0.05 the first four are found, Bonferroni's three
PUBLISHED = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
             0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]  # fmt: skip


def readings(n_sensors: int, *, seed: int = 1, s: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Of good siblings: w and b differ by 0.5 % and 0.3 °C, the scatter is one."""
    rng = np.random.default_rng(seed)
    t_u = rng.uniform(0, 80, (n_sensors, N_ROWS))
    w, b = rng.normal(0.5, 0.0025, (n_sensors, 1)), rng.normal(-17, 0.3, (n_sensors, 1))
    return t_u, w * t_u + b + rng.normal(0, s, t_u.shape)


def figures(t_u, t_c, u_c=None, **settings) -> Figures:
    config = CalibrationConfig(**settings)
    degree = 3 if config.model == "polynomial" else 2
    return figures_of(solve_members(gather(t_u, t_c, u_c, degree=degree), config))


def by_checks_alone(p: list[float], fails: list[bool] | None = None) -> Figures:
    """Sensors of which nothing is known but the p of a curvature."""
    nothing = np.full(len(p), np.nan)
    of_checks = np.stack([np.array(p), nothing], axis=1)
    failed = np.stack([np.ones(len(p), bool) if fails is None else np.array(fails), np.zeros(len(p), bool)], axis=1)
    return Figures(*[nothing] * 7, p=of_checks, fails=failed)


def accused(judgement: FleetJudgement) -> dict[int, list[str]]:
    told = judgement.columns()["fleet_accused_by"].to_pylist()
    return {sensor: names for sensor, names in enumerate(told) if names}


def test_the_rate_is_that_of_the_published_example():
    judged = judge_fleet(by_checks_alone(PUBLISHED), 0.05)
    assert accused(judged) == {sensor: ["curvature"] for sensor in range(4)}
    assert judged.q[3] == pytest.approx(0.0095 * 15 / 4)
    assert (
        len(accused(judge_fleet(by_checks_alone(PUBLISHED), 0.01))) == 3
    )  # 0.0019 ≤ 0.01 · 3/15, 0.0095 > 0.01 · 4/15


def test_a_curvature_that_harms_nobody_accuses_nobody_and_makes_no_room():
    """Were the certain ones kept at p = 1e-9, the fifth, with p = 0.0095, would be accused (0.0095 ≤ 0.01 · 15/15)."""
    p = [1e-9] * 14 + [0.0095]
    judged = judge_fleet(by_checks_alone(p, [False] * 14 + [True]), 0.01)
    assert accused(judged) == {}
    assert judged.p.tolist() == [1.0] * 14 + [0.0095]
    assert len(accused(judge_fleet(by_checks_alone(p), 0.01))) == 15


def test_the_spread_is_the_median_of_absolute_deviations_less_what_the_readings_leave_open():
    rng = np.random.default_rng(3)
    values = rng.normal(5, 2, 4001)
    plain = compare(values, np.zeros(4001), np.inf)
    assert plain.spread == pytest.approx(stats.median_abs_deviation(values, scale="normal"), rel=1e-4)
    assert plain.z == pytest.approx((values - np.median(values)) / plain.spread)
    own = rng.uniform(0.5, 4, 4001)
    seen = compare(values + own * rng.normal(size=4001), np.square(own), np.inf)
    assert seen.spread == pytest.approx(2, rel=4 * 1.17 / np.sqrt(4001) * 2.2)  # 4 standard errors of such a median
    assert (np.abs(seen.z) < 0.6745).mean() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(4001))
    assert compare(own * rng.normal(size=4001), np.square(2 * own), np.inf).spread == 0


def test_scatters_alike_are_told_by_the_distribution_of_chi_squared():
    rng = np.random.default_rng(4)
    freedom = np.tile([3.0, 10.0, 40.0], 7000)
    s = 0.2 * np.sqrt(rng.chisquare(freedom) / freedom)
    found = compare_scatters(s, freedom)
    assert found.typical == pytest.approx(0.2, rel=0.01)
    assert found.prior_freedom > 100
    p = found.distances.p(1, np.ones(len(s), dtype=np.int64))
    exact = stats.chi2.sf(freedom * (s / 0.2) ** 2, freedom)
    small = exact < 0.05
    assert np.abs(np.log(p[small] / exact[small])).max() < np.log(2.5)  # what Wilson and Hilferty's leaves so far out


def test_odd_ones_are_accused_by_what_is_odd():
    t_u, t_c = readings(2000)
    rng = np.random.default_rng(2)
    t_c[3] += 5  # an offset
    t_c[4] = 0.45 * t_u[4] - 17 + rng.normal(0, 0.1, N_ROWS)  # a gain
    t_c[5] += rng.normal(0, 3, N_ROWS)  # noise
    t_c[6] += 2 * ((t_u[6] - 40) / 40) ** 2  # a bend
    judged = judge_fleet(figures(t_u, t_c), 0.01)
    assert accused(judged) == {3: ["b"], 4: ["w"], 5: ["s"], 6: ["curvature", "s"]}
    assert judged.b_z[3] > 10
    assert judged.w_z[4] < -10
    assert judged.q[3] <= 0.01 < judged.q[0]
    assert judged.p[0] <= 1


def test_good_fleets_are_seldom_accused_of_anything():
    """Where all are good, each accusation is false, so that no more than the rate of fleets may have one."""
    rate, n_fleets = 0.05, 300
    whole = figures(*readings(15 * n_fleets, seed=5))
    parts = [Figures(*(getattr(whole, f.name)[k::n_fleets] for f in fields(whole))) for k in range(n_fleets)]
    share = np.mean([judge_fleet(part, rate).is_accused.any() for part in parts])
    assert share <= rate + 4 * np.sqrt(rate * (1 - rate) / n_fleets)
    assert not judge_fleet(whole, 0.01).is_accused.any()


def test_few_sensors_have_no_siblings():
    t_u, t_c = readings(FEWEST)
    t_c[0] += 50
    few, enough = (judge_fleet(figures(t_u[:n], t_c[:n]), 0.01) for n in (FEWEST - 1, FEWEST))
    assert (few.is_compared, enough.is_compared) == (False, True)
    assert accused(few) == {}
    assert few.columns()["fleet_b_z"].null_count == FEWEST - 1
    assert accused(enough) == {0: ["b"]}
    assert judge_fleet(figures(t_u[:1], t_c[:1]), 0.01).p.tolist() == [1.0]


def test_sensors_that_are_all_the_same_are_not_odd():
    t_u = np.tile(np.linspace(0, 80, N_ROWS), (50, 1))
    judged = judge_fleet(figures(t_u, 0.5 * t_u - 17), 0.01)
    assert accused(judged) == {}
    assert np.abs(judged.b_z).max() < 1
    moved = 0.5 * t_u - 17
    moved[7] += 0.001
    assert accused(judge_fleet(figures(t_u, moved), 0.01)) == {7: ["b"]}


def test_a_noisy_sensor_is_not_accused_of_what_its_noise_makes_of_w_and_b():
    t_u = np.tile(np.linspace(0, 80, N_ROWS), (400, 1))
    t_c = 0.5 * t_u - 17 + np.random.default_rng(6).normal(0, 0.01, t_u.shape)
    t_c[0] = 0.5 * t_u[0] - 17 + np.random.default_rng(7).normal(0, 1, N_ROWS)
    assert accused(judge_fleet(figures(t_u, t_c), 0.01)) == {0: ["s"]}


def test_few_readings_that_lie_on_a_line_by_chance_do_not_make_it_certain():
    t_u, t_c = np.tile([0.0, 40.0, 80.0], (3000, 1)), np.zeros((3000, 3))
    t_c += 0.5 * t_u - 17 + np.random.default_rng(8).normal(0, 0.1, t_c.shape)
    found = figures(t_u, t_c)
    assert not judge_fleet(found, 0.01).is_accused.any()
    by_itself = compare(found.w, np.square(found.u_w), np.inf)
    assert by_itself.p(2, np.ones(3000, dtype=np.int64)).min() < 1e-5


def test_stated_uncertainties_are_what_a_scatter_is_compared_in():
    rng = np.random.default_rng(9)
    t_u, _ = readings(500)
    u_c = np.where(np.arange(500)[:, None] % 2, 0.01, 0.5) * np.ones_like(t_u)
    t_c = 0.5 * t_u - 17 + u_c * rng.normal(size=t_u.shape)
    t_c[2] += 4 * u_c[2] * rng.normal(size=N_ROWS)
    found = figures(t_u, t_c, u_c)
    assert np.isinf(found.u_freedom).all()
    assert np.median(found.s) == pytest.approx(1, rel=0.1)
    assert accused(judge_fleet(found, 0.01)) == {2: ["consistency", "s"]}


def test_what_references_have_in_common_moves_all_alike():
    t_u, t_c = readings(100)
    plain, common = (figures(t_u, t_c, u_common=u) for u in (0.0, 1.0))
    assert common.u_b == pytest.approx(plain.u_b)


def test_the_readings_are_judged_wherever_a_descent_ends():
    t_u, t_c = readings(60)
    t_u[:20] *= 1000  # beyond the critical learning rate
    settled, diverges = {}, {"scaling": "none", "learning_rate": 1e-4, "n_epochs": 50}
    found, as_settled = (figures(t_u, t_c, **told) for told in (diverges, settled))
    for field in fields(Figures):
        assert np.array_equal(getattr(found, field.name), getattr(as_settled, field.name), equal_nan=True), field.name


def test_polynomials_are_compared_by_their_scatter():
    t_u, t_c = readings(100)
    t_c[8] += np.random.default_rng(3).normal(0, 3, N_ROWS)
    judged = judge_fleet(figures(t_u, t_c, model="polynomial"), 0.01)
    assert accused(judged) == {8: ["s"]}
    assert np.isnan(judged.w_z).all()


def test_chunks_are_judged_as_one_fleet():
    t_u, t_c = readings(300)
    t_c[150] += 9
    whole = judge_fleet(figures(t_u, t_c), 0.01)
    parts = [figures(t_u[i:j], t_c[i:j]) for i, j in [(0, 7), (7, 160), (160, 300)]]
    joined = judge_fleet(concatenate(parts), 0.01)
    assert joined.q == pytest.approx(whole.q)
    assert accused(joined) == accused(whole) == {150: ["b"]}


def test_a_larger_rate_accuses_more():
    t_u, t_c = readings(3000, seed=10)
    t_c[:100] += 1.2
    found = figures(t_u, t_c)
    counts = [judge_fleet(found, fdr).is_accused.sum() for fdr in (0.001, 0.01, 0.1)]
    assert counts == sorted(set(counts))
    assert judge_fleet(replace(found, fails=found.fails), 0.01).fdr == 0.01
