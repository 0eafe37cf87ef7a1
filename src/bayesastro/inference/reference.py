"""The distribution an evidence is integrated over: the prior, or a Student t fitted to draws of another engine.

Nested sampling and tempering both go from a distribution that can be sampled to the posterior. By default that is the
prior π, with the likelihood L. With draws to start from it is a multivariate Student t density q about them, with the
likelihood L π / q: the posterior and the evidence ∫ L π dz = ∫ (L π / q) q dz are the same, the way is shorter
(posterior repartitioning). The tails of q are heavy, and its covariance is that of the draws, inflated, so that q is
wider than a posterior of which the draws are a fair sample. A mode that the draws missed lies in the tails of q, and
may be missed again.

References
----------
Chen, Hobson, Das & Gelderblom 2019, Stat. Comput. 29, 835 (arXiv:1803.06387) and 2019, arXiv:1908.04655.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import gammaln

from bayesastro.charts import Chart
from bayesastro.program import Data

__all__ = ["DEGREES", "Points", "Reference", "draw_points", "fitted", "log_density", "terms_at"]

DEGREES = 5
"""Degrees of freedom of q."""

INFLATION = 1.5
"""Ratio of the covariance of q to that of the draws."""


MAX_BATCH = 100
"""Draws evaluated side by side."""


class Reference(NamedTuple):
    """A multivariate Student t distribution with `DEGREES` degrees of freedom."""

    mean: jax.Array
    factor: jax.Array
    """Lower-triangular root of its scale matrix."""


class Points(NamedTuple):
    """Points with the two terms of their log-density; without a leading axis, one of them."""

    position: jax.Array
    log_prior: jax.Array
    """Log-density of the distribution that is integrated over."""
    log_likelihood: jax.Array
    """What it is integrated with."""


def fitted(points: jax.Array) -> Reference:
    """The Student t about given points.

    With n points in d dimensions the correlations are shrunk by n / (n + d), so that few points do as well.

    Parameters
    ----------
    points : array, shape (num_points, size)
    """
    number, size = points.shape
    mean = jnp.mean(points, axis=0)
    centred = points - mean
    variance = jnp.mean(centred**2, axis=0)
    variance = jnp.where(variance > 0, variance, 1.0)
    share = number / (number + size)
    covariance = share * centred.T @ centred / number + (1 - share) * jnp.diag(variance)
    scale = INFLATION * (DEGREES - 2) / DEGREES * covariance
    return Reference(mean, jnp.linalg.cholesky(scale))


def terms_at(chart: Chart, reference: Reference | None, position: jax.Array, data: Data) -> Points:
    """A point with its terms; the prior is `reference` if there is one. Not a number comes out as such."""
    log_prior, log_likelihood = chart.log_terms(position, data)
    if reference is None:
        return Points(position, log_prior, log_likelihood)
    log_reference = log_density(reference, position)
    return Points(position, log_reference, log_prior + log_likelihood - log_reference)


def draw_points(chart: Chart, reference: Reference | None, key: jax.Array, data: Data, number: int) -> Points:
    """Draws from the prior, or from `reference`, with their terms.

    A draw on the very edge of its support has no finite coordinates, and an overflow no likelihood: the log-likelihood
    of such draws is not a number, for the caller to count and to take as excluded by the data.

    Returns
    -------
    Points, with a leading axis of length `number`
    """

    def draw(key: jax.Array) -> Points:
        position = chart.draw_prior(key, data) if reference is None else _draw(reference, key)
        fine = jnp.all(jnp.isfinite(position))
        point = terms_at(chart, reference, jnp.where(fine, position, 0.0), data)
        fine &= jnp.isfinite(point.log_prior) & (point.log_likelihood < jnp.inf)
        return point._replace(log_likelihood=jnp.where(fine, point.log_likelihood, jnp.nan))

    return jax.lax.map(draw, jax.random.split(key, number), batch_size=math.gcd(number, MAX_BATCH))


def _draw(reference: Reference, key: jax.Array) -> jax.Array:
    key_normal, key_chi = jax.random.split(key)
    normal = jax.random.normal(key_normal, reference.mean.shape, reference.mean.dtype)
    chi_square = jnp.sum(jax.random.normal(key_chi, (DEGREES,), reference.mean.dtype) ** 2)
    return reference.mean + reference.factor @ normal * jnp.sqrt(DEGREES / chi_square)


def log_density(reference: Reference, position: jax.Array) -> jax.Array:
    """At one point."""
    size = reference.mean.size
    residual = solve_triangular(reference.factor, position - reference.mean, lower=True)
    log_norm = (
        gammaln((DEGREES + size) / 2)
        - gammaln(DEGREES / 2)
        - size / 2 * jnp.log(DEGREES * jnp.pi)
        - jnp.sum(jnp.log(jnp.diagonal(reference.factor)))
    )
    return log_norm - (DEGREES + size) / 2 * jnp.log1p(residual @ residual / DEGREES)
