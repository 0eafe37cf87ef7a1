"""Compilation: how long it took, how often, and JAX's persistent cache behind one switch."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import jax

__all__ = ["CompileClock", "compile_clock", "enable_compilation_cache"]

_BACKEND_COMPILE = "/jax/core/compile/backend_compile_duration"
_COMPILE_EVENTS = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    _BACKEND_COMPILE,
)


@dataclass(eq=False)
class CompileClock:
    """Seconds that one thread spent on tracing, lowering and compiling, and the number of programs compiled."""

    count: int = 0
    thread: int = field(default_factory=threading.get_ident)
    _spans: list[tuple[float, float]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return sum(end - start for start, end in self._spans)

    def add(self, end: float, seconds: float) -> None:
        """Note an event that ended now. Those within it (one program traced while another is) are swallowed."""
        start = end - seconds
        while self._spans and self._spans[-1][1] > start:
            start = min(start, self._spans.pop()[0])
        self._spans.append((start, end))


_RUNNING: list[CompileClock] = []


@cache
def _listen() -> None:
    """Register the listener, once: JAX offers no way to take one away again."""

    def on_duration(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event in _COMPILE_EVENTS:
            for clock in [c for c in _RUNNING if c.thread == threading.get_ident()]:
                clock.add(time.monotonic(), duration_secs)
                clock.count += event == _BACKEND_COMPILE

    jax.monitoring.register_event_duration_secs_listener(on_duration)


@contextmanager
def compile_clock() -> Iterator[CompileClock]:
    """Measure what JAX compiles within the context, in the present thread."""
    _listen()
    clock = CompileClock()
    _RUNNING.append(clock)
    try:
        yield clock
    finally:
        _RUNNING.remove(clock)


def enable_compilation_cache(folder: str | Path | None = None) -> Path:
    """Keep compiled programs on disk, so that the next process need not compile them again.

    On for the command line; off in the library until this is called.

    Parameters
    ----------
    folder : path, optional
        Where to keep them; by default ``bayesastro`` in the user's cache folder.

    Returns
    -------
    Path
        The folder in use.

    Raises
    ------
    OSError
        If the folder cannot be made.
    """
    from platformdirs import user_cache_path

    path = Path(folder) if folder is not None else user_cache_path("bayesastro") / "compiled"
    path.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(path))
    # JAX would keep only what took a second to compile; a run has a hundred small programs besides.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return path
