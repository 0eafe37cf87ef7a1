"""Proposals that move to where a posterior is, from draws that miss it.

Rounds of importance sampling: draws are weighted by a power of their importance, a Student t of their weighted mean and
covariance proposes the next ones. The power is the largest that leaves enough effective draws to find a covariance from,
and it is one when the proposal has arrived. Weights of the last round are exact whatever the rounds before did.

References
----------
Cappé et al. 2008, Stat. Comput. 18, 447 (arXiv:0710.4242), adaptive importance sampling; Beaujean & Caldwell 2013,
arXiv:1304.7808 (such proposals for narrow posteriors); Koblents & Míguez 2015, Stat. Comput. 25, 407 (arXiv:1208.5600), tempered
weights.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.stats import multivariate_t

__all__ = ["Proposals", "moved"]

FREEDOM = 10
"""Degrees of freedom of the t: tails wider than a normal posterior's, and not so wide that many dimensions are lost in them."""

EFFECTIVE = 10
"""Effective draws for each coordinate that a covariance is found from."""

NUM_HALVINGS = 40
"""Of the interval in which the power is looked for."""

ARRIVED = 2
"""Rounds with power one, after which no more are needed: the first covariance is of few effective draws."""


class Proposals(NamedTuple):
    """Draws with what they were drawn from, and what is wanted.

    Attributes
    ----------
    coordinates : array, shape (draw, coordinate)
    log_prob : array, shape (draw,)
        Of the proposal.
    lp : array, shape (draw,)
        Unnormalised log-density of the posterior; NaN or -inf where there is none.
    """

    coordinates: np.ndarray
    log_prob: np.ndarray
    lp: np.ndarray


def moved(
    first: Proposals, log_density: Callable[[np.ndarray], np.ndarray], num_rounds: int, random: np.random.Generator
) -> Proposals:
    """Proposals of the last of at most `num_rounds` rounds; the first ones if no draw has a finite weight."""
    found, num_arrived, size = first, 0, first.coordinates.shape[1]
    for _ in range(num_rounds):
        log_weight = np.where(np.isfinite(found.lp), found.lp - found.log_prob, -np.inf)
        if np.isfinite(log_weight).sum() <= size:
            return first
        power, weight = tempered(log_weight, min(EFFECTIVE * size, len(log_weight) / 4))
        mean = weight @ found.coordinates
        off = found.coordinates - mean
        covariance = (off * weight[:, None]).T @ off + 1e-12 * np.diag(found.coordinates.var(0))
        proposal = multivariate_t(mean, covariance * (FREEDOM - 2) / FREEDOM, FREEDOM)
        coordinates = proposal.rvs(len(log_weight), random_state=random).reshape(-1, size)
        found = Proposals(coordinates, np.atleast_1d(proposal.logpdf(coordinates)), log_density(coordinates))
        num_arrived += power == 1
        if num_arrived == ARRIVED:
            break
    return found


def tempered(log_weight: np.ndarray, least: float) -> tuple[float, np.ndarray]:
    """The largest power of weights, at most one, that leaves `least` effective draws; and its normalised weights."""

    def weights(power: float) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            found = np.where(np.isfinite(log_weight), np.exp(power * (log_weight - log_weight.max())), 0.0)
        return found / found.sum()

    if 1 / (weights(1.0) ** 2).sum() >= least:
        return 1.0, weights(1.0)
    low, high = 0.0, 1.0
    for _ in range(NUM_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if 1 / (weights(middle) ** 2).sum() >= least else (low, middle)
    return low, weights(low)
