"""What is observed of sources that a survey found: normal, cut softly in magnitude (Malmquist 1922)."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import log_ndtr
from jaxtyping import Array, Float
from numpyro.distributions import constraints

from bayesastro.simulators.cosmology import detection_log_probability

__all__ = ["DetectedNormal"]


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
        u = jax.random.truncated_normal(key_seen, -jnp.inf, jnp.broadcast_to(ease, shape), shape, self.loc.dtype)
        normals = jax.random.normal(key_rest, (*shape, *self.event_shape), self.loc.dtype)
        # The magnitude given how far the noisy one lies below the limit; then the other components given the magnitude.
        spread = self.scale_tril[..., 0, 0]
        first = spread / sd * u + self.softness / sd * normals[..., 0]
        whitened = jnp.concatenate([first[..., None], normals[..., 1:]], axis=-1)
        return self.loc + jnp.einsum("...ij,...j->...i", self.scale_tril, whitened)
