r"""Navarro-Frenk-White haloes, round or with a potential that is constant on ellipses.

With :math:`x = R / R_s` and :math:`F(x) = \operatorname{arccosh}(1/x) / \sqrt{1 - x^2}` (continued analytically
beyond x = 1),

.. math::

    \psi = \tfrac12 k R_s \left[ \ln^2 (x/2) - (1 - x^2) F^2 \right], \quad
    \alpha = k \left[ \ln (x/2) + F \right] / x, \quad
    \kappa = \frac{k}{2 R_s} \frac{1 - F}{x^2 - 1}, \quad k = \frac{\alpha(R_s)}{1 - \ln 2}.

References
----------
Navarro, Frenk & White (1997), ApJ 490, 493, arXiv:astro-ph/9611107;
Golse & Kneib (2002), A&A 390, 821, arXiv:astro-ph/0112138, equations 2 to 5 and section 3 (elliptical potential);
Wright & Brainerd (2000), ApJ 534, 34.
"""

import jax.numpy as jnp
from jaxtyping import ScalarLike

from bayesastro.simulators.lensing.ellipticity import quadrupole
from bayesastro.simulators.lensing.mass import SOFTENING, Mass, Position

__all__ = ["NFW"]

_SERIES_LIMIT = 0.06
"""Below this |1 - x²| F is a power series; the first neglected term, s^14/29, is then under 3e-19."""

_SERIES_ORDER = 14

_SMALL = 3e-3
"""Below this x the logarithms cancel, and their expansion is used; the first neglected term is x⁴ relative."""


def _F(x2: Position) -> tuple[Position, Position]:
    """F and (1 - F)/(x² - 1) as functions of x², smooth through x = 1."""
    s = 1.0 - x2
    is_near = jnp.abs(s) < _SERIES_LIMIT
    near = jnp.where(is_near, s, 0.0)
    rest = jnp.zeros_like(s)
    for k in range(_SERIES_ORDER - 1, -1, -1):
        rest = rest * near + 1.0 / (2 * k + 3)
    inside = jnp.sqrt(jnp.where(~is_near & (s > 0.0), s, 0.5))
    outside = jnp.sqrt(jnp.where(~is_near & (s < 0.0), -s, 0.5))
    # arctanh loses its digits where 1 - s is small: (1 + √s)²/x² is (1 + √s)/(1 - √s).
    safe = jnp.where(~is_near & (s > 0.0), x2, 0.5)
    far = jnp.where(s > 0.0, (jnp.log1p(inside) - 0.5 * jnp.log(safe)) / inside, jnp.arctan(outside) / outside)
    F = jnp.where(is_near, 1.0 + near * rest, far)
    return F, jnp.where(is_near, rest, (F - 1.0) / jnp.where(is_near, 1.0, s))


class NFW(Mass):
    """NFW halo, round by default; with an ellipticity its potential is constant on ellipses.

    Parameters
    ----------
    Rs : scalar [arcsec]
        Scale radius.
    alpha_Rs : scalar [arcsec]
        Deflection of the round halo at the scale radius.
    e1, e2 : scalar
        Ellipticity; the squared radius of the potential is r² - 2 (e₁(x² - y²) + 2e₂xy) / (1 + e₁² + e₂²).
    center_x, center_y : scalar [arcsec]
    """

    Rs: ScalarLike
    alpha_Rs: ScalarLike
    e1: ScalarLike = 0.0
    e2: ScalarLike = 0.0
    center_x: ScalarLike = 0.0
    center_y: ScalarLike = 0.0

    @property
    def _k(self) -> ScalarLike:
        return self.alpha_Rs / (1.0 - jnp.log(2.0))

    def _stretch(self) -> tuple[ScalarLike, ScalarLike]:
        norm = 1.0 + self.e1**2 + self.e2**2
        return 2.0 * self.e1 / norm, 2.0 * self.e2 / norm

    def _x2(self, x: Position, y: Position) -> Position:
        """(R / Rs)², with R the elliptical radius."""
        return (x * x + y * y - quadrupole(x, y, *self._stretch()) + SOFTENING**2) / self.Rs**2

    def _deflection_over_x(self, x2: Position) -> Position:
        """[ln(x/2) + F] / x²."""
        is_small = x2 < _SMALL**2
        safe = jnp.where(is_small, 0.5, x2)
        usual = (0.5 * jnp.log(0.25 * safe) + _F(safe)[0]) / safe
        tiny = jnp.where(is_small, x2, 0.5)
        minus_log = -0.5 * jnp.log(0.25 * tiny)
        return jnp.where(is_small, 0.5 * minus_log - 0.25 + tiny * (0.375 * minus_log - 7.0 / 32.0), usual)

    def potential(self, x: Position, y: Position) -> Position:
        x2 = self._x2(x - self.center_x, y - self.center_y)
        F, _ = _F(x2)
        # ln²(x/2) - (1 - x²)F², factored: the difference is small at the centre.
        log_half = 0.5 * jnp.log(0.25 * x2)
        bracket = self._deflection_over_x(x2) * x2 * (log_half - F) + x2 * F**2
        return 0.5 * self._k * self.Rs * bracket

    def deflection(self, x: Position, y: Position) -> tuple[Position, Position]:
        x, y = x - self.center_x, y - self.center_y
        a, b = self._stretch()
        common = self._k / self.Rs * self._deflection_over_x(self._x2(x, y))
        return common * ((1.0 - a) * x - b * y), common * ((1.0 + a) * y - b * x)

    def convergence(self, x: Position, y: Position) -> Position:
        r"""Half the Laplacian of the potential ψ(s), s = R².

        .. math:: \kappa = \tfrac12 \left( \psi' \nabla^2 s + \psi'' |\nabla s|^2 \right)
        """
        x, y = x - self.center_x, y - self.center_y
        a, b = self._stretch()
        x2 = self._x2(x, y)
        over = self._deflection_over_x(x2)  # 2 Rs ψ' / k
        _, round_kappa = _F(x2)  # the round convergence is half of this, times k/Rs
        gradient2 = ((1.0 - a) * x - b * y) ** 2 + ((1.0 + a) * y - b * x) ** 2
        # s ψ'' = κ_round/2 - ψ' for the round halo of the same ψ(s).
        ratio = gradient2 / (self.Rs**2 * x2)
        return self._k / self.Rs * (over + ratio * (0.5 * round_kappa - over))
