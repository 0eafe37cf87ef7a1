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


def of_data_sets(done, under_way=0.0, together=0, total=120):
    return Progress(done, total, "data sets", {"without draws": 2.0}, "data set", under_way, together)


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_finished_data_sets_are_counted_and_those_under_way_make_the_speed(clock, stream):
    reporter = Reporter("NUTS × 120", shown=True, stream=stream())
    reporter.compiling()
    clock[0] = 40.0
    reporter.update(of_data_sets(0, 10.0, 60))
    clock[0] = 45.0
    reporter.update(of_data_sets(0, 20.0, 60))
    clock[0] = 85.0
    reporter.update(of_data_sets(60, 1.0, 60))
    reporter.close()
    text = reporter.stream.getvalue()
    assert "compiling" in text
    share = ("", "") if stream is Terminal else (": 33 %", ": 2 %")
    assert f"0/120 done, the next 60 together{share[0]}, 2 data sets/s, 50 s to go, 2 without draws" in text
    assert f"60/120 done, the next 60 together{share[1]}, 1.13 data sets/s, 52 s to go, 2 without draws" in text
    if stream is Terminal:
        assert " 17%|" in text  # the bar shows what is under way, too
    else:
        assert text.splitlines()[1] == "NUTS × 120: data sets 0/120 done, the next 60 together: 17 %, 2 without draws"


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_of_data_sets_that_are_all_fitted_together_the_share_moves(clock, stream):
    reporter = Reporter("NUTS × 120", shown=True, stream=stream())
    for clock[0], under_way in ((0.0, 6.0), (10.0, 30.0)):
        reporter.update(of_data_sets(0, under_way, 120))
    reporter.close()
    text = reporter.stream.getvalue()
    if stream is Terminal:
        assert "NUTS × 120 data sets:  25%|" in text
        assert "| all 120 together, 2.4 data sets/s, 38 s to go, " in text
    else:
        assert text.splitlines()[1].startswith(
            "NUTS × 120: fitting 120 data sets together: 25 %, 2.4 data sets/s, 38 s to go"
        )


def test_of_one_data_set_nothing_is_together():
    for state, told in {
        (0, 0.25, 1, 1): "NUTS: data sets 0/1: 25 %",
        (3, 0.5, 1, 9): "NUTS: data sets 3/9 done, the next: 50 %",
    }.items():
        reporter = Reporter("NUTS", shown=True, stream=io.StringIO())
        reporter.update(of_data_sets(*state))
        assert told in reporter.stream.getvalue()


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
    reporter.compiling(apart=True)
    limit = time.monotonic() + 10
    while "so far" not in reporter.stream.getvalue() and time.monotonic() < limit:
        time.sleep(0.01)
    reporter.close()
    told = reporter.stream.getvalue()
    assert "fit: compiling and starting, 0 s so far" in told
    time.sleep(0.1)
    assert reporter.stream.getvalue() == told
    assert told.endswith("\r\033[K") == (stream is Terminal)


def test_compilation_and_the_first_block_are_told_apart_where_they_can_be():
    reporter = Reporter("fit", shown=True, stream=io.StringIO())
    reporter.compiling(apart=True)
    reporter.compiled()
    reporter.update(of_data_sets(0))
    reporter.compiled()  # of the next chunk, for which nothing was compiled
    reporter.compiling()
    reporter.close()
    first, second, _, last = reporter.stream.getvalue().splitlines()
    assert (first, second) == ("fit: compiling and starting", "fit: the first block")
    assert last == "fit: compiling and the first block"


def interrupted_in_c(seconds):
    """Work that looks at no signal, with one Ctrl-C at its beginning."""
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        hashlib.pbkdf2_hmac("sha256", b"a", b"b", int(4e6 * seconds))


@pytest.mark.parametrize("stage", ["compiling", "compiling and the first block", "the first block", "blocks"])
def test_the_first_ctrl_c_is_noted_at_once(stage):
    told = []
    reporter = Reporter("fit", shown=True, stream=io.StringIO())
    reporter.say = lambda text: told.append((time.monotonic(), text))
    if stage != "blocks":
        reporter.compiling(apart="and" not in stage)
    if stage == "the first block":
        reporter.compiled()
    with interruptions(reporter) as is_interrupted:
        interrupted_in_c(1.0)
        ended = time.monotonic()
        assert is_interrupted()
    reporter.close()
    ((when, text),) = told
    assert ended - when > 0.3
    after = {"compiling": "once it is compiled", "blocks": "after this block"}.get(stage, "after the first block")
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
