"""Measure transport from independent standard normals ξ to the prior of one site, and back.

For a family with distribution function F the map is x(ξ) = F⁻¹(Φ(ξ)); for the normal families it is affine, and a
transformed family goes through its base. The parameters of the prior may depend on other latents: run in the order
of the trace, the maps of all sites together carry N(0, 1) to the joint prior (Knothe–Rosenblatt rearrangement).

References
----------
Knollmüller & Enßlin 2019, arXiv:1901.11033, section 2 (standardisation of hierarchical models).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import log_ndtr, ndtr, ndtri
from numpyro.distributions import transforms

from bayesastro import quantiles
from bayesastro.families import is_improper, unmasked

__all__ = ["from_normal", "normal_shape", "to_normal"]


def normal_shape(fn: dist.Distribution) -> tuple[int, ...]:
    """Shape of the ξ that `from_normal` needs for one draw of `fn`.

    Raises
    ------
    NotImplementedError
        If the family has neither an affine form, an inverse distribution function nor a base that has.
    """
    inner = _stripped(fn)
    if not _is_served(inner):
        raise NotImplementedError(f"`{type(inner).__name__}` has no map from a standard normal")
    if isinstance(inner, dist.TransformedDistribution):
        batch_ndims = len(fn.shape()) - len(inner.event_shape)
        return tuple(fn.shape())[:batch_ndims] + normal_shape(inner.base_dist)[len(inner.batch_shape) :]
    return tuple(fn.shape())


def from_normal(fn: dist.Distribution, xi: jax.Array) -> jax.Array:
    """The value of `fn` at standard normals `xi` of shape ``normal_shape(fn)``."""
    inner = _stripped(fn)
    if isinstance(inner, dist.TransformedDistribution):
        value: Any = from_normal(inner.base_dist, xi)
        for transform in inner.transforms:
            value = transform(value)
        return value
    return _forward(inner, xi)


def to_normal(fn: dist.Distribution, value: Any) -> jax.Array:
    """The standard normals which `from_normal` carries to `value`; its inverse."""
    inner = _stripped(fn)
    if isinstance(inner, dist.TransformedDistribution):
        for transform in reversed(inner.transforms):
            value = transform.inv(value)
        return to_normal(inner.base_dist, value)
    return _backward(inner, jnp.asarray(value, float))


def _stripped(fn: dist.Distribution) -> dist.Distribution:
    """`fn` without masks, `Independent` and `Expanded`: the parameters of the base broadcast against ξ as they are."""
    fn = unmasked(fn)
    while isinstance(fn, dist.Independent | dist.ExpandedDistribution):
        fn = fn.base_dist
    return fn


def _is_bijective(transform: Any) -> bool:
    if isinstance(transform, transforms.ComposeTransform):
        return all(map(_is_bijective, transform.parts))
    return not isinstance(transform, transforms.AbsTransform)


def _is_served(fn: dist.Distribution) -> bool:
    if isinstance(fn, dist.TransformedDistribution):
        return all(map(_is_bijective, fn.transforms))
    if is_improper(fn) or fn.is_discrete or (fn.event_shape and not isinstance(fn, dist.MultivariateNormal)):
        return False
    if isinstance(fn, dist.MultivariateNormal | dist.Gamma | dist.Beta | dist.StudentT):
        return True
    return type(fn).icdf is not dist.Distribution.icdf and type(fn).cdf is not dist.Distribution.cdf


def _forward(fn: dist.Distribution, xi: jax.Array) -> jax.Array:
    of: Any = fn  # NumPyro's types of parameters are too wide to compute with
    match fn:
        case dist.Normal():
            return of.loc + of.scale * xi
        case dist.MultivariateNormal():
            return of.loc + jnp.squeeze(of.scale_tril @ xi[..., None], -1)
        case dist.Gamma():
            return quantiles.normal_to_gamma(xi, of.concentration) / of.rate
        case dist.Beta():
            return quantiles.normal_to_beta(xi, of.concentration1, of.concentration0)
        case dist.StudentT():
            return of.loc + of.scale * quantiles.normal_to_student_t(xi, of.df)
        case dist.Exponential():
            return -log_ndtr(-xi) / of.rate
        case dist.Uniform():
            return of.low + (of.high - of.low) * ndtr(xi)
    return of.icdf(ndtr(xi))


def _backward(fn: dist.Distribution, value: jax.Array) -> jax.Array:
    of: Any = fn
    match fn:
        case dist.Normal():
            return (value - of.loc) / of.scale
        case dist.MultivariateNormal():
            shape = jnp.broadcast_shapes(value.shape, of.loc.shape)
            tril = jnp.broadcast_to(of.scale_tril, shape + shape[-1:])
            residual = jnp.broadcast_to(value - of.loc, shape)[..., None]
            return jnp.squeeze(jax.scipy.linalg.solve_triangular(tril, residual, lower=True), -1)
        case dist.Gamma():
            return quantiles.gamma_to_normal(value * of.rate, of.concentration)
        case dist.Beta():
            return quantiles.beta_to_normal(value, of.concentration1, of.concentration0)
        case dist.StudentT():
            return quantiles.student_t_to_normal((value - of.loc) / of.scale, of.df)
        case dist.Exponential():
            return _normal_of_small_tail(-jnp.expm1(-of.rate * value), jnp.exp(-of.rate * value))
        case dist.Uniform():
            width = of.high - of.low
            return _normal_of_small_tail((value - of.low) / width, (of.high - value) / width)
    return ndtri(of.cdf(value))


def _normal_of_small_tail(lower: jax.Array, upper: jax.Array) -> jax.Array:
    """ξ from the probabilities below and above, taken from the smaller: 1 − p has no digits where p is near one."""
    return jnp.where(lower < upper, ndtri(lower), -ndtri(upper))
