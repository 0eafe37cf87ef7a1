"""The spread of a population of points: the metric that moves among them are made in."""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

__all__ = ["inverse", "local_root", "root", "squared_distances"]

NUM_TURNS = 5
"""In which coordinates are found in which close points differ alike."""


def root(positions: jax.Array) -> jax.Array:
    """Lower-triangular root of the covariance of points; diagonal where they span too little for one.

    Parameters
    ----------
    positions : array, shape (num_points, size)

    Returns
    -------
    array, shape (size, size)
        Coordinates in which the points do not differ at all have unit spread.
    """
    centred = positions - jnp.mean(positions, axis=0)
    spread = jnp.sqrt(jnp.mean(centred**2, axis=0))
    spread = jnp.where(spread > 0, spread, 1.0)
    scaled = centred / spread
    factor = spread[:, None] * jnp.linalg.cholesky(scaled.T @ scaled / len(positions))
    return jnp.where(jnp.all(jnp.isfinite(factor)), factor, jnp.diag(spread))


def local_root(centred: jax.Array, factor: jax.Array) -> jax.Array:
    """Lower-triangular root of the covariance of the differences of close points.

    Parameters
    ----------
    centred : array, shape (num_points, size)
        Points less their mean.
    factor : array, shape (size, size)
        Root of their covariance.

    Notes
    -----
    What is close follows from the coordinates that it makes, so both are found in turns: pairs count by a normal
    density in their distance, as wide as the distance to the nearest neighbour. The weighted covariance of differences
    is X' L X, with L the Laplacian of the graph of the weights.
    """

    def refined(factor: jax.Array, _: None) -> tuple[jax.Array, None]:
        points = centred @ inverse(factor).T
        distances = squared_distances(points, points) + jnp.diag(jnp.full(len(points), jnp.inf))
        weights = jnp.exp(-0.5 * distances / jnp.mean(jnp.min(distances, axis=1)))
        laplacian = jnp.diag(jnp.sum(weights, axis=1)) - weights
        new = factor @ jnp.linalg.cholesky(points.T @ laplacian @ points / jnp.sum(weights))
        return jnp.where(jnp.all(jnp.isfinite(new)), new, factor), None

    return jax.lax.scan(refined, factor, None, length=NUM_TURNS)[0]


def squared_distances(x: jax.Array, y: jax.Array) -> jax.Array:
    """Between all points of one set and all of another, along their first axes."""
    return jnp.sum(x**2, axis=1)[:, None] + jnp.sum(y**2, axis=1) - 2 * x @ y.T


def inverse(factor: jax.Array) -> jax.Array:
    """Of a lower-triangular matrix."""
    return solve_triangular(factor, jnp.eye(len(factor), dtype=factor.dtype), lower=True)
