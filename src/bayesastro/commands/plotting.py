"""What ``bayesastro plot`` does: one picture of one or several results."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import xarray as xr
from matplotlib.figure import Figure

from bayesastro import plots
from bayesastro.commands.wording import in_options
from bayesastro.output import save_figure
from bayesastro.result import load

__all__ = ["run"]


def run(
    paths: Sequence[Path], kind: str, out: Path, *, names: Sequence[str], echo: Callable[[str], None] = print
) -> None:
    """Draw a picture of the results into a file.

    Raises
    ------
    ValueError, OSError
        If a result cannot be read, the picture is of one result and several came, or it refuses.
    """
    matplotlib.use("Agg")
    results = {path.stem if path.name != "result.nc" else path.resolve().parent.name: load(path) for path in paths}
    if len(results) < len(paths):
        raise ValueError("Two of the results have the same name. Rename one of the files, or its folder.")
    with in_options(var_names="--var"):
        figure = _drawn(results, kind, list(names))
    save_figure(figure, out)
    echo(f"Written: {out}")


def _drawn(results: dict[str, xr.DataTree], kind: str, names: list[str]) -> Figure:
    first = next(iter(results.values()))
    if kind == "evidence":
        return plots.evidence(results)
    if kind == "corner":
        return plots.corner(results if len(results) > 1 else first, names or None)
    if len(results) > 1:
        raise ValueError(f"A picture of kind `{kind}` is of one result, but {len(results)} came.")
    if kind == "field":
        if len(names) != 1:
            raise ValueError("A picture of kind `field` needs one variable. Name it with `--var`.")
        return plots.field(first, names[0])
    return {"trace": plots.trace, "rank": plots.rank}[kind](first, names or None)
