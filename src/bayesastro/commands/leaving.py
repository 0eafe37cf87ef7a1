"""The second Ctrl-C of a command: the process ends at once, whatever it is in the middle of."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["second_interrupt_ends"]

EXIT_CODE = 130
"""Of what Ctrl-C ended."""


@contextmanager
def second_interrupt_ends(told: str) -> Iterator[None]:
    """Within the context the second Ctrl-C ends the process with exit code 130 and a last line on standard error.

    Python looks at signals between its own instructions only: while a program is compiled or run two of them are seen
    late, and as one, and an exception raised within a library, or at the end with its threads at work, may be a crash.
    Hence a thread counts them as they come.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    receiving, sending = os.pipe()
    os.set_blocking(sending, False)
    before = signal.set_wakeup_fd(sending, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(receiving, told), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.write(sending, b"\0")
        watcher.join()
        os.close(sending)
        os.close(receiving)


def _watch(receiving: int, told: str) -> Any:
    """Read the numbers of signals until a zero comes."""
    seen = 0
    while number := os.read(receiving, 1)[0]:
        seen += number == signal.SIGINT
        if seen == 2:
            os.write(2, f"\n{told}\n".encode())  # the stream may be in use by the thread that is interrupted
            os._exit(EXIT_CODE)
