"""How a table of many sensors is laid out: which column says whose a row is, which hold numbers, and which the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from tempfit.config import FleetConfig, ReadingsConfig
from tempfit.errors import ReadingsError
from tempfit.readings.columns import Wanted
from tempfit.readings.paired import wanted_columns
from tempfit.wording import shown


@dataclass(frozen=True)
class Layout:
    """The columns of a table of many sensors.

    by: whose a row is; None where the table does not say. numbers: columns of numbers, `sensors` among them, which are
    those of a wide table. without: names and patterns of what is no sensor there. time: of each row; None where it is
    not looked at; time_format: how it is written, as in `FleetConfig`. config: how numbers are written. strict: a
    row that cannot be used is refused.
    """

    by: Wanted | None
    numbers: Sequence[Wanted]
    time: Wanted | None
    config: ReadingsConfig
    strict: bool
    wide: bool = False
    without: Sequence[str] = ()
    time_format: str | None = None
    sensors: Sequence[Wanted] = ()

    @property
    def wanted(self) -> list[Wanted]:
        """Every column that is read."""
        return [*([self.by] if self.by else []), *self.numbers, *([self.time] if self.time else [])]

    def among(self, names: Sequence[str], place: str) -> Layout:
        """The layout of a table that has these columns, of which those with a number are read, or any that is asked
        for; in a wide one, each other column that has a name, and is not to be left out, is a sensor.

        Raises ReadingsError, naming `place`, where what is to be left out is not there, or is all.
        """
        numbers = [column for column in self.numbers if column.required or column.name in names]
        if not self.wide:
            return replace(self, numbers=numbers)
        known = {column.name for column in self.wanted}
        for pattern in self.without:
            if not any(_fits(name, pattern) for name in names):
                there = shown(", ".join(names), 160)
                raise ReadingsError(f"{place}: no column {shown(pattern)} to leave out; the columns are {there}")
        others = [name for name in names if name and name not in known]
        left = [name for name in others if not any(_fits(name, pattern) for pattern in self.without)]
        if others and not left:
            raise ReadingsError(f"{place}: no column is left for a sensor; leave out fewer by `without`")
        sensors = [Wanted(name, options="`wide`", gaps=True) for name in left]
        return replace(self, numbers=[*sensors, *numbers], sensors=sensors)


def _fits(name: str, pattern: str) -> bool:
    return name == pattern or fnmatchcase(name, pattern)


def layout_of(config: ReadingsConfig, fleet: FleetConfig, *, by: str | None, place: str) -> Layout:
    """The layout that the settings ask for; by: the column that names the sensors, None where no column does.

    Raises ReadingsError, naming `place`, where a column would be two things.
    """
    numbers = wanted_columns(config)
    if fleet.wide:
        numbers = [column for column in numbers if column.name != config.x]
    layout = Layout(
        by=Wanted(by, options="`by`", is_text=True) if by else None,
        numbers=numbers,
        time=Wanted(fleet.time, options="`time`", is_text=True, is_time=True) if fleet.time else None,
        config=config,
        strict=fleet.strict,
        wide=fleet.wide,
        without=fleet.without_patterns,
        time_format=fleet.time_format,
    )
    taken = {column.name for column in numbers}
    if by in taken:
        raise ReadingsError(f"{place}: column {shown(str(by))} cannot name the sensors and hold numbers; name another")
    if fleet.time is not None and fleet.time in {*taken, by}:
        what = "name the sensors" if fleet.time == by else "hold readings"
        raise ReadingsError(f"{place}: column {shown(fleet.time)} cannot hold times and {what}; name another by `time`")
    return layout
