"""A bounded history of an ensemble's walkers, from which their autocorrelation time is estimated while they run.

A run may be of any length; the history is not: when it is full, every second entry is dropped and from then on half as
many are kept. An autocorrelation time that decides whether the run is long enough is a fiftieth or so of it, hence
still at least ten entries.
"""

from typing import NamedTuple

import numpy as np
from emcee.autocorr import integrated_time

__all__ = ["History", "autocorrelation_time", "extended", "no_history"]

CAPACITY = 1024
"""Entries; a power of two."""


class History(NamedTuple):
    """Positions of all walkers at every `stride`-th iteration.

    Attributes
    ----------
    positions : array, shape (CAPACITY, num_walkers, size)
    stride : int array
    seen : int array
        Iterations so far.
    """

    positions: np.ndarray
    stride: np.ndarray
    seen: np.ndarray


def no_history(num_walkers: int, size: int) -> History:
    """History of no iterations."""
    return History(np.zeros((CAPACITY, num_walkers, size)), np.asarray(1), np.asarray(0))


def extended(history: History, positions: np.ndarray) -> History:
    """History with one more iteration. The array of positions is changed in place, and belongs to the new one."""
    seen, stride = int(history.seen) + 1, int(history.stride)
    if seen % stride == 0:
        history.positions[seen // stride - 1] = positions
        if seen == CAPACITY * stride:
            history.positions[: CAPACITY // 2] = history.positions[1::2].copy()
            stride *= 2
    return History(history.positions, np.asarray(stride), np.asarray(seen))


def autocorrelation_time(history: History, skip: float) -> np.ndarray:
    """Integrated autocorrelation time of each coordinate, in iterations, averaged over the walkers.

    Parameters
    ----------
    history : History
    skip : float
        First fraction of the run that is left out.

    Returns
    -------
    array, shape (size,)
        At least one stride; infinite for a coordinate in which some walker has not moved.

    References
    ----------
    Sokal 1997, in Functional Integration, NATO ASI 361, 131; Foreman-Mackey et al. 2013, arXiv:1202.3665, section 3.3.
    """
    stride = int(history.stride)
    num_kept = int(history.seen) // stride
    kept = history.positions[int(skip * num_kept) : num_kept]
    moved = np.ptp(kept, axis=0) > 0
    with np.errstate(all="ignore"):
        tau = stride * np.maximum(integrated_time(kept, tol=0, quiet=True), 1.0)
    return np.where(moved.all(0) & np.isfinite(tau), tau, np.inf)
