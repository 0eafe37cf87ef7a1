"""Programs to compare with: in this environment, or in one of their own where their pins conflict with ours.

``make peers`` installs them all; an environment NAME is made from ``NAME.txt`` here and lies in ``.peers/NAME``. Its
programs are scripts here, which time themselves: they are called with two paths, of the arrays given and of those to
write, both as ``.npz``.
"""

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

__all__ = ["ENVIRONMENTS", "Failure", "Peer"]

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[1] / ".peers"
PATIENCE = 3600.0
"""Seconds after which a script in another environment is given up."""

T = TypeVar("T")


@dataclass(frozen=True)
class Failure:
    """Why a peer has no figure, in a line; stands in tables where the figure would."""

    reason: str

    def __str__(self) -> str:
        return self.reason

    def __format__(self, spec: str) -> str:
        return self.reason


@dataclass(frozen=True)
class Peer:
    """A program to compare with.

    Parameters
    ----------
    package : str
        Name of the distribution, whose version is told.
    environment : str, optional
        Folder of :data:`ENVIRONMENTS` that has it; by default it is expected in this environment.
    """

    package: str
    environment: str | None = None

    @property
    def version(self) -> str | None:
        """None where it is not installed."""
        where = {} if self.environment is None else {"path": [str(path) for path in self._packages()]}
        found = next(iter(metadata.distributions(name=self.package, **where)), None)
        return None if found is None else found.version

    def _packages(self) -> list[Path]:
        return list((ENVIRONMENTS / str(self.environment)).glob("lib/python*/site-packages"))

    def __str__(self) -> str:
        return f"{self.package} {self.version or ''}".strip()

    def measured(self, measure: Callable[[], T]) -> T | Failure:
        """What `measure` gives, or why it gives nothing: the peer is not installed, or fails."""
        if self.version is None:
            return Failure("not installed: `make peers`")
        try:
            return measure()
        except Exception as error:  # whatever it is, the other figures stand
            return failed(error)

    def run(self, script: str, **given: Any) -> dict[str, np.ndarray]:
        """Arrays that a script of this folder writes in the peer's environment, from those given.

        Raises
        ------
        RuntimeError
            If the script fails, with the last line of its message.
        """
        with tempfile.TemporaryDirectory() as folder:
            inwards, outwards = Path(folder) / "given.npz", Path(folder) / "found.npz"
            np.savez(inwards, **given)
            python = ENVIRONMENTS / str(self.environment) / "bin" / "python"
            command = [python, "-I", HERE / script, inwards, outwards]
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
            if done.returncode:
                raise RuntimeError((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
            with np.load(outwards, allow_pickle=False) as found:
                return dict(found)


def failed(error: BaseException) -> Failure:
    """An error in a line that a cell of a table can hold."""
    lines = str(error).strip().splitlines() or [""]
    return Failure(f"failed: {type(error).__name__}: {lines[0]}".rstrip(": ").replace("|", "\\|"))
