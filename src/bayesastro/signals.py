"""Ctrl-C seen as it comes, also while a program is compiled."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

__all__ = ["watched"]


@contextmanager
def watched(on_interrupt: Callable[[int], None]) -> Iterator[None]:
    """Within the context `on_interrupt` is called at each Ctrl-C, with how many there were, in a thread of its own.

    Python looks at signals between its own instructions only: while a program is compiled or run two of them are seen
    late, and as one. A thread that reads their numbers from a socket sees them as they come. In any but the main thread
    the context does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    receiving, sending = socket.socketpair()
    sending.setblocking(False)
    before = signal.set_wakeup_fd(sending.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(receiving, before, on_interrupt), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        sending.send(b"\0")
        watcher.join()
        sending.close()
        receiving.close()


def _watch(receiving: socket.socket, before: int, on_interrupt: Callable[[int], None]) -> None:
    """Read the numbers of signals until a zero comes, and hand them on to who watched before."""
    seen = 0
    while number := receiving.recv(1)[0]:
        if before >= 0:
            with suppress(OSError):
                os.write(before, bytes([number]))
        if number == signal.SIGINT:
            seen += 1
            on_interrupt(seen)
