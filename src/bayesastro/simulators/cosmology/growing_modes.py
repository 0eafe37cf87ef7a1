r"""Growth of structure in a flat universe of matter and a cosmological constant, to second order.

The linear growing mode, and the growing second-order one that its square drives, solve

.. math::

    \hat L D_1 = 0, \quad \hat L D_2 = -\tfrac32 \Omega_m(a) D_1^2, \qquad
    \hat L = \frac{d^2}{d \ln^2 a} + \Bigl(2 + \frac{d \ln E}{d \ln a}\Bigr) \frac{d}{d \ln a} - \tfrac32 \Omega_m(a),

with D₁ → a and D₂ → −3/7 a² at early times. As E solves the homogeneous equation too, both are integrals,

.. math::

    D_1(a) = \tfrac52 \Omega_m E(a) \int_0^a \frac{dt}{(t E(t))^3}, \qquad
    D_2(a) = -\tfrac35 \int_0^a \frac{D_1^2(t)}{t^2 E(t)} \, [E(t) D_1(a) - D_1(t) E(a)] \, dt,

here by Gauss-Legendre quadrature in the square root of t, in which the integrands are smooth.

References
----------
Heath 1977, MNRAS 179, 351 (the first integral); Bouchet et al. 1995, A&A 296, 575 (arXiv:astro-ph/9406013), equations 21
and A3, for the second-order mode.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

__all__ = ["Growth", "growth"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_ROOTS, _ROOT_WEIGHTS = 0.5 * (1.0 + _NODES), 0.5 * _WEIGHTS
"""Places between 0 and 1; 24 reach 1e-12 relative for Ω_m from 0.05 to 1."""


class Growth(NamedTuple):
    """Amplitudes of the growing modes relative to D₁ today, and their logarithmic rates; see :func:`growth`."""

    first: Float[Array, "*shape"]
    """D₁, 1 today."""
    second: Float[Array, "*shape"]
    """D₂, about −3/7 D₁²."""
    first_rate: Float[Array, "*shape"]
    """d ln D₁ / d ln a."""
    second_rate: Float[Array, "*shape"]
    """d ln D₂ / d ln a."""


def growth(scale_factor: Float[ArrayLike, "*shape"], Omega_m: Float[ArrayLike, ""]) -> Growth:
    """Growing modes of first and second order, and how fast they grow.

    Parameters
    ----------
    scale_factor : array
        Above 0; 1 today.
    Omega_m : scalar
        Matter density today in units of the critical density, above 0 and up to 1.

    Returns
    -------
    Growth
        Of arrays like `scale_factor`.

    References
    ----------
    Heath 1977, MNRAS 179, 351; Bouchet et al. 1995, arXiv:astro-ph/9406013, equation A3.
    """
    a, matter = jnp.asarray(scale_factor, float), jnp.asarray(Omega_m)
    expansion, slope = _expansion(a, matter)
    first = _first(a, matter)
    first_change = slope * first + 2.5 * matter / jnp.square(a * expansion)  # dD₁/d ln a
    t = a[..., None] * jnp.asarray(np.square(_ROOTS), a.dtype)
    expansion_t, first_t = _expansion(t, matter)[0], _first(t, matter)
    # dt = 2 √(t a) d√(t/a)
    weight = jnp.asarray(2.0 * _ROOT_WEIGHTS * _ROOTS, a.dtype) * a[..., None] * jnp.square(first_t / t) / expansion_t
    own = jnp.sum(weight * expansion_t, -1)
    cross = jnp.sum(weight * first_t, -1)
    second = -0.6 * (own * first - cross * expansion)
    second_change = -0.6 * (own * first_change - cross * slope * expansion)
    today = _first(jnp.ones((), a.dtype), matter)
    return Growth(first / today, second / jnp.square(today), first_change / first, second_change / second)


def _expansion(a: Array, matter: Array) -> tuple[Array, Array]:
    """E = H/H₀ and d ln E / d ln a."""
    dust = matter / a**3
    squared = dust + 1.0 - matter
    return jnp.sqrt(squared), -1.5 * dust / squared


def _first(a: Array, matter: Array) -> Array:
    """D₁ that is a at early times."""
    powers = jnp.asarray(_ROOTS**6, a.dtype)
    integrand = jnp.asarray(_ROOT_WEIGHTS * _ROOTS**4, a.dtype) * (
        matter + (1.0 - matter) * a[..., None] ** 3 * powers
    ) ** (-1.5)
    return 5.0 * matter * _expansion(a, matter)[0] * a**2.5 * jnp.sum(integrand, -1)
