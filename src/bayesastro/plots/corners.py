"""Corner plots."""

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import corner as corner_library
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bayesastro.labels import check_variable, listed, results_by_name
from bayesastro.plots.style import colors
from bayesastro.plots.variables import asked_names, entries, own_label, posterior_of, require_mapping, variable
from bayesastro.units import plain

__all__ = ["by_default", "corner"]

MOST_BY_DEFAULT = 12
"""Scalars: of more, panels are small and the picture is slow."""

MOST_ASKED = 40


def corner(
    results: xr.DataTree | Mapping[str, xr.DataTree],
    var_names: str | Sequence[str] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    truths: Mapping[str, Any] | None = None,
) -> Figure:
    """Corner plot of scalar parameters and of the entries of arrays, several results overlaid.

    Contours hold 39 % and 86 % of the draws, one and two sigma of a Gaussian in two dimensions.

    Parameters
    ----------
    results : DataTree, or mapping of str to DataTree
        A result, or results by the name that the legend shows.
    var_names : str or sequence of str, optional
        Variables of the posterior, or entries of them as `summary` prints them, such as ``v[0]``; forty scalars at most. By
        default twelve of those that the results share: scalars first, then arrays that fit as a whole. A line above the panels
        names what is left out.
    labels : mapping of str to str, optional
        Axis labels by variable or entry; LaTeX between dollar signs. By default the name, in LaTeX if it is a symbol.
    truths : mapping of str to float, array or quantity, optional
        Values to mark, of variables in their shape or of entries; those that are not shown are left out.

    Raises
    ------
    ValueError
        If a variable is missing from a result, in other units or of other shape in another, or not real with finite draws, or
        there is nothing to show, or `truths` names no variable of the results or has another shape.
    TypeError
        If it is no result, such as the path of one, or several came without names, or `var_names` are no names, or `labels` or
        `truths` no mappings.
    """
    require_mapping(labels, "labels")
    require_mapping(truths, "truths")
    by_name = isinstance(results, Mapping | list | tuple) and not isinstance(results, xr.DataTree | xr.Dataset)
    named: dict[str, Any] = results_by_name(results, "corner") if by_name else {"": results}
    for key, result in named.items():
        posterior_of(result, f"The result `{key}`" if key else "The result")
    asked, left = asked_names(var_names), []
    if asked is None:
        names, left = by_default(list(named.values()))
    else:
        names = _asked(named, asked)
    if not names:
        which = f" These are left out by default: {listed(left)}." if left else ""
        raise ValueError(f"There is no scalar variable to show.{which} Name some in `var_names`.")
    units = {name: _unit(list(named.values()), name) for name in names}
    marks = list((_marks(truths, list(named.values()), units) if truths else dict.fromkeys(names)).values())
    columns = {key: np.column_stack([_draws(result, name) for name in names]) for key, result in named.items()}
    if (fewest := min(len(draws) for draws in columns.values())) <= len(names):
        raise ValueError(f"`corner` needs more draws than variables, but there are {fewest} for {len(names)}.")
    figure = plt.figure(figsize=(2.2 * len(names) + 1, 2.2 * len(names) + 1))
    axis_labels = [own_label(labels, name, units[name]) for name in names]
    _draw(figure, list(columns.values()), axis_labels, [None if mark is None else float(mark) for mark in marks])
    if len(named) > 1:
        lines = [Line2D([], [], color=color, lw=2) for color in colors(len(named))]
        figure.legend(lines, list(named), loc="upper right", frameon=False, fontsize=12)
    if left:
        wrapped = textwrap.fill(
            f"Not shown: {listed(left)}", width=max(40, (28 if len(named) == 1 else 14) * len(names))
        )
        above = 1 - 0.34 / figure.get_figheight()  # of the panels, which end 0.4 inches below the edge
        figure.text(0.01, above, wrapped, va="bottom", fontsize=9, color="0.3")
    return figure


def by_default(results: Sequence[xr.DataTree]) -> tuple[list[str], list[str]]:
    """Names of the scalars that a corner of these results shows, and of the variables that it does not, with the reason."""
    posteriors = [result["posterior"].to_dataset() for result in results]
    most = min([MOST_BY_DEFAULT, *(p.sizes.get("chain", 1) * p.sizes.get("draw", 1) - 1 for p in posteriors)])
    variables = {str(name): values for posterior in reversed(posteriors) for name, values in posterior.items()}
    order = [n for posterior in posteriors for n in map(str, posterior)]
    chosen: dict[str, list[str]] = {}
    reasons: dict[str, str] = {}
    for name in sorted(dict.fromkeys(order), key=lambda name: variables[name].ndim > 2):
        shape, room = variables[name].shape[2:], most - sum(map(len, chosen.values()))
        if not all(name in posterior and posterior[name].shape[2:] == shape for posterior in posteriors):
            reasons[name] = "not in all results"
        elif variables[name].dtype.kind not in "biuf":
            reasons[name] = "complex" if variables[name].dtype.kind == "c" else "no numbers"
        elif (size := int(np.prod(shape))) > room:
            room_for = f"{size} entries" if shape else "no room"
            reasons[name] = room_for if most == MOST_BY_DEFAULT else "too few draws"
        elif not all(np.isfinite(posterior[name].values).all() for posterior in posteriors):
            reasons[name] = "not finite"
        else:
            chosen[name] = [entry for entry, draws in entries(results[0], name) if not shape or np.ptp(draws) > 0]
            if len(chosen[name]) < size:
                reasons[name] = f"{size - len(chosen[name])} constant entries"
    in_order = list(dict.fromkeys(order))
    left = [f"{name} ({reasons[name]})" for name in in_order if name in reasons]
    return [entry for name in in_order for entry in chosen.get(name, ())], left


def _asked(results: Mapping[str, xr.DataTree], asked: Sequence[str]) -> list[str]:
    """Scalars in what was asked for, the same in all results."""
    names: list[str] | None = None
    for result in results.values():
        every = itertools.chain.from_iterable(entries(result, name) for name in asked)
        own = list(dict.fromkeys(entry for entry, _ in itertools.islice(every, MOST_ASKED + 1)))
        if len(own) > MOST_ASKED:
            raise ValueError(
                f"At most {MOST_ASKED} scalars fit into a corner, but `var_names` has more: {listed(own)}."
            )
        if names is not None and (odd := sorted(set(names) ^ set(own))):
            raise ValueError(f"`{odd[0]}` is not in all results. Name what they share in `var_names`.")
        names = names or own
    return names or []


def _marks(truths: Mapping[str, Any], results: Sequence[xr.DataTree], units: Mapping[str, str]) -> dict[str, Any]:
    """Value to mark, or None, for each scalar shown, in its unit."""
    marks: dict[str, Any] = dict.fromkeys(units)
    known = dict.fromkeys(str(name) for result in results for name in result["posterior"].data_vars)
    for name, value in truths.items():
        base = name if name in known else str(name).partition("[")[0]
        check_variable(name if base not in known else base, known, "`truths` names")
        holder = next(result for result in results if base in result["posterior"].data_vars)
        part = variable(holder, name)
        is_shown = any(entry == base or entry.startswith(f"{base}[") for entry in units)
        if value is None or not is_shown:
            continue
        found = [entry for entry, _ in entries(holder, name)]
        unit = str(part.attrs.get("units", ""))
        numbers = np.asarray(plain(value, name, {name: unit}))
        if numbers.shape != part.shape[2:] or numbers.dtype.kind not in "biuf":
            raise ValueError(
                f"`truths` must have real numbers of shape {part.shape[2:]} for `{name}`, but {value!r} came."
            )
        shown = zip(found, numbers.ravel(), strict=True)
        marks |= {entry: mark for entry, mark in shown if entry in units and np.isfinite(mark)}
    return marks


def _draw(
    figure: Figure, columns: Sequence[np.ndarray], axis_labels: Sequence[str], marks: Sequence[float | None]
) -> None:
    """Panels of draws, of shape (draw, scalar) for each result."""
    ranges = [_range([draws[:, i] for draws in columns]) for i in range(len(axis_labels))]
    is_marked = any(mark is not None for mark in marks)
    for color, draws in zip(colors(len(columns)), columns, strict=True):
        corner_library.corner(
            draws,
            fig=figure,
            labels=list(axis_labels),
            range=ranges,
            truths=list(marks) if is_marked and len(marks) > 1 else None,
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
    if len(marks) == 1 and marks[0] is not None:  # which corner cannot draw for a single panel
        figure.axes[0].axvline(marks[0], color="0.3")
    for axis in figure.axes:
        place = axis.get_subplotspec()
        if place is not None and place.rowspan == place.colspan:
            axis.autoscale(axis="y")


def _unit(results: Sequence[xr.DataTree], name: str) -> str:
    units = {unit for result in results if (unit := str(variable(result, name).attrs.get("units", "")))}
    if len(units) > 1:
        raise ValueError(
            f"`{name}` is in {' and '.join(sorted(units))} in these results. Fit them with the same `units`."
        )
    return units.pop() if units else ""


def _draws(result: xr.DataTree, name: str) -> np.ndarray:
    ((_, draws),) = entries(result, name)
    if bad := int((~np.isfinite(draws)).sum()):
        raise ValueError(f"`corner` needs finite draws, but {bad} of `{name}` are not. Leave it out of `var_names`.")
    return draws.ravel()


def _range(draws: Sequence[np.ndarray]) -> tuple[float, float]:
    """Ends that hold 99.7 % of the draws of each result, with a margin."""
    low = min(float(np.quantile(d, 0.0015)) for d in draws)
    high = max(float(np.quantile(d, 0.9985)) for d in draws)
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin
