"""Data on what is predicted for them."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from bayesastro.plots.panels import Curve, Image
from bayesastro.plots.style import axis_label
from bayesastro.plots.variables import variable
from bayesastro.result import require_one

__all__ = ["predictive"]

MOST_ROWS = 6
"""Of a site; of more, so many are shown, evenly taken."""

SLENDER = 4
"""Ratio of the sides from which on a table is a set of curves, and no image."""


def predictive(
    predicted: xr.DataTree,
    name: str | None = None,
    *,
    x: ArrayLike | Mapping[str, ArrayLike] | None = None,
    sigma: ArrayLike | Mapping[str, ArrayLike] | None = None,
    mask: ArrayLike | Mapping[str, ArrayLike] | None = None,
    by: ArrayLike | Mapping[str, ArrayLike] | None = None,
    xlabel: str | Mapping[str, str] = "",
    ylabel: str | Mapping[str, str] = "",
    axes: Any = None,
    **style: Any,
) -> Figure:
    """Observed data on their predictions: curves with residuals below, and images beside their mean prediction.

    Predictions are shown by their median, central 68 % and 95 %, noise included: in bands, and in bars where data are few
    or far between. Residuals are in standard deviations of the predictions: nineteen in twenty lie within two, and those
    beyond eight are triangles at the edge.

    Data of one dimension are a curve. Those of two are an image, or curves: with `x`, along the last axis of its length;
    without it where one side is four times the other, along the longer one. Data of more dimensions have a row for each
    entry of the others. Each site and entry has a row of its own, of a site six at most, evenly taken.

    Parameters
    ----------
    predicted : DataTree
        From `predict`.
    name : str, optional
        Observed site; by default all. Where all are shown, each of the following may be a mapping by site.
    x : array, shape (n,) or that of the data, optional
        Abscissae of curves, in any order; by default their numbers.
    sigma : array, shape (n,) or that of the data, optional
        Error bars to draw.
    mask : array of bool, shape (n,) or that of the data, optional
        True at the data to show; by default those that are finite.
    by : array, shape (n,) or that of the data, optional
        Group of each datum of a curve, such as its filter: a colour each, named in the legend.
    xlabel, ylabel : str
        By default the number of the datum, and the name of the site with its unit.
    axes : sequence of Axes, optional
        For each row two for a curve, three for an image.
    **style
        For the ``imshow`` of images and their predictions, such as ``cmap`` or ``norm``.

    Raises
    ------
    TypeError
        If it is no result, such as the path of one.
    ValueError
        If there are no predictions or no such site, the shape of an array is not that of the data, nothing is left to
        show, or the number of axes is wrong.
    """
    require_one(predicted, "`predicted`")
    group = next((g for g in ("posterior_predictive", "prior_predictive") if g in predicted.children), None)
    if group is None or "observed_data" not in predicted.children:
        without = (
            "" if group is None else " At other `arguments` there are no data: draw those predictions with `band`."
        )
        raise ValueError(
            f"`predictive` needs predictions and data. Make them with `ba.predict(problem, result, seed=...)`.{without}"
        )
    sites = list(map(str, predicted["observed_data"].data_vars)) if name is None else [name]
    given = {"x": x, "sigma": sigma, "mask": mask, "by": by, "xlabel": xlabel, "ylabel": ylabel}
    rows = []
    for site in sites:
        draws, observed = variable(predicted, site, group), variable(predicted, site, "observed_data")
        rows += _rows(site, draws, observed, **{key: _of(site, value) for key, value in given.items()})
    figure, panels = _panels(rows, axes)
    for i, (row, own) in enumerate(zip(rows, panels, strict=True)):
        row.draw(own, with_legend=i == 0, **style)
    return figure


def _of(site: str, value: Any) -> Any:
    return value.get(site) if isinstance(value, Mapping) else value


def _rows(
    site: str, draws: xr.DataArray, observed: xr.DataArray, *, xlabel: str | None, ylabel: str | None, **given: Any
) -> Iterator[Curve | Image]:
    """The rows of one site."""
    values = np.atleast_1d(np.asarray(observed, float))
    curves = draws.values.astype(float).reshape(-1, *values.shape)
    along = _along(values.shape, given["x"])
    arrays = {key: _spread(site, key, array, values.shape, along) for key, array in given.items() if array is not None}
    values = np.where(arrays.get("mask", True), values, np.nan)
    unit = str(draws.attrs.get("units", observed.attrs.get("units", "")))
    kept = {along} if along is not None else {values.ndim - 2, values.ndim - 1}
    entries = list(np.ndindex(*(1 if i in kept else n for i, n in enumerate(values.shape))))
    shown = np.unique(np.linspace(0, len(entries) - 1, MOST_ROWS).astype(int))
    for entry in (entries[i] for i in shown):
        cut = tuple(slice(None) if i in kept else at for i, at in enumerate(entry))
        label = ylabel or axis_label(site + (_written(cut) if len(entries) > 1 else ""), unit)
        data, predictions = values[cut], curves[:, *cut]
        if not np.isfinite(data).any():
            raise ValueError(f"`{site}` has no finite data to show. Widen `mask`.")
        if along is None:
            yield Image(label, data, predictions)
            continue
        own = {key: arrays[key][cut] if key in arrays else None for key in ("sigma", "by")}
        places = arrays["x"][cut] if "x" in arrays else np.arange(len(data))
        name = xlabel or ("x" if "x" in arrays else "number")
        yield Curve(label, data, predictions, x=places, xlabel=name, **own)


def _written(cut: tuple[slice | int, ...]) -> str:
    """Indices as they are typed, without the whole axes at the end."""
    parts = [":" if isinstance(part, slice) else str(part) for part in cut]
    while parts[-1] == ":":
        parts.pop()
    return f"[{', '.join(parts)}]"


def _along(shape: tuple[int, ...], x: Any) -> int | None:
    """Axis along which data of the shape are curves; none if they are images."""
    last = len(shape) - 1
    if x is not None and np.ndim(x) == 1:
        return next((i for i in range(last, -1, -1) if shape[i] == len(x)), last)
    if x is not None or last == 0:
        return last
    short, long = sorted((last - 1, last), key=lambda i: shape[i])
    return long if shape[long] >= SLENDER * shape[short] else None


def _spread(site: str, argument: str, values: Any, shape: tuple[int, ...], along: int | None) -> np.ndarray:
    """An array of the data's shape from one of it, or of the length of curves."""
    array = np.asarray(values)
    if along is not None and array.shape == (shape[along],):
        array = array.reshape([-1 if i == along else 1 for i in range(len(shape))])
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        or_length = "" if along is None or len(shape) == 1 else f", or the length {shape[along]} of its curves"
        raise ValueError(
            f"`{argument}` must have the shape of `{site}`, {shape}{or_length}, but {array.shape} came."
        ) from None


def _panels(rows: Sequence[Curve | Image], axes: Any) -> tuple[Figure, list[list[Axes]]]:
    """Axes for each row, on a new figure unless some were given."""
    if axes is None:
        width, height = max(row.size[0] for row in rows), sum(row.size[1] for row in rows)
        figure = plt.figure(figsize=(width, height if len(rows) == 1 else 0.8 * height), layout="constrained")
        parts = figure.subfigures(len(rows), 1, squeeze=False, height_ratios=[row.size[1] for row in rows])
        return figure, [list(part.subplots(**row.grid)) for part, row in zip(parts.flat, rows, strict=True)]
    flat = list(np.ravel(np.asarray(axes)))
    needed = [row.num_axes for row in rows]
    if len(flat) != sum(needed):
        raise ValueError(f"`predictive` needs {sum(needed)} axes for {len(rows)} rows, but {len(flat)} came.")
    ends = list(itertools.accumulate(needed))
    return flat[0].figure, [flat[end - size : end] for size, end in zip(needed, ends, strict=True)]
