r"""Gauss–Markov processes in one dimension, as functions of standard normals.

Each is a cumulative sum, or a scan of two numbers, over the steps: as cheap as reading the excitations.

References
----------
Särkkä & Solin 2019, Applied Stochastic Differential Equations, Cambridge University Press, chapter 6; Arras et al. 2022,
Nature Astronomy 6, 259 (arXiv:2002.05218), methods (the generalised integrated Wiener process).
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

__all__ = ["integrated_wiener_process", "ornstein_uhlenbeck_process", "wiener_process"]


def wiener_process(
    xi: Float[ArrayLike, " n"], steps: Float[ArrayLike, "*#n"], sigma: Float[ArrayLike, "*#n"], start: ArrayLike = 0.0
) -> Float[Array, " points"]:
    r"""A random walk, :math:`dx = \sigma \, dW`.

    Parameters
    ----------
    xi : array, shape (n,)
        Standard normals.
    steps : scalar or array, shape (n,)
        Times between values.
    sigma : scalar or array, shape (n,)
        Per square root of time.
    start : scalar
        First value.

    Returns
    -------
    array, shape (n + 1,)
    """
    xi = jnp.asarray(xi)
    moves = jnp.sqrt(jnp.asarray(steps)) * sigma * xi
    return jnp.asarray(start) + jnp.concatenate([jnp.zeros(1, moves.dtype), jnp.cumsum(moves)])


def integrated_wiener_process(
    xi: Float[ArrayLike, "n 2"],
    steps: Float[ArrayLike, "*#n"],
    sigma: Float[ArrayLike, "*#n"],
    asperity: Float[ArrayLike, "*#n"] = 0.0,
    start: tuple[ArrayLike, ArrayLike] = (0.0, 0.0),
) -> Float[Array, "points 2"]:
    r"""A value whose rate is a random walk, :math:`dx = v \, dt + \sigma \sqrt{\epsilon} \, dW_1`, :math:`dv = \sigma \, dW_2`.

    Parameters
    ----------
    xi : array, shape (n, 2)
        Standard normals.
    steps : scalar or array, shape (n,)
    sigma : scalar or array, shape (n,)
        Of the rate, per square root of time.
    asperity : scalar or array, shape (n,)
        ε, squared time: 0 for a smooth process.
    start : (value, rate)

    Returns
    -------
    array, shape (n + 1, 2)
        Values and rates.
    """
    xi = jnp.asarray(xi)
    steps = jnp.broadcast_to(jnp.asarray(steps), xi.shape[:1])
    scale = sigma * jnp.sqrt(steps)
    value, rate = start
    rates = rate + jnp.concatenate([jnp.zeros(1, xi.dtype), jnp.cumsum(scale * xi[:, 1])])
    # Given both ends of the rate over a step, the value's increment is about their mean.
    rough = scale * jnp.sqrt(jnp.square(steps) / 12.0 + asperity) * xi[:, 0]
    increments = rough + 0.5 * steps * (rates[:-1] + rates[1:])
    values = value + jnp.concatenate([jnp.zeros(1, xi.dtype), jnp.cumsum(increments)])
    return jnp.stack([values, rates], axis=1)


def ornstein_uhlenbeck_process(
    xi: Float[ArrayLike, " points"], steps: Float[ArrayLike, "*#n"], sigma: ArrayLike, timescale: ArrayLike
) -> Float[Array, " points"]:
    r"""A stationary process of covariance :math:`\sigma^2 e^{-|t|/\tau}`.

    Parameters
    ----------
    xi : array, shape (n + 1,)
        Standard normals; the first makes the first value, which is drawn from the stationary law.
    steps : scalar or array, shape (n,)
        Times between values.
    sigma : scalar
        Standard deviation.
    timescale : scalar
        τ.

    Returns
    -------
    array, shape (n + 1,)
    """
    xi = jnp.asarray(xi)
    rate = jnp.broadcast_to(jnp.asarray(steps) / timescale, (xi.shape[0] - 1,))
    kept, fresh = jnp.exp(-rate), jnp.sqrt(-jnp.expm1(-2.0 * rate)) * xi[1:]

    def step(value: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        value = now[0] * value + now[1]
        return value, value

    _, values = jax.lax.scan(step, xi[0], (kept, fresh))
    return jnp.asarray(sigma) * jnp.concatenate([xi[:1], values])
