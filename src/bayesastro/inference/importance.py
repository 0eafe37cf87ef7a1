"""Importance weights: smoothed, judged by the shape k̂ of their tail, and turned into draws of equal weight."""

import math
from typing import NamedTuple

import numpy as np
from arviz_stats.base import array_stats
from scipy.special import logsumexp

__all__ = ["MAX_KHAT", "Weights", "evidence_of", "khat_of", "resampled", "weights_of"]

MAX_KHAT = 0.7
"""Beyond it the mean of weights and its error are not to be believed (arXiv:1507.02646, section 3.2)."""

EQUAL = 1e-6
"""Range of log-weights below which they have no tail to fit."""

LEAST_ESS = 3.0
"""Below it a few weights are all, and the others no tail to fit."""


class Weights(NamedTuple):
    """Pareto-smoothed weights.

    Attributes
    ----------
    weight : array, shape (draw,)
        Their sum is one.
    khat : float
        Shape of the tail; above 0.7 the weights mean nothing.
    """

    weight: np.ndarray
    khat: float

    @property
    def ess(self) -> float:
        """As many independent draws of the posterior are worth as much."""
        return float(1 / np.sum(self.weight**2))


def weights_of(log_weight: np.ndarray) -> Weights:
    """Smooth log-weights, of which some are finite; those that are not become 0.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao & Gabry 2024, JMLR 25, 72 (arXiv:1507.02646).
    """
    is_fine = np.isfinite(log_weight)
    smoothed, khat = _smoothed(log_weight[is_fine])
    weight = np.zeros(len(log_weight))
    weight[is_fine] = np.exp(smoothed - np.max(smoothed))
    return Weights(weight / weight.sum(), khat)


def khat_of(log_weight: np.ndarray) -> float:
    """Shape of the tail of weights, all finite."""
    return _smoothed(log_weight)[1]


def _smoothed(log_weight: np.ndarray) -> tuple[np.ndarray, float]:
    if np.ptp(log_weight) < EQUAL:
        return log_weight, 0.0
    if math.exp(2 * _log_sum(log_weight) - _log_sum(2 * log_weight)) < LEAST_ESS:
        return log_weight, np.inf
    with np.errstate(over="ignore"):  # quantiles of the heaviest tails, which it cuts at the largest weight
        smoothed, khat = array_stats.psislw(-log_weight)  # as for cross-validation, it takes minus the log-weights
    return smoothed, float(khat)


def _log_sum(log_weight: np.ndarray) -> float:
    return float(np.asarray(logsumexp(log_weight)))


def evidence_of(log_weight: np.ndarray) -> tuple[float, float]:
    """Log-evidence, the logarithm of the mean weight p(x, z)/q(z), and its standard error.

    The weights are not smoothed, so that the mean has no bias.
    """
    finite = np.where(np.isfinite(log_weight), log_weight, -np.inf)
    log_mean = _log_sum(finite) - math.log(len(finite))
    return log_mean, float(np.exp(finite - log_mean).std() / math.sqrt(len(finite)))


def resampled(weight: np.ndarray, num_draws: int, random: np.random.Generator | np.random.RandomState) -> np.ndarray:
    """Indices drawn in proportion to the weights, evenly (systematic resampling), in random order."""
    edges = np.cumsum(weight)
    places = (np.arange(num_draws) + random.uniform()) / num_draws * edges[-1]
    return random.permutation(np.minimum(np.searchsorted(edges, places), len(weight) - 1))
