"""Coverage: how often a credible region of a stated probability holds the truth.

A central region of probability c holds the truth if the fraction u of draws below it has |2u − 1| ≤ c. The region of
highest density holds it if at most a fraction c of the draws have a higher joint density p(x, θ), which needs no
normalisation.

References
----------
Clopper & Pearson 1934, Biometrika 26, 404; Hermans et al. 2022, TMLR (arXiv:2110.06581), regions of highest density.
"""

import numpy as np
from scipy.stats import binom, binomtest

__all__ = ["LEVELS", "binomial_interval", "coverage_extremity"]

LEVELS = (0.5, 0.68, 0.9, 0.95)
"""Probabilities of the regions reported."""


def binomial_interval(count: int, number: int, probability: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's interval of a fraction of which `count` in `number` was seen."""
    low, high = binomtest(count, number).proportion_ci(probability)
    return float(low), float(high)


def coverage_extremity(place: np.ndarray) -> np.ndarray:
    """log of the smallest two-sided binomial p-value of the coverage over `LEVELS`.

    Parameters
    ----------
    place : array, shape (replicate, simulation)
        The smallest probability of a region that holds the truth; uniform if it is right.

    Returns
    -------
    array, shape (replicate,)
    """
    number, worst = place.shape[1], np.zeros(len(place))
    for level in LEVELS:
        counts = np.arange(number + 1)
        tails = np.minimum(binom.logcdf(counts, number, level), binom.logsf(counts - 1, number, level))
        worst = np.minimum(worst, np.log(2.0) + tails[(place <= level).sum(1)])
    return worst
