"""From the points of a nested sampling run to evidence, weights and draws.

A run's points in the order of their likelihood, each dying with n_i points alive, shrink the prior volume by
X_i = t_i X_{i−1}, t_i ~ Beta(n_i, 1). The evidence is Z = Σ L_i (X_{i−1} − X_{i+1}) / 2, its error the scatter of
log Z over simulated volumes. The error has nothing in it of draws that depend on each other: that is what the
self-check and the insertion ranks are for.

References
----------
Skilling 2006, Bayesian Anal. 1, 833 (doi:10.1214/06-BA127), equations 9 to 17;
Fowlie, Handley & Su 2020, MNRAS 497, 5256 (arXiv:2006.03371; insertion ranks).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

__all__ = ["Evidence", "equal_weights", "evidence", "kish", "numbers_alive"]

NUM_SIMULATIONS = 200
"""Simulated sequences of volumes: the error of the evidence is known to 5 %."""


@dataclass(frozen=True)
class Evidence:
    """Evidence and weights of a run.

    Attributes
    ----------
    log_evidence, log_evidence_err : float
    information : float
        Divergence of the posterior from the prior [nat].
    log_weight : array, shape (num_points,)
        Posterior weights, normalised.
    """

    log_evidence: float
    log_evidence_err: float
    information: float
    log_weight: np.ndarray


def numbers_alive(num_points: int, num_live: int, num_delete: int) -> np.ndarray:
    """How many points were alive when each died: batches of `num_delete` deaths, then the remaining ones.

    Returns
    -------
    array of int, shape (num_points,)
    """
    num_dead = max(num_points - num_live, 0)
    dead = num_live - np.arange(num_dead) % num_delete
    return np.concatenate([dead, np.arange(num_points - num_dead, 0, -1)])


def evidence(log_likelihood: np.ndarray, num_alive: np.ndarray, rng: np.random.Generator) -> Evidence:
    """Evidence with its error, from points in the order of their deaths.

    Parameters
    ----------
    log_likelihood : array, shape (num_points,)
    num_alive : array of int, shape (num_points,)
    rng : numpy.random.Generator
        Simulates the volumes.
    """
    log_volume = np.cumsum(-1 / num_alive)
    simulated = np.array([_log_evidence(log_likelihood, _simulated(num_alive, rng)) for _ in range(NUM_SIMULATIONS)])
    log_weight = log_likelihood + _log_widths(log_volume)
    total = logsumexp(log_weight)
    log_weight = log_weight - total
    weight = np.exp(log_weight)
    known = weight > 0
    information = float(weight[known] @ log_likelihood[known] - total)
    return Evidence(float(simulated.mean()), float(simulated.std(ddof=1)), max(information, 0.0), log_weight)


def _simulated(num_alive: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.cumsum(-rng.standard_exponential(len(num_alive)) / num_alive)


def _log_evidence(log_likelihood: np.ndarray, log_volume: np.ndarray) -> float:
    return float(np.asarray(logsumexp(log_likelihood + _log_widths(log_volume))))


def _log_widths(log_volume: np.ndarray) -> np.ndarray:
    """log((X_{i−1} − X_{i+1}) / 2); at the ends the whole of what is left, so that all widths add up to one."""
    above = np.concatenate([[0.0], log_volume[:-1]])
    below = np.concatenate([log_volume[1:], [-np.inf]])
    widths = above + np.log(-np.expm1(below - above)) - np.log(2)
    if len(widths) == 1:
        return np.zeros(1)
    widths[0] = np.log1p(-0.5 * (np.exp(log_volume[0]) + np.exp(log_volume[1])))
    widths[-1] = np.logaddexp(above[-1], log_volume[-1]) - np.log(2)
    return widths


def kish(log_weight: np.ndarray) -> float:
    """Effective number of draws of a weighted sample, (Σ w)² / Σ w²."""
    once, twice = np.asarray(logsumexp(log_weight)), np.asarray(logsumexp(2 * log_weight))
    return float(np.exp(2 * once - twice))


def equal_weights(log_weight: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of a systematic resample, in random order.

    Parameters
    ----------
    log_weight : array, shape (num_points,)
        Normalised.
    number : int
    rng : numpy.random.Generator

    Returns
    -------
    array of int, shape (number,)
    """
    ends = np.cumsum(np.exp(log_weight))
    places = (np.arange(number) + rng.random()) / number * ends[-1]
    return rng.permutation(np.minimum(np.searchsorted(ends, places, side="right"), len(ends) - 1))
