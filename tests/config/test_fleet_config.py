"""Settings of a fleet: which of them go together."""

import pytest
from pydantic import ValidationError

from tempfit.config import FleetConfig


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"by": "sensor", "wide": True}, "two ways"),
        ({"steady": 0.1}, "belong together"),
        ({"time": "t"}, "belong together"),
        ({"workers": 2, "scheduler": "tcp://127.0.0.1:1"}, "two engines"),
        ({"by": "sensor", "without": "note"}, "say `wide=True`"),
        ({"wide": True, "without": " , "}, "names no column"),
        ({"wide": True, "time_format": "minutes"}, "name that, too"),
        ({"steady": 1, "time": "t", "time_format": "dd/mm/yyyy"}, "strptime's words"),
        ({"steady": 1, "time": "t", "time_format": "%d/%Q"}, "strptime's words"),
        ({"fdr": 0.0}, "greater than 0"),
    ],
)
def test_settings_that_do_not_go_together(values: dict, told: str):
    with pytest.raises(ValidationError, match=told):
        FleetConfig.model_validate(values)
