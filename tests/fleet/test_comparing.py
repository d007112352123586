"""Two calibrations of a fleet: who changed, at what rate of false alarms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tempfit.calibration.pipeline import calibrate
from tempfit.errors import RunsError
from tempfit.fleet.comparing import compare_fleets
from tempfit.fleet.curves import load_curves
from tempfit.fleet.lookup import FleetTable
from tests.fleet.tables import WHY, write_fleet


def measured(seed, sensors, rows, *, w=1.0, b=0.5, sd=0.1):
    rng = np.random.default_rng(seed)
    t_u = rng.uniform(0, 100, (sensors, rows))
    return t_u, w * t_u + b + rng.normal(0, 1, t_u.shape) * sd


@pytest.fixture
def curves(tmp_path):
    def make(name, t_u, t_c, u_c=None, names=None, **settings):
        names = names or [f"s{k:05}" for k in range(len(t_u))]
        return load_curves(FleetTable(write_fleet(tmp_path / f"{name}.parquet", names, t_u, t_c, u_c, **settings)))

    return make


@pytest.mark.parametrize(("rows", "spread"), [((24, 24), (0.1, 0.1)), ((5, 24), (0.1, 0.1)), ((5, 24), (0.3, 0.05))])
def test_unchanged_sensors_have_small_p_no_more_often_than_they_say(rows, spread, curves):
    before, after = (
        curves(str(k), *measured(k, 10_000, n, sd=sd)) for k, (n, sd) in enumerate(zip(rows, spread, strict=True))
    )
    p = compare_fleets(before, after, 0.01).p
    for level in (0.05, 0.01, 0.001):
        assert (p < level).mean() < level + 3 * np.sqrt(level / 10_000)  # standard deviations of such a share
    if rows == (24, 24):  # and are no fewer by much, where there are readings enough
        assert (p < 0.05).mean() > 0.03


def test_with_uncertainties_stated_it_is_chi_squared(curves):
    """By generalized least squares of both together, as an independent implementation: the drop of χ²."""
    t_u, t_c = measured(1, 3, 8, sd=0.2)
    other, seen = measured(2, 3, 11, b=0.6, sd=0.1)
    u, v = np.full_like(t_u, 0.2), np.full_like(other, 0.1)
    p = compare_fleets(curves("a", t_u, t_c, u), curves("b", other, seen, v), 0.01).p

    def chi_squared(x, y, u):
        return np.polynomial.polynomial.polyfit(x, y, 1, w=1 / u, full=True)[1][0][0]

    for k in range(3):
        apart = chi_squared(t_u[k], t_c[k], u[k]) + chi_squared(other[k], seen[k], v[k])
        together = chi_squared(
            *(np.concatenate(pair) for pair in ((t_u[k], other[k]), (t_c[k], seen[k]), (u[k], v[k])))
        )
        assert p[k] == pytest.approx(stats.chi2.sf(together - apart, 2), rel=1e-6)


def test_differences_are_those_of_the_two_lines_in_their_units(curves):
    t_u, t_c = measured(3, 4, 12)
    other, seen = measured(4, 4, 12, w=1.01)
    found = compare_fleets(curves("a", t_u, t_c), curves("b", other, seen), 0.01)
    for k in range(4):
        one, two = calibrate((t_u[k], t_c[k])).curve, calibrate((other[k], seen[k])).curve
        assert (found.dw[k], found.db[k]) == pytest.approx((two.w - one.w, two.b - one.b), rel=1e-6)
        assert found.u_dw[k] == pytest.approx(np.hypot(one.u_w, two.u_w), rel=1e-9)
        low, high = max(t_u[k].min(), other[k].min()), min(t_u[k].max(), other[k].max())
        off = np.array([two.predict(x) - one.predict(x) for x in (low, high)])
        at = (low, high)[np.abs(off).argmax()]
        expanded = [float(curve.coverage_factor() * curve.u_mean(at)) for curve in (one, two)]
        assert abs(found.off[k]) == pytest.approx(np.abs(off).max(), rel=1e-6)
        assert found.e_n[k] == pytest.approx(np.abs(off).max() / np.hypot(*expanded), rel=1e-6)


@pytest.mark.parametrize("settings", [{}, {"model": "polynomial", "degree": 2}, {"u_common": 0.01}], ids=str)
def test_who_changed_is_found_and_few_others(settings, curves):
    t_u, t_c = measured(5, 400, 20)
    other, seen = measured(6, 400, 20)
    seen[::20] += 0.3
    found = compare_fleets(curves("a", t_u, t_c, **settings), curves("b", other, seen, **settings), 0.05)
    changed = np.flatnonzero(found.has_changed)
    assert np.isin(np.arange(0, 400, 20), changed).sum() >= 18
    assert np.isin(changed, np.arange(0, 400, 20), invert=True).sum() <= 4
    assert set(found.worst[:18].tolist()) <= set(range(0, 400, 20))
    assert np.array_equal(found.q, stats.false_discovery_control(found.p))


def test_sensors_come_and_go_and_some_cannot_be_compared(curves):
    t_u, t_c = measured(7, 5, 10)
    t_c[3] = 2 * t_u[3]  # a perfect fit, whose uncertainty is rounding
    before = curves("a", t_u, t_c, names=["a", "b", "c", "d", "e"], failed={"f": WHY})
    after = curves("b", t_u[::-1], t_c[::-1], names=["b", "d", "f", "g", "h"], failed={"c": WHY})
    found = compare_fleets(before, after, 0.01)
    assert found.names.to_pylist() == ["b", "d"]
    assert found.appeared.to_pylist() == ["f", "g", "h"]
    assert found.disappeared.to_pylist() == ["a", "c", "e"]
    same = compare_fleets(before, before, 0.01)
    assert np.isnan(same.p).tolist() == [False, False, False, True, False]
    assert same.p[[0, 1, 2, 4]].tolist() == [1.0] * 4
    assert 3 not in same.worst


def test_what_is_not_alike_is_not_compared(curves):
    t_u, t_c = measured(8, 2, 10)
    line = curves("a", t_u, t_c)
    with pytest.raises(RunsError, match="of another degree"):
        compare_fleets(line, curves("b", t_u, t_c, model="polynomial", degree=2), 0.01)
    with pytest.raises(RunsError, match=r"`t0` is 0\.0 in one and 50\.0 in the other"):
        compare_fleets(line, curves("c", t_u, t_c, t0=50.0), 0.01)
