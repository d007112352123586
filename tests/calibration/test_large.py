"""A large file, read block by block, gives what it gives when all of its rows are held."""

from __future__ import annotations

import re
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tempfit.calibration.pipeline import calibrate
from tempfit.calibration.recording import record_of
from tempfit.errors import ReadingsError, SettingsError
from tempfit.exact.large import LargeReadings
from tempfit.readings.paired import Readings, load_readings

N = 300
SEEN = re.compile(r"from [\d.]+ °C on")


def kinds(rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Readings for every sentence that a check makes of many rows."""
    t_u, noise = rng.uniform(0, 100, N), rng.normal(0, 0.2, N)
    t_c = 0.5 * t_u - 17
    outliers = noise.copy()
    outliers[[3, 150, 299]] += (9.0, -7.0, 5.0)
    told = {
        "good": (t_u, t_c + noise),
        "bent": (t_u, t_c + 1e-3 * (t_u - 50) ** 2 + noise),
        "drifts": (t_u, t_c + noise.cumsum()),
        "alternates": (t_u, t_c + np.abs(noise) * (-1.0) ** np.arange(N)),
        "scatter grows": (t_u, t_c + noise * t_u),
        "outliers": (t_u, t_c + outliers),
        "an influential outlier": (np.append(t_u[1:], 900.0), np.append((t_c + noise)[1:], 0.0)),
        "one reading tells the slope": (np.append(np.full(N - 1, 20.0), 60.0), t_c + noise),
        "others tell no slope": (np.append(20 + 1e-3 * noise[1:], 60.0), 3 * noise),
        "perfect": (t_u.round(), 2 * t_u.round() + 1),
    }
    tables = {name: pd.DataFrame({"t_u": places, "t_c": values}) for name, (places, values) in told.items()}
    return tables | {"weighted": tables["good"].assign(u_c=rng.uniform(0.1, 0.4, N))}


def save(table: pd.DataFrame, path: Path) -> Path:
    table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path, index=False)
    return path


def small_blocks(rows: int = 64):  # type: ignore[no-untyped-def]
    """So that hundreds of rows are many, in blocks of so many."""
    return patch.multiple("tempfit.exact.opening", LARGE_ROWS=10, LARGE_BYTES=10), patch.multiple(
        "tempfit.readings.tables", BLOCK_ROWS=rows, BLOCK_BYTES=20 * rows
    )


def calibrate_large(path: Path, rows: int = 64, **told: object):  # type: ignore[no-untyped-def]
    (large, blocks), kept = small_blocks(rows), patch("tempfit.exact.large.MOST_THINNED", 50)
    with large, blocks, kept:
        found = calibrate(path, **told)
    assert isinstance(found.readings, LargeReadings)
    return found


def assert_same(path: Path, rows: int = 64, **told: object) -> None:
    """Figures to 1e-9, words and verdicts as they are.

    Of a perfect line, what is left is rounding, of which there is other: it is compared with the largest reference.
    """
    large, held = calibrate_large(path, rows, **told), calibrate(path, **told)
    assert isinstance(held.readings, Readings)
    one, other = record_of(large), record_of(held)
    assert one.data == other.data
    assert (one.status, one.outcome, one.usable, one.n_epochs) == (
        *(other.status, other.outcome, other.usable, other.n_epochs),
    )
    least = 1e-13 * max(map(abs, held.readings.t_c_range))
    assert one.coefficients == pytest.approx(other.coefficients, rel=1e-9, abs=least)
    assert one.rmse == pytest.approx(other.rmse, rel=1e-9, abs=least)
    if one.rmse > least:
        assert large.exact.covariance == pytest.approx(held.exact.covariance, rel=1e-9)
        assert large.exact.residual_sd == pytest.approx(held.exact.residual_sd, rel=1e-9)
    assert [check.name for check in one.checks] == [check.name for check in other.checks]
    for mine, its in zip(one.checks, other.checks, strict=True):
        assert mine.verdict == its.verdict, (mine.sentence, its.sentence)
        if mine.name != "descent":  # how far two roundings of the same optimum are apart
            # From where on a reading would lie off depends on the median weight, which is that of the rows kept.
            assert SEEN.sub("", mine.sentence) == SEEN.sub("", its.sentence)
            for figure, expected in ((mine.figure, its.figure), (mine.p, its.p)):
                assert figure == expected or figure == pytest.approx(expected, rel=1e-9, abs=1e-12), mine.name


@pytest.mark.parametrize("kind", kinds(np.random.default_rng(1)))
def test_every_kind_of_readings_is_judged_as_if_its_rows_were_held(kind, tmp_path):
    table = kinds(np.random.default_rng(1))[kind]
    assert_same(save(table, tmp_path / "t.parquet"))


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["good", "bent", "drifts", "scatter grows", "weighted"]),
    form=st.sampled_from(["csv", "parquet"]),
    rows=st.sampled_from([1, 2, 3, 50, 299, 300]),
    told=st.sampled_from(
        [{}, {"model": "polynomial", "degree": 2}, {"scaling": "minmax", "n_epochs": 50}, {"l2": 0.1}]
    ),
)
def test_whatever_the_blocks_the_format_and_the_settings(seed, kind, form, rows, told, tmp_path_factory):
    rng = np.random.default_rng(seed)
    table = kinds(rng)[kind]
    table.loc[rng.choice(N, 20, replace=False), "t_c"] = np.nan
    path = save(table, tmp_path_factory.mktemp("large") / f"t.{form}")
    assert_same(path, rows, drop_missing=True, **told)


def test_what_carries_no_line_is_refused_in_the_same_words(tmp_path):
    good = kinds(np.random.default_rng(2))["weighted"]
    for name, table in {
        "the same": good.assign(t_u=20.0),
        "vanishing": good.assign(t_c=good.t_c * 1e-150),
        "text": good.assign(t_c=[*good.t_c[:200].astype(str), "warm", *good.t_c[201:].astype(str)]),
        "too many gaps": good.assign(t_u=[1.0, 2.0, *[None] * (N - 2)]),
        "no weight elsewhere": good.assign(u_c=[1e-9, *[1e9] * (N - 1)]),
        "too few places": good.assign(t_u=np.where(good.t_u > 50, 1.0, 2.0)),
    }.items():
        path = save(table, tmp_path / f"{name}.csv")
        with pytest.raises(ReadingsError) as held:
            calibrate(path, drop_missing=True, model="polynomial", degree=2)
        (large, blocks), kept = small_blocks(), patch("tempfit.exact.large.MOST_THINNED", 50)
        with large, blocks, kept, pytest.raises(ReadingsError) as found:
            calibrate(path, drop_missing=True, model="polynomial", degree=2)
        assert str(found.value) == str(held.value)


def test_what_needs_every_row_gets_it(tmp_path):
    tables = kinds(np.random.default_rng(3))
    good, both = (save(tables[kind], tmp_path / f"{kind}.parquet") for kind in ("good", "weighted"))
    york = save(tables["weighted"].assign(u_u=0.1), tmp_path / "york.csv")
    (large, blocks), kept = small_blocks(), patch("tempfit.exact.large.MOST_THINNED", 50)
    with large, blocks, kept:
        for path, told in ((good, {"loss": "huber"}), (both, {"holdout": 0.2}), (york, {"n_epochs": 10})):
            assert isinstance(calibrate(path, **told).readings, Readings)
    without = calibrate_large(good).readings
    for told in ({"loss": "huber"}, {"model": "mlp"}, {"folds": 3}, {"holdout_rows": "1"}):
        with pytest.raises(SettingsError, match="need every row, which these readings are without"):
            calibrate(without, **told)


def test_the_rows_are_read_again_and_told(tmp_path):
    path = save(kinds(np.random.default_rng(4))["good"], tmp_path / "t.parquet")
    readings = calibrate_large(path).readings
    whole = load_readings(path)
    assert np.concatenate([rows.t_u for rows in readings.blocks()]) == pytest.approx(whole.t_u, rel=0)
    assert 50 <= len(readings.thinned) <= 100
    assert (readings.thinned.t_c == whole.t_c[:: N // len(readings.thinned)][: len(readings.thinned)]).all()
    bent = calibrate(readings, model="polynomial", degree=3)  # of higher powers than its evidence has
    assert bent.coefficients == pytest.approx(calibrate(path, model="polynomial", degree=3).coefficients, rel=1e-9)
    save(kinds(np.random.default_rng(5))["bent"], path)
    with pytest.raises(ReadingsError, match="the file was changed while it was read; try again when it is whole"):
        calibrate(readings)
