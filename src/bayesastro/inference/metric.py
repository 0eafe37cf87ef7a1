"""Learning the metric of Hamiltonian samplers from draws and their gradients.

For a Gaussian posterior the gradient is g = −Σ⁻¹(z − μ), so that on *any* set of points, typical or on the way there,

    σ² = √(var z / var g)

holds for independent parameters, where the sample variance would be that of the journey. This estimate serves the
first windows. Later ones take the sample variance: with correlations σ² lies between the conditional and the marginal
variance, and no-U-turn trajectories do best where all marginal variances are alike. Shrinking it towards σ², as if by a
few more draws, carries the parameters' own units: a period known to 10⁻⁷ and a flux known to 10³ need no floor, such as
Stan's 10⁻³, that suits neither. A dense metric has the correlations of the draws, shrunk likewise.

References
----------
Seyboldt, Carlson & Carpenter 2026, arXiv:2603.18845 (σ² minimises the Fisher divergence);
Stan Development Team, Stan Reference Manual, section 15.2 (windows, shrinkage).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

__all__ = [
    "METRIC",
    "NOTHING",
    "STEP",
    "WINDOW_END",
    "Moments",
    "first_metric",
    "metric_of",
    "no_moments",
    "schedule",
    "updated",
]

SHRINKAGE = 5.0
"""Number of imagined draws, uncorrelated and of variance σ², in an estimate."""

MIN_DRAWS = 50
"""Windows shorter than this belong to the journey, and only the ratio of spreads is used."""

FIRST_WINDOW = 10
"""Length of the first window; each is twice the one before it."""

FINAL_BUFFER = 50
"""Steps at the end of the warm-up in which the step size alone is adapted."""

NOTHING, STEP, METRIC, WINDOW_END = 0, 1, 2, 3


class Moments(NamedTuple):
    """Running means and centred sums of squares of draws and gradients (Welford 1962)."""

    count: jax.Array
    mean: jax.Array
    squares: jax.Array
    """Of the draws: a vector, or for a dense metric a matrix."""
    gradient_mean: jax.Array
    gradient_squares: jax.Array


def no_moments(size: int, is_dense: bool) -> Moments:
    """Moments of no draws."""
    zero = jnp.zeros(size)
    return Moments(jnp.zeros(()), zero, jnp.zeros((size, size) if is_dense else size), zero, zero)


def updated(moments: Moments, position: jax.Array, gradient: jax.Array) -> Moments:
    """Moments with one more draw."""
    count = moments.count + 1
    before, gradient_before = position - moments.mean, gradient - moments.gradient_mean
    mean, gradient_mean = moments.mean + before / count, moments.gradient_mean + gradient_before / count
    after, is_dense = position - mean, moments.squares.ndim == 2
    return Moments(
        count,
        mean,
        moments.squares + (jnp.outer(after, before) if is_dense else after * before),
        gradient_mean,
        moments.gradient_squares + (gradient - gradient_mean) * gradient_before,
    )


def metric_of(moments: Moments, previous: jax.Array) -> jax.Array:
    """Inverse mass matrix from a window's moments; entries that it does not determine keep their previous value.

    Parameters
    ----------
    moments : Moments
    previous : array, shape (size,) or (size, size)

    Returns
    -------
    array of the same shape
    """
    is_dense = moments.squares.ndim == 2
    squares = jnp.diagonal(moments.squares) if is_dense else moments.squares
    ratio = jnp.sqrt(squares / moments.gradient_squares)
    is_known = jnp.isfinite(ratio) & (ratio > 0)
    ratio = jnp.where(is_known, ratio, jnp.diagonal(previous) if is_dense else previous)
    total = moments.count + SHRINKAGE
    shrunk = (squares * moments.count / jnp.maximum(moments.count - 1, 1) + SHRINKAGE * ratio) / total
    variance = jnp.where(is_known & (moments.count >= MIN_DRAWS), shrunk, ratio)
    if not is_dense:
        return variance
    spread = jnp.where(squares > 0, jnp.sqrt(squares), 1.0)
    correlation = moments.squares / spread[:, None] / spread
    identity = jnp.eye(len(squares))
    correlation = (moments.count * correlation + SHRINKAGE * identity) / total
    # Entries that did not move have no correlation with the others, and one with themselves.
    correlation = jnp.where(identity > 0, 1.0, correlation)
    return correlation * jnp.sqrt(variance[:, None] * variance)


def first_metric(positions: jax.Array, gradients: jax.Array) -> jax.Array:
    """A diagonal inverse mass matrix before any step, from gradients at draws of the prior.

    The same ratio with median absolute deviations, as a prior may reach where gradients are beyond all bounds.

    Parameters
    ----------
    positions, gradients : array, shape (num_draws, size)

    Returns
    -------
    array, shape (size,)
    """
    ratio = _deviation(positions) / _deviation(gradients)
    return jnp.where(jnp.isfinite(ratio) & (ratio > 0), ratio, 1.0)


def _deviation(values: jax.Array) -> jax.Array:
    return jnp.nanmedian(jnp.abs(values - jnp.nanmedian(values, axis=0)), axis=0)


def schedule(num_warmup: int) -> np.ndarray:
    """What to adapt after each warm-up step: the step size, the metric's moments too, or the end of their window.

    Windows begin at the first step and double in length; what is left before the final buffer goes to the last one.

    Returns
    -------
    array of int, shape (num_warmup,)
    """
    stages = np.full(num_warmup, STEP)
    end = num_warmup - min(FINAL_BUFFER, num_warmup // 4)
    start, length = 0, FIRST_WINDOW
    while start + length <= end:
        if start + 3 * length > end:
            length = end - start
        stages[start : start + length] = METRIC
        stages[start + length - 1] = WINDOW_END
        start, length = start + length, 2 * length
    return stages
