r"""How unlike its class an object looks, as its data come in.

Under the model the probability integral transforms :math:`u_i` of one-step-ahead predictions are independent and uniform,
whatever the data are (Rosenblatt 1952), so that :math:`h_i = [\Phi^{-1}(u_i)]^2` have mean 1. Where only an interval of
:math:`u_i` is known, as of what was not detected, :math:`h_i` is the mean over the interval; its variance :math:`v_i` is
known before the datum is, and is nearly 0 where a non-detection was certain. The excess :math:`\sum (h_i - 1)` is a
martingale of variance :math:`\sum v_i`: it does not grow with the number of data, and data that could tell nothing count
for nothing. With :math:`\nu = \sum v_i / 2`, :math:`\nu + \sum (h_i - 1)` is :math:`\chi^2_\nu` if all are detected, and
has its mean and variance otherwise; the score is its quantile in standard deviations of a normal law, by the cube root of
Wilson & Hilferty 1931.

References
----------
Rosenblatt 1952, Ann. Math. Stat. 23, 470; Dawid 1984, J. R. Stat. Soc. A 147, 278; Wilson & Hilferty 1931, PNAS 17, 684;
Muthukrishna et al. 2022, MNRAS 517, 393 (arXiv:2111.00036): scores from χ² of what is predicted one step ahead.
"""

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.special import ndtri
from scipy.stats import norm

__all__ = ["anomaly"]

SMALLEST = 1e-12
"""Probabilities are no closer to 0 or 1: predicted tails are not known farther out than seven standard deviations."""


def anomaly(followed: xr.Dataset, time: ArrayLike, *, since: float = 0.0) -> xr.Dataset:
    """Score of objects against what was predicted of them.

    Parameters
    ----------
    followed : Dataset
        From `Sequential.follow` or `follow_many`, the data one by one: those of one group share what they say.
    time : array, shape (..., datum)
        In order; NaN at padding.
    since : float
        Time of the first detection, from which times count. Data before inform but are not scored, for that they are not
        detected says no more than what the time counts from; of the first detection its flux is scored, and not that it
        is detected.

    Returns
    -------
    Dataset
        By ``datum``: ``time``; ``residual``, standard normal under the model; ``flux_residual``, of the flux given that it
        is detected, standard normal too whatever is selected by detection, NaN where it is not; ``surprise`` h and its ``variance`` v;
        ``score`` of the data so far, in standard deviations; ``mean_square``, the mean of h so far, 1 under the model. The
        last two are NaN before there is anything to score. And ``final_score``, ``final_mean_square`` after all data.

    Raises
    ------
    ValueError
        If `time` has another shape, or a datum has no predicted probability.
    """
    times = np.asarray(time, float)
    if times.shape != followed["pit"].shape:
        raise ValueError(
            f"`time` must have the shape of the data followed, {followed['pit'].shape}, but {times.shape} came."
        )
    counted = np.isfinite(times) & (times >= since) & np.isfinite(followed["log_predictive"].to_numpy())
    if not np.isfinite(followed["pit"].to_numpy()[counted]).all():
        raise ValueError("A score needs predicted probabilities, but the data's family has no distribution function.")
    pit, low, high = _given_detection(followed, times == since)
    surprise, variance = _surprise(pit, low, high)
    surprise, variance = np.where(counted, surprise, 1.0), np.where(counted, variance, 0.0)
    dof, excess = 0.5 * np.cumsum(variance, axis=-1), np.cumsum(surprise - 1.0, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = 2.0 / (9.0 * dof)
        score = (np.cbrt(np.maximum(1.0 + excess / dof, 0.0)) - (1.0 - spread)) / np.sqrt(spread)
        mean_square = np.where(dof > 0, 1.0 + excess / np.cumsum(counted, axis=-1), np.nan)
    residual = ndtri(np.clip(pit, SMALLEST, 1.0 - SMALLEST))
    of_flux, *_ = _given_detection(followed, counted)
    flux_residual = ndtri(np.clip(of_flux, SMALLEST, 1.0 - SMALLEST))
    is_detection = counted & (followed["pit"].to_numpy() > np.nan_to_num(followed["atom_high"].to_numpy()))
    dims = followed["pit"].dims
    columns = {
        "time": times,
        "residual": np.where(counted, residual, np.nan),
        "flux_residual": np.where(is_detection, flux_residual, np.nan),
        "surprise": np.where(counted, surprise, np.nan),
        "variance": np.where(counted, variance, np.nan),
        "score": score,
        "mean_square": mean_square,
    }
    final = {f"final_{name}": (dims[:-1], columns[name][..., -1]) for name in ("score", "mean_square")}
    return xr.Dataset({name: (dims, column) for name, column in columns.items()} | final)


def _given_detection(followed: xr.Dataset, known: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Transforms, and the interval of what is not detected; where known, of a detection given that it is detected."""
    pit, low, high = (followed[name].to_numpy() for name in ("pit", "atom_low", "atom_high"))
    low, high = (np.clip(np.where(np.isnan(p), 0.0, p), 0.0, 1.0) for p in (low, high))
    known = known & (pit > high)
    with np.errstate(divide="ignore", invalid="ignore"):
        pit = np.where(known, (pit - high) / (1.0 - high), pit)
    return pit, np.where(known, 0.0, low), np.where(known, 0.0, high)


def _surprise(pit: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each datum the mean square of its normal residual, and the variance of that before the datum was known."""
    square = np.square(ndtri(np.clip(pit, SMALLEST, 1.0 - SMALLEST)))
    a, b = (ndtri(np.clip(p, SMALLEST, 1.0 - SMALLEST)) for p in (low, high))
    mass = high - low
    with np.errstate(divide="ignore", invalid="ignore"):
        of_atom = np.where(mass > SMALLEST, 1.0 - (b * norm.pdf(b) - a * norm.pdf(a)) / mass, square)
    is_atom = (mass > SMALLEST) & (pit >= low) & (pit <= high)
    within = 2.0 * mass - (b + b**3) * norm.pdf(b) + (a + a**3) * norm.pdf(a)
    variance = 2.0 - within + mass * np.square(of_atom - 1.0)
    return np.where(is_atom, of_atom, square), np.clip(variance, 0.0, None)
