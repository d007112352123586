"""Children of ours hear no Ctrl-C of a terminal's; whoever started them does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tempfit.system.children import silent_children

CHILD = "import signal; signal.raise_signal(signal.SIGINT); print('not heard')"


def test_a_child_does_not_hear_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONWARNINGS", "ignore:else")
    with silent_children():
        child = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=False)
    assert (child.stdout, child.stderr, child.returncode) == ("not heard\n", "", 0)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert os.environ["PYTHONWARNINGS"] == "ignore:else"
