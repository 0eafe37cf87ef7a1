r"""Type Ia supernovae as standardised candles.

A supernova of absolute magnitude M, stretch :math:`x_1` and colour c has the apparent magnitude

.. math:: m_B = \mu(z) + M - \alpha x_1 + \beta c

with the distance modulus :math:`\mu`. Over a population of normally distributed M, :math:`x_1` and c, and with normal
errors, what is observed is normal too, so that these three need not be sampled.

References
----------
Tripp 1998, A&A 331, 815; March et al. 2011, MNRAS 418, 2308 (arXiv:1102.3237); Shariff et al. 2016, ApJ 827, 1
(arXiv:1510.05954).
"""

import jax.numpy as jnp
from jax.scipy.special import log_ndtr
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Real, ScalarLike

from bayesastro.simulators.cosmology.distances import Cosmology, interpolated_distance

__all__ = ["detection_log_probability", "heliocentric_distance_modulus", "observed_moments", "tripp_magnitude"]


def heliocentric_distance_modulus(
    z_cmb: Real[ArrayLike, " n"], z_hel: Real[ArrayLike, " n"], cosmology: Cosmology
) -> Float[Array, " n"]:
    r"""Distance modulus of a supernova seen from a moving Earth.

    .. math:: \mu = 5 \log_{10} \frac{(1 + z_{hel}) D_M(z_{cmb})}{10 \, \mathrm{pc}}

    Parameters
    ----------
    z_cmb : array, shape (n,)
        Redshift in the frame of the microwave background, above 0.
    z_hel : array, shape (n,)
        Redshift as measured, in the frame of the Sun.
    cosmology : Cosmology

    Returns
    -------
    array, shape (n,) [mag]

    References
    ----------
    Davis et al. 2011, ApJ 741, 67 (arXiv:1012.2912), appendix A.
    """
    return 5.0 * jnp.log10((1.0 + jnp.asarray(z_hel)) * interpolated_distance(z_cmb, cosmology)) + 25.0


def tripp_magnitude(
    mu: Real[ArrayLike, " n"],
    M: Real[ArrayLike, "*#n"],
    x1: Real[ArrayLike, " n"],
    c: Real[ArrayLike, " n"],
    alpha: ScalarLike,
    beta: ScalarLike,
) -> Float[Array, " n"]:
    """Apparent B magnitude at maximum, μ + M − α x₁ + β c [mag]."""
    return jnp.asarray(mu) + jnp.asarray(M) - alpha * jnp.asarray(x1) + beta * jnp.asarray(c)


def observed_moments(
    mu: Real[ArrayLike, " n"],
    M: Real[ArrayLike, "*#n"],
    means: tuple[ScalarLike, ScalarLike],
    dispersions: tuple[ScalarLike, ScalarLike, ScalarLike],
    alpha: ScalarLike,
    beta: ScalarLike,
    covariance: Real[ArrayLike, "*#n 3 3"],
) -> tuple[Float[Array, "n 3"], Float[Array, "... 3 3"]]:
    """Mean and covariance of the observed (m_B, x₁, c), over the population and the errors.

    Parameters
    ----------
    mu : array, shape (n,) [mag]
    M : scalar or array, shape (n,) [mag]
        Mean absolute magnitude.
    means : (scalar, scalar)
        Of x₁ and c over the population.
    dispersions : (scalar, scalar, scalar)
        Standard deviations of the absolute magnitude, x₁ and c over the population.
    alpha, beta : scalar
    covariance : array, shape (n, 3, 3) or (3, 3)
        Of the errors; the covariance that is returned has the same shape.

    References
    ----------
    March et al. 2011, MNRAS 418, 2308 (arXiv:1102.3237), section 4.
    """
    x1, c = (jnp.broadcast_to(mean, jnp.shape(mu)) for mean in means)
    mean = jnp.stack([tripp_magnitude(mu, M, x1, c, alpha, beta), x1, c], axis=-1)
    # Columns: how magnitude, stretch and colour of the population enter the three that are observed.
    mixing = jnp.array([[1.0, -jnp.asarray(alpha), jnp.asarray(beta)], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], mean.dtype)
    scaled = mixing * jnp.stack([jnp.asarray(d, mean.dtype) for d in dispersions])
    return mean, jnp.asarray(covariance) + scaled @ scaled.T


def detection_log_probability(
    magnitude: Real[ArrayLike, "*n"], limit: Real[ArrayLike, "*#n"], softness: Real[ArrayLike, "*#n"]
) -> Float[Array, "*n"]:
    """Log-probability that a survey finds a supernova: Φ((limit − magnitude) / softness).

    Parameters
    ----------
    magnitude : array [mag]
    limit : scalar or array [mag]
        Magnitude at which half are found.
    softness : scalar or array [mag]
        Above 0.

    References
    ----------
    Rubin et al. 2015, ApJ 813, 137 (arXiv:1507.01602), section 3.6.
    """
    return log_ndtr((jnp.asarray(limit) - jnp.asarray(magnitude)) / jnp.asarray(softness))
