"""Priors of the numbers that describe a field."""

from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.typing import ArrayLike
from jaxtyping import Array

__all__ = ["Prior", "log_normal", "log_normal_law", "normal"]

Prior: TypeAlias = tuple[ArrayLike, ArrayLike] | dist.Distribution | ArrayLike
"""Mean and standard deviation, a distribution, or a number that is known."""


def normal(name: str, prior: Prior) -> Array:
    """A latent; of a pair, normal with these mean and standard deviation.

    Raises
    ------
    ValueError
        If a standard deviation is known not to be positive, or the pair is none.
    """
    if (pair := _pair(name, prior)) is not None:
        prior = dist.Normal(*pair)
    return _latent(name, prior)


def log_normal(name: str, prior: Prior) -> Array:
    """A positive latent; of a pair, log-normal with these mean and standard deviation.

    Raises
    ------
    ValueError
        If a mean or standard deviation is known not to be positive, or the pair is none.
    """
    if (pair := _pair(name, prior)) is not None:
        mean, sd = pair
        if _is_known(mean) and not np.all(np.asarray(mean) > 0):
            raise ValueError(f"The prior of `{name}`, which is positive, needs a positive mean, but {mean} came.")
        prior = log_normal_law(mean, sd)
    return _latent(name, prior)


def log_normal_law(mean: Any, sd: Any) -> dist.LogNormal:
    """The log-normal law of these mean and standard deviation."""
    variance = jnp.log1p(jnp.square(sd / mean))
    return dist.LogNormal(jnp.log(mean) - 0.5 * variance, jnp.sqrt(variance))


def _pair(name: str, prior: Any) -> tuple[Any, Any] | None:
    if isinstance(prior, dist.Distribution) or not isinstance(prior, tuple | list):
        return None
    if len(prior) != 2:
        raise ValueError(f"The prior of `{name}` must be a pair of mean and standard deviation, but {prior} came.")
    mean, sd = prior
    if _is_known(sd) and not np.all(np.asarray(sd) > 0):
        raise ValueError(f"The prior of `{name}` needs a positive standard deviation, but {sd} came.")
    return mean, sd


def _is_known(value: Any) -> bool:
    return isinstance(value, int | float | np.ndarray | np.generic)


def _latent(name: str, prior: Any) -> Any:
    return numpyro.sample(name, prior) if isinstance(prior, dist.Distribution) else jnp.asarray(prior)
