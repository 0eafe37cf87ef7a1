"""The second Ctrl-C of a command: the process ends at once, whatever it is in the middle of."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from bayesastro.signals import watched

__all__ = ["second_interrupt_ends"]

EXIT_CODE = 130
"""Of what Ctrl-C ended."""


@contextmanager
def second_interrupt_ends(told: str) -> Iterator[None]:
    """Within the context the second Ctrl-C ends the process with exit code 130 and a last line on standard error.

    An exception raised within a library, or at the end with its threads at work, may be a crash.
    """

    def end(number: int) -> None:
        if number == 2:
            os.write(2, f"\n{told}\n".encode())  # the stream may be in use by the thread that is interrupted
            os._exit(EXIT_CODE)

    with watched(end):
        yield
