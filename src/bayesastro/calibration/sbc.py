"""Simulation-based calibration: ranks of truths among posterior draws, and simultaneous bands for their ECDF.

Under a right posterior the fraction of draws below the truth is uniform. Its empirical distribution function is held
against binomial intervals at many places at once; how far out the worst place is, is the statistic, and the band is
drawn at the value of it which the false-alarm rate allows.

References
----------
Säilynoja, Bürkner & Vehtari 2022, Stat. Comput. 32, 32 (arXiv:2103.10522).
"""

import functools

import numpy as np
from scipy.stats import binom

__all__ = ["ecdf_band", "ecdf_extremity", "ecdf_grid"]

MAX_PLACES = 100
"""Places at which an ECDF is looked at."""


def ecdf_grid(num_simulations: int) -> np.ndarray:
    """Places between 0 and 1 at which the ECDF of so many values is looked at."""
    number = min(num_simulations, MAX_PLACES)
    return np.arange(1, number) / number


@functools.lru_cache(maxsize=8)
def _log_tails(num_simulations: int) -> np.ndarray:
    """log of the two-sided binomial p-value of every count at every place, shape (place, count)."""
    grid, counts = ecdf_grid(num_simulations)[:, None], np.arange(num_simulations + 1)
    tails = np.minimum(binom.logcdf(counts, num_simulations, grid), binom.logsf(counts - 1, num_simulations, grid))
    return np.minimum(np.log(2.0) + tails, 0.0)


def ecdf_extremity(pit: np.ndarray) -> np.ndarray:
    """log of the smallest pointwise p-value of an ECDF against the uniform distribution.

    Parameters
    ----------
    pit : array, shape (replicate, simulation)
        Values between 0 and 1.

    Returns
    -------
    array, shape (replicate,)
    """
    num_replicates, number = pit.shape
    places = len(ecdf_grid(number)) + 1
    cells = np.minimum((pit * places).astype(np.int64), places - 1) + places * np.arange(num_replicates)[:, None]
    counts = np.bincount(cells.ravel(), minlength=places * num_replicates).reshape(num_replicates, places)
    below = np.cumsum(counts, axis=1)[:, :-1]
    return _log_tails(number)[np.arange(places - 1), below].min(1)


def ecdf_band(num_simulations: int, extremity: float) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the ECDF at each place of :func:`ecdf_grid` that are no further out than `extremity`.

    Parameters
    ----------
    num_simulations : int
    extremity : float
        As of :func:`ecdf_extremity`; the statistic is beyond it where the ECDF leaves the band.
    """
    inside = _log_tails(num_simulations) > extremity
    lower = inside.argmax(1)
    upper = num_simulations - inside[:, ::-1].argmax(1)
    return lower / num_simulations, upper / num_simulations
