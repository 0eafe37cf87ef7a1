"""Progress: a bar on a terminal, plain lines elsewhere, nothing on request."""

import sys
import time
from typing import Any

from tqdm import tqdm

from bayesastro.inference.engine import Progress

__all__ = ["Progress", "Reporter"]

LINE_INTERVAL = 10.0
"""Seconds between plain lines."""


class Reporter:
    """Shows where a run stands: steps, rate, time to go and the engine's figures.

    Parameters
    ----------
    name : str
        The engine's name.
    shown : bool
    stream : file, optional
        Standard error by default.
    """

    def __init__(self, name: str, *, shown: bool, stream: Any = None) -> None:
        self.name, self.shown, self.stream = name, shown, stream if stream is not None else sys.stderr
        self._bar: tqdm | None = None
        self._first: tuple[float, int] | None = None
        self._last_line = -LINE_INTERVAL

    def compiling(self) -> None:
        """Say that compilation has begun; it can take long and shows nothing by itself."""
        if self.shown and not self.stream.isatty():
            self._line("compiling")

    def update(self, progress: Progress) -> None:
        """Show the state after a block."""
        if not self.shown:
            return
        now = time.monotonic()
        if self._first is None:
            self._first = now, progress.done
        if self.stream.isatty():
            self._update_bar(progress)
        elif now - self._last_line >= LINE_INTERVAL or progress.done >= progress.total:
            self._last_line = now
            self._line(self._text(progress, now))

    def _update_bar(self, progress: Progress) -> None:
        if self._bar is None:
            self._bar = tqdm(total=progress.total, initial=progress.done, file=self.stream, dynamic_ncols=True)
        self._bar.total = progress.total
        self._bar.set_description(f"{self.name} {progress.phase}", refresh=False)
        self._bar.set_postfix_str(_figures(progress), refresh=False)
        self._bar.update(progress.done - self._bar.n)
        self._bar.refresh()

    def _text(self, progress: Progress, now: float) -> str:
        began, done_first = self._first or (now, progress.done)
        rate = (progress.done - done_first) / (now - began) if now > began else 0.0
        left = (
            f", {(progress.total - progress.done) / rate:.0f} s to go"
            if rate > 0 and progress.done < progress.total
            else ""
        )
        speed = f", {rate:.3g} steps/s" if rate > 0 else ""
        figures = _figures(progress)
        return f"{progress.phase} {progress.done}/{progress.total}{speed}{left}{', ' + figures if figures else ''}"

    def _line(self, text: str) -> None:
        self.stream.write(f"{self.name}: {text}\n")
        self.stream.flush()

    def say(self, text: str) -> None:
        """A line of its own, above the bar if there is one."""
        if self.shown and self._bar is not None:
            self._bar.write(text, file=self.stream)
        elif self.shown:
            self._line(text)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()


def _figures(progress: Progress) -> str:
    return ", ".join(f"{value:g} {name}" for name, value in progress.figures.items())
