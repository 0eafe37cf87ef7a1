"""Data, and what the posterior predicts for them."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from bayesastro.plots.style import COLORS, axis_label, variable

__all__ = ["band", "predictive"]


def band(
    axis: Axes, x: np.ndarray, curves: np.ndarray, *, color: str = COLORS[0], label: str | None = None, **style: Any
) -> Axes:
    """Posterior band of a curve: the median, and the central 68 % and 95 % at each abscissa.

    Parameters
    ----------
    axis : matplotlib Axes
    x : array, shape (n,)
    curves : array, shape (draw, n)
        The curve for each of a set of draws.
    color, label : str
        Of the median's line.
    """
    low2, low1, median, high1, high2 = np.quantile(curves, [0.023, 0.159, 0.5, 0.841, 0.977], axis=0)
    axis.fill_between(x, low2, high2, color=color, alpha=0.2, lw=0)
    axis.fill_between(x, low1, high1, color=color, alpha=0.35, lw=0)
    axis.plot(x, median, color=color, lw=1.2, label=label, **style)
    return axis


def predictive(
    predicted: xr.DataTree,
    name: str | None = None,
    *,
    x: ArrayLike | None = None,
    sigma: ArrayLike | None = None,
    xlabel: str = "",
    ylabel: str = "",
    axes: Any = None,
) -> Figure:
    """Observed data on the bands of the predictions: curves with residuals below, or an image beside its prediction.

    Residuals are in standard deviations of the predictions, noise included: nineteen in twenty lie within two.

    Parameters
    ----------
    predicted : DataTree
        From `predict`.
    name : str, optional
        Observed site, of one or two dimensions; by default the only one.
    x : array, shape (n,), optional
        Abscissae of data of one dimension, in any order; by default their numbers.
    sigma : array, shape (n,), optional
        Error bars to draw.
    xlabel, ylabel : str
        By default the number of the datum, and the name of the site.
    axes : two Axes for data of one dimension, three for an image, optional

    Raises
    ------
    ValueError
        If there are no predictions, there is no such site, or its data have neither one nor two dimensions.
    """
    group = next((g for g in ("posterior_predictive", "prior_predictive") if g in predicted.children), None)
    if group is None or "observed_data" not in predicted.children:
        raise ValueError(
            "`predictive` needs predictions and data. Make them with `ba.predict(problem, result, seed=...)`."
        )
    sites = list(map(str, predicted["observed_data"].data_vars))
    if name is None and len(sites) > 1:
        raise ValueError(f"There are several observed sites: {', '.join(sites)}. Say which by `name`.")
    name = name or sites[0]
    draws = variable(predicted, name, group)
    observed = np.asarray(variable(predicted, name, "observed_data"), float)
    curves = draws.values.reshape(-1, *draws.shape[2:]).astype(float)
    ylabel = ylabel or axis_label(name, str(draws.attrs.get("units", "")))
    if observed.ndim == 2:
        return _image(observed, curves, ylabel, axes)
    if observed.ndim != 1:
        raise ValueError(f"`predictive` shows data of one or two dimensions, but `{name}` has shape {observed.shape}.")
    places = np.arange(len(observed)) if x is None else np.asarray(x, float)
    if places.shape != observed.shape:
        raise ValueError(f"`x` must have the shape of `{name}`, {observed.shape}, but {places.shape} came.")
    if axes is None:
        settings = {"height_ratios": (3, 1), "sharex": True, "layout": "constrained", "figsize": (7, 5)}
        _, axes = plt.subplots(2, 1, **settings)
    upper, lower = np.ravel(np.asarray(axes))
    order = np.argsort(places, kind="stable")
    band(upper, places[order], curves[:, order], label="predicted")
    upper.errorbar(places, observed, sigma, fmt=".", color="0.15", ms=4, lw=0.8, label="observed")
    upper.set_ylabel(ylabel)
    upper.legend(frameon=False)
    lower.axhspan(-2, 2, color=COLORS[0], alpha=0.2, lw=0)
    lower.plot(places, (observed - curves.mean(0)) / curves.std(0), ".", color="0.15", ms=4)
    lower.axhline(0, color=COLORS[0], lw=0.8)
    lower.set(xlabel=xlabel or ("number" if x is None else "x"), ylabel="residual [sd]")
    return upper.figure


def _image(observed: np.ndarray, images: np.ndarray, label: str, axes: Any) -> Figure:
    if axes is None:
        _, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained", sharex=True, sharey=True)
    axes = np.ravel(np.asarray(axes))
    mean, sd = images.mean(0), images.std(0)
    shared = {"vmin": np.nanmin(observed), "vmax": np.nanmax(observed), "cmap": "viridis"}
    panels = (
        ("observed", observed, shared, label),
        ("predicted", mean, shared, label),
        ("residual", (observed - mean) / sd, {"vmin": -4, "vmax": 4, "cmap": "RdBu_r"}, "[sd]"),
    )
    for axis, (title, image, style, unit) in zip(axes, panels, strict=True):
        drawn = axis.imshow(image, origin="lower", **style)
        axis.figure.colorbar(drawn, ax=axis, shrink=0.85).set_label(unit)
        axis.set(title=title, xlabel="x [pixel]")
    axes[0].set_ylabel("y [pixel]")
    return axes[0].figure
