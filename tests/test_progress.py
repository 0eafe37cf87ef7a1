"""Progress as it is told, and Ctrl-C: noted at once, also where Python looks at no signal."""

import hashlib
import io
import os
import signal
import threading
import time

import pytest

from bayesastro import progress
from bayesastro.interruption import interruptions
from bayesastro.progress import Progress, Reporter


class Terminal(io.StringIO):
    """Text as a terminal gets it."""

    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Time as the test sets it; plain lines after every block."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress, "LINE_INTERVAL", 0.0)
    return now


def of_data_sets(done, under_way=0.0):
    return Progress(done, 120, "data sets", {"failed": 0.0}, "data set", under_way)


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_finished_data_sets_are_counted_and_those_under_way_make_the_speed(clock, stream):
    reporter = Reporter("NUTS × 120", shown=True, stream=stream())
    reporter.compiling()
    clock[0] = 40.0
    reporter.update(of_data_sets(0, 10.0))
    clock[0] = 45.0
    reporter.update(of_data_sets(0, 20.0))
    clock[0] = 85.0
    reporter.update(of_data_sets(60, 1.0))
    reporter.close()
    text = reporter.stream.getvalue()
    assert "compiling" in text
    for told in ("0/120, 2 data sets/s, 50 s to go, 0 failed", "60/120, 1.13 data sets/s, 52 s to go, 0 failed"):
        assert told in text
    if stream is Terminal:
        assert " 17%|" in text  # the bar shows what is under way, too
    else:
        assert text.splitlines()[1] == "NUTS × 120: data sets 0/120, 0 failed"


def test_slow_work_is_told_by_the_seconds_that_each_takes(clock):
    reporter = Reporter("fit", shown=True, stream=io.StringIO())
    for clock[0], done in ((0.0, 1), (30.0, 4)):
        reporter.update(Progress(done, 10, "drawing", {}))
    assert reporter.stream.getvalue().splitlines()[-1] == "fit: drawing 4/10, 10 s per step, 60 s to go"


def test_a_compilation_begun_again_is_left_out_of_the_speed(clock):
    reporter = Reporter("fit", shown=True, stream=io.StringIO())
    reporter.update(of_data_sets(0))
    for clock[0], done in ((100.0, 10), (101.0, 12)):
        if done == 10:
            reporter.compiling()
        reporter.update(of_data_sets(done))
    assert "12/120, 2 data sets/s, 54 s to go" in reporter.stream.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_a_long_compilation_says_that_it_goes_on(monkeypatch, stream):
    monkeypatch.setattr(progress, "TICK", 0.02)
    monkeypatch.setattr(progress, "LINE_INTERVAL", 0.05)
    reporter = Reporter("fit", shown=True, stream=stream())
    reporter.compiling()
    limit = time.monotonic() + 10
    while "so far" not in reporter.stream.getvalue() and time.monotonic() < limit:
        time.sleep(0.01)
    reporter.close()
    told = reporter.stream.getvalue()
    assert "fit: compiling, 0 s so far" in told
    time.sleep(0.1)
    assert reporter.stream.getvalue() == told
    assert told.endswith("\r\033[K") == (stream is Terminal)


def interrupted_in_c(seconds):
    """Work that looks at no signal, with one Ctrl-C at its beginning."""
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        hashlib.pbkdf2_hmac("sha256", b"a", b"b", int(4e6 * seconds))


@pytest.mark.parametrize("is_compiling", [True, False])
def test_the_first_ctrl_c_is_noted_at_once(is_compiling):
    told = []
    reporter = Reporter("fit", shown=True, stream=io.StringIO())
    reporter.say = lambda text: told.append((time.monotonic(), text))
    if is_compiling:
        reporter.compiling()
    with interruptions(reporter) as is_interrupted:
        interrupted_in_c(1.0)
        ended = time.monotonic()
        assert is_interrupted()
    reporter.close()
    ((when, text),) = told
    assert ended - when > 0.3
    after = "once it is compiled" if is_compiling else "after this block"
    assert text == f"stopping {after}; press Ctrl-C again to stop at once"


def test_the_second_ctrl_c_raises():
    before = signal.getsignal(signal.SIGINT)
    with interruptions(Reporter("fit", shown=False)) as is_interrupted:
        assert not is_interrupted()
        signal.raise_signal(signal.SIGINT)
        assert is_interrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    assert signal.set_wakeup_fd(-1) == -1
