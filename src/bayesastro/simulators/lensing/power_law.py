r"""Elliptical power-law masses for any slope, and their isothermal and round cases.

With the complex position :math:`z = x + i y` about the centre and the complex ellipticity :math:`e = e_1 + i e_2`,

.. math::

    \zeta = z - e \bar z, \quad R = |\zeta|, \quad
    A = \left( \theta_E \sqrt{1 - |e|^2} / R \right)^{t}, \quad t = \gamma - 1,

.. math::

    \kappa = \frac{2 - t}{2} A, \qquad
    \alpha_x + i \alpha_y = A \, \zeta \, {}_2F_1\!\left(1, \frac t2; 2 - \frac t2; - \bar e \zeta^2 / R^2 \right).

This is the solution of Tessore & Metcalf written without the axis ratio and the angle, so that it is smooth at
:math:`e = 0`. The hypergeometric function is summed as a power series with a fixed number of terms.

References
----------
Tessore & Metcalf (2015), A&A 580, A79, arXiv:1507.01819, equations 11, 13, 21 and 22.
"""

import math
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float, ScalarLike

from bayesastro.simulators.lensing.mass import SOFTENING, Mass, Position

__all__ = ["SIE", "SIS", "PowerLaw", "series_terms"]


def series_terms(q_min: float = 0.2, tolerance: float = 1e-8) -> int:
    r"""Number of terms that keeps the relative error of a power law's deflection below `tolerance`.

    The terms fall at least as fast as those of a geometric series, so that N of them leave no more than
    :math:`f^N / (1 - f)`, :math:`f = (1 - q)/(1 + q)`, for every slope.

    Parameters
    ----------
    q_min : float
        Smallest axis ratio that must be right, between 0 and 1.
    tolerance : float

    Raises
    ------
    ValueError
        If `q_min` or `tolerance` is not between 0 and 1.
    """
    if not (0 < q_min < 1 and 0 < tolerance < 1):
        raise ValueError(f"`series_terms` needs numbers between 0 and 1, but q_min={q_min}, tolerance={tolerance} came.")
    f = (1.0 - q_min) / (1.0 + q_min)
    return max(2, math.ceil(math.log(tolerance * (1.0 - f)) / math.log(f)))


def _coefficients(t: Array, num_terms: int) -> Array:
    """(t/2)_n / (2 - t/2)_n, the coefficients of 2F1(1, t/2; 2 - t/2; w)."""
    n = jnp.arange(num_terms - 1, dtype=t.dtype)
    ratios = (0.5 * t + n) / (2.0 - 0.5 * t + n)
    return jnp.concatenate([jnp.ones(1, t.dtype), jnp.cumprod(ratios)])


def _derived_coefficients(t: Array, num_terms: int, order_w: int, order_t: int) -> Array:
    """Coefficients of the series differentiated `order_w` times in w and `order_t` times in t."""
    function = partial(_coefficients, num_terms=num_terms)
    for _ in range(order_t):
        function = partial(lambda f, t: jax.jvp(f, (t,), (jnp.ones_like(t),))[1], function)
    coefficients = function(t)
    for _ in range(order_w):
        coefficients = coefficients[1:] * jnp.arange(1, coefficients.shape[0], dtype=t.dtype)
    return coefficients


def _polynomial(u: Position, v: Position, coefficients: Float[Array, " n"]) -> tuple[Position, Position]:
    """Real and imaginary part of Σ cₙ (u + iv)ⁿ with real cₙ, by synthetic division with w² - 2uw + |w|²."""
    twice, squared = 2.0 * u, u * u + v * v
    first, second = jnp.zeros_like(u), jnp.zeros_like(u)
    for n in range(coefficients.shape[0] - 1, 0, -1):
        first, second = coefficients[n] + twice * first - squared * second, first
    return coefficients[0] + u * first - squared * second, v * first


@partial(jax.custom_jvp, nondiff_argnums=(3, 4, 5))
def _series(
    u: Position, v: Position, t: Array, num_terms: int, order_w: int, order_t: int
) -> tuple[Position, Position]:
    """2F1(1, t/2; 2 - t/2; u + iv), or a derivative of it, as real and imaginary parts.

    Its derivatives are series of the same kind. Differentiating term by term would keep every partial sum in memory.
    """
    return _polynomial(u, v, _derived_coefficients(t, num_terms, order_w, order_t))


@partial(_series.defjvp, symbolic_zeros=True)
def _series_jvp(num_terms, order_w, order_t, primals, tangents):
    u, v, t = primals
    du, dv, dt = tangents
    real, imaginary = _series(u, v, t, num_terms, order_w, order_t)
    d_real, d_imaginary = jnp.zeros_like(real), jnp.zeros_like(imaginary)
    if not (isinstance(du, SymbolicZero) and isinstance(dv, SymbolicZero)):
        slope_real, slope_imaginary = _series(u, v, t, num_terms, order_w + 1, order_t)
        du, dv = (jnp.zeros_like(u) if isinstance(d, SymbolicZero) else d for d in (du, dv))
        d_real = slope_real * du - slope_imaginary * dv
        d_imaginary = slope_imaginary * du + slope_real * dv
    if not isinstance(dt, SymbolicZero):
        in_t_real, in_t_imaginary = _series(u, v, t, num_terms, order_w, order_t + 1)
        d_real, d_imaginary = d_real + in_t_real * dt, d_imaginary + in_t_imaginary * dt
    return (real, imaginary), (d_real, d_imaginary)


class PowerLaw(Mass):
    """Elliptical power-law mass, three-dimensional density ∝ r^-γ.

    Parameters
    ----------
    theta_E : scalar [arcsec]
        Einstein radius: of the circle of the same area as the critical ellipse.
    gamma : scalar
        Slope of the density, between 1 and 3; 2 is isothermal.
    e1, e2 : scalar
        Ellipticity, (1 - q)/(1 + q) times the cosine and sine of twice the angle of the major axis.
    center_x, center_y : scalar [arcsec]
    num_terms : int
        Terms of the series; see `series_terms`.

    References
    ----------
    Tessore & Metcalf (2015), A&A 580, A79, arXiv:1507.01819, equation 13.
    """

    theta_E: ScalarLike
    gamma: ScalarLike
    e1: ScalarLike = 0.0
    e2: ScalarLike = 0.0
    center_x: ScalarLike = 0.0
    center_y: ScalarLike = 0.0
    num_terms: int = eqx.field(static=True, default=series_terms())

    def _elliptical(self, x: Position, y: Position) -> tuple[Position, Position, Position, Position]:
        """ζ along x and y, R² and A."""
        x, y = x - self.center_x, y - self.center_y
        zeta_x = (1.0 - self.e1) * x - self.e2 * y
        zeta_y = (1.0 + self.e1) * y - self.e2 * x
        R2 = zeta_x * zeta_x + zeta_y * zeta_y + SOFTENING**2
        scale2 = jnp.asarray(self.theta_E) ** 2 * (1.0 - self.e1**2 - self.e2**2)
        if isinstance(self.gamma, int | float) and self.gamma == 2:
            return zeta_x, zeta_y, R2, jnp.sqrt(scale2) * jax.lax.rsqrt(R2)
        return zeta_x, zeta_y, R2, jnp.exp(0.5 * (self.gamma - 1.0) * (jnp.log(scale2) - jnp.log(R2)))

    def deflection(self, x: Position, y: Position) -> tuple[Position, Position]:
        zeta_x, zeta_y, R2, A = self._elliptical(x, y)
        cosine, sine = (zeta_x * zeta_x - zeta_y * zeta_y) / R2, 2.0 * zeta_x * zeta_y / R2
        u, v = -(self.e1 * cosine + self.e2 * sine), self.e2 * cosine - self.e1 * sine
        t = jnp.asarray(self.gamma, A.dtype) - 1.0
        real, imaginary = _series(u, v, t, self.num_terms, 0, 0)
        return A * (zeta_x * real - zeta_y * imaginary), A * (zeta_x * imaginary + zeta_y * real)

    def potential(self, x: Position, y: Position) -> Position:
        # ψ is homogeneous of degree 3 - γ.
        along_x, along_y = self.deflection(x, y)
        return ((x - self.center_x) * along_x + (y - self.center_y) * along_y) / (3.0 - self.gamma)

    def convergence(self, x: Position, y: Position) -> Position:
        return 0.5 * (3.0 - self.gamma) * self._elliptical(x, y)[-1]


def SIE(
    theta_E: ScalarLike,
    e1: ScalarLike,
    e2: ScalarLike,
    center_x: ScalarLike = 0.0,
    center_y: ScalarLike = 0.0,
    num_terms: int = series_terms(),
) -> PowerLaw:
    """Singular isothermal ellipsoid: the power law of slope 2; parameters as for `PowerLaw`.

    References
    ----------
    Kormann, Schneider & Bartelmann (1994), A&A 284, 285.
    """
    return PowerLaw(theta_E, 2.0, e1, e2, center_x, center_y, num_terms)


class SIS(Mass):
    """Singular isothermal sphere.

    Parameters
    ----------
    theta_E : scalar [arcsec]
        Einstein radius.
    center_x, center_y : scalar [arcsec]
    """

    theta_E: ScalarLike
    center_x: ScalarLike = 0.0
    center_y: ScalarLike = 0.0

    def _about_centre(self, x: Position, y: Position) -> tuple[Position, Position, Position]:
        x, y = x - self.center_x, y - self.center_y
        return x, y, jnp.sqrt(x * x + y * y + SOFTENING**2)

    def potential(self, x: Position, y: Position) -> Position:
        return self.theta_E * self._about_centre(x, y)[2]

    def deflection(self, x: Position, y: Position) -> tuple[Position, Position]:
        x, y, r = self._about_centre(x, y)
        return self.theta_E * x / r, self.theta_E * y / r

    def convergence(self, x: Position, y: Position) -> Position:
        return 0.5 * self.theta_E / self._about_centre(x, y)[2]
