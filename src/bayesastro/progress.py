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
"""Seconds between two looks at the clock while a program is compiled."""


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
        self._compiled = threading.Event()
        self._clock: threading.Thread | None = None

    @property
    def is_compiling(self) -> bool:
        """Whether a compilation has begun and nothing was reported since."""
        return self._clock is not None

    def compiling(self) -> None:
        """Say that compilation has begun, and go on telling for how long: it can take minutes and shows nothing by itself."""
        self._first = None
        if not self.shown or self.is_compiling:
            return
        if self._bar is None:
            self._tell_compiling("")
        self._compiled.clear()
        self._clock = threading.Thread(target=self._tick, args=(time.monotonic(),), daemon=True)
        self._clock.start()

    def _tick(self, began: float) -> None:
        told = began
        while not self._compiled.wait(TICK):
            now = time.monotonic()
            if self._bar is None and (self.stream.isatty() or now - told >= LINE_INTERVAL):
                told = now
                self._tell_compiling(f", {now - began:.0f} s so far")

    def _tell_compiling(self, seconds: str) -> None:
        if self.stream.isatty():
            self.stream.write(f"\r{self.name}: compiling{seconds}")
            self.stream.flush()
        else:
            self._line(f"compiling{seconds}")

    def _end_compiling(self) -> None:
        if self._clock is not None:
            self._compiled.set()
            self._clock.join()
            self._clock = None
            if self._bar is None:
                self._clear()

    def _clear(self) -> None:
        """Take away the line that tells of the compilation, if a terminal has it."""
        if self.stream.isatty():
            self.stream.write("\r\033[K")

    def update(self, progress: Progress) -> None:
        """Show the state after a block."""
        if not self.shown:
            return
        self._end_compiling()
        now = time.monotonic()
        if self._first is None:
            self._first = now, progress.done + progress.under_way
        if self.stream.isatty():
            self._update_bar(progress, now)
        elif now - self._last_line >= LINE_INTERVAL or progress.done >= progress.total:
            self._last_line = now
            self._line(f"{progress.phase} {self._text(progress, now)}")

    def _update_bar(self, progress: Progress, now: float) -> None:
        if self._bar is None:
            self._bar = tqdm(total=progress.total, file=self.stream, dynamic_ncols=True)
        text = self._text(progress, now).replace("{", "{{").replace("}", "}}")
        self._bar.bar_format = f"{{desc}}: {{percentage:3.0f}}%|{{bar}}| {text}, {{elapsed}}"
        self._bar.total = progress.total
        self._bar.set_description_str(f"{self.name} {progress.phase}", refresh=False)
        self._bar.n = progress.done + progress.under_way
        self._bar.refresh()

    def _text(self, progress: Progress, now: float) -> str:
        position = progress.done + progress.under_way
        began, first = self._first or (now, position)
        rate = (position - first) / (now - began) if now > began else 0.0
        told = [f"{progress.done}/{progress.total}"]
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
            if self.is_compiling:
                self._clear()
            self._line(text)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._end_compiling()
        if self._bar is not None:
            self._bar.close()
