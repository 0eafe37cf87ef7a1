r"""One or two Gaussian numbers that are known to be positive: probability, mean and draws.

For two, with the first between x and x + dx and the second anywhere above zero,

.. math:: P = \int_0^\infty N(x; m_1, V_{11}) \, \Phi\!\left( \frac{m_2 + r (x - m_1)}{s} \right) dx, \quad
    r = \frac{V_{12}}{V_{11}}, \quad s^2 = V_{22} - \frac{V_{12}^2}{V_{11}} .

The integrand is log-concave, with a curvature of at least 1/V₁₁: its logarithm falls by forty within nine standard
deviations of its maximum. Gauss-Legendre nodes are laid there, in the inverse hyperbolic sine of the distance from the
maximum, so that steep flanks are resolved too, and the logarithm is right far from where P underflows.

References
----------
Genz & Bretz (2009), *Computation of Multivariate Normal and t Probabilities*, section 2.1.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr
from jaxtyping import Array, Float

__all__ = ["MOST", "log_positive", "positive_draw", "positive_mean"]

MOST = 2
"""Numbers that are integrated over at once."""

NUM_NODES = 40

NUM_NODES_FOR_DRAWS = 1000

REACH = 9.0
"""Standard deviations, from the maximum, where the integrand ends."""


def log_positive(mean: Float[Array, " k"], covariance: Float[Array, "k k"]) -> Array:
    """Log-probability that one or two Gaussian numbers are positive."""
    if mean.size == 1:
        return log_ndtr(mean[0] / jnp.sqrt(covariance[0, 0]))
    return jax.nn.logsumexp(_slices(mean, covariance, NUM_NODES).log_mass)


def positive_mean(mean: Float[Array, " k"], covariance: Float[Array, "k k"]) -> Float[Array, " k"]:
    """Mean of one or two Gaussian numbers, all positive."""
    if mean.size == 1:
        return _mean_above_zero(mean, jnp.sqrt(covariance[0, 0]))
    slices = _slices(mean, covariance, NUM_NODES)
    share = jax.nn.softmax(slices.log_mass)
    return jnp.stack([share @ slices.first, share @ _mean_above_zero(slices.second, slices.spread)])


def positive_draw(key: jax.Array, mean: Float[Array, " k"], covariance: Float[Array, "k k"]) -> Float[Array, " k"]:
    """A draw of one or two Gaussian numbers, all positive."""
    keys = jax.random.split(key)
    if mean.size == 1:
        return _draw_above_zero(keys[0], mean, jnp.sqrt(covariance[0, 0]))
    slices = _slices(mean, covariance, NUM_NODES_FOR_DRAWS)
    cumulative = jnp.cumsum(jax.nn.softmax(slices.log_mass))
    first = jnp.interp(jax.random.uniform(keys[0], (), mean.dtype), cumulative, slices.first)
    second = mean[1] + covariance[0, 1] / covariance[0, 0] * (first - mean[0])
    return jnp.stack([first, _draw_above_zero(keys[1], second, slices.spread)])


class _Slices(NamedTuple):
    """Values of the first number, and what is known of both there."""

    first: Float[Array, " n"]
    log_mass: Float[Array, " n"]
    """Of the first within its slice and the second above zero."""
    second: Float[Array, " n"]
    """Mean of the second, anywhere, given the first; its standard deviation is `spread`."""
    spread: Array


def _slices(mean: Float[Array, " 2"], covariance: Float[Array, "2 2"], number: int) -> _Slices:
    variance, tiny = covariance[0, 0], jnp.finfo(mean.dtype).tiny
    sd, ratio = jnp.sqrt(variance), covariance[0, 1] / variance
    spread = jnp.sqrt(jnp.maximum(covariance[1, 1] - ratio * covariance[0, 1], 1e-6 * covariance[1, 1] + tiny))

    def slope(x: Array) -> Array:
        z = (mean[1] + ratio * (x - mean[0])) / spread
        return (mean[0] - x) / variance + ratio / spread * _hazard(z)

    def halved(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = 0.5 * (low + high)
        rising = slope(middle) > 0
        return jnp.where(rising, middle, low), jnp.where(rising, high, middle)

    along = mean[0] - covariance[0, 1] / covariance[1, 1] * mean[1]
    top = jnp.maximum(jnp.maximum(mean[0], along), 0.0) + 3.0 * sd
    peak = jnp.where(slope(jnp.zeros_like(sd)) > 0, jax.lax.fori_loop(0, 40, halved, (0.0 * top, top))[0], 0.0)
    # The integral does not depend on where its nodes are laid, so that derivatives need not know.
    width = 1.0 / (1.0 / sd + jnp.abs(slope(peak)))
    low, high = jnp.maximum(peak - REACH * sd, 0.0), peak + REACH * sd
    ends = [jnp.arcsinh((end - peak) / width) for end in (low, high)]
    nodes, weights = (jnp.asarray(a, mean.dtype) for a in np.polynomial.legendre.leggauss(number))
    u = 0.5 * (ends[0] + ends[1]) + 0.5 * (ends[1] - ends[0]) * nodes
    log_size = jnp.log(0.5 * (ends[1] - ends[0]) * weights * width * jnp.cosh(u))
    first, log_size = jax.lax.stop_gradient((peak + width * jnp.sinh(u), log_size))
    second = mean[1] + ratio * (first - mean[0])
    log_density = -0.5 * (first - mean[0]) ** 2 / variance - 0.5 * jnp.log(2 * jnp.pi * variance)
    return _Slices(first, log_size + log_density + log_ndtr(second / spread), second, spread)


def _hazard(z: Array) -> Array:
    """φ(z)/Φ(z)."""
    return jnp.exp(-0.5 * z**2 - 0.5 * jnp.log(2 * jnp.pi) - log_ndtr(z))


def _mean_above_zero(mean: Array, sd: Array) -> Array:
    return mean + sd * _hazard(mean / sd)


def _draw_above_zero(key: jax.Array, mean: Array, sd: Array) -> Array:
    u = jax.random.uniform(key, jnp.shape(mean), jnp.asarray(mean).dtype)
    share = jnp.maximum((1.0 - u) * jax.scipy.special.ndtr(mean / sd), jnp.finfo(u.dtype).tiny)
    return jnp.maximum(mean - sd * jax.scipy.special.ndtri(share), 0.0)
