"""Looking through the wrappers that plates, masks and `to_event` put around a distribution."""

from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

__all__ = ["entrywise", "has_point_mass", "is_improper", "mask_of", "unmasked", "unwrapped", "value_mask", "with_axes"]


def unwrapped(fn: dist.Distribution) -> dist.Distribution:
    """The innermost distribution under `Expanded`, `Independent` and `Masked` wrappers."""
    while isinstance(fn, dist.ExpandedDistribution | dist.Independent | dist.MaskedDistribution):
        fn = fn.base_dist
    return fn


def unmasked(fn: dist.Distribution) -> dist.Distribution:
    """The same distribution with every mask removed.

    A mask on a *latent* site would make its prior improper where it masks, while the program still draws those
    entries from it. The density must be that of what the program generates, so masks count on observed sites alone.
    """
    if isinstance(fn, dist.MaskedDistribution):
        return unmasked(fn.base_dist)
    if isinstance(fn, dist.Independent):
        return unmasked(fn.base_dist).to_event(fn.reinterpreted_batch_ndims)
    if isinstance(fn, dist.ExpandedDistribution):
        return unmasked(fn.base_dist).expand(fn.batch_shape)
    return fn


def entrywise(fn: dist.Distribution) -> dist.Distribution:
    """The same law with a log-probability for each independent entry: what `to_event` had gathered is batch axes again."""
    if isinstance(fn, dist.Independent):
        return entrywise(fn.base_dist)
    if isinstance(fn, dist.MaskedDistribution):
        base = entrywise(fn.base_dist)
        mask: Any = fn._mask if isinstance(fn._mask, bool) else with_axes(fn._mask, base, fn)
        return base.mask(mask)
    if isinstance(fn, dist.ExpandedDistribution):
        base = entrywise(fn.base_dist)
        return base.expand(fn.batch_shape + base.batch_shape[len(fn.base_dist.batch_shape) :])
    return fn


def with_axes(array: Any, entries: dist.Distribution, fn: dist.Distribution) -> jax.Array:
    """An array along the batch axes of `fn`, with axes of length one for those that only its `entries` have."""
    more = len(entries.batch_shape) - len(fn.batch_shape)
    return jnp.reshape(array, jnp.shape(array) + (1,) * more)


def mask_of(fn: dist.Distribution) -> jax.Array | None:
    """Which entries the masks among the wrappers leave, along the batch axes of `unwrapped(fn)`; None without a mask."""
    mask: jax.Array | None = None
    while isinstance(fn, dist.ExpandedDistribution | dist.Independent | dist.MaskedDistribution):
        if isinstance(fn, dist.MaskedDistribution):
            inner = jnp.broadcast_to(jnp.asarray(fn._mask), fn.batch_shape)
            mask = inner if mask is None else mask & inner
        elif isinstance(fn, dist.Independent) and mask is not None:
            mask = jnp.reshape(mask, mask.shape + (1,) * fn.reinterpreted_batch_ndims)
        fn = fn.base_dist
    return mask


def value_mask(fn: dist.Distribution, value: jax.Array) -> jax.Array | None:
    """Which entries of a value the masks of its distribution leave, in its shape; None without a mask."""
    mask = mask_of(fn)
    if mask is None:
        return None
    return jnp.broadcast_to(mask.reshape(mask.shape + (1,) * unwrapped(fn).event_dim), jnp.shape(value))


def has_point_mass(fn: dist.Distribution) -> bool:
    """Whether a family over the reals gives single values a probability, so that it has no density there."""
    return isinstance(unwrapped(fn), _WITH_POINT_MASS)


_WITH_POINT_MASS = (
    dist.Delta,
    dist.HurdleProbs,
    dist.HurdleLogits,
    dist.LeftCensoredDistribution,
    dist.RightCensoredDistribution,
    dist.IntervalCensoredDistribution,
)


def is_improper(fn: dist.Distribution) -> bool:
    """Whether the family under the wrappers is `ImproperUniform`."""
    return isinstance(unwrapped(fn), dist.ImproperUniform)
