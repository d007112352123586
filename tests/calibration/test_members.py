"""Many thermometers in arrays, held to each of them calibrated alone."""

from __future__ import annotations

import numpy as np
import pytest

from tempfit.calibration.checks import Names
from tempfit.calibration.members import Calibrations, calibrate_members
from tempfit.calibration.pipeline import calibrate
from tempfit.calibration.record_arrays import tabulate
from tempfit.calibration.recording import record_of
from tempfit.calibration.significance import DOUBT
from tempfit.calibration.spread import join
from tempfit.config import CalibrationConfig
from tempfit.errors import SettingsError
from tempfit.exact.evidence import gather, merge
from tempfit.readings.paired import Readings
from tempfit.words import Outcome, Status, Verdict

N_SENSORS = 1000


def random_sensors(seed: int, members: int, rows: int):
    """Lines, lines with a bend, flat ones, perfect ones and ones without any slope, of every size of scatter."""
    rng = np.random.default_rng(seed)
    t_u = rng.normal(rng.uniform(-100, 400, (members, 1)), rng.uniform(1, 50, (members, 1)), (members, rows))
    z = (t_u - t_u.mean(axis=1, keepdims=True)) / t_u.std(axis=1, keepdims=True)
    scatter = 10.0 ** rng.uniform(-6, 2, (members, 1))
    scatter[::17] = 0.0
    bend = scatter * rng.choice([0, 0, 0.3, 1.0, 3.0], (members, 1))
    slope = rng.choice([0.0, 0.5, -20.0, 1e-3], (members, 1), p=[0.05, 0.85, 0.05, 0.05])
    t_c = slope * t_u - 17 + bend * z**2 + scatter * rng.normal(size=(members, rows))
    t_c[::113] = 20.0
    return t_u, t_c


def alone(t_u, t_c, u_c, config):
    stated = [None] * len(t_u) if u_c is None else u_c
    return [calibrate(Readings(x, y, u_c=u), config) for x, y, u in zip(t_u, t_c, stated, strict=True)]


def hold(together: Calibrations, results, members) -> None:
    """Every figure to 1e-9, every word and every sentence to the letter."""
    names = Names("t_u", "t_c", "°C")
    curve = together.curve
    for member, result in zip(members, results, strict=True):
        assert Status.of(together.fits.status[member]) is result.status
        assert Outcome.of(together.outcome[member]) is result.outcome
        assert together.fits.n_epochs[member] == result.fit.n_epochs
        assert (together.fits.close_at[member] or None) == result.fit.close_at
        told = {check.name: check for check in together.tell(member, names)}
        expected = {check.name: check for check in result.checks}
        for name, check in told.items():
            assert (check.verdict, check.sentence) == (expected[name].verdict, expected[name].sentence), (member, name)
        if result.curve is None:
            assert np.isnan(curve[member].params).all()
            continue
        size = abs(result.readings.t_c).max()
        for name in ("coefficients", "uncertainties", "observation_sd"):
            ours, theirs = getattr(curve[member], name), getattr(result.curve, name)
            assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12 * size, nan_ok=True), (member, name)


def looked_at(results) -> np.ndarray:
    """Whether residuals are like their neighbours', which evidence does not tell."""
    checks = [{check.name: check for check in result.checks}.get("autocorrelation") for result in results]
    return np.array([check is not None and check.p is not None and check.p < DOUBT for check in checks])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"scaling": "none", "learning_rate": 1e-4, "n_epochs": 60},  # some crawl, some explode
        {"scaling": "factor", "factor": 0.01, "l2": 0.01, "n_epochs": 300},
        {"model": "polynomial", "degree": 2, "t0": 20.0, "coverage": 0.99},
        {"momentum": 0.5, "scaling": "minmax", "n_epochs": 200},
    ],
    ids=str,
)
def test_a_member_is_the_thermometer_alone(settings):
    config = CalibrationConfig(**settings)
    t_u, t_c = random_sensors(1, 40, 12)
    results = alone(t_u, t_c, None, config)
    evidence = gather(t_u, t_c, degree=3 if config.model == "polynomial" else 2)
    together = calibrate_members(evidence, config, alike=looked_at(results))
    hold(together, results, range(40))
    assert len(set(together.fits.status.tolist())) + len(set(together.outcome.tolist())) > 1


def test_stated_uncertainties_weigh_and_are_held_against_the_scatter():
    t_u, t_c = random_sensors(2, 30, 10)
    u_c = np.random.default_rng(2).uniform(0.1, 2, t_u.shape)
    config = CalibrationConfig(u_common=0.2)
    results = alone(t_u, t_c, u_c, config)
    together = calibrate_members(gather(t_u, t_c, u_c), config, alike=looked_at(results))
    hold(together, results, range(30))
    assert "consistency" in together.checks


@pytest.mark.integration
def test_each_of_a_thousand_is_the_thermometer_alone():
    t_u, t_c = random_sensors(3, N_SENSORS, 24)
    config = CalibrationConfig()
    results = alone(t_u, t_c, None, config)
    together = calibrate_members(gather(t_u, t_c), config, alike=looked_at(results))
    hold(together, results, range(N_SENSORS))
    verdicts = {name: set(check.verdict.tolist()) for name, check in together.checks.items()}
    assert len(verdicts["curvature"]) == 4  # all of them were seen
    assert len(verdicts["slope"]) == 2


def test_merged_evidence_is_judged_as_the_rows_are():
    t_u, t_c = random_sensors(4, 50, 30)
    parts = [gather(t_u[:, i:j], t_c[:, i:j]) for i, j in [(11, 30), (0, 4), (4, 11)]]
    names = Names("t_u", "t_c", "°C")
    whole, merged = (calibrate_members(e, CalibrationConfig()) for e in (gather(t_u, t_c), merge(parts)))
    for member in np.flatnonzero(~whole.solved.footing.is_perfect):
        told = [
            [(c.verdict, c.sentence) for c in e.tell(member, names) if c.name != "descent"] for e in (whole, merged)
        ]
        assert told[1] == told[0]
    for name, check in whole.checks.items():
        assert (merged.checks[name].verdict == check.verdict).all(), name
    assert (merged.usable == whole.usable).all()
    assert merged.curve.w == pytest.approx(whole.curve.w, rel=1e-9, abs=1e-12)


def test_the_table_of_many_has_what_the_record_of_one_has():
    t_u, t_c = random_sensors(5, 20, 12)
    config = CalibrationConfig()
    table = tabulate(calibrate_members(gather(t_u, t_c), config), [f"sensor {i}" for i in range(20)])
    assert table["thermometer"].to_pylist() == [f"sensor {i}" for i in range(20)]
    for row, result in zip(table.to_pylist(), alone(t_u, t_c, None, config), strict=True):
        record = record_of(result)
        size = 1e-9 * abs(result.readings.t_c).max()
        for name in ("schema", "status", "outcome", "model", "n", "n_epochs", "close_at"):
            assert row[name] == getattr(record, {"schema": "schema_"}.get(name, name))
        for name in ("w", "b", "rmse"):
            assert row[name] == pytest.approx(getattr(record, name), rel=1e-9, abs=size)
        assert row["uncertainty_w"] == pytest.approx(record.uncertainty.w, rel=1e-9, abs=size)
        assert row["uncertainty_coverage_factor"] == pytest.approx(record.uncertainty.coverage_factor, rel=1e-12)
        verdicts = {check.name: check.verdict for check in record.checks}
        assert row["checks_slope_verdict"] == verdicts["slope"]
        assert row["checks_descent_verdict"] == verdicts["descent"]
        assert np.array(join(row)["evidence_factor"]) == pytest.approx(
            np.array(record.evidence.factor), rel=1e-9, abs=size
        )
    assert table.nbytes / 20 < 1024


def test_what_evidence_alone_cannot_carry_is_refused():
    evidence = gather(*random_sensors(6, 3, 10))
    for settings in ({"model": "mlp"}, {"loss": "huber"}, {"holdout": 0.2}, {"folds": 3}):
        with pytest.raises(SettingsError, match="squared loss"):
            calibrate_members(evidence, CalibrationConfig(**settings))


def test_verdicts_are_decided_without_a_sentence():
    together = calibrate_members(gather(*random_sensors(7, 200, 24)), CalibrationConfig())
    fails = np.array([[Verdict.of(code) is Verdict.FAILS for code in c.verdict] for c in together.checks.values()])
    assert (together.usable == ~(fails.any(axis=0) | together.exploded)).all()
