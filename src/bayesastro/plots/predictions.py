"""Data on what is predicted for them."""

import inspect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from bayesastro.hints import did_you_mean, told
from bayesastro.labels import listed
from bayesastro.plots.bands import KINDS
from bayesastro.plots.panels import Curve, Image
from bayesastro.plots.style import axis_label, require_axes
from bayesastro.plots.variables import variable
from bayesastro.result import require_one
from bayesastro.units import in_unit, said_unit

__all__ = ["predictive"]

MOST_ROWS = 6
"""Of a site; of more, so many are shown, evenly taken."""

SLENDER = 4
"""Ratio of the sides from which on a table is a set of curves, and no image."""


KINDS_OF = {"x": ("biufM", "numbers or dates"), "sigma": ("biuf", "numbers"), "mask": ("biu", "of bool")}
"""NumPy's kinds of arrays, and what they are called."""


def predictive(
    predicted: xr.DataTree,
    name: str | None = None,
    *,
    x: ArrayLike | Mapping[str, ArrayLike] | None = None,
    sigma: ArrayLike | Mapping[str, ArrayLike] | None = None,
    mask: ArrayLike | Mapping[str, ArrayLike] | None = None,
    by: ArrayLike | Mapping[str, ArrayLike] | None = None,
    period: Any = None,
    epoch: Any = None,
    kind: str | Mapping[str, str] = "auto",
    xlabel: str | Mapping[str, str] = "",
    ylabel: str | Mapping[str, str] = "",
    axes: Any = None,
    **style: Any,
) -> Figure:
    """Observed data on their predictions: curves with residuals below, and images beside their mean prediction.

    Predictions are shown by their median, central 68 % and 95 %, noise included: in bands, and in bars where data are few
    (less than forty), far between, or too few for the oscillations of what is predicted: where the median, or an end of the
    68 %, turns at more than one datum in four by more than half the width of the 68 %. Residuals are in standard deviations of the predictions: nineteen in twenty lie within two, and those
    beyond eight are triangles at the edge.

    Data of one dimension are a curve. Those of two are an image, or curves: with `x`, along the last axis of its length;
    without it where one side is four times the other, along the longer one. Data of more dimensions have a row for each
    entry of the others. Each site and entry has a row of its own, of a site six at most, evenly taken.

    Parameters
    ----------
    predicted : DataTree
        From `predict`.
    name : str, optional
        Observed site, or a row of one by the name at its axis, such as ``cube[0]``; by default all. Where all are shown, each
        of the following may be a mapping by site.
    x : array, shape (n,) or that of the data, optional
        Abscissae of curves, in any order; by default their numbers.
    sigma : array, shape (n,) or that of the data, optional
        Error bars to draw.
    mask : array of bool, shape (n,) or that of the data, optional
        True at the data to show; by default those that are finite.
    by : array, shape (n,) or that of the data, optional
        Group of each datum of a curve, such as its filter: a colour each, named in the legend.
    period : float or quantity, optional
        Draw curves over phase from −1/2 to 1/2: (`x` − `epoch`) / `period` less the nearest whole number.
    epoch : float or quantity, optional
        `x` at phase 0, by default 0. Numbers are in the unit of `x`.
    kind : {"auto", "band", "bars"}
        Whether a band joins all data of a curve, or each has a bar; by default as said above.
    xlabel, ylabel : str
        By default the number of the datum or the phase, and the name of the site with its unit.
    axes : sequence of Axes, optional
        For each row two for a curve, three for an image.
    **style
        For the ``imshow`` of images and their predictions, such as ``cmap`` or ``norm``.

    Raises
    ------
    TypeError
        If it is no result, such as the path of one, or an argument is of another kind, or there is no such argument.
    ValueError
        If there are no predictions, none that are finite, or no such site or row, the shape of an array is not that of the
        data, nothing is left to show, the number of axes is wrong, or `period`, `epoch` or `kind` is no such.
    """
    require_one(predicted, "`predicted`")
    group = _group_of(predicted)
    if name is not None and not isinstance(name, str):
        raise TypeError(f"`name` must be one observed site, or None for all, but {name!r} came.")
    given = {"x": x, "sigma": sigma, "mask": mask, "by": by, "xlabel": xlabel, "ylabel": ylabel}
    given |= {"period": period, "epoch": epoch, "kind": kind}
    rows = _rows_of(predicted, group, name, given)
    if style and not any(isinstance(row, Image) for row in rows):
        odd = next(iter(style))
        meant = did_you_mean(odd, inspect.signature(predictive).parameters)
        raise TypeError(f"`predictive` has no argument `{odd}` for curves.{meant}")
    figure, panels = _panels(rows, axes)
    for i, (row, own) in enumerate(zip(rows, panels, strict=True)):
        row.draw(own, with_legend=i == 0, **style)
    return figure


def _group_of(predicted: xr.DataTree) -> str:
    """The group of the predictions, of which there are data."""
    group = next((g for g in ("posterior_predictive", "prior_predictive") if g in predicted.children), None)
    if group is None or "observed_data" not in predicted.children:
        without = (
            "" if group is None else " At other `arguments` there are no data: draw those predictions with `band`."
        )
        raise ValueError(
            f"`predictive` needs predictions and data. Make them with `ba.predict(problem, result, seed=...)`.{without}"
        )
    return group


def _rows_of(predicted: xr.DataTree, group: str, name: str | None, given: Mapping[str, Any]) -> list[Curve | Image]:
    """The rows of all sites, or of the site or row named."""
    known = list(map(str, predicted["observed_data"].data_vars))
    _check_sites(given, known)
    rows: list[Curve | Image] = []
    for asked in known if name is None else [name]:
        base = asked.partition("[")[0]
        site = base if asked not in known and base in known else asked
        draws, observed = variable(predicted, site, group), variable(predicted, site, "observed_data")
        row = None if site == asked else asked
        rows += _rows(site, draws, observed, row=row, **{key: _of(site, value) for key, value in given.items()})
    if not rows:
        raise ValueError("There are no data to show: the group `observed_data` is empty.")
    return rows


def _check_sites(given: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise if an argument by site has another name."""
    for key, value in given.items():
        for site in value if isinstance(value, Mapping) else ():
            if site not in known:
                raise ValueError(
                    f"`{key}` has `{site}`, but the observed sites are {listed(known)}.{did_you_mean(str(site), known)}"
                )


def _of(site: str, value: Any) -> Any:
    return value.get(site) if isinstance(value, Mapping) else value


def _rows(
    site: str,
    draws: xr.DataArray,
    observed: xr.DataArray,
    *,
    row: str | None,
    xlabel: str | None,
    ylabel: str | None,
    kind: str | None,
    period: Any,
    epoch: Any,
    **given: Any,
) -> Iterator[Curve | Image]:
    """The rows of one site, or the one asked for."""
    if kind is not None and kind not in KINDS:
        raise ValueError(f"`kind` must be {', '.join(map(repr, KINDS[:-1]))} or {KINDS[-1]!r}, but {kind!r} came.")
    fold = _folding(period, epoch, given["x"])
    if "c" in (observed.dtype.kind, draws.dtype.kind):
        raise ValueError(f"`{site}` is complex, but pictures show real numbers. Name another site.")
    values = np.atleast_1d(np.asarray(observed, float))
    if not draws.size or not np.isfinite(draws).any():
        raise ValueError(f"`{site}` has no finite predictions to show. Predict it again.")
    curves = draws.values.astype(float).reshape(-1, *values.shape)
    along = _along(values.shape, given["x"])
    arrays = {key: _spread(site, key, array, values.shape, along) for key, array in given.items() if array is not None}
    values = np.where(arrays.get("mask", True), values, np.nan)
    unit = str(draws.attrs.get("units", observed.attrs.get("units", "")))
    kept = {along} if along is not None else {values.ndim - 2, values.ndim - 1}
    entries = np.ndindex(*(1 if i in kept else n for i, n in enumerate(values.shape)))
    cuts = [tuple(slice(None) if i in kept else at for i, at in enumerate(entry)) for entry in entries]
    shown = np.unique(np.linspace(0, len(cuts) - 1, MOST_ROWS).astype(int)) if row is None else _chosen(row, site, cuts)
    for cut in (cuts[i] for i in shown):
        label = ylabel or axis_label(site + (_written(cut) if len(cuts) > 1 else ""), unit)
        data, predictions = values[cut], curves[:, *cut]
        if not np.isfinite(data).any():
            raise ValueError(f"`{site}` has no finite data to show. Widen `mask`.")
        if along is None:
            yield Image(label, data, predictions)
            continue
        own = {key: arrays[key][cut] if key in arrays else None for key in ("sigma", "by")}
        places = arrays["x"][cut] if "x" in arrays else np.arange(len(data))
        name = xlabel or (("x" if "x" in arrays else "number") if fold is None else f"phase (period {fold[0]:.6g})")
        places = places if fold is None else ((places - fold[1]) / fold[0] + 0.5) % 1.0 - 0.5
        yield Curve(label, data, predictions, x=places, xlabel=name, kind=kind or "auto", **own)


def _folding(period: Any, epoch: Any, x: Any) -> tuple[float, float] | None:
    """Period and epoch in the unit of the abscissae; None if these are not folded."""
    if period is None:
        if epoch is not None:
            raise ValueError("`epoch` is where phases are counted from. Give a `period`, too.")
        return None
    if x is None or np.asarray(x).dtype.kind == "M":
        raise ValueError("`period` folds abscissae that are numbers, but none came. Give them as `x`.")
    numbers = []
    for name, value in (("period", period), ("epoch", 0.0 if epoch is None else epoch)):
        plain = (
            in_unit(value, said_unit(x), name) if np.ndim(value) == 0 and not isinstance(value, str) else np.empty(2)
        )
        if plain.shape or not np.isfinite(plain) or (name == "period" and plain <= 0):
            wanted = "one positive number" if name == "period" else "one number"
            raise ValueError(f"`{name}` must be {wanted}, but {value!r} came.")
        numbers.append(float(plain))
    return numbers[0], numbers[1]


def _chosen(row: str, site: str, cuts: Sequence[tuple[slice | int, ...]]) -> list[int]:
    """Number of the row asked for."""
    names = [site + _written(cut) for cut in cuts] if len(cuts) > 1 else []
    found = [i for i, name in enumerate(names) if name.replace(" ", "") == row.replace(" ", "")]
    if not found:
        have = f"its rows are `{names[0]}` to `{names[-1]}`" if names else f"it is one row, `{site}`"
        raise ValueError(f"`{site}` has no row `{row}`; {have}.")
    return found


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
    if argument in KINDS_OF and array.dtype.kind not in KINDS_OF[argument][0]:
        raise TypeError(f"`{argument}` must be {KINDS_OF[argument][1]}, but {told(values)} came.")
    if argument == "sigma" and (array < 0).any():
        raise ValueError(f"`sigma` must not be negative, but {array.min()} came.")
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
    flat = list(require_axes(axes).ravel())
    needed = [row.num_axes for row in rows]
    if len(flat) != sum(needed):
        raise ValueError(f"`predictive` needs {sum(needed)} axes for {len(rows)} rows, but {len(flat)} came.")
    ends = list(itertools.accumulate(needed))
    return flat[0].figure, [flat[end - size : end] for size, end in zip(needed, ends, strict=True)]
