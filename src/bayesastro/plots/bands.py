"""What is predicted of a curve: bands where it is seen closely, bars where it is seen here and there."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.lib.stride_tricks import sliding_window_view

from bayesastro.plots.style import COLORS, require_axis

__all__ = ["FEWEST_IN_BAND", "KINDS", "band", "bars", "intervals"]

KINDS = ("auto", "band", "bars")

FEWEST_IN_BAND = 40
"""Abscissae without a gap between them that a band may join."""

GAP = 20
"""So many times the usual step before it or after it is a gap: one step in a thousand of random abscissae."""

USUAL = 11
"""Steps whose median is the usual one."""

MOST_TURNS = 0.25
"""Share of the data at which a band may turn by more than its half-width: an oscillation has eight data or more, then."""

FULL_WIDTH = 50
"""Bars beside each other that have room for their full width; more are narrower."""

LEVELS = (0.023, 0.159, 0.5, 0.841, 0.977)


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

    Raises
    ------
    TypeError
        If `axis` is none.
    ValueError
        If the shapes differ, or there is no curve.
    """
    require_axis(axis)
    x, curves = np.asarray(x), np.asarray(curves)
    if x.ndim != 1 or curves.shape[1:] != x.shape or not curves.size:
        raise ValueError(
            f"`curves` must have the shape (draw, n) for the n of `x`, but {curves.shape} came for {x.shape}."
        )
    low2, low1, median, high1, high2 = np.quantile(curves, LEVELS, axis=0)
    axis.fill_between(x, low2, high2, color=color, alpha=0.2, lw=0)
    axis.fill_between(x, low1, high1, color=color, alpha=0.35, lw=0)
    axis.plot(x, median, color=color, lw=1.2, label=label, **style)
    return axis


def bars(axis: Axes, x: np.ndarray, curves: np.ndarray, *, color: str = COLORS[0], label: str | None = None) -> Axes:
    """The same as `band` with a bar at each abscissa, of which none need be near another."""
    low2, low1, median, high1, high2 = np.quantile(curves, LEVELS, axis=0)
    width = 5 * min(1.0, max(FULL_WIDTH / max(len(x), 1), 0.2))
    axis.vlines(x, low2, high2, color=color, alpha=0.25, lw=width)
    axis.vlines(x, low1, high1, color=color, alpha=0.45, lw=width)
    axis.plot(x, median, "_", color=color, ms=width + 2, mew=1.5, label=label)
    return axis


def intervals(
    axis: Axes,
    x: np.ndarray,
    curves: np.ndarray,
    *,
    kind: str = "auto",
    color: str = COLORS[0],
    label: str | None = None,
) -> Axes:
    """Bands over the stretches of closely spaced abscissae, in any order, and bars at the others.

    Bars are also where a band would be a zigzag, that is over stretches at more than a quarter of whose abscissae the
    median, or an end of the central 68 %, turns by more than half the width between those ends. With `kind` "band" one band
    joins all, and with "bars" none.
    """
    order = np.argsort(x, kind="stable")
    stretches = np.split(order, _gaps(x[order])) if kind == "auto" and len(x) >= FEWEST_IN_BAND else [order]
    joined = [stretch for stretch in stretches if kind == "band" or (kind == "auto" and _is_smooth(curves[:, stretch]))]
    for stretch in joined:
        band(axis, x[stretch], curves[:, stretch], color=color, label=label)
        label = None
    alone = np.setdiff1d(order, np.concatenate([np.empty(0, int), *joined]))
    if len(alone):
        bars(axis, x[alone], curves[:, alone], color=color, label=label)
    return axis


def _is_smooth(curves: np.ndarray) -> bool:
    """Whether curves, at abscissae in order, are enough for a band, and do not oscillate from each to the next."""
    if curves.shape[1] < FEWEST_IN_BAND:
        return False
    levels = np.quantile(curves, LEVELS[1:4], axis=0)
    half = (levels[2] - levels[0]) / 2
    least = np.minimum.reduce([half[:-2], half[1:-1], half[2:]])
    steps = np.diff(levels, axis=1)
    before, after = steps[:, :-1], steps[:, 1:]
    turns = (before * after < 0) & (np.minimum(abs(before), abs(after)) > least)
    return bool(turns.mean(1).max() <= MOST_TURNS)


def _gaps(x: np.ndarray) -> np.ndarray:
    """Numbers of the abscissae, of many in order, that a gap comes before."""
    steps = np.diff(x)
    medians = np.median(sliding_window_view(np.pad(steps, USUAL - 1, mode="edge"), USUAL), axis=1)
    before, after = medians[: len(steps)], medians[USUAL - 1 :]
    return np.flatnonzero(steps > GAP * np.minimum(before, after)) + 1
