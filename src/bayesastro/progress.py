"""Progress: a bar on a terminal, plain lines elsewhere, nothing on request."""

import sys
import threading
import time
from typing import Any

from tqdm import tqdm

from bayesastro.inference.engine import Progress

__all__ = ["Progress", "Reporter"]

LINE_INTERVAL = 10.0
"""Seconds between plain lines."""

TICK = 1.0
"""Seconds between two looks at the clock while a program is compiled, or in its first block."""

COMPILING, FIRST = "compiling and starting", "first block"


class Reporter:
    """Shows where a run stands: what is done, the speed, time to go and the engine's figures.

    Speed and time to go are those since the first report after a compilation.

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
        self._first: tuple[float, float] | None = None
        self._last_line = -LINE_INTERVAL
        self._waits_for, self._began, self._told = "", 0.0, 0.0
        self._reported = threading.Event()
        self._clock: threading.Thread | None = None

    @property
    def next_stop(self) -> str:
        """When a run that is to stop will do so, in words."""
        if self._clock is None:
            return "after this block"
        return "once it is compiled" if self._waits_for == COMPILING else f"after the {FIRST}"

    def compiling(self, *, apart: bool = False) -> None:
        """Say that compilation has begun, and go on telling for how long: it can take minutes and shows nothing by itself.

        Parameters
        ----------
        apart : bool
            Whether :meth:`compiled` will tell its end; if not, what is told is that the first block is in it.
        """
        self._first = None
        self._wait(COMPILING if apart else f"compiling and the {FIRST}")

    def compiled(self) -> None:
        """Say that compilation has ended, if it had begun, and the first block goes on, which tells nothing before its end."""
        if self._clock is not None:
            self._wait(f"the {FIRST}")

    def _wait(self, what: str) -> None:
        """Tell what goes on until the next report."""
        if not self.shown or self._waits_for == what:
            return
        self._waits_for, self._began = what, time.monotonic()
        if self._bar is None:
            self._tell_waiting("")
        if self._clock is None:
            self._reported.clear()
            self._clock = threading.Thread(target=self._tick, daemon=True)
            self._clock.start()

    def _tick(self) -> None:
        while not self._reported.wait(TICK):
            now = time.monotonic()
            if self._bar is None and (self.stream.isatty() or now - self._told >= LINE_INTERVAL):
                self._tell_waiting(f", {now - self._began:.0f} s so far")

    def _tell_waiting(self, seconds: str) -> None:
        self._told = time.monotonic()
        if self.stream.isatty():
            self.stream.write(f"\r{self.name}: {self._waits_for}{seconds}\033[K")
            self.stream.flush()
        else:
            self._line(f"{self._waits_for}{seconds}")

    def _end_waiting(self) -> None:
        if self._clock is not None:
            self._reported.set()
            self._clock.join()
            self._clock, self._waits_for = None, ""
            if self._bar is None:
                self._clear()

    def _clear(self) -> None:
        """Take away the line that tells what is waited for, if a terminal has it."""
        if self.stream.isatty():
            self.stream.write("\r\033[K")

    def update(self, progress: Progress) -> None:
        """Show the state after a block."""
        if not self.shown:
            return
        self._end_waiting()
        now = time.monotonic()
        if self._first is None:
            self._first = now, progress.done + progress.under_way
        if self.stream.isatty():
            self._update_bar(progress, now)
        elif now - self._last_line >= LINE_INTERVAL or progress.done >= progress.total:
            self._last_line = now
            self._line(self._text(progress, now, has_bar=False))

    def _update_bar(self, progress: Progress, now: float) -> None:
        if self._bar is None:
            self._bar = tqdm(total=progress.total, file=self.stream, dynamic_ncols=True)
        text = self._text(progress, now, has_bar=True).replace("{", "{{").replace("}", "}}")
        self._bar.bar_format = f"{{desc}}: {{percentage:3.0f}}%|{{bar}}| {text}, {{elapsed}}"
        self._bar.total = progress.total
        self._bar.set_description_str(f"{self.name} {progress.phase}", refresh=False)
        self._bar.n = progress.done + progress.under_way
        self._bar.refresh()

    def _text(self, progress: Progress, now: float, *, has_bar: bool) -> str:
        position = progress.done + progress.under_way
        began, first = self._first or (now, position)
        rate = (position - first) / (now - began) if now > began else 0.0
        told = [_standing(progress, has_bar=has_bar)]
        if rate > 0:
            told.append(f"{rate:.3g} {progress.unit}s/s" if rate >= 1 else f"{1 / rate:.3g} s per {progress.unit}")
            if progress.done < progress.total:
                told.append(f"{(progress.total - position) / rate:.0f} s to go")
        return ", ".join([*told, *(f"{value:g} {name}" for name, value in progress.figures.items())])

    def _line(self, text: str) -> None:
        self.stream.write(f"{self.name}: {text}\n")
        self.stream.flush()

    def say(self, text: str) -> None:
        """A line of its own, above the bar if there is one."""
        if self.shown and self._bar is not None:
            self._bar.write(text, file=self.stream)
        elif self.shown:
            if self._clock is not None:
                self._clear()
            self._line(text)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._end_waiting()
        if self._bar is not None:
            self._bar.close()


def _standing(progress: Progress, *, has_bar: bool) -> str:
    """What is done, and of what is done together the share, where no bar tells that."""
    phase = "" if has_bar else f"{progress.phase} "
    if not progress.together:
        return f"{phase}{progress.done}/{progress.total}"
    share = "" if has_bar else f": {100 * progress.under_way / progress.together:.0f} %"
    if progress.together < progress.total:
        several = f" {progress.together} together" if progress.together > 1 else ""
        return f"{phase}{progress.done}/{progress.total} done, the next{several}{share}"
    if progress.total == 1:
        return f"{phase}{progress.done}/1{share}"
    return f"{'all ' if has_bar else 'fitting '}{progress.total} {'' if has_bar else phase}together{share}"
