"""Ctrl-C and SIGTERM: held back, lost, disguised, and heard all the same."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from tempfit.system.interrupts import deaf, raise_if_stopped, stoppable, stopped_by, uninterrupted

STOPS = [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]


@pytest.mark.parametrize(("signum", "error"), STOPS)
def test_both_raise_and_the_handlers_are_put_back(signum, error):
    before = signal.getsignal(signum)
    with pytest.raises(error), stoppable():
        signal.raise_signal(signum)
    assert signal.getsignal(signum) == before
    assert stopped_by() is None  # the next run starts unburdened


@pytest.mark.parametrize(("signum", "error"), STOPS)
def test_they_are_held_back_until_the_block_is_done(signum, error):
    done = []

    def write() -> None:
        with uninterrupted():
            signal.raise_signal(signum)
            done.append("the rest of the block")

    with pytest.raises(error), stoppable():
        write()
    assert done


@pytest.mark.parametrize(("signum", "error"), STOPS)
def test_they_win_over_a_failure_of_the_block(signum, error):
    def fail() -> None:
        signal.raise_signal(signum)
        raise ValueError("database is locked")

    with pytest.raises(error), uninterrupted():
        fail()
    raise_if_stopped()  # outside of `stoppable` nothing is remembered


def test_what_a_library_made_of_them_is_undone():
    def library() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ValueError("Task run is not set") from None

    with pytest.raises(KeyboardInterrupt), stoppable():
        library()


def test_one_that_a_library_lost_is_raised_at_the_next_block():
    done = []

    def lose_one_and_go_on() -> None:
        with suppress(SystemExit):  # as a callback of the garbage collector does
            signal.raise_signal(signal.SIGTERM)
        assert stopped_by() == "SIGTERM"
        with uninterrupted():
            done.append("not any more")

    with pytest.raises(SystemExit), stoppable():
        lose_one_and_go_on()
    assert not done


def test_other_failures_stay_what_they_are():
    with pytest.raises(ValueError, match="something else"), stoppable():
        raise ValueError("something else")


def test_last_words_are_not_interrupted():
    with deaf(writing=True):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)


def test_who_was_told_to_ignore_them_does():
    """A shell lets the jobs that it starts in the background ignore Ctrl-C, which is for the one in the foreground."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stoppable(), uninterrupted():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("signum", "error"), STOPS)
def test_one_that_the_garbage_collector_swallowed_is_raised_again(signum, error, capsys):
    class Dying:
        def __del__(self):
            signal.raise_signal(signum)

    def lose_one_and_go_on() -> None:
        Dying()
        for _ in range(1000):
            time.sleep(0.01)
        pytest.fail("went on")

    with pytest.raises(error), stoppable():
        lose_one_and_go_on()
    assert capsys.readouterr().err == ""  # Python would print "Exception ignored in …" and a traceback


STUBBORN = """
import sys, time
from pathlib import Path
from tempfit.system.interrupts import end_in_time, removed_at_the_end, uninterrupted
end_in_time()
print("ready", flush=True)
deadline = time.monotonic() + 60
def hang():
    while time.monotonic() < deadline:
        try:
            time.sleep(60)
        except BaseException:
            pass
if sys.argv[1] == "writes":
    with uninterrupted():
        hang()
elif sys.argv[1] == "writes for 3 s":
    with uninterrupted():
        end = time.monotonic() + 3
        while time.monotonic() < end:
            time.sleep(0.1)
        print("written", flush=True)
    hang()
elif sys.argv[1] == "leaves a file":
    file, folder = Path(sys.argv[2]), Path(sys.argv[2] + "s")
    with removed_at_the_end(file), removed_at_the_end(folder):
        file.touch()
        folder.mkdir()
        (folder / "rows").touch()
        print("touched", file=sys.stderr, flush=True)
        hang()
else:
    hang()
"""


def stop(kind: str, *signals: signal.Signals) -> tuple[int, float, str, str]:
    """Exit code, seconds after the last signal, and what was said, of a program that obeys no exception."""
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN, *kind.split(": ")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for signum in signals:
        time.sleep(0.5)
        process.send_signal(signum)
    start = time.monotonic()
    out, err = process.communicate(timeout=30)
    return process.returncode, time.monotonic() - start, out, err


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_ends_within_two_seconds_whatever_it_hangs_in(signum, code):
    ended, seconds, _, err = stop("waits", signum)
    assert (ended, err) == (code, "")
    assert seconds < 2


def test_a_database_is_written_first():
    code, seconds, out, err = stop("writes for 3 s", signal.SIGTERM)
    assert (code, out) == (143, "written\n")
    assert err == "stopping as soon as the database is written; once more to stop within 5 seconds\n"
    assert seconds < 3 + 2


def test_a_second_signal_ends_it_within_five_seconds_always():
    code, seconds, _, err = stop("writes", signal.SIGINT, signal.SIGINT)
    assert code == 130
    assert "stopping within 5 seconds, whatever is being written" in err
    assert seconds < 5


def test_what_is_not_whole_is_removed_by_then(tmp_path):
    code, _, _, err = stop(f"leaves a file: {tmp_path / 'table.csv.part'}", signal.SIGTERM)
    assert (code, err) == (143, "touched\n")
    assert list(tmp_path.iterdir()) == []
