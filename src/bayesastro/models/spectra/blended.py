"""What a posterior of fluxes says of crowding: which sources share their light, and which the maps say nothing of."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

from bayesastro.datasets.confused_maps import ConfusedMap

__all__ = ["blends", "determination"]


def blends(
    flux: Float[np.ndarray, "*draws b s"], maps: Mapping[str, ConfusedMap], *, least: float = 0.5
) -> pd.DataFrame:
    """Pairs of sources whose fluxes trade against each other.

    Where two sources are closer than the beam the maps tell their sum, and the posterior is a ridge: the correlation of their
    fluxes goes towards −1, and the sum is known better than either.

    Parameters
    ----------
    flux : array, shape (..., b, s) [mJy]
        Draws, with any leading axes: the site ``flux`` of a result.
    maps : mapping of str to ConfusedMap
        That were fitted.
    least : float
        Of the correlation's absolute value, for a pair to be listed.

    Returns
    -------
    pandas.DataFrame
        A row for each pair and band, the strongest first: ``band``, ``first``, ``second`` (numbers of sources),
        ``separation`` [pixel], ``correlation``, ``sd_first``, ``sd_second`` and ``sd_sum`` [mJy].

    Raises
    ------
    ValueError
        If `flux` is not of the maps' bands and sources, or `least` not between 0 and 1.
    """
    draws = _draws(flux, maps)
    if not 0 <= least <= 1:
        raise ValueError(f"`least` must be a correlation from 0 to 1, but {least!r} came.")
    rows = []
    for i, (band, one) in enumerate(maps.items()):
        covariance = np.atleast_2d(np.cov(draws[:, i].T))
        sd = np.sqrt(np.diag(covariance))
        first, second = np.triu_indices(len(sd), 1)
        correlation = covariance[first, second] / (sd[first] * sd[second])
        separation = np.hypot(one.source_x[first] - one.source_x[second], one.source_y[first] - one.source_y[second])
        sums = np.sqrt(sd[first] ** 2 + sd[second] ** 2 + 2 * covariance[first, second])
        table = {
            "band": band,
            "first": first,
            "second": second,
            "separation": separation,
            "correlation": correlation,
            "sd_first": sd[first],
            "sd_second": sd[second],
            "sd_sum": sums,
        }
        rows.append(pd.DataFrame(table)[np.abs(correlation) >= least])
    return pd.concat(rows).sort_values("correlation", key=lambda c: -c.abs(), ignore_index=True)


def determination(flux: Float[np.ndarray, "*draws b s"], maps: Mapping[str, ConfusedMap]) -> pd.DataFrame:
    """How well each source's flux is known, and with which neighbour it is blended most.

    Parameters
    ----------
    flux, maps
        As for :func:`blends`.

    Returns
    -------
    pandas.DataFrame
        A row for each band and source: ``band``, ``source``, ``mean``, ``sd``, ``low``, ``high`` [mJy; of the central
        68 %], ``of_prior`` (the sd over that of a flat law between the map's bounds: near 1 the map says nothing),
        ``partner`` and ``correlation``, of the source it trades most with.

    Raises
    ------
    ValueError
        If `flux` is not of the maps' bands and sources.
    """
    draws = _draws(flux, maps)
    rows = []
    for i, (band, one) in enumerate(maps.items()):
        values = draws[:, i]
        sd = values.std(axis=0)
        correlation = np.atleast_2d(np.corrcoef(values.T)) - np.eye(values.shape[1])
        partner = np.abs(correlation).argmax(axis=1)
        low, high = np.quantile(values, [0.16, 0.84], axis=0)
        table = {
            "band": band,
            "source": np.arange(values.shape[1]),
            "mean": values.mean(axis=0),
            "sd": sd,
            "low": low,
            "high": high,
            "of_prior": sd * np.sqrt(12) / (one.flux_upper - one.flux_lower),
            "partner": partner,
            "correlation": correlation[np.arange(len(partner)), partner],
        }
        rows.append(pd.DataFrame(table))
    return pd.concat(rows, ignore_index=True)


def _draws(flux: Float[np.ndarray, "*draws b s"], maps: Mapping[str, ConfusedMap]) -> Float[np.ndarray, "n b s"]:
    flux = np.asarray(flux, float)
    shape = (len(maps), len(next(iter(maps.values())).source_x)) if maps else ()
    if flux.ndim < 3 or flux.shape[-2:] != shape:
        raise ValueError(
            f"`flux` must be draws of the site `flux`, with the last axes {shape} of bands and sources, but its shape is "
            f"{flux.shape}."
        )
    return flux.reshape(-1, *shape)
