"""What is observed of sources that a survey found: normal, cut softly in magnitude (Malmquist 1922)."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import log_ndtr, ndtri
from jaxtyping import Array, Bool, Float, Int
from numpyro.distributions import constraints

from bayesastro.simulators.cosmology import detection_log_probability

__all__ = ["DetectedNormal", "Tabulated", "WhereFound"]

FAR = -20.0
"""Logarithm of a probability below which its normal quantile is sought by logarithms."""

_TINY = 1e-300
"""Below the integral of any cell that a value is drawn from; in single precision 0."""


class DetectedNormal(dist.Distribution):
    r"""A multivariate normal whose first component, a magnitude, decides whether the source is found.

    .. math::

        p(d) = \mathcal{N}(d; \mu, C) \;
            \Phi\!\left(\frac{\ell - d_0}{s}\right) \Big/ \Phi\!\left(\frac{\ell - \mu_0}{\sqrt{C_{00} + s^2}}\right)

    It is the law of d given that :math:`d_0 + s \epsilon < \ell` for a standard normal :math:`\epsilon`, and drawn as
    such, without rejections.

    Parameters
    ----------
    loc : array, shape (..., k)
    covariance_matrix : array, shape (..., k, k)
    limit : array, shape (...) [mag]
        Magnitude at which half of the sources are found.
    softness : array, shape (...) [mag]
        Above 0.

    References
    ----------
    Rubin et al. 2015, ApJ 813, 137 (arXiv:1507.01602), section 3.6.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "loc": constraints.real_vector,
        "scale_tril": constraints.lower_cholesky,
        "limit": constraints.real,
        "softness": constraints.positive,
    }
    support: Any = constraints.real_vector
    reparametrized_params: ClassVar[list[str]] = ["loc", "scale_tril", "limit", "softness"]

    def __init__(
        self,
        loc: Float[Array, "*batch k"],
        covariance_matrix: Float[Array, "*batch k k"],
        limit: Float[Array, "*batch"],
        softness: Float[Array, "*batch"],
        *,
        validate_args: bool | None = None,
    ) -> None:
        self.loc, self.scale_tril = loc, jnp.linalg.cholesky(covariance_matrix)
        self.limit, self.softness = limit, softness
        batch_shape = jnp.broadcast_shapes(jnp.shape(loc)[:-1], jnp.shape(limit), jnp.shape(softness))
        super().__init__(batch_shape, jnp.shape(loc)[-1:], validate_args=validate_args)

    @property
    def _ease(self) -> tuple[Array, Array]:
        """By how many standard deviations the mean lies within the limit, and that deviation."""
        sd = jnp.hypot(self.scale_tril[..., 0, 0], self.softness)
        return (self.limit - self.loc[..., 0]) / sd, sd

    def log_prob(self, value: Float[Array, "*batch k"], intermediates: Any = None) -> Float[Array, "*batch"]:
        ease, _ = self._ease
        free = dist.MultivariateNormal(self.loc, scale_tril=self.scale_tril).log_prob(value)
        return free + detection_log_probability(value[..., 0], self.limit, self.softness) - log_ndtr(ease)

    def sample(self, key: jax.Array | None, sample_shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
        shape = (*sample_shape, *self.batch_shape)
        key_seen, key_rest = jax.random.split(jnp.asarray(key))
        ease, sd = self._ease
        luck = jax.random.uniform(key_seen, shape, self.loc.dtype, minval=jnp.finfo(self.loc.dtype).tiny)
        u = _normal_quantile(log_ndtr(ease) + jnp.log(luck))
        normals = jax.random.normal(key_rest, (*shape, *self.event_shape), self.loc.dtype)
        # The magnitude given how far the noisy one lies below the limit; then the other components given the magnitude.
        spread = self.scale_tril[..., 0, 0]
        first = spread / sd * u + self.softness / sd * normals[..., 0]
        whitened = jnp.concatenate([first[..., None], normals[..., 1:]], axis=-1)
        return self.loc + jnp.einsum("...ij,...j->...i", self.scale_tril, whitened)


def _normal_quantile(log_p: Float[Array, "..."]) -> Float[Array, "..."]:
    """ξ with ln Φ(ξ) = `log_p`, however small: in the far tail by Newton's steps from Φ(ξ) ≈ φ(ξ) / |ξ|."""
    near = ndtri(jnp.exp(jnp.maximum(log_p, FAR)))
    squared = -2.0 * jnp.minimum(log_p, FAR)
    x = -jnp.sqrt(squared - jnp.log(2.0 * jnp.pi * squared))
    for _ in range(4):
        logs = log_ndtr(x)
        slope = jnp.exp(-0.5 * jnp.square(x) - 0.5 * jnp.log(2.0 * jnp.pi) - logs)
        x = x - (logs - jnp.minimum(log_p, FAR)) / slope
    return jnp.where(log_p > FAR, near, x)


class Tabulated(dist.Distribution):
    """A density that is linear between evenly spaced nodes, one of several for each value.

    Parameters
    ----------
    nodes : array, shape (k,)
        Increasing, evenly spaced.
    density : array, shape (kind, k)
        At the nodes, not below 0, up to a factor for each kind.
    kind : array of int, shape (n,)
        Which density a value is drawn from.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "nodes": constraints.ordered_vector,
        "density": constraints.nonnegative,
    }
    pytree_data_fields = ("kind",)

    def __init__(
        self,
        nodes: Float[Array, " k"],
        density: Float[Array, "kind k"],
        kind: Int[Array, " n"],
        *,
        validate_args: bool | None = None,
    ) -> None:
        self.nodes, self.density, self.kind = nodes, density, kind
        super().__init__(jnp.shape(kind), (), validate_args=validate_args)

    @property
    def support(self) -> Any:
        """Between the first node and the last."""
        return constraints.interval(self.nodes[0], self.nodes[-1])

    @property
    def _cells(self) -> tuple[Array, Array]:
        """Width of a cell, and the integral of each density over each."""
        width = (self.nodes[-1] - self.nodes[0]) / (self.nodes.shape[0] - 1)
        return width, 0.5 * width * (self.density[:, :-1] + self.density[:, 1:])

    def log_prob(self, value: Float[Array, " n"], intermediates: Any = None) -> Float[Array, " n"]:
        width, mass = self._cells
        place = (value - self.nodes[0]) / width
        cell = jnp.clip(jnp.floor(jax.lax.stop_gradient(place)).astype(int), 0, self.nodes.shape[0] - 2)
        low, high = self.density[self.kind, cell], self.density[self.kind, cell + 1]
        return jnp.log(low + (high - low) * (place - cell)) - jnp.log(mass.sum(-1))[self.kind]

    def sample(self, key: jax.Array | None, sample_shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
        width, mass = self._cells
        below = jnp.cumsum(mass, -1)
        u = jax.random.uniform(jnp.asarray(key), (*sample_shape, *self.batch_shape), self.density.dtype)
        kind = jnp.broadcast_to(self.kind, u.shape)
        aim = u * below[kind, -1]
        found = jnp.stack([jnp.searchsorted(one, aim, side="right") for one in below])
        cell = jnp.clip(jnp.take_along_axis(found, kind[None], 0)[0], 0, mass.shape[-1] - 1)
        part = jnp.clip(1 - (below[kind, cell] - aim) / jnp.maximum(mass[kind, cell], _TINY), 0.0, 1.0)
        low, high = self.density[kind, cell], self.density[kind, cell + 1]
        # Where the integral of the line reaches that part of the cell's.
        within = part * (low + high) / jnp.maximum(low + jnp.sqrt(low**2 + part * (high**2 - low**2)), _TINY)
        return self.nodes[0] + width * (cell + jnp.clip(within, 0.0, 1.0))


class WhereFound(dist.Distribution):
    """The values of sources that were found, and zeros in the places of those that were not.

    Unlike masked values the zeros are data: which are there is said by another site.

    Parameters
    ----------
    base : Distribution
        Of batch shape (n,).
    found : array of bool, shape (n,)
    inside : array of the event's shape
        A value in the support of `base`, to stand for those not found while gradients are computed.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"found": constraints.boolean}
    pytree_data_fields = ("base", "inside")

    def __init__(
        self, base: Any, found: Bool[Array, " n"], inside: Float[Array, "..."], *, validate_args: bool | None = None
    ) -> None:
        self.base, self.found, self.inside = base, found, inside
        super().__init__(jnp.shape(found), base.event_shape, validate_args=validate_args)

    @property
    def support(self) -> Any:
        """The reals: where a value must be zero depends on the place."""
        return constraints.independent(constraints.real, len(self.event_shape))

    def _spread(self, found: Array) -> Array:
        return found.reshape(*found.shape, *(1,) * len(self.event_shape))

    def log_prob(self, value: Float[Array, "..."], intermediates: Any = None) -> Float[Array, "..."]:
        there = jnp.where(self._spread(self.found), value, self.inside)
        return jnp.where(self.found, self.base.log_prob(there), 0.0)

    def sample(self, key: jax.Array | None, sample_shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
        return jnp.where(self._spread(self.found), self.base.sample(key, sample_shape), 0.0)
