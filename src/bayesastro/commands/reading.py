"""Results that a command is given by their paths."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bayesastro.result import load

__all__ = ["results_of"]


def results_of(paths: Sequence[Path]) -> dict[str, Any]:
    """What the files hold, by their names; a ``result.nc`` has that of its folder.

    Raises
    ------
    ValueError
        If one cannot be read, or two have the same name.
    """
    results = {path.stem if path.name != "result.nc" else path.resolve().parent.name: load(path) for path in paths}
    if len(results) < len(paths):
        raise ValueError("Two of the results have the same name. Rename one of the files, or its folder.")
    return results
