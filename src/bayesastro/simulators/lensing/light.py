"""Light of galaxies: surface brightness as a function of position."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ScalarLike

from bayesastro.simulators.lensing.ellipticity import quadrupole
from bayesastro.simulators.lensing.mass import Position

__all__ = ["CORE", "Light", "Sersic", "sersic_b", "sersic_flux"]

CORE = 1e-5
"""Default core radius of Sérsic profiles [arcsec]. The gradient of R^(1/n) is infinite at 0."""


class Light(eqx.Module):
    """A surface brightness."""

    @abc.abstractmethod
    def brightness(self, x: Position, y: Position) -> Position:
        """Surface brightness, of the shape of `x` and `y` [arcsec]."""


def sersic_b(n: ScalarLike) -> Array:
    """b of a Sérsic profile of index `n`, for which half of the light lies within the effective radius.

    References
    ----------
    Capaccioli (1989), in The World of Galaxies, p. 208: b = 1.9992 n - 0.3271, for 0.5 < n < 10.
    """
    return 1.9992 * jnp.asarray(n) - 0.3271


def sersic_flux(R: ScalarLike, n: ScalarLike) -> Array:
    r"""Total flux of a Sérsic profile of unit surface brightness at its effective radius `R`, and index `n`.

    .. math:: F / I_e = 2 \pi n R^2 e^{b} b^{-2n} \Gamma(2n)

    References
    ----------
    Graham & Driver (2005), PASA 22, 118, arXiv:astro-ph/0503176, equation 4.
    """
    b, n = sersic_b(n), jnp.asarray(n)
    log_shape = b - 2.0 * n * jnp.log(b) + jax.scipy.special.gammaln(2.0 * n)
    return 2.0 * jnp.pi * n * jnp.asarray(R) ** 2 * jnp.exp(log_shape)


class Sersic(Light):
    r"""Elliptical Sérsic profile.

    .. math:: I = I_e \exp\left\{-b_n \left[ (R/R_e)^{1/n} - 1 \right] \right\}, \quad R^2 = q x'^2 + y'^2 / q

    Parameters
    ----------
    R : scalar [arcsec]
        Effective radius, of the circle of the same area as the ellipse that holds half of the light.
    n : scalar
        Sérsic index, above 0.5.
    e1, e2 : scalar
        Ellipticity.
    center_x, center_y : scalar [arcsec]
    amplitude : scalar
        Surface brightness I_e at the effective radius.
    core : scalar [arcsec]
        Radii are sqrt(R² + core²). Rays farther apart than the core miss a cusp or hit it: the image depends on where they
        fall, and a likelihood of the centre is rough.

    References
    ----------
    Sérsic (1963), Boletín de la Asociación Argentina de Astronomía 6, 41;
    Graham & Driver (2005), PASA 22, 118, arXiv:astro-ph/0503176.
    """

    R: ScalarLike
    n: ScalarLike
    e1: ScalarLike = 0.0
    e2: ScalarLike = 0.0
    center_x: ScalarLike = 0.0
    center_y: ScalarLike = 0.0
    amplitude: ScalarLike = 1.0
    core: ScalarLike = CORE

    def brightness(self, x: Position, y: Position) -> Position:
        x, y = x - self.center_x, y - self.center_y
        e2 = self.e1**2 + self.e2**2
        R2 = ((1.0 + e2) * (x * x + y * y) - 2.0 * quadrupole(x, y, self.e1, self.e2)) / (1.0 - e2) + self.core**2
        log_ratio = jnp.log(R2) - 2.0 * jnp.log(self.R)
        return self.amplitude * jnp.exp(sersic_b(self.n) * (1.0 - jnp.exp(log_ratio / (2.0 * self.n))))
