"""What a notebook calls, without Prefect or MLflow: `tempfit.calibrate`, `.sweep` and `.forecast`.

Their results are those of the pipeline, and show themselves: as text where they are printed, as tables with pictures
where a notebook ends a cell with them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tempfit.calibration import pipeline
from tempfit.calibration.calibration import Calibration
from tempfit.calibration.equation import headline
from tempfit.calibration.recording import record_of
from tempfit.choices import override, parse_config, refuse_idle
from tempfit.config import CalibrationConfig
from tempfit.descent.history import OnEpochs
from tempfit.errors import SettingsError
from tempfit.readings.paired import Readings, as_readings
from tempfit.studies.grid import make_grid
from tempfit.studies.outlook import Outlook, make_outlook
from tempfit.studies.presets import Preset, preset_grid
from tempfit.studies.sweep import Sweep, plan_sweep, run_sweep
from tempfit.studies.sweep_table import make_table
from tempfit.system.files import whole_file
from tempfit.wording import format_limit, format_rate, format_ratio

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Result = TypeVar("Result")

MOST_ROWS = 20  # of a sweep's table
WIDTH = "width:48%;min-width:320px"  # of a picture: two beside each other


class _Shown:
    """A result that shows itself; `_pictures` names how it can be drawn, the first as `plot` does by default."""

    def _rows(self) -> list[tuple[str, ...]]:
        """The table, its first row the heading."""
        raise NotImplementedError

    def _notes(self) -> list[str]:
        """Sentences below the table."""
        return []

    def _pictures(self) -> dict[str, Callable[[], Figure]]:
        raise NotImplementedError

    def plot(self, what: str | None = None) -> Figure:
        """A matplotlib Figure, which a notebook shows and `.savefig(path)` keeps.

        Raises SettingsError, with the names that there are, for another `what`.
        """
        pictures = self._pictures()
        name = next(iter(pictures)) if what is None else what
        if name not in pictures:
            raise SettingsError(f"no picture {name!r}: choose one of {', '.join(pictures)}")
        return pictures[name]()

    def __str__(self) -> str:
        rows = self._rows()
        widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([*lines, *(["", *self._notes()] if self._notes() else [])])

    def _html(self, *pictures: str) -> str:
        from tempfit.plots.canvas import to_png
        from tempfit.report.summary import data_uri

        rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in self._rows() if any(row))
        notes = "".join(f"<p>{_code(note)}</p>" for note in self._notes())
        shown = "".join(
            f'<img src="{data_uri(to_png(self.plot(name)))}" alt="{name}" style="{WIDTH}">' for name in pictures
        )
        return f"<div><table>{rows}</table>{notes}{shown}</div>"


@dataclass(frozen=True, eq=False, repr=False)
class ShownCalibration(_Shown, Calibration):
    """A `Calibration` that shows itself: pictures line, loss, residuals, and path (of a line) or layers (a network)."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {headline(record_of(self))}>"

    def _rows(self) -> list[tuple[str, ...]]:
        from tempfit.report.summary import summary

        return list(summary(record_of(self)))

    def _notes(self) -> list[str]:
        advice = self.forecast.advice
        return [f"{advice[0].upper()}{advice[1:]}"]

    def _pictures(self) -> dict[str, Callable[[], Figure]]:
        from tempfit.plots.calibration import drawings

        return {name: lambda draw=draw: draw(self) for name, draw in drawings(self).items()}  # type: ignore[misc]

    def as_dict(self) -> dict[str, Any]:
        """What `save` writes, as JSON values."""
        return record_of(self).as_dict()

    def save(self, path: str | Path) -> Path:
        """Write the calibration, whole or not at all: what `tempfit predict`, `report` and `export` read.

        path: ends in .json. (A picture is kept by `.plot().savefig(path)`.) Raises SettingsError where it cannot be
        written.
        """
        target = Path(path)
        if target.suffix.lower() != ".json":
            raise SettingsError(f"{path}: a calibration is saved as JSON; name a file that ends in .json")
        with whole_file(target) as file:
            file.write(record_of(self).as_text().encode())
        return target

    def _repr_html_(self) -> str:
        explodes = self.exploded and self.config.model == "line"
        return self._html("line", "loss", *(["path"] if explodes else []))


@dataclass(frozen=True, eq=False, repr=False)
class ShownSweep(_Shown, Sweep):
    """A `Sweep` that shows itself: pictures losses, and of a grid, map or profile."""

    def _rows(self) -> list[tuple[str, ...]]:
        table = make_table(self, most=MOST_ROWS)
        return [table.columns, *table.rows]

    def _notes(self) -> list[str]:
        return [self.headline()]

    def _pictures(self) -> dict[str, Callable[[], Figure]]:
        from tempfit.plots.sweep import drawings

        return {name: lambda draw=draw: draw(self) for name, draw in drawings(self).items()}  # type: ignore[misc]

    def _repr_html_(self) -> str:
        return self._html(*self._pictures())


@dataclass(frozen=True, eq=False, repr=False)
class ShownOutlook(_Shown, Outlook):
    """An `Outlook` that shows itself: picture curves, where something is foretold or was trained."""

    def _rows(self) -> list[tuple[str, ...]]:
        rate = format_rate(self.config.learning_rate)
        rows: list[tuple[str, ...]] = [("scaling", "critical rate", "condition", f"learning rate {rate}", "trained")]
        for prospect in self.prospects:
            told = prospect.forecast
            condition = format_ratio(told.condition_number)
            critical = format_limit(told.critical_learning_rate)
            rows.append((prospect.config.scaling_label, critical, condition, prospect.foretold, prospect.seen))
        return rows if self.chosen.fit is not None else [row[:-1] for row in rows]

    def _notes(self) -> list[str]:
        advice = self.chosen.forecast.advice
        return [f"{advice[0].upper()}{advice[1:]}"]

    def _pictures(self) -> dict[str, Callable[[], Figure]]:
        from tempfit.plots.forecast import draw_outlook

        is_drawn = self.untold is None or self.chosen.fit is not None
        return {"curves": lambda: draw_outlook(self)} if is_drawn else {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.chosen.foretold}>"

    def _repr_html_(self) -> str:
        return self._html(*self._pictures())


def calibrate(
    readings: Any,
    t_c: Any = None,
    *,
    config: CalibrationConfig | None = None,
    on_epochs: OnEpochs | None = None,
    **settings: Any,
) -> ShownCalibration:
    """Fit a line (or another model) to paired readings and judge it, as `tempfit.calibration.pipeline.calibrate`.

    readings: a DataFrame, a path, or the thermometer's readings as a list or an array, with the references `t_c`
    beside them. settings: single ones by name, over those of `config`: `learning_rate=1e-2, scaling="factor"`.
    Raises ReadingsError when the readings cannot carry a line, SettingsError when a setting cannot be used.
    """
    return _shown(ShownCalibration, pipeline.calibrate(_pair(readings, t_c), config, on_epochs=on_epochs, **settings))


def sweep(
    readings: Any,
    t_c: Any = None,
    *,
    grid: Mapping[str, Any] | None = None,
    preset: Preset | None = None,
    config: CalibrationConfig | None = None,
    **settings: Any,
) -> ShownSweep:
    """Try every combination of the values in `grid`, or a `preset`, on the readings (as `calibrate` takes them).

    grid: setting → its values, as a sequence, or as a range in words:
    `{"scaling": ["none", "standardize"], "learning_rate": "1e-5..1e-1:25"}`.
    Raises ReadingsError and SettingsError as `calibrate` does.
    """
    checked, data = _read(readings, t_c, config, settings)
    if (grid is None) == (preset is None):
        raise SettingsError('say what to try: grid={"learning_rate": [0.1, 0.5]} or preset="tutorial"')
    trials = preset_grid(preset, checked) if preset is not None else make_grid(checked, _axes(grid or {}))
    return _shown(ShownSweep, run_sweep(plan_sweep(data, trials)))


def forecast(
    readings: Any,
    t_c: Any = None,
    *,
    train: bool = False,
    config: CalibrationConfig | None = None,
    **settings: Any,
) -> ShownOutlook:
    """What a learning rate will do under each scaling, before training; with `train`, also what it does.

    Readings and settings as `calibrate` takes them, errors as it raises them; SettingsError for a network.
    """
    checked, data = _read(readings, t_c, config, settings)
    return _shown(ShownOutlook, make_outlook(data, checked, train=train))


def _read(
    readings: Any, t_c: Any, config: CalibrationConfig | None, settings: Mapping[str, Any]
) -> tuple[CalibrationConfig, Readings]:
    checked = parse_config(settings if config is None else override(config, settings))
    refuse_idle(checked)
    return checked, as_readings(_pair(readings, t_c), checked, thermometer=checked.thermometer)


def _pair(readings: Any, t_c: Any) -> Any:
    return readings if t_c is None else (readings, t_c)


def _axes(grid: Mapping[str, Any]) -> list[str]:
    """The grid as axes are written: `learning_rate=0.1,0.5`."""
    return [f"{name}={_values(values)}" for name, values in grid.items()]


def _values(values: Any) -> str:
    if isinstance(values, str) or (not isinstance(values, Sequence) and not hasattr(values, "__iter__")):
        return str(values)
    return ",".join("none" if value is None else str(value) for value in values)


def _shown(kind: Callable[..., Result], result: Any) -> Result:
    """The same result as one that shows itself."""
    return kind(**{field.name: getattr(result, field.name) for field in fields(result)})


def _cell(text: str) -> str:
    return f'<td style="text-align:left">{_code(text)}</td>'


def _code(text: str) -> str:
    """Text as HTML; what stands between backticks, as Python is written."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))
