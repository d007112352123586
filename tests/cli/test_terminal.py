"""What a terminal shows while a file is calibrated."""

from __future__ import annotations

import io

from rich.console import Console

from tempfit.cli.terminal import Terminal
from tests.cases import calibrated


def test_a_bar_is_shown_each_time_a_large_file_is_read() -> None:
    stderr = Console(file=io.StringIO(), force_terminal=True, width=80)
    calibration = calibrated("converged")
    with Terminal(stderr, stderr, None) as terminal:
        terminal.on_rows(1_500, 0.5)
        terminal.on_rows(3_000, 1.0)
        terminal.on_forecast(calibration.config, calibration.forecast)
        for_evidence = stderr.file.getvalue()
        terminal.on_rows(1_499, 0.5)
        terminal.on_rows(2_999, 1.0)
    for shown, rows in ((for_evidence, "3,000"), (stderr.file.getvalue(), "2,999")):
        assert "rows read" in shown
        assert f"{rows}, " in shown
    assert "epoch" in stderr.file.getvalue()
    assert stderr.file.getvalue().endswith("\x1b[2K")  # nothing is left of them
