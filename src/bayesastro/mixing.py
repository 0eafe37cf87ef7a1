"""R̂ and effective sample sizes of thousands of quantities: the numbers of :mod:`arviz_stats`, without a loop over them.

They follow Vehtari et al. 2021, Bayesian Analysis 16, 667 (arXiv:1903.08008): ranks are normalised, chains are split.
"""

from typing import NamedTuple

import numpy as np
from arviz_base import rcParams
from scipy.fft import next_fast_len
from scipy.stats import norm

__all__ = ["Mixing", "mixing_of"]

TOGETHER = 2**21
"""Draws that are worked on together: bounds the memory."""


class Mixing(NamedTuple):
    """Rank-normalised split R̂ (NaN of one chain), and effective sample sizes; of shape (quantity,)."""

    rhat: np.ndarray
    ess_bulk: np.ndarray
    ess_tail: np.ndarray


def mixing_of(values: np.ndarray) -> Mixing:
    """How well chains mix.

    Parameters
    ----------
    values : array, shape (quantity, chain, draw)
        At least four draws.
    """
    rows = max(1, TOGETHER // max(1, values.shape[1] * values.shape[2]))
    parts = [_mixing_of(values[i : i + rows].astype(float)) for i in range(0, len(values), rows)]
    return (
        Mixing(*(np.concatenate(column) for column in zip(*parts, strict=True))) if parts else Mixing(*np.zeros((3, 0)))
    )


def _mixing_of(values: np.ndarray) -> Mixing:
    halves = _split(values)
    flat = halves.reshape(len(halves), -1)
    with np.errstate(all="ignore"):  # of quantities that do not vary, or are not finite
        scores = _scores(flat).reshape(halves.shape)
        rhat = np.full(len(values), np.nan)
        if values.shape[1] > 1:
            folded = _scores(np.abs(flat - np.median(flat, axis=1, keepdims=True))).reshape(halves.shape)
            rhat = np.maximum(_rhat(scores), _rhat(folded))
        probability = float(rcParams["stats.ci_prob"])  # as in ArviZ, whose tails begin where its intervals end
        ends = np.quantile(values.reshape(len(values), -1), [1 - probability, probability], axis=1)
        tails = [_ess(_split((values <= end[:, None, None]).astype(float))) for end in ends]
        return Mixing(rhat, _ess(scores), np.minimum(*tails))


def _split(values: np.ndarray) -> np.ndarray:
    half = values.shape[2] // 2
    return np.concatenate([values[:, :, :half], values[:, :, -half:]], axis=1)


def _scores(flat: np.ndarray) -> np.ndarray:
    """Normal scores of the ranks along each row, those of ties averaged."""
    size = flat.shape[1]
    order = np.argsort(flat, axis=1)
    ordered = np.take_along_axis(flat, order, axis=1)
    is_new = np.ones(flat.shape, bool)
    is_new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    place = np.arange(size)
    first = np.maximum.accumulate(np.where(is_new, place, 0), axis=1)
    is_last = np.ones(flat.shape, bool)
    is_last[:, :-1] = is_new[:, 1:]
    last = np.minimum.accumulate(np.where(is_last, place, size)[:, ::-1], axis=1)[:, ::-1]
    # Twice the mean rank is a whole number, from 2 to 2 n.
    table = norm.ppf((np.arange(2 * size + 1) / 2 - 0.375) / (size + 0.25))
    scores = np.empty(flat.shape)
    np.put_along_axis(scores, order, table[first + last + 2], axis=1)
    return scores


def _rhat(scores: np.ndarray) -> np.ndarray:
    number = scores.shape[2]
    between, within = scores.mean(2).var(1, ddof=1), scores.var(2, ddof=1).mean(1)
    return np.sqrt(between / within + (number - 1) / number)


def _ess(values: np.ndarray) -> np.ndarray:
    """Effective sample size by Geyer's initial monotone sequence of pairs of autocorrelations."""
    number, num_draws = values.shape[1] * values.shape[2], values.shape[2]
    mean, length = values.mean(2), next_fast_len(2 * num_draws)
    power = (np.abs(np.fft.rfft(values - mean[..., None], n=length, axis=2)) ** 2).mean(1)
    covariance = np.fft.irfft(power, n=length, axis=1)[:, :num_draws] / num_draws
    within = covariance[:, :1] * num_draws / (num_draws - 1)
    total = covariance[:, :1] + (mean.var(1, ddof=1)[:, None] if values.shape[1] > 1 else 0.0)
    correlation = 1 - (within - covariance) / total
    correlation[:, 0] = 1.0
    num_pairs = max(1, (num_draws - 1) // 2)
    even = correlation[:, 0 : 2 * num_pairs : 2]
    pairs = even + correlation[:, 1 : 2 * num_pairs : 2]
    is_end = ~(pairs > 0)
    end = np.where(is_end.any(1), is_end.argmax(1), num_pairs - 1)[:, None]
    summed = np.where(np.arange(num_pairs) < end, np.minimum.accumulate(pairs, axis=1), 0.0).sum(1)
    last, last_pair = (np.take_along_axis(a, end, axis=1)[:, 0] for a in (even, pairs))
    tau = -1 + 2 * summed + np.where((last > 0) | (last_pair >= 0), last, 0.0)
    found = number / np.maximum(tau, 1 / np.log10(number))
    return np.where(np.ptp(values, axis=(1, 2)) < np.finfo(float).resolution, number, found)
