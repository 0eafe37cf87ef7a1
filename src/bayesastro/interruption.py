"""Ctrl-C: the first is a flag that a run looks at between its blocks, told at once; the second ends it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bayesastro.progress import Reporter
from bayesastro.signals import watched

__all__ = ["interruptions"]


@contextmanager
def interruptions(reporter: Reporter) -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a flag, so that a block is finished and nothing is lost; the second one raises.

    That the first was noted is told at once, also while a program is compiled.
    """
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    number_seen = 0

    def on_interrupt(signal_number: int, frame: Any) -> None:
        if pressed.is_set() or number_seen > 1:
            raise KeyboardInterrupt
        pressed.set()

    def tell(number: int) -> None:
        nonlocal number_seen
        number_seen = number
        if number == 1:
            reporter.say(f"stopping {reporter.next_stop}; press Ctrl-C again to stop at once")

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        with watched(tell):
            yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
