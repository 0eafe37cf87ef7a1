"""Chains of a result: where they were, and whether they agree."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bayesastro.plots.style import colors, require_axes
from bayesastro.plots.variables import Scalar, rest_of, scalars
from bayesastro.result import has_walkers

__all__ = ["rank", "trace"]

NUM_SIMULATIONS = 400

MOST_RANKED = 250
"""Draws of a chain that are ranked: more are thinned, which makes them less dependent too."""


def trace(
    result: xr.DataTree,
    var_names: str | Sequence[str] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    axes: np.ndarray | None = None,
) -> Figure:
    """Densities and traces of scalars, one line a chain; ticks mark divergent transitions.

    Parameters
    ----------
    result : DataTree
    var_names : str or sequence of str, optional
        Variables of the posterior, or entries of them as `summary` prints them, such as ``v[0]``: at most twenty scalars with
        the entries of arrays; by default the first twenty.
    labels : mapping of str to str, optional
        Axis labels by variable.
    axes : array of Axes, shape (scalar, 2), optional

    Raises
    ------
    TypeError
        If it is no result, such as the path of one.
    ValueError
        If a variable is missing or complex, or too many were asked for, or `axes` are too many or few.
    """
    shown = scalars(result, var_names, labels)
    if axes is None:
        height = 1.5 * len(shown) + 0.4
        figure, axes = plt.subplots(len(shown), 2, figsize=(10, height), squeeze=False, layout="constrained")
        figure.suptitle("" if var_names is not None else rest_of(result, shown), fontsize=9)
    axes = _checked(axes, (len(shown), 2))
    statistics = result["sample_stats"].to_dataset() if "sample_stats" in result.children else xr.Dataset()
    diverging = statistics["diverging"].values if "diverging" in statistics else np.zeros(shown[0].draws.shape, bool)
    for (density, line), scalar in zip(axes, shown, strict=True):
        edges = np.histogram_bin_edges(scalar.draws[np.isfinite(scalar.draws)], 40)
        for chain, color in zip(scalar.draws, colors(len(scalar.draws)), strict=True):
            if np.isfinite(chain).any():
                density.hist(chain[np.isfinite(chain)], edges, density=True, histtype="step", color=color)
            line.plot(chain, color=color, lw=0.5, alpha=0.8)
        at = np.flatnonzero(diverging.any(0))
        line.plot(at, np.full(len(at), 0.02), "|", color="k", ms=6, transform=line.get_xaxis_transform())
        density.set(xlabel=scalar.label, yticks=[])
        line.set(ylabel=scalar.label, xlim=(0, scalar.draws.shape[1]))
    axes[-1, 1].set_xlabel("draw")
    return axes[0, 0].figure


def rank(
    result: xr.DataTree,
    var_names: str | Sequence[str] | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    axes: np.ndarray | None = None,
) -> Figure:
    """Whether chains agree: the distribution of each one's ranks among all draws, minus the uniform one.

    The band holds all chains with a probability of 95 % if their draws are independent; where they are not, after
    thinning to 250 a chain, lines leave it without meaning much. Equal draws are ordered by chance.

    Parameters
    ----------
    result : DataTree
    var_names, labels
        As for `trace`.
    axes : array of Axes, shape (scalar,), optional

    Raises
    ------
    ValueError
        As for `trace`; and if there is but one chain, chains are walkers that depend on each other, or a draw is NaN.

    References
    ----------
    Säilynoja, Bürkner & Vehtari (2022), Stat. Comput. 32, 32, arXiv:2103.10522.
    """
    shown = scalars(result, var_names, labels)
    num_chains, num_draws = shown[0].draws.shape
    for scalar in shown:
        if bad := int(np.isnan(scalar.draws).sum()):
            raise ValueError(f"`rank` orders draws, but {bad} of `{scalar.name}` are NaN. Name others in `var_names`.")
    if has_walkers(result) or num_chains < 2:
        why = "its walkers depend on each other" if has_walkers(result) else "it has one chain"
        raise ValueError(f"`rank` compares independent chains, but of this result {why}. Use `trace`.")
    if num_draws < 2:
        raise ValueError("`rank` needs two draws of each chain, but there is one. Run the engine for longer.")
    if axes is None:
        columns = min(4, len(shown))
        rows = -(-len(shown) // columns)
        size = (3 * columns, 2.3 * rows)
        figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", sharex=True)
        figure.suptitle("" if var_names is not None else rest_of(result, shown), fontsize=9)
        for spare in grid.flat[len(shown) :]:
            spare.set_axis_off()
        axes = grid.ravel()[: len(shown)]
    axes = _checked(axes, (len(shown),))
    kept = np.unique(np.linspace(0, num_draws - 1, min(num_draws, MOST_RANKED)).astype(int))
    places = np.arange(1, len(kept)) / len(kept)
    half = _half_width(num_chains, len(kept), places)
    for axis, scalar in zip(axes, shown, strict=True):
        axis.fill_between(places, -half, half, color="0.88", lw=0)
        _draw_ranks(axis, scalar, kept, places)
    return axes[0].figure


def _half_width(num_chains: int, num_draws: int, places: np.ndarray) -> np.ndarray:
    """Of the band about zero that holds the ECDFs of all chains, by simulation of exchangeable draws."""
    # Ranks of one chain among all: a hypergeometric count at each place.
    sd = np.sqrt(places * (1 - places) * (1 - 1 / num_chains) / num_draws)
    ranks = np.tile((np.arange(num_chains * num_draws) + 0.5) / (num_chains * num_draws), (NUM_SIMULATIONS, 1))
    ranks = np.random.default_rng(0).permuted(ranks, axis=1).reshape(-1, num_draws)
    counts = np.stack([np.searchsorted(np.sort(row), places, side="right") for row in ranks])
    largest = np.abs((counts / num_draws - places) / sd).max(1).reshape(NUM_SIMULATIONS, num_chains).max(1)
    return np.quantile(largest, 0.95) * sd


def _draw_ranks(axis: Axes, scalar: Scalar, kept: np.ndarray, places: np.ndarray) -> None:
    draws = scalar.draws[:, kept]
    among_equals = np.random.default_rng(0).permutation(draws.size)  # as no chain is before another
    ranks = np.empty(draws.size)
    ranks[np.lexsort((among_equals, draws.ravel()))] = (np.arange(draws.size) + 0.5) / draws.size
    ranks = ranks.reshape(draws.shape)
    for chain, color in zip(ranks, colors(len(ranks)), strict=True):
        axis.plot(places, (chain[:, None] <= places).mean(0) - places, color=color, lw=1.2)
    axis.axhline(0, color="0.6", lw=0.8)
    axis.set(title=scalar.label, xlabel="fractional rank", ylabel="ECDF − uniform")
    axis.label_outer()


def _checked(axes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    axes = require_axes(axes)
    if axes.shape != shape:
        raise ValueError(f"`axes` must have shape {shape}, one for each scalar shown, but {axes.shape} came.")
    return axes
