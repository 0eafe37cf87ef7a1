"""Monte Carlo errors of a result's draws, whichever engine made them: chains, walkers, or a weighted sample."""

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats

from bayesastro.result import has_walkers

__all__ = ["effective_draws", "mean_and_error", "rank_rhat", "relative_efficiency"]


def mean_and_error(result: xr.DataTree, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the draws, and its Monte Carlo standard error.

    Parameters
    ----------
    result : xarray.DataTree
        Where the values are from.
    values : array, shape (chain, draw, ...)
        A function of each draw.

    Returns
    -------
    mean, error : array, shape (...)
    """
    mean = values.mean((0, 1))
    if "ess" in result.attrs:  # drawn from weighted points: these are worth `ess`, and the draws are fewer yet
        return mean, values.std((0, 1)) * np.sqrt(1 / result.attrs["ess"] + 1 / (values.shape[0] * values.shape[1]))
    if has_walkers(result):  # they depend on each other; the series of their means has an error
        values = values.mean(0, keepdims=True)
    with np.errstate(all="ignore"):
        error = np.asarray(array_stats.mcse(values, chain_axis=0, draw_axis=1, method="mean"))
    return mean, np.where(values.std((0, 1)) > 0, error, 0.0)


def effective_draws(result: xr.DataTree, values: np.ndarray) -> float:
    """Number of independent draws that the mean of the worst of the values is worth.

    Parameters
    ----------
    result, values
        As for :func:`mean_and_error`.
    """
    num_draws = float(values.shape[0] * values.shape[1])
    return float(np.min(_independent(result, values), initial=num_draws))


def rank_rhat(result: xr.DataTree, values: np.ndarray) -> np.ndarray:
    """Rank-normalised split R̂ of each value; NaN where it means nothing: one chain, walkers, a weighted sample.

    Parameters
    ----------
    result, values
        As for :func:`mean_and_error`.

    Returns
    -------
    array, shape (...)
    """
    if values.shape[0] < 2 or has_walkers(result) or "ess" in result.attrs:
        return np.full(values.shape[2:], np.nan)
    with np.errstate(all="ignore"):  # of values that do not vary
        return np.asarray(array_stats.rhat(values, chain_axis=0, draw_axis=1))


def relative_efficiency(result: xr.DataTree) -> float:
    """Effective over all draws, averaged over the scalars of the posterior."""
    posterior = result["posterior"].to_dataset()
    columns = [v.values.reshape(*v.shape[:2], -1) for v in posterior.values() if v.dtype.kind == "f"]
    values = np.concatenate(columns, axis=-1)
    ratios = _independent(result, values) / (values.shape[0] * values.shape[1])
    return float(np.clip(ratios.mean(), 1e-3, 1.0)) if len(ratios) else 1.0


def _independent(result: xr.DataTree, values: np.ndarray) -> np.ndarray:
    """For each of the values that varies, the independent draws that its mean is worth."""
    _, error = mean_and_error(result, values)
    spread = values.std((0, 1))
    is_free = (spread > 0) & (error > 0)
    return (spread[is_free] / error[is_free]) ** 2
