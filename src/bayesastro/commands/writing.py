"""The folder that a command writes into, and what it says at its end."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
import xarray as xr
from matplotlib.figure import Figure

from bayesastro.commands.naming import data_told
from bayesastro.commands.reporting import as_text
from bayesastro.output import prepare_folder, save_figure
from bayesastro.result import save

__all__ = ["Folder", "begun"]


class Folder:
    """Made and tried out before anything runs; it knows the names of the files written.

    Raises
    ------
    OSError
        If it cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        matplotlib.use("Agg")
        prepare_folder(path)
        self.path = path
        self.names: list[str] = []

    def keep(self, thing: xr.DataTree | Figure, name: str) -> None:
        """Write a result as netCDF, or a figure as PNG."""
        if isinstance(thing, Figure):
            save_figure(thing, self.path / name)
        else:
            save(thing, self.path / name)
        self.names.append(name)

    def tell(self, text: str, facts: Mapping[str, Any], *, json: bool, echo: Callable[[str], None]) -> None:
        """Say what was found and written: the text, or the facts as one JSON document."""
        if json:
            echo(as_text({**facts, "written": [str(self.path / name) for name in self.names]}))
        else:
            echo(f"{text}\n\nWritten to {self.path}/: {', '.join(self.names)}")


def begun(out: Path, model: str, *, json: bool, echo: Callable[[str], None]) -> tuple[Folder, str | None]:
    """The folder, and which data the model takes, which is told first; None of one's own.

    Raises
    ------
    OSError
        If the folder cannot be written to.
    """
    folder, data = Folder(out), data_told(model)
    if data and not json:
        echo(f"{data}\n")
    return folder, data or None
