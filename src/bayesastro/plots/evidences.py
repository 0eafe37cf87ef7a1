"""Evidences of models beside each other."""

from collections.abc import Mapping
from typing import cast

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayesastro.labels import results_by_name
from bayesastro.plots.style import COLORS, require_axis
from bayesastro.result import require_one

__all__ = ["evidence"]


def evidence(results: Mapping[str, xr.DataTree], *, axis: Axes | None = None) -> Figure:
    """Bars of log-evidences less that of the best model, with their errors.

    Parameters
    ----------
    results : mapping of str to DataTree
        Results with evidences (from `NestedSampler` or `SMC`), by the name of the model.
    axis : Axes, optional

    Raises
    ------
    TypeError
        If these are no results by name, or `axis` is none.
    ValueError
        If there is no result, or one has no evidence or none that is finite, or is of several data sets.
    """
    results = results_by_name(results, "evidence")
    for name, result in results.items():
        require_one(result, f"The result `{name}`")
    without = [name for name, result in results.items() if "log_evidence" not in result.attrs]
    if without or not results:
        what = f"that of `{without[0]}` has none" if without else "none came"
        raise ValueError(f"`evidence` needs results with evidences, but {what}. Fit with `NestedSampler` or `SMC`.")
    values = np.array([_number(name, result, "log_evidence") for name, result in results.items()])
    has_error = ["log_evidence_err" in result.attrs for result in results.values()]
    pairs = zip(results.items(), has_error, strict=True)
    errors = np.array([_number(name, result, "log_evidence_err") if known else 0.0 for (name, result), known in pairs])
    if axis is None:
        _, axis = plt.subplots(figsize=(6, 0.5 * len(results) + 1), layout="constrained")
    require_axis(axis)
    order = np.argsort(values)
    places, names = np.arange(len(order)), list(results)
    axis.barh(
        places, values[order] - values.max(), xerr=errors[order], height=0.6, color=COLORS[0], ecolor="0.2", capsize=3
    )
    axis.set_yticks(places, [names[i] for i in order])
    axis.axvline(0, color="0.6", lw=0.8)
    axis.set_xlabel(f"log-evidence less that of {names[order[-1]]}")
    return cast(Figure, axis.get_figure(root=True))


def _number(name: str, result: xr.DataTree, what: str) -> float:
    """A finite attribute of a result; if it is an error, one that is not negative, or NaN where it is not known."""
    value = result.attrs[what]
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -np.inf
    if number < 0 if what == "log_evidence_err" else not np.isfinite(number):
        raise ValueError(f"`{what}` of `{name}` is {value!r}, which cannot be drawn. Fit it again, or leave it out.")
    return number
