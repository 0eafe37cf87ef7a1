"""Counts split in two, so that what one part predicts can be scored on the other.

A Poisson count of which each photon is kept with probability p becomes two independent Poisson counts, of p and 1 − p times its
mean. Other than leaving pixels out, that tests a reconstruction in every pixel, and with the point-spread function as it is.

References
----------
Leiner et al. 2023, J. Am. Stat. Assoc. (arXiv:2112.11079), data fission; Neufeld et al. 2024, J. Mach. Learn. Res. 25, 57
(arXiv:2301.07276), thinning.
"""

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from scipy import stats
from scipy.special import logsumexp

from bayesastro.seeds import asks_for, checked_seed
from bayesastro.simulators.counts import require_counts

__all__ = ["thinned", "thinned_score"]


@asks_for("seed")
def thinned(
    counts: ArrayLike, probability: float, *, seed: int
) -> tuple[Int[np.ndarray, "..."], Int[np.ndarray, "..."]]:
    """Counts to fit, each kept with a probability, and the others, held out.

    The exposure of the first is `probability` times that of all.

    Parameters
    ----------
    counts : array of whole numbers
    probability : float
        Above 0 and below 1.
    seed : int

    Returns
    -------
    kept, held_out : array of int
        Of the shape of `counts`; their sum is `counts`.

    Raises
    ------
    ValueError
        If counts are negative or not whole, or the probability is not between 0 and 1.

    Examples
    --------
    >>> from bayesastro.thinning import thinned
    >>> kept, held_out = thinned([0, 3, 100], 0.8, seed=1)
    >>> kept + held_out
    array([  0,   3, 100])
    """
    seed = checked_seed(seed)
    found = np.asarray(counts)
    require_counts(found)
    _require_probability(probability)
    found = found.astype(int)
    kept = np.random.default_rng(seed).binomial(found, probability)
    return kept, found - kept


def thinned_score(held_out: ArrayLike, expected: ArrayLike, probability: float) -> Float[np.ndarray, "..."]:
    """Logarithm of the predictive probability of each count held out by :func:`thinned`.

    It is the mean over the draws of Poisson probabilities; sums over pixels of several methods compare them.

    Parameters
    ----------
    held_out : array of int
    expected : array, shape (draw, ...) with that of `held_out` behind, or that alone
        Means of the counts that were kept: at posterior draws, or one estimate of them.
    probability : float
        With which counts were kept.

    Raises
    ------
    ValueError
        If shapes do not fit, the probability is not between 0 and 1, or a mean is not positive.
    """
    seen, mean = np.asarray(held_out), np.asarray(expected, float)
    if mean.shape[mean.ndim - seen.ndim :] != seen.shape or mean.ndim > seen.ndim + 1:
        raise ValueError(f"`expected` of shape {mean.shape} does not fit `held_out` of shape {seen.shape}.")
    _require_probability(probability)
    if not (mean > 0).all():
        raise ValueError("`expected` must be positive everywhere. Leave out what has no exposure.")
    mean = mean if mean.ndim > seen.ndim else mean[None]
    scores = stats.poisson.logpmf(seen, mean * (1 - probability) / probability)
    return logsumexp(scores, axis=0) - np.log(len(mean))


def _require_probability(probability: float) -> None:
    if not 0 < probability < 1:
        raise ValueError(f"`probability` must be between 0 and 1, but {probability} came.")
