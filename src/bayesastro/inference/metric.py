"""Learning the metric of Hamiltonian samplers from draws and their gradients.

For a Gaussian posterior the gradient is g = −Σ⁻¹(z − μ), so that on *any* set of points, typical or on the way there,

    σ² = √(var z / var g)

holds for independent parameters, where the sample variance would be that of the journey. A dense metric is the
geometric mean of the covariances of z and, inverted, of g: the Σ that solves Σ cov(g) Σ = cov(z), correlations of the
posterior and not of the journey. These estimates serve the first windows. Later ones take the sample (co)variance: with
correlations σ² lies between the conditional and the marginal variance, and no-U-turn trajectories do best where all
marginal variances are alike. Shrinking it towards the estimate with gradients, as if by a few more draws, carries the
parameters' own units: a period known to 10⁻⁷ and a flux known to 10³ need no floor, such as Stan's 10⁻³, that suits
neither.

Near a mode the curvature there is a better beginning than ten draws: it knows all correlations. What windows too short for
them tell is then taken relative to it, so that what they leave undetermined stays.

References
----------
Seyboldt, Carlson & Carpenter 2026, arXiv:2603.18845 (σ² and the geometric mean minimise the Fisher divergence);
Stan Development Team, Stan Reference Manual, section 15.2 (windows, shrinkage);
Betancourt 2013, arXiv:1212.4693 (metrics from the absolute eigenvalues of the Hessian).
"""

from collections.abc import Callable
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
    "curvature_metric",
    "first_metric",
    "metric_at",
    "metric_of",
    "no_moments",
    "relative_metric_of",
    "schedule",
    "updated",
]

SHRINKAGE = 5.0
"""Number of imagined draws in the sample (co)variance, of that from draws and gradients."""

UNCORRELATED = 1.0
"""Number of imagined draws, uncorrelated, in the covariances of which the geometric mean is taken."""

MIN_DRAWS = 50
"""Windows shorter than this, or for a dense metric than three times the parameters, belong to the journey: draws and
gradients together are used alone."""

FIRST_WINDOW = 10
"""Length of the first window; each is twice the one before it."""

FINAL_BUFFER = 50
"""Steps at the end of the warm-up in which the step size alone is adapted."""

NOTHING, STEP, METRIC, WINDOW_END = 0, 1, 2, 3


class Moments(NamedTuple):
    """Running means and centred sums of squares of draws and gradients (Welford 1962); for a dense metric, of products."""

    count: jax.Array
    mean: jax.Array
    squares: jax.Array
    gradient_mean: jax.Array
    gradient_squares: jax.Array


def no_moments(size: int, is_dense: bool) -> Moments:
    """Moments of no draws."""
    zero, squares = jnp.zeros(size), jnp.zeros((size, size) if is_dense else size)
    return Moments(jnp.zeros(()), zero, squares, zero, squares)


def updated(moments: Moments, position: jax.Array, gradient: jax.Array) -> Moments:
    """Moments with one more draw."""
    count = moments.count + 1
    product = jnp.outer if moments.squares.ndim == 2 else jnp.multiply

    def one_more(mean: jax.Array, squares: jax.Array, value: jax.Array) -> tuple[jax.Array, jax.Array]:
        before = value - mean
        mean = mean + before / count
        return mean, squares + product(value - mean, before)

    return Moments(
        count,
        *one_more(moments.mean, moments.squares, position),
        *one_more(moments.gradient_mean, moments.gradient_squares, gradient),
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
    is_dense, count = moments.squares.ndim == 2, moments.count
    fisher, is_known = _with_gradients(moments, previous)
    sample = moments.squares / jnp.maximum(count - 1, 1)
    shrunk = (count * sample + SHRINKAGE * fisher) / (count + SHRINKAGE)
    enough = max(MIN_DRAWS, 3 * len(moments.mean)) if is_dense else MIN_DRAWS
    return jnp.where(is_known & (count >= enough), shrunk, fisher)


def relative_metric_of(moments: Moments, previous: jax.Array) -> jax.Array:
    """A dense inverse mass matrix from a window's moments in coordinates in which the previous one is the identity.

    What a window shorter than the parameters does not determine keeps the previous correlations.
    """
    lower = jnp.linalg.cholesky(previous)

    def whitened(products: jax.Array) -> jax.Array:
        half = jax.scipy.linalg.solve_triangular(lower, products, lower=True)
        return jax.scipy.linalg.solve_triangular(lower, half.T, lower=True)

    relative = moments._replace(
        squares=whitened(moments.squares), gradient_squares=lower.T @ moments.gradient_squares @ lower
    )
    metric = lower @ metric_of(relative, jnp.eye(len(previous))) @ lower.T
    return jnp.where(jnp.all(jnp.isfinite(metric)), metric, previous)


def curvature_metric(gradient: Callable[[jax.Array], jax.Array], position: jax.Array, first: jax.Array) -> jax.Array:
    """A dense inverse mass matrix from the Hessian of the log-density, column by column.

    Directions in which the density curves upwards have the inverse of the curvature's size. The diagonal `first` stands where
    the Hessian is not finite.

    Parameters
    ----------
    gradient : callable
        Of the log-density.
    position, first : array, shape (size,)

    Returns
    -------
    array, shape (size, size)
    """
    size = len(position)
    hessian = jax.lax.map(
        lambda column: jax.jvp(gradient, (position,), (column,))[1], jnp.eye(size, dtype=position.dtype)
    )
    diagonal = jnp.abs(jnp.diagonal(hessian))
    unit = jnp.where(jnp.isfinite(diagonal) & (diagonal > 0), 1 / jnp.sqrt(diagonal), jnp.sqrt(first))
    values, vectors = jnp.linalg.eigh((hessian + hessian.T) / 2 * unit[:, None] * unit)
    curvature = jnp.maximum(jnp.abs(values), jnp.sqrt(jnp.finfo(position.dtype).eps))
    metric = (vectors / curvature) @ vectors.T * unit[:, None] * unit
    return jnp.where(jnp.all(jnp.isfinite(metric)), metric, jnp.diag(first))


def metric_at(positions: jax.Array, gradients: jax.Array, previous: jax.Array) -> jax.Array:
    """A dense inverse mass matrix from draws of another run and the gradients there; points that have none are left out.

    Parameters
    ----------
    positions, gradients : array, shape (num_draws, size)
    previous : array, shape (size, size)

    Returns
    -------
    array, shape (size, size)
    """
    fine = jnp.all(jnp.isfinite(gradients) & jnp.isfinite(positions), axis=1)
    count = fine.sum().astype(positions.dtype)

    def of(values: jax.Array) -> tuple[jax.Array, jax.Array]:
        values = jnp.where(fine[:, None], values, 0.0)
        mean = values.sum(0) / jnp.maximum(count, 1)
        centred = jnp.where(fine[:, None], values - mean, 0.0)
        return mean, centred.T @ centred

    return _with_gradients(Moments(count, *of(positions), *of(gradients)), previous)[0]


def _with_gradients(moments: Moments, previous: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The estimate from draws and gradients together, and which entries are not the previous ones."""
    is_dense = moments.squares.ndim == 2
    diagonal = jnp.diagonal if is_dense else jnp.asarray
    squares, gradients = diagonal(moments.squares), diagonal(moments.gradient_squares)
    ratio = jnp.sqrt(squares / gradients)
    is_known = jnp.isfinite(ratio) & (ratio > 0)
    variance = jnp.where(is_known, ratio, diagonal(previous))
    if not is_dense:
        return variance, is_known
    both = is_known[:, None] & is_known
    # In units of σ draws and gradients have equal spreads, whose common factor does not matter.
    size = jnp.where(is_known, jnp.sqrt(squares * gradients), 1.0)
    spread = [
        _shrunk(s, moments.count, both) * jnp.sqrt(size[:, None] * size)
        for s in (moments.squares, moments.gradient_squares)
    ]
    correlation = _geometric_mean(spread[0], spread[1])
    metric = correlation * jnp.sqrt(variance[:, None] * variance)
    uncorrelated = jnp.diag(variance)
    return jnp.where(both & jnp.all(jnp.isfinite(metric)), metric, uncorrelated), both


def _shrunk(products: jax.Array, count: jax.Array, is_known: jax.Array) -> jax.Array:
    """Correlations, shrunk; entries that did not move have none with the others."""
    spread = jnp.sqrt(jnp.diagonal(products))
    identity = jnp.eye(len(products))
    correlation = jnp.where(is_known, products / spread[:, None] / spread, identity)
    return (count * correlation + UNCORRELATED * identity) / (count + UNCORRELATED)


def _geometric_mean(spread: jax.Array, of_gradients: jax.Array) -> jax.Array:
    """The positive matrix M with M B M = A."""
    lower = jnp.linalg.cholesky(of_gradients)
    values, vectors = jnp.linalg.eigh(lower.T @ spread @ lower)
    root = (vectors * jnp.sqrt(jnp.maximum(values, 0.0))) @ vectors.T
    half = jax.scipy.linalg.solve_triangular(lower, root, lower=True, trans=1)
    return jax.scipy.linalg.solve_triangular(lower, half.T, lower=True, trans=1)


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
