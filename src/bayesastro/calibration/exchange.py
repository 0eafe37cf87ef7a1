"""The null hypothesis: truth and posterior draws of a simulation are exchangeable.

θ ~ p(θ), x ~ p(x | θ) and draws from p(θ | x) given the same x have one distribution whichever of them is called the
truth. A *pool* holds, for every simulation, the truth as member 0 and independent draws as the others. Calling another
member of each pool the truth, at random, gives a replicate of the null in which all dependences between parameters,
likelihoods and distances are as they are in the data. Any statistic of ranks so gets an exact p-value, and all checks
together one false-alarm rate.

References
----------
Talts et al. 2018, arXiv:1804.06788; Modrák et al. 2023, Bayesian Analysis (arXiv:2211.02383), quantities of data and
parameters; Westfall & Young 1993, Resampling-based multiple testing (Wiley), the smallest of several p-values.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["REPLICATES_AT_LEAST", "REPLICATES_OVER_RATE", "Replicates", "joint_level", "pooled", "ranks", "replicates"]

REPLICATES_AT_LEAST = 1000

REPLICATES_OVER_RATE = 40
"""Replicates times false-alarm rate: what the level of the checks is read off from."""


def pooled(theta: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Truth and draws along one axis, the truth first.

    Parameters
    ----------
    theta : array, shape (simulation, ...)
    draws : array, shape (simulation, draw, ...)
        NaN where a simulation has fewer.

    Returns
    -------
    array, shape (simulation, member, ...)
    """
    return np.concatenate([theta[:, None], draws], axis=1)


def ranks(values: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rank of every member within its pool, ties broken at random.

    Parameters
    ----------
    values : array, shape (simulation, member, quantity)
        NaN where there is no member.

    Returns
    -------
    ranks : array of int, shape (simulation, member, quantity)
        0 for the smallest; without meaning where there is no member.
    sizes : array of int, shape (simulation,)
    """
    sizes = (~np.isnan(values)).all(-1).sum(1)
    ranked = np.empty(values.shape, np.int32)
    for q in range(values.shape[-1]):
        shuffle = np.argsort(random.random(values.shape[:2]), axis=1)
        shuffled = np.take_along_axis(values[..., q], shuffle, axis=1)
        order = np.argsort(shuffled, axis=1, kind="stable")  # NaN last
        places = np.take_along_axis(shuffle, order, axis=1)
        np.put_along_axis(ranked[..., q], places, np.arange(values.shape[1])[None].astype(np.int32), axis=1)
    return ranked, sizes


@dataclass(frozen=True)
class Replicates:
    """Which member of each pool is called the truth; row 0 is the data, the others are replicates of the null.

    Attributes
    ----------
    picks : array of int, shape (replicate, simulation)
    jitter : array, shape (replicate, simulation)
        Uniform; spreads a rank over its cell, so that a fraction of ranks is uniform whatever the size of the pool.
    sizes : array of int, shape (simulation,)
    """

    picks: np.ndarray
    jitter: np.ndarray
    sizes: np.ndarray

    def pit(self, ranks: np.ndarray) -> np.ndarray:
        """Probability integral transforms of a quantity's truths, uniform under the null.

        Parameters
        ----------
        ranks : array of int, shape (simulation, member)

        Returns
        -------
        array, shape (replicate, simulation)
        """
        return (self.of(ranks) + self.jitter) / self.sizes

    def of(self, values: np.ndarray) -> np.ndarray:
        """The truths' values among those of shape (simulation, member)."""
        return values[np.arange(len(values)), self.picks]


def replicates(sizes: np.ndarray, false_alarm: float, random: np.random.Generator) -> Replicates:
    """The data and enough replicates of the null for a false-alarm rate."""
    number = max(REPLICATES_AT_LEAST, int(np.ceil(REPLICATES_OVER_RATE / false_alarm)))
    shape = (number + 1, len(sizes))
    picks = np.minimum((random.random(shape) * sizes).astype(np.int32), sizes - 1)
    picks[0] = 0
    return Replicates(picks, random.random(shape), sizes)


def joint_level(statistics: Mapping[str, np.ndarray], false_alarm: float) -> tuple[dict[str, float], float]:
    """p-values of all checks, and the level that each may use.

    The level is the largest at which no more than `false_alarm` of the replicates fail any of the checks, so that the
    rate is shared equally between checks, and those that say the same cost it only once.

    Parameters
    ----------
    statistics : mapping of str to array, shape (replicate,)
        Small where a check finds something amiss; entry 0 is the data.
    false_alarm : float

    Returns
    -------
    p : dict of str to float
    level : float
        A check fails if its p-value does not exceed it.
    """
    columns = []
    for values in statistics.values():
        ordered = np.sort(values)
        columns.append(np.searchsorted(ordered, values, side="right") / len(values))
    smallest = np.sort(np.min(columns, axis=0)[1:])
    # The largest level that at most this many replicates reach.
    allowed = int(np.floor(false_alarm * (len(smallest) + 1)))
    reached = smallest[min(allowed, len(smallest) - 1)]
    below = smallest[smallest < reached]
    level = float(below[-1]) if len(below) else 0.0
    return {name: float(column[0]) for name, column in zip(statistics, columns, strict=True)}, level
