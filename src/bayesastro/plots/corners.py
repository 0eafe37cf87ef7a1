"""Corner plots."""

from collections.abc import Mapping, Sequence
from typing import Any

import corner as corner_library
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bayesastro.labels import check_variable, results_by_name
from bayesastro.plots.style import axis_label, colors, posterior_of, variable
from bayesastro.units import plain

__all__ = ["corner"]


def corner(
    results: xr.DataTree | Mapping[str, xr.DataTree],
    var_names: str | Sequence[str] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    truths: Mapping[str, float] | None = None,
) -> Figure:
    """Corner plot of scalar parameters, several results overlaid.

    Contours hold 39 % and 86 % of the draws, one and two sigma of a Gaussian in two dimensions.

    Parameters
    ----------
    results : DataTree, or mapping of str to DataTree
        A result, or results by the name that the legend shows.
    var_names : sequence of str, optional
        Scalar variables of the posterior; by default all real ones that the results share.
    labels : mapping of str to str, optional
        Axis labels by variable; LaTeX between dollar signs. By default the name, in LaTeX if it is a symbol.
    truths : mapping of str to float or quantity, optional
        Values to mark; those of variables that are not shown are left out.

    Raises
    ------
    ValueError
        If a variable is missing from a result, in other units in another, or not a real scalar with finite draws, or
        there is nothing to show, or `truths` names no variable of the results.
    TypeError
        If it is no result, such as the path of one, or several came without names.
    """
    by_name = isinstance(results, Mapping | list | tuple) and not isinstance(results, xr.DataTree)
    named: dict[str, Any] = results_by_name(results, "corner") if by_name else {"": results}
    for key, result in named.items():
        posterior_of(result, f"The result `{key}`" if key else "The result")
    var_names = [var_names] if isinstance(var_names, str) else var_names
    names = list(var_names) if var_names is not None else _shared_scalars(list(named.values()))
    if not names:
        raise ValueError("There is no scalar variable to show. Name some in `var_names`.")
    units = {name: _unit(list(named.values()), name) for name in names}
    for name in truths or ():
        check_variable(
            name, dict.fromkeys(n for r in named.values() for n in r["posterior"].data_vars), "`truths` names"
        )
    marks = [plain((truths or {}).get(name), name, units) for name in names]
    columns = {key: np.column_stack([_draws(result, name) for name in names]) for key, result in named.items()}
    if (fewest := min(len(draws) for draws in columns.values())) <= len(names):
        raise ValueError(f"`corner` needs more draws than variables, but there are {fewest} for {len(names)}.")
    ranges = [_range([draws[:, i] for draws in columns.values()]) for i in range(len(names))]
    figure = plt.figure(figsize=(2.2 * len(names) + 1, 2.2 * len(names) + 1))
    for color, draws in zip(colors(len(columns)), columns.values(), strict=True):
        corner_library.corner(
            draws,
            fig=figure,
            labels=[(labels or {}).get(name) or axis_label(name, units[name]) for name in names],
            range=ranges,
            truths=marks if truths and len(names) > 1 else None,
            truth_color="0.3",
            color=color,
            levels=(1 - np.exp(-0.5), 1 - np.exp(-2.0)),
            bins=40,
            smooth=1.0,
            smooth1d=1.0,
            plot_datapoints=False,
            plot_density=False,
            fill_contours=True,
            weights=np.full(len(draws), 1 / len(draws)),
            hist_kwargs={"linewidth": 1.5},
            label_kwargs={"fontsize": 12},
        )
    if len(names) == 1 and marks[0] is not None:  # which corner cannot draw for a single panel
        figure.axes[0].axvline(marks[0], color="0.3")
    for axis in figure.axes:
        place = axis.get_subplotspec()
        if place is not None and place.rowspan == place.colspan:
            axis.autoscale(axis="y")
    if len(named) > 1:
        lines = [Line2D([], [], color=color, lw=2) for color in colors(len(named))]
        figure.legend(lines, list(named), loc="upper right", frameon=False, fontsize=12)
    return figure


def _unit(results: Sequence[xr.DataTree], name: str) -> str:
    units = {unit for result in results if (unit := str(variable(result, name).attrs.get("units", "")))}
    if len(units) > 1:
        raise ValueError(
            f"`{name}` is in {' and '.join(sorted(units))} in these results. Fit them with the same `units`."
        )
    return units.pop() if units else ""


def _shared_scalars(results: Sequence[xr.DataTree]) -> list[str]:
    scalars = [
        [n for n, v in r["posterior"].data_vars.items() if v.dims == ("chain", "draw") and v.dtype.kind != "c"]
        for r in results
    ]
    return [str(name) for name in scalars[0] if all(name in others for others in scalars)] if scalars else []


def _draws(result: xr.DataTree, name: str) -> np.ndarray:
    values = variable(result, name)
    if values.dims != ("chain", "draw"):
        raise ValueError(f"`corner` shows scalars, but `{name}` has shape {values.shape[2:]}. Select one entry of it.")
    if np.iscomplexobj(values):
        raise ValueError(
            f"`corner` shows real scalars, but `{name}` is complex. Show its modulus and phase, or leave it out."
        )
    if bad := int((~np.isfinite(values)).sum()):
        raise ValueError(f"`corner` needs finite draws, but {bad} of `{name}` are not. Leave it out of `var_names`.")
    return values.values.ravel()


def _range(draws: Sequence[np.ndarray]) -> tuple[float, float]:
    """Ends that hold 99.7 % of the draws of each result, with a margin."""
    low = min(float(np.quantile(d, 0.0015)) for d in draws)
    high = max(float(np.quantile(d, 0.9985)) for d in draws)
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin
