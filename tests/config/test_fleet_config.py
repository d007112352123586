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
        ({"fdr": 0.0}, "greater than 0"),
    ],
)
def test_settings_that_do_not_go_together(values: dict, told: str):
    with pytest.raises(ValidationError, match=told):
        FleetConfig.model_validate(values)
