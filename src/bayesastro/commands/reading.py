"""Results that a command is given by their paths."""

from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from bayesastro.result import load

__all__ = ["result_at", "results_of"]


def result_at(path: Path) -> xr.DataTree:
    """The result that a file holds.

    Raises
    ------
    ValueError
        If it cannot be read, or holds trained networks.
    """
    result = load(path)
    if not isinstance(result, xr.DataTree):
        kind = type(result).__name__
        raise ValueError(f"`{path}` holds trained networks (`{kind}`) and no result. Give that of a fit with them.")
    return result


def results_of(paths: Sequence[Path]) -> dict[str, xr.DataTree]:
    """What the files hold, by their names; a ``result.nc`` has that of its folder.

    Raises
    ------
    ValueError
        If one cannot be read, holds trained networks, or two have the same name.
    """
    results = {path.stem if path.name != "result.nc" else path.resolve().parent.name: result_at(path) for path in paths}
    if len(results) < len(paths):
        raise ValueError("Two of the results have the same name. Rename one of the files, or its folder.")
    return results
