"""What a fleet's calibration can be told beyond a calibration's settings: whose readings they are, and who does it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import Field, model_validator

from tempfit.settings import Settings, setting

Name = Annotated[str, Field(min_length=1)]

TIME_UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400}
"""What a time that is a number may count, in seconds."""


class FleetConfig(Settings):
    """How the readings of many sensors are told apart, judged beside each other, and shared out."""

    by: Name | None = setting(
        None, "Column that names the sensor; none: in a folder, each file is one.", title="Column that names the sensor"
    )
    wide: bool = setting(
        False, "Each column beside the reference's is a sensor.", title="A column for each sensor beside the reference"
    )
    without: Name | None = setting(
        None,
        "Columns of a wide table that are no sensors: names or patterns, by comma.",
        title="Columns that are no sensors",
    )
    strict: bool = setting(
        False,
        "Refuse a row that cannot be used, instead of counting it against its sensor.",
        title="Refuse rows that cannot be used",
    )
    time: Name | None = setting(None, "Column of the time of each reading.", title="Column of the time of each reading")
    time_format: Name | None = setting(
        None,
        "How times are written, in strptime's words (%d/%m/%Y %H:%M), or what numbers count: minutes.",
        title="How times are written",
    )
    steady: float | None = setting(
        None,
        "Leave out readings taken while the reference changed faster, per minute.",
        unit="y_unit",
        gt=0,
        title="Fastest change of the reference per minute",
    )
    fdr: float = setting(
        0.01,
        "Share of good sensors among those accused that is expected at most.",
        gt=0,
        lt=1,
        title="False discovery rate",
    )
    workers: int = setting(1, "Processes on this machine; 1: this one.", ge=1, le=1024, title="Processes")
    scheduler: Name | None = setting(
        None, "Address of a Dask scheduler: tcp://HOST:8786.", title="Address of a Dask scheduler"
    )

    @model_validator(mode="after")
    def _one_way_to_tell_sensors_apart(self) -> Self:
        if self.wide and self.by is not None:
            raise ValueError("`by` and `wide` are two ways to tell sensors apart; choose one")
        return self

    @model_validator(mode="after")
    def _steady_needs_time(self) -> Self:
        if (self.steady is None) != (self.time is None):
            raise ValueError("`steady` and `time` belong together: a rate needs the time of each reading")
        return self

    @model_validator(mode="after")
    def _without_needs_wide(self) -> Self:
        if self.without is not None and not self.wide:
            raise ValueError("`without` leaves out columns of a wide table; say `wide=True` if yours is one")
        if self.without is not None and not self.without_patterns:
            raise ValueError("`without` names no column; write names or patterns with commas between")
        return self

    @model_validator(mode="after")
    def _time_format_can_be_read(self) -> Self:
        if self.time_format is None:
            return self
        if self.time is None:
            raise ValueError("`time_format` says how the column `time` is written; name that, too")
        if self.time_format not in TIME_UNITS:
            try:
                written = datetime(2014, 2, 10, 17, 39, tzinfo=UTC).strftime(self.time_format)
                datetime.strptime(written, self.time_format)
                is_one = written != self.time_format
            except ValueError:
                is_one = False
            if not is_one:
                units = ", ".join(TIME_UNITS)
                raise ValueError(f"`time_format` is in strptime's words (%d/%m/%Y %H:%M), or one of {units}")
        return self

    @property
    def without_patterns(self) -> tuple[str, ...]:
        """The names and patterns of the columns that are no sensors."""
        return tuple(name.strip() for name in (self.without or "").split(",") if name.strip())

    @model_validator(mode="after")
    def _one_engine(self) -> Self:
        if self.scheduler is not None and self.workers > 1:
            raise ValueError("`workers` and `scheduler` are two engines; choose one")
        return self
