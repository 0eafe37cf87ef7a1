"""Fields on the sky: mean and error of what a posterior says of every pixel."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from bayesastro.plots.style import axis_label, require_axes
from bayesastro.plots.variables import posterior_of, require_draws, variable

__all__ = ["field"]

SKY_NAMES = {
    "pos.eq.ra": "right ascension",
    "pos.eq.dec": "declination",
    "pos.galactic.lon": "galactic longitude",
    "pos.galactic.lat": "galactic latitude",
    "custom:pos.helioprojective.lon": "helioprojective longitude",
    "custom:pos.helioprojective.lat": "helioprojective latitude",
}


def field(
    result: xr.DataTree,
    name: str,
    *,
    wcs: Any = None,
    relative: bool = False,
    axes: np.ndarray | None = None,
    **style: Any,
) -> Figure:
    """Maps of a field's posterior mean and standard deviation.

    Parameters
    ----------
    result : DataTree
    name : str
        Variable of the posterior with two dimensions beside chain and draw, or a part of one that has, such as ``cube[0]``:
        rows along y, columns along x.
    wcs : astropy.wcs.WCS, optional
        Celestial coordinates of the pixels, for the axes.
    relative : bool
        Whether the second map is the standard deviation over the mean, empty where that is zero.
    axes : array of two Axes, optional
        With `wcs` they must have been made with ``projection=wcs``.
    **style
        For the mean's ``imshow``, such as ``cmap`` or ``norm``.

    Raises
    ------
    TypeError
        If it is no result, such as the path of one, or `wcs` or `axes` are none.
    ValueError
        If there is no such variable, or it is no map, or the number of axes is wrong.
    """
    posterior_of(result)
    values = variable(result, name)
    require_draws(values)
    if values.ndim != 4 or np.iscomplexobj(values) or not values.size:
        raise ValueError(f"`field` shows real maps of two dimensions, but `{name}` has shape {values.shape[2:]}.")
    if wcs is not None and not hasattr(wcs, "world_axis_physical_types"):
        raise TypeError(f"`wcs` must be an `astropy.wcs.WCS`, but {wcs!r} came.")
    if axes is None:
        settings = {"projection": wcs} if wcs is not None else {}
        _, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained", subplot_kw=settings)
    flat = require_axes(axes).ravel()
    if len(flat) != 2:
        raise ValueError(f"`field` needs 2 axes, but {len(flat)} came.")
    left, right = flat
    mean, sd = values.mean(["chain", "draw"]).values, values.std(["chain", "draw"]).values
    label = axis_label(name, str(values.attrs.get("units", "")))
    error = np.divide(sd, mean, out=np.full(sd.shape, np.nan), where=mean != 0) if relative else sd
    maps = (("posterior mean", mean, style), ("standard deviation", error, {}))
    for axis, (title, image, settings) in zip((left, right), maps, strict=True):
        drawn = axis.imshow(image, **{"origin": "lower", "cmap": "viridis"} | settings)
        bar = axis.figure.colorbar(drawn, ax=axis, shrink=0.85)
        bar.set_label("relative" if relative and axis is right else label)
        axis.set_title(title)
        names = (
            ("x [pixel]", "y [pixel]") if wcs is None else (_sky_name(kind) for kind in wcs.world_axis_physical_types)
        )
        axis.set(**dict(zip(("xlabel", "ylabel"), names, strict=True)))
    return left.figure


def _sky_name(physical_type: str | None) -> str:
    """For an axis, of a physical type as in the IVOA's vocabulary."""
    return SKY_NAMES.get(physical_type or "", physical_type or "")
