r"""Counts of a source on a background that was counted elsewhere, with the background's rate integrated out.

.. math:: S \sim \mathrm{Poisson}(m + y), \quad y \sim \mathrm{Gamma}(a, c)

Given the counts B of a background region with Gamma prior, the background of the source region has such a Gamma law
exactly, so that a program with this distribution has the likelihood of one that samples a rate for each group of channels.
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.special import gammaln
from jaxtyping import Array, Int
from numpyro.distributions import constraints

__all__ = ["CountsOnBackground", "Terms", "terms_up_to"]


class Terms(NamedTuple):
    """Terms of the sums of all groups, one group after the other.

    Parameters
    ----------
    group, count : arrays of int, shape (t,)
        Group that a term belongs to, and how many of its counts are of the background, from 0.
    first : array of int, shape (g,)
        Place of each group's first term.
    """

    group: Int[Array | np.ndarray, " t"]
    count: Int[Array | np.ndarray, " t"]
    first: Int[Array | np.ndarray, " g"]


def terms_up_to(largest: Int[np.ndarray, " g"]) -> Terms:
    """Terms from 0 to the largest background count of each group."""
    num = np.asarray(largest, int) + 1
    first = np.append(0, np.cumsum(num)[:-1])
    group = np.repeat(np.arange(num.size), num)
    return Terms(group, np.arange(group.size) - first[group], first)


class CountsOnBackground(dist.Distribution):
    r"""Sum of Poisson counts and of counts whose rate has a Gamma law, in groups.

    .. math:: p(S) = \sum_{k=0}^{\min(S, K)} \mathrm{Poisson}(S - k \mid m) \, \mathrm{NB}(k \mid a, c)

    Parameters
    ----------
    source, shape, rate : arrays, shape (g,)
        m, a and c, positive.
    terms : Terms
        Up to K of each group: the sum leaves out that more than so many counts are of the background.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "source": constraints.positive,
        "shape_": constraints.positive,
        "rate": constraints.positive,
    }
    support: Any = constraints.nonnegative_integer
    pytree_data_fields = ("source", "shape_", "rate", "terms")

    def __init__(
        self, source: Array, shape: Array, rate: Array, terms: Terms, *, validate_args: bool | None = None
    ) -> None:
        self.source, self.shape_, self.rate, self.terms = source, shape, rate, terms
        super().__init__(jnp.shape(source), (), validate_args=validate_args)

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> Array:
        keys, full = jax.random.split(key), (*sample_shape, *self.batch_shape)
        background = jax.random.gamma(keys[0], self.shape_, full) / self.rate
        return jax.random.poisson(keys[1], self.source + background, full)

    def log_prob(self, value: Array) -> Array:
        value = jnp.asarray(value, jnp.result_type(self.source))
        log_source, log_share = jnp.log(self.source), -jnp.log1p(self.rate)
        without = value * log_source - self.source - gammaln(value + 1.0) - self.shape_ * jnp.log1p(1.0 / self.rate)
        group, count, first = (jnp.asarray(part) for part in self.terms)
        k = jnp.asarray(count, value.dtype)
        # (a)_k S! / (k! (S − k)!), by the ratios of one term to that before it: sums over all groups, less that before each.
        left = value[group] - k + 1.0
        is_within = left > 0.0
        step = (self.shape_[group] + k - 1.0) * jnp.where(is_within, left, 1.0) / jnp.maximum(k, 1.0)
        logs = jnp.cumsum(jnp.where(count > 0, jnp.log(jnp.where(count > 0, step, 1.0)), 0.0))
        log_terms = logs - logs[first][group] + k * (log_share - log_source)[group]
        log_terms = jnp.where(is_within, log_terms, -jnp.inf)
        # The term of no background is 0, so that the largest is finite.
        largest = jax.lax.stop_gradient(jax.ops.segment_max(log_terms, group, value.shape[0], indices_are_sorted=True))
        total = jax.ops.segment_sum(jnp.exp(log_terms - largest[group]), group, value.shape[0], indices_are_sorted=True)
        return without + largest + jnp.log(total)

    @property
    def mean(self) -> Array:
        return self.source + self.shape_ / self.rate

    @property
    def variance(self) -> Array:
        return self.mean + self.shape_ / self.rate**2
