"""What a population of particles predicts of data that it has not seen: densities, probabilities and moments."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import logsumexp

from bayesastro.charts import pointwise_log_prob
from bayesastro.families import unwrapped
from bayesastro.problem import Views
from bayesastro.program import Data, traced

__all__ = ["Foreseen", "foreseen", "likelihoods", "predicted"]


class Foreseen(NamedTuple):
    """Of some data by one particle."""

    log_likelihood: jax.Array
    mean: jax.Array
    variance: jax.Array
    at_value: tuple[jax.Array, jax.Array]
    """Probability of a smaller value, and of one no greater."""
    at_atom: tuple[jax.Array, jax.Array]
    """The same of the value that has a probability of its own."""


def likelihoods(views: Views, site: str, data: Data, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Log-density of everything but a site, and log-likelihood of the site datum by datum.

    Raises
    ------
    ValueError
        If the site has no likelihood of each datum for itself.
    """
    chart = views.unconstrained
    with traced(views.structure.program, data, *chart.placed(z, data)) as trace:
        pointwise = _pointwise(trace, site)
        log_prior, total = chart.terms_of(trace, z, data)
        return log_prior + total - pointwise.sum(), pointwise


def foreseen(views: Views, site: str, data: Data, places: jax.Array, z: jax.Array) -> tuple[Foreseen, jax.Array]:
    """What a particle says of the data at `places`, and the log-likelihood of all."""
    chart = views.unconstrained
    with traced(views.structure.program, data, *chart.placed(z, data)) as trace:
        pointwise, value = _pointwise(trace, site), jnp.asarray(trace[site]["value"])
        whole = unwrapped(trace[site]["fn"])
        mean, variance = (jnp.broadcast_to(moment, value.shape)[places] for moment in (whole.mean, whole.variance))
        law, value = _at(whole, places, value.shape[0]), value[places]
        atom = getattr(law, "atom", None)
        unknown = jnp.full(value.shape, jnp.nan, pointwise.dtype)
        at_atom = (unknown, unknown) if atom is None else _probabilities(law, jnp.full_like(value, atom))
        return Foreseen(pointwise[places], mean, variance, _probabilities(law, value), at_atom), pointwise


def _pointwise(trace: Any, site: str) -> jax.Array:
    log_likelihood, shape = pointwise_log_prob(trace[site]), jnp.shape(trace[site]["value"])
    if jnp.shape(log_likelihood) != shape:
        raise ValueError(
            f"`Sequential` needs a likelihood of each datum for itself, but `{site}` has one of shape "
            f"{jnp.shape(log_likelihood)} for data of shape {shape}."
        )
    return log_likelihood


def _at(law: dist.Distribution, places: jax.Array, size: int) -> dist.Distribution:
    """The parameters of a law of independent data at some `places`; its shape is still told to be that of all."""

    def some(leaf: Any) -> Any:
        return leaf[places] if jnp.ndim(leaf) and jnp.shape(leaf)[0] == size else leaf

    return jax.tree.map(some, law)


def _probabilities(law: Any, value: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Of a smaller value, and of one no greater; NaN where the family has no distribution function."""
    try:
        up_to = jnp.broadcast_to(law.cdf(value), value.shape)
    except NotImplementedError:
        unknown = jnp.full(value.shape, jnp.nan)
        return unknown, unknown
    if hasattr(law, "cdf_below"):
        return law.cdf_below(value), up_to
    return (jnp.broadcast_to(law.cdf(value - 1), value.shape) if law.is_discrete else up_to), up_to


def predicted(found: Foreseen, log_weight: jax.Array, ties: jax.Array) -> dict[str, jax.Array]:
    """Of each datum, by all particles together.

    Parameters
    ----------
    found : Foreseen
        Arrays of shape (particle, datum).
    log_weight : array, shape (particle,)
    ties : array, shape (datum,)
        Uniform numbers, which say what part of the probability of the datum's very value counts as below it.
    """
    weight = jax.nn.softmax(log_weight)
    below, up_to, atom_low, atom_high = (
        jnp.clip(weight @ probability, 0.0, 1.0) for probability in (*found.at_value, *found.at_atom)
    )
    mean = weight @ found.mean
    variance = weight @ (found.variance + jnp.square(found.mean - mean))
    return {
        "log_predictive": logsumexp(log_weight[:, None] + found.log_likelihood, axis=0) - logsumexp(log_weight),
        "pit": below + ties * (up_to - below),
        "mean": mean,
        "sd": jnp.sqrt(variance),
        "atom_low": atom_low,
        "atom_high": atom_high,
    }
