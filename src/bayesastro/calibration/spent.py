"""The seconds that a calibration took, over all calls that it was made in."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bayesastro.checkpoint import write_atomically

__all__ = ["Spent", "spending"]

FILE = "seconds.json"


@dataclass
class Spent:
    """Seconds of the calls before this one, and of this, which begins when it is made.

    Attributes
    ----------
    before : mapping of str to float
        ``calls``, their number; ``seconds``, ``seconds_compiling`` and ``seconds_running``.
    here : dict of str to float
        Those of this call, as far as they are known.
    """

    before: Mapping[str, float] = field(default_factory=dict)
    here: dict[str, float] = field(default_factory=lambda: {"calls": 1})
    began: float = field(default_factory=time.monotonic)

    def elapsed(self) -> float:
        """Seconds since this call began."""
        return time.monotonic() - self.began

    def total(self) -> dict[str, float]:
        """Over all calls."""
        return {name: self.before.get(name, 0) + self.here.get(name, 0) for name in {**self.before, **self.here}}


@contextmanager
def spending(folder: Path | None) -> Iterator[Spent]:
    """Measure a call, and keep what it took in the folder of its checkpoint; a call that refuses keeps nothing.

    What a killed call took is not known.
    """
    file = None if folder is None else folder / FILE
    is_going_on = file is not None and file.is_file() and any(path.is_dir() for path in file.parent.iterdir())
    spent = Spent(json.loads(file.read_text()) if file is not None and is_going_on else {})

    def keep() -> None:
        spent.here["seconds"] = spent.elapsed()
        if file is not None and file.parent.is_dir():
            write_atomically(file, json.dumps(spent.total()).encode())

    try:
        yield spent
    except (KeyboardInterrupt, TimeoutError):
        keep()
        raise
    keep()
