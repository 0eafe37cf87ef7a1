r"""Keplerian orbits: where a planet is before its star, and how fast it makes the star move.

Lengths are in stellar radii and times in days; the line of sight z is positive towards the observer. ω is the argument
of periastron of the *star's* orbit, as in the literature of transits and radial velocities, so that inferior
conjunction happens at a true anomaly of π/2 − ω.

References
----------
Winn 2010, arXiv:1001.2010 (in *Exoplanets*, ed. Seager), equations 1–8 and 30.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, ScalarLike

from bayesastro.extras import Extra

with Extra("lightcurves", "Orbits"):
    from jaxoplanet.core.kepler import kepler

__all__ = ["GRAVITY", "Orbit", "axis_of_density", "conjunction", "density_of_axis", "keplerian_velocity"]

GRAVITY = 498.23382528
"""Newton's constant [cm³ g⁻¹ day⁻²]: 6.67430e-8 cm³ g⁻¹ s⁻² (CODATA 2018)."""


def axis_of_density(density: ScalarLike, period: ScalarLike) -> ScalarLike:
    r"""Semi-major axis in stellar radii from the star's mean density, for a planet of negligible mass.

    .. math:: (a/R_*)^3 = G \rho_* P^2 / 3\pi

    Parameters
    ----------
    density : scalar [g/cm³]
    period : scalar [day]

    References
    ----------
    Winn 2010, arXiv:1001.2010, equation 30.
    """
    return jnp.cbrt(GRAVITY * density * jnp.square(period) / (3.0 * jnp.pi))


def density_of_axis(scaled_axis: ScalarLike, period: ScalarLike) -> ScalarLike:
    """The star's mean density [g/cm³] from a/R*, the inverse of `axis_of_density`."""
    return 3.0 * jnp.pi * scaled_axis**3 / (GRAVITY * jnp.square(period))


def conjunction(eccentricity: ScalarLike, omega: ScalarLike) -> Array:
    r"""Mean anomaly [rad] at inferior conjunction, where the true anomaly is π/2 − ω.

    .. math:: \tan(E/2) = \sqrt{(1 - e)/(1 + e)} \tan(f/2), \quad M = E - e \sin E

    Parameters
    ----------
    eccentricity : scalar
    omega : scalar [rad]
        Argument of periastron of the star's orbit.
    """
    e, sin_w, cos_w = jnp.asarray(eccentricity), jnp.sin(omega), jnp.cos(omega)
    E = 2.0 * jnp.arctan2(jnp.sqrt(1.0 - e) * cos_w, jnp.sqrt(1.0 + e) * (1.0 + sin_w))
    return E - e * jnp.sin(E)


def keplerian_velocity(
    longitude: Float[Array, "*shape"], semi_amplitude: ScalarLike, eccentricity: ScalarLike, omega: ScalarLike
) -> Array:
    r"""The star's velocity away from the observer, in the unit of `semi_amplitude`, of an orbit of any inclination.

    .. math:: v = K [\cos(\omega + f) + e \cos\omega]

    Parameters
    ----------
    longitude : array [rad]
        Mean longitude λ = M + ω, which grows by 2π in a period and means something for a circular orbit, too.
    semi_amplitude : scalar
        K.
    eccentricity : scalar
    omega : scalar [rad]
        Argument of periastron of the star's orbit.

    References
    ----------
    Winn 2010, arXiv:1001.2010, section 2 (with K for the amplitude).
    """
    sin_f, cos_f = kepler(longitude - omega, eccentricity)
    sin_w, cos_w = jnp.sin(omega), jnp.cos(omega)
    return jnp.asarray(semi_amplitude) * (cos_w * cos_f - sin_w * sin_f + eccentricity * cos_w)


class Orbit(eqx.Module):
    """A Keplerian orbit, given by what a transit measures.

    A circular orbit (no `eccentricity`) solves no equation of Kepler. The orbit of a planet that does not touch its
    star, :math:`a(1 - e) > 1 + k`, has an inclination for every impact parameter up to 1 + k.

    Parameters
    ----------
    period : scalar [day]
    t0 : scalar [day]
        A time of inferior conjunction.
    scaled_axis : scalar
        a/R*.
    impact : scalar
        b, the distance of the planet from the centre of the star's disc at conjunction [R*].
    eccentricity : scalar, optional
    omega : scalar [rad], optional
        Argument of periastron of the star's orbit.

    Raises
    ------
    ValueError
        If only one of `eccentricity` and `omega` is given, or a field is no scalar.

    References
    ----------
    Winn 2010, arXiv:1001.2010, equations 1–8.
    """

    period: ScalarLike
    t0: ScalarLike
    scaled_axis: ScalarLike
    impact: ScalarLike
    eccentricity: ScalarLike | None = None
    omega: ScalarLike | None = None

    def __check_init__(self) -> None:
        if (self.eccentricity is None) != (self.omega is None):
            raise ValueError("`Orbit` needs both `eccentricity` and `omega`, or neither, but one came. Give the other.")
        for name in ("period", "t0", "scaled_axis", "impact", "eccentricity", "omega"):
            value = getattr(self, name)
            if value is not None and jnp.shape(value) != ():
                raise ValueError(
                    f"`Orbit` needs scalars, but `{name}` has shape {jnp.shape(value)}. For several use `jax.vmap`."
                )

    @property
    def cos_inclination(self) -> Array:
        r""":math:`\cos i = b (1 + e \sin\omega) / (a (1 - e^2))`."""
        cos_i = jnp.asarray(self.impact) / self.scaled_axis
        if self.eccentricity is None or self.omega is None:
            return cos_i
        return cos_i * (1.0 + self.eccentricity * jnp.sin(self.omega)) / (1.0 - self.eccentricity**2)

    def _anomaly(self, time: Float[Array, "*shape"]) -> tuple[Array, Array, Array]:
        """Sine and cosine of ω + f, and the distance to the star in units of its semi-major axis."""
        # The difference is exact for times of the size of t0, so that the phase loses nothing of a Julian date.
        phase = 2.0 * jnp.pi * (time - self.t0) / self.period
        if self.eccentricity is None or self.omega is None:
            return jnp.cos(phase), -jnp.sin(phase), jnp.ones_like(phase)
        e, sin_w, cos_w = self.eccentricity, jnp.sin(self.omega), jnp.cos(self.omega)
        sin_f, cos_f = kepler(phase + conjunction(e, self.omega), e)
        distance = (1.0 - e**2) / (1.0 + e * cos_f)
        return sin_w * cos_f + cos_w * sin_f, cos_w * cos_f - sin_w * sin_f, distance

    def separation(self, time: Float[Array, "*shape"]) -> tuple[Array, Array]:
        """Distance of the planet from the centre of the star's disc, and whether it is on the near side.

        Parameters
        ----------
        time : array [day]

        Returns
        -------
        separation : array [R*]
        in_front : array of bool
        """
        sin_wf, cos_wf, distance = self._anomaly(time)
        squared = jnp.square(cos_wf) + jnp.square(self.cos_inclination * sin_wf)
        # At the very centre the square root has no gradient; there the light curve is even, so that zero is right.
        safe = jnp.where(squared > 0.0, squared, 1.0)
        separation = jnp.where(squared > 0.0, jnp.sqrt(safe), 0.0)
        return jnp.asarray(self.scaled_axis) * distance * separation, sin_wf > 0.0

    def radial_velocity(self, time: Float[Array, "*shape"], semi_amplitude: ScalarLike) -> Array:
        r"""The star's velocity away from the observer, in the unit of `semi_amplitude`.

        .. math:: v = K [\cos(\omega + f) + e \cos\omega]

        Parameters
        ----------
        time : array [day]
        semi_amplitude : scalar
            K.

        References
        ----------
        Winn 2010, arXiv:1001.2010, section 2 (with K for the amplitude).
        """
        _, cos_wf, _ = self._anomaly(time)
        if self.eccentricity is None or self.omega is None:
            return jnp.asarray(semi_amplitude) * cos_wf
        return jnp.asarray(semi_amplitude) * (cos_wf + self.eccentricity * jnp.cos(self.omega))
