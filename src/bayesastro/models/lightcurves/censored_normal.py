r"""Fluxes of a survey that publishes detections alone: a normal law, of which the faint part is one point.

A flux :math:`x` is normal with mean :math:`m` and standard deviation :math:`s`. It is published if a noisy statistic of
the same image exceeds a threshold, :math:`x + b\,\epsilon > c` with :math:`\epsilon` standard normal, and if it is not lost
for other reasons, as happens with probability :math:`\ell`; else the value is 0. A datum thus has the density, or the
probability,

.. math::

    p(x) = (1 - \ell) \, \mathcal{N}(x; m, s^2) \, \Phi\!\left(\frac{x - c}{b}\right) \; (x \ne 0), \qquad
    P(0) = \ell + (1 - \ell) \, \Phi\!\left(\frac{c - m}{\sqrt{s^2 + b^2}}\right).

As :math:`b, \ell \to 0` everything below the threshold is censored, and nothing above.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.special import log_ndtr, ndtr
from jax.scipy.stats import norm
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpyro.distributions import constraints
from numpyro.distributions.util import promote_shapes, validate_sample

__all__ = ["CensoredNormal"]

REACH = 6.0
"""Standard deviations of the statistic's noise over which the distribution function is integrated."""

NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)


class CensoredNormal(dist.Distribution):
    """A normal law censored below a threshold that is not quite sharp; 0 stands for what was not detected.

    Parameters
    ----------
    loc, scale : arrays
        Mean and standard deviation of the flux.
    threshold : array
        Flux of which half are detected, above 0.
    blur : array
        Standard deviation of the detection statistic about the flux, above 0.
    lost : array
        Probability that a flux is not published, whatever it is; from 0 to below 1.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "threshold": constraints.positive,
        "blur": constraints.positive,
        "lost": constraints.unit_interval,
    }
    support: Any = constraints.real
    pytree_data_fields = ("loc", "scale", "threshold", "blur", "lost")
    atom = 0.0
    """The value that has a probability of its own."""

    def __init__(
        self,
        loc: Float[Array, "*n"],
        scale: Float[Array, "*n"],
        threshold: Float[Array, "*n"],
        blur: Float[Array, "*n"],
        lost: Float[ArrayLike, "*n"] = 0.0,
        *,
        validate_args: bool | None = None,
    ) -> None:
        promoted: Any = promote_shapes(loc, scale, threshold, blur, lost)
        self.loc, self.scale, self.threshold, self.blur, self.lost = promoted
        shape = jnp.broadcast_shapes(*map(jnp.shape, promoted))
        super().__init__(shape, validate_args=validate_args)

    @property
    def _statistic(self) -> tuple[Array, Array]:
        """Standard deviation of the statistic, and its threshold in such units above the mean."""
        spread = jnp.hypot(self.scale, self.blur)
        return spread, (self.threshold - self.loc) / spread

    @property
    def _undetected(self) -> Array:
        """Probability of 0."""
        return self.lost + (1.0 - self.lost) * ndtr(self._statistic[1])

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Fluxes, and 0 where the statistic is below the threshold."""
        shape = (*sample_shape, *self.batch_shape)
        key_normal, key_lost = jax.random.split(key)
        flux, noise = jax.random.normal(key_normal, (2, *shape), jnp.result_type(self.loc, float))
        flux = self.loc + self.scale * flux
        is_kept = jax.random.uniform(key_lost, shape) >= self.lost
        return jnp.where(is_kept & (flux + self.blur * noise > self.threshold), flux, 0.0)

    @validate_sample
    def log_prob(self, value: Array) -> Array:
        """Log-density of a flux; log-probability of 0."""
        _, threshold = self._statistic
        kept = jnp.log1p(-self.lost)
        detected = kept + norm.logpdf(value, self.loc, self.scale) + log_ndtr((value - self.threshold) / self.blur)
        return jnp.where(value == 0.0, jnp.logaddexp(jnp.log(self.lost), kept + log_ndtr(threshold)), detected)

    def cdf(self, value: Array) -> Array:
        """Probability of a value no greater."""
        return self._detected_below(value) + jnp.where(value >= 0.0, self._undetected, 0.0)

    def cdf_below(self, value: Array) -> Array:
        """Probability of a smaller value."""
        return self._detected_below(value) + jnp.where(value > 0.0, self._undetected, 0.0)

    def _detected_below(self, value: Array) -> Array:
        """Probability of a detection below a value: over the statistic's noise, that the flux is between."""
        first = jnp.clip((self.threshold - value) / self.blur, -REACH, REACH)
        half = 0.5 * (REACH - first)
        noise = first[..., None] + half[..., None] * (1.0 + jnp.asarray(NODES))
        lowest = (self.threshold - self.loc)[..., None] - self.blur[..., None] * noise
        lowest = lowest / self.scale[..., None]
        between = ndtr(((value - self.loc) / self.scale)[..., None]) - ndtr(lowest)
        weight = jnp.asarray(WEIGHTS) * norm.pdf(noise)
        return (1.0 - self.lost) * half * jnp.sum(weight * jnp.maximum(between, 0.0), axis=-1)

    @property
    def mean(self) -> Array:
        """Of the value, 0 where nothing is detected."""
        spread, threshold = self._statistic
        mean = self.loc * ndtr(-threshold) + jnp.square(self.scale) / spread * norm.pdf(threshold)
        return (1.0 - self.lost) * mean

    @property
    def variance(self) -> Array:
        """Of the value, 0 where nothing is detected."""
        spread, threshold = self._statistic
        detected, density = ndtr(-threshold), norm.pdf(threshold)
        covariance = jnp.square(self.scale) / spread
        square = (jnp.square(self.loc) + jnp.square(self.scale)) * detected
        square += (2 * self.loc * covariance + jnp.square(covariance) * threshold) * density
        return jnp.maximum((1.0 - self.lost) * square - jnp.square(self.mean), 0.0)
