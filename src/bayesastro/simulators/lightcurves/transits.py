"""The light that a star loses behind a planet: quadratic limb darkening, exposures of finite length.

References
----------
Agol, Luger & Foreman-Mackey 2020, AJ 159, 123 (arXiv:1908.03222): the integral over the occulted disc, of jaxoplanet.
Kipping 2013, MNRAS 435, 2152 (arXiv:1308.0009): coefficients (q₁, q₂).
Kipping 2010, MNRAS 408, 1758 (arXiv:1004.3741): long exposures.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, ScalarLike

from bayesastro.extras import Extra
from bayesastro.simulators.lightcurves.orbits import Orbit

with Extra("lightcurves", "Transits"):
    from jaxoplanet.core.limb_dark import light_curve

__all__ = ["exposed", "limb_darkening", "transit"]


def limb_darkening(q1: ScalarLike, q2: ScalarLike) -> Float[Array, " 2"]:
    r"""Coefficients (u₁, u₂) of the quadratic law, from those that are uniform on the unit square.

    .. math:: u_1 = 2 \sqrt{q_1} q_2, \quad u_2 = \sqrt{q_1} (1 - 2 q_2)

    Every pair in the square gives an intensity that is positive and falls towards the limb, and the square holds all
    such pairs.

    Parameters
    ----------
    q1, q2 : scalars

    References
    ----------
    Kipping 2013, arXiv:1308.0009, equations 15 and 16.
    """
    root = jnp.sqrt(q1)
    return jnp.stack([2.0 * root * q2, root * (1.0 - 2.0 * q2)])


def transit(
    time: Float[Array, "*shape"], orbit: Orbit, radius_ratio: ScalarLike, u: Float[Array, " degree"], *, order: int = 20
) -> Float[Array, "*shape"]:
    r"""Relative change of flux in transit: zero outside, about −k² within.

    Parameters
    ----------
    time : array [day]
    orbit : Orbit
    radius_ratio : scalar
        k = R_p/R*.
    u : array, shape (2,)
        Limb darkening, :math:`I(\mu)/I(1) = 1 - u_1 (1 - \mu) - u_2 (1 - \mu)^2`; other lengths are polynomials.
    order : int
        Nodes of the quadrature over the occulted limb. With 20 the error is below 1e-6 of the depth, at the contacts;
        with 40 it is below 1e-9.

    Returns
    -------
    array, of the shape of `time`

    References
    ----------
    Agol, Luger & Foreman-Mackey 2020, arXiv:1908.03222.
    """
    separation, in_front = orbit.separation(time)
    # A planet behind the star is put where nothing is occulted; its gradient is then zero, and not that of a branch.
    away = 2.0 + jnp.abs(radius_ratio)
    return light_curve(u, jnp.where(in_front, separation, away), radius_ratio, order=order)


def exposed(
    flux: Callable[[Array], Array], exposure: ScalarLike | Float[Array, " n"], num_samples: int
) -> Callable[[Array], Array]:
    """A light curve averaged over exposures, centred on their times.

    The mean of the flux at the midpoints of equal parts of each exposure.

    Parameters
    ----------
    flux : callable
        Of an array of times of any shape, or of shape (n,) where `num_samples` is 1.
    exposure : scalar or array, shape (n,) [day]
    num_samples : int
        Parts of an exposure. The error is largest at the contacts; it falls as the square of this number.

    Raises
    ------
    ValueError
        If `num_samples` is below 1.

    References
    ----------
    Kipping 2010, arXiv:1004.3741, section 3 ("resampling").
    """
    if num_samples < 1:
        raise ValueError(f"`num_samples` must be at least 1, but {num_samples} came.")
    if num_samples == 1:
        return flux
    parts = (jnp.arange(num_samples) + 0.5) / num_samples - 0.5

    def mean_flux(time: Array) -> Array:
        offsets = jnp.expand_dims(jnp.asarray(exposure), -1) * parts
        return flux(time[..., None] + offsets).mean(-1)

    return mean_flux
