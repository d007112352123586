"""`tempfit forecast`: what a learning rate will do under each scaling, without training or recording anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tempfit.choices import refuse_idle
from tempfit.cli.help import Command
from tempfit.cli.options import takes_settings
from tempfit.cli.shared import Whole, app, check_figure, say_json, show_lines, stderr, stdout, write_figure
from tempfit.cli.tables import Column, longest_word, show_table
from tempfit.config import CalibrationConfig
from tempfit.errors import SettingsError

if TYPE_CHECKING:
    from tempfit.studies.outlook import Outlook, Prospect


@app.command(cls=Command)
@takes_settings
def forecast(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Paired readings, CSV or Parquet; - reads stdin.")],
    *,
    config: CalibrationConfig,
    train: Annotated[
        bool, typer.Option("--train", help="Also train under each scaling, and show what really happens.")
    ] = False,
    figure: Annotated[
        Path | None, typer.Option(help="Draw the loss against epochs into this PNG file.", metavar="FILE.png")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")] = False,
) -> None:
    """Say what a learning rate will do under each scaling, before training; nothing is recorded."""
    from tempfit.readings.paired import load_readings, peek

    if figure is not None:
        check_figure(figure)
    refuse_idle(config)
    peek(file, config)  # a wrong file is told at once, before anything heavy is loaded
    with stderr.status("loading torch …") as status:
        from tempfit.studies.outlook import make_outlook

        if train:
            status.update("training …")
        outlook = make_outlook(load_readings(file, config, thermometer=config.thermometer), config, train=train)
        if figure is not None:
            _draw(outlook, figure)
    if as_json:
        say_json({**outlook.as_dict(), "figure": None if figure is None else str(figure)})
    else:
        _show(outlook, figure)


def _draw(outlook: Outlook, path: Path) -> None:
    if outlook.untold is not None and outlook.chosen.fit is None:
        raise SettingsError(f"--figure: {outlook.untold}, so no curve is foretold; add --train to draw the real one")
    from tempfit.plots.canvas import to_png
    from tempfit.plots.forecast import draw_outlook

    write_figure(path, to_png(draw_outlook(outlook)))


def _show(outlook: Outlook, figure: Path | None) -> None:
    """The table, the row of the chosen scaling marked, and what belongs below it."""
    from tempfit.wording import format_rate

    rate = format_rate(outlook.config.learning_rate)
    headings = ["", "scaling", "critical rate", "condition", f"learning rate {rate}"]
    trained = outlook.chosen.fit is not None
    headings += ["trained"] if trained else []
    headings += ["best rate", "close at epoch"] if outlook.untold is None else []
    rows = [_cells(prospect, prospect is outlook.chosen) for prospect in outlook.prospects]
    columns = [
        Column(heading, cells, least=longest_word([heading, *cells]))
        for heading, *cells in zip(headings, *rows, strict=True)
    ]
    show_table(stdout, columns, ["bold" if prospect is outlook.chosen else "" for prospect in outlook.prospects])
    lines = [("advice", outlook.chosen.forecast.advice)]
    if outlook.untold is not None:
        lines.append(("not told", f"how many epochs it takes: {outlook.untold}"))
    if outlook.lowest_loss is not None and (trained or outlook.untold is None):
        penalized = " with its penalty" if outlook.config.l2 and outlook.untold is None else ""
        lines.append(("lowest loss", f"{outlook.lowest_loss:.6g} {outlook.readings.y_unit}²"))
        within = f"the loss{penalized} is within 0.1 % of its lowest"
        lines.append(("close", f"{within}; epoch k reports it after k − 1 updates"))
    if figure is not None:
        lines.append(("figure", Whole(figure)))
    stdout.print()
    show_lines(stdout, lines)


def _cells(prospect: Prospect, chosen: bool) -> list[str]:
    from tempfit.wording import format_limit, format_ratio

    told, best = prospect.forecast, prospect.best
    cells = ["→" if chosen else "", prospect.config.scaling_label, format_limit(told.critical_learning_rate)]
    cells += [format_ratio(told.condition_number), prospect.foretold]
    if prospect.fit is not None:
        cells.append(prospect.seen)
    if told.loss_curve is not None:
        needed = best and best.epochs_needed
        cells += [format_limit(best.learning_rate, digits=4), f"{needed:,}"] if best and needed else ["—", "—"]
    return cells
