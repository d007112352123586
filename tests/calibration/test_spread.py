"""Lists of Records in columns of a number each: what is spread is joined as it was."""

from __future__ import annotations

import numpy as np
import pytest

from tempfit.calibration.pipeline import calibrate
from tempfit.calibration.record_table import make_table
from tempfit.calibration.recording import record_of
from tempfit.calibration.spread import SPREAD, join, parts_of, spread_table, spread_values
from tests.calibration.test_record import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_that_was_spread_is_joined_to_the_same(kind):
    data, settings = KINDS[kind]
    table = make_table([record_of(calibrate(data, **settings))])
    (row,) = table.to_pylist()
    spread = spread_table(table)
    assert join(spread.to_pylist()[0]) == row
    assert not {name for name in SPREAD if row[name]} & set(spread.column_names)


def test_columns_are_numbered_by_place_and_a_triangle_has_nothing_below_its_diagonal():
    values = np.arange(18.0).reshape(2, 3, 3)
    assert spread_values("curve_cofactor", values)["curve_cofactor_1_2"].tolist() == [5.0, 14.0]
    assert list(spread_values("evidence_factor", values)) == [
        *("evidence_factor_0_0", "evidence_factor_0_1", "evidence_factor_0_2"),
        *("evidence_factor_1_1", "evidence_factor_1_2", "evidence_factor_2_2"),
    ]
    assert list(parts_of("curve_t_u_range", (2,)).values()) == ["curve_t_u_range_low", "curve_t_u_range_high"]
