"""The spread of a population of points: the metric that moves among them are made in."""

import jax
import jax.numpy as jnp

__all__ = ["root"]


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
