"""Coverage: how often a credible region of a stated probability holds the truth.

A central region of probability c holds the truth if the fraction u of draws below it has |2u − 1| ≤ c. The region of
highest density holds it if at most a fraction c of the draws have a higher joint density p(x, θ), which needs no
normalisation.

References
----------
Clopper & Pearson 1934, Biometrika 26, 404; Hermans et al. 2022, TMLR (arXiv:2110.06581), regions of highest density.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import binom, binomtest

from bayesastro.hints import told

__all__ = ["LEVELS", "binned_coverage", "binomial_interval", "coverage_extremity"]

LEVELS = (0.5, 0.68, 0.9, 0.95)
"""Probabilities of the regions reported."""


def binomial_interval(count: int, number: int, probability: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's interval of a fraction of which `count` in `number` was seen."""
    low, high = binomtest(count, number).proportion_ci(probability)
    return float(low), float(high)


def binned_coverage(place: Mapping[str, np.ndarray], values: np.ndarray, edges: Sequence[float]) -> pd.DataFrame:
    """Coverage at `LEVELS` in bins of a number that each simulation has.

    Parameters
    ----------
    place : mapping of str to array, shape (simulation,)
        By quantity, the smallest probability of a region that holds the truth.
    values : array, shape (simulation,)
    edges : sequence of float
        Rising, those of the bins; what is outside is left out.

    Returns
    -------
    pandas.DataFrame
        By ``quantity``, ends of the bin ``from`` and ``to``, and ``level``: ``number`` of simulations, ``coverage``, the
        ``error`` that a right coverage has by chance, and its 95 % interval ``low``, ``high``.

    Raises
    ------
    ValueError
        If edges do not rise or a bin has no simulation.
    """
    ends = np.asarray(edges, float)
    if ends.ndim != 1 or len(ends) < 2 or not (np.diff(ends) > 0).all():
        raise ValueError(f"`edges` must be two or more numbers that rise, but {told(edges)} came.")
    rows = {}
    for name, values_of_name in place.items():
        for low, high in itertools.pairwise(ends):
            inside = values_of_name[(values >= low) & (values < high)]
            if not len(inside):
                raise ValueError(f"No simulation lies from {low:g} to {high:g}. Give other `edges`, or simulate more.")
            for level in LEVELS:
                count = int((inside <= level).sum())
                interval = dict(zip(("low", "high"), binomial_interval(count, len(inside)), strict=True))
                error = np.sqrt(level * (1 - level) / len(inside))
                row = {"number": len(inside), "coverage": count / len(inside), "error": error} | interval
                rows[name, float(low), float(high), level] = row
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.set_axis(pd.MultiIndex.from_tuples(list(rows), names=["quantity", "from", "to", "level"]))


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
