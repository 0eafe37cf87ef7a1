r"""Elliptical power-law masses for any slope, and their isothermal and round cases.

With the complex position :math:`z = x + i y` about the centre and the complex ellipticity :math:`e = e_1 + i e_2`,

.. math::

    \zeta = z - e \bar z, \quad R = |\zeta|, \quad
    A = \left( \theta_E \sqrt{1 - |e|^2} / R \right)^{t}, \quad t = \gamma - 1,

.. math::

    \kappa = \frac{2 - t}{2} A, \qquad
    \alpha_x + i \alpha_y = A \, \zeta \, {}_2F_1\!\left(1, \frac t2; 2 - \frac t2; - \bar e \zeta^2 / R^2 \right).

This is the solution of Tessore & Metcalf written without the axis ratio and the angle, so that it is smooth at
:math:`e = 0`. The hypergeometric function is a Stieltjes function of w for every slope between 1 and 3; its
continued fraction, here as a quotient of two polynomials of fixed order, converges on the whole unit disc, and at
twice to five times the rate of the power series.

References
----------
Tessore & Metcalf (2015), A&A 580, A79, arXiv:1507.01819, equations 11, 13, 21 and 22;
NIST Digital Library of Mathematical Functions, section 15.7 (continued fractions), https://dlmf.nist.gov/15.7.
"""

import math
from functools import partial
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float, ScalarLike

from bayesastro.simulators.lensing.mass import SOFTENING, Mass, Position

__all__ = ["SIE", "SIS", "PowerLaw", "order_for"]

_Complex: TypeAlias = tuple[Position, Position]


def order_for(q_min: float = 0.2, tolerance: float = 1e-8) -> int:
    r"""Order of the approximant that keeps the relative error of a power law's deflection below `tolerance`.

    The continued fraction of a Stieltjes function converges at the rate
    :math:`\rho = (1 - \sqrt{1 - w})^2 / (1 + \sqrt{1 - w})^2` for each order, at worst where
    :math:`w = f = (1 - q)/(1 + q)`. Orders beyond some 20 lose digits by cancellation.

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
        raise ValueError(f"`order_for` needs numbers between 0 and 1, but q_min={q_min}, tolerance={tolerance} came.")
    root = math.sqrt(2.0 * q_min / (1.0 + q_min))
    return max(1, math.ceil(0.5 * math.log(tolerance) / math.log((1.0 - root) / (1.0 + root))))


def _approximant(t: Array, order: int) -> tuple[Array, Array]:
    """Numerator N and denominator Q, as coefficients of powers of w, of 2F1(1, t/2; 2 - t/2; w) = 1 + w N/Q.

    Gauss' continued fraction 1/(1 - k₁w/(1 - k₂w/...)), from the recurrence of its convergents.
    """
    b, c = 0.5 * t, 2.0 - 0.5 * t
    j = jnp.arange(1, order + 1, dtype=t.dtype)
    odd = (b + j - 1) / (c + 2 * j - 2) * jnp.where(j > 1, (c + j - 2) / jnp.where(j > 1, c + 2 * j - 3, 1.0), 1.0)
    even = j * (c - b + j - 1) / ((c + 2 * j - 2) * (c + 2 * j - 1))

    def step(convergents: tuple[Array, Array], k: Array) -> tuple[tuple[Array, Array], None]:
        old, new = convergents
        return (new, new.at[:, 1:].add(-k * old[:, :-1])), None

    first = jnp.zeros((2, order + 2), t.dtype).at[:, 0].set(1.0)  # of P₀/Q₀ = 1/1
    before = first.at[0, 0].set(0.0)  # of 0/1
    (_, (P, Q)), _ = jax.lax.scan(step, (before, first), jnp.stack([odd, even], axis=1).ravel())
    return (P - Q)[1 : order + 1], Q[: order + 1]


def _polynomial(u: Position, v: Position, coefficients: Float[Array, " n"]) -> tuple[Position, Position]:
    """Real and imaginary part of Σ cₙ (u + iv)ⁿ with real cₙ, by synthetic division with w² - 2uw + |w|²."""
    twice, squared = 2.0 * u, u * u + v * v
    first, second = jnp.zeros_like(u), jnp.zeros_like(u)
    for n in range(coefficients.shape[0] - 1, 0, -1):
        first, second = coefficients[n] + twice * first - squared * second, first
    return coefficients[0] + u * first - squared * second, v * first


def _times(a: _Complex, b: _Complex) -> _Complex:
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def _over(a: _Complex, b: _Complex) -> _Complex:
    inverse = 1.0 / (b[0] * b[0] + b[1] * b[1])
    return (a[0] * b[0] + a[1] * b[1]) * inverse, (a[1] * b[0] - a[0] * b[1]) * inverse


@partial(jax.custom_jvp, nondiff_argnums=(3,))
def _hypergeometric(u: Position, v: Position, t: Array, order: int) -> _Complex:
    """2F1(1, t/2; 2 - t/2; w) at w = u + iv, as real and imaginary part.

    Its derivatives are written down, for automatic ones would keep all partial sums of the polynomials in memory.
    """
    numerator, denominator = _approximant(t, order)
    H = _over(_polynomial(u, v, numerator), _polynomial(u, v, denominator))
    real, imaginary = _times((u, v), H)
    return 1.0 + real, imaginary


@partial(_hypergeometric.defjvp, symbolic_zeros=True)
def _hypergeometric_jvp(order: int, primals: Any, tangents: Any) -> tuple[_Complex, _Complex]:
    u, v, t = primals
    du, dv, dt = tangents
    (numerator, denominator), slopes = jax.jvp(lambda t: _approximant(t, order), (t,), (jnp.ones_like(t),))
    Q = _polynomial(u, v, denominator)
    H = _over(_polynomial(u, v, numerator), Q)
    real, imaginary = _times((u, v), H)
    d_real, d_imaginary = jnp.zeros_like(real), jnp.zeros_like(imaginary)
    if not (isinstance(du, SymbolicZero) and isinstance(dv, SymbolicZero)):
        # With F = 1 + wH the hypergeometric equation is (1 - w) dF/dw = b - (c - 1 - bw) H.
        b, c = 0.5 * t, 2.0 - 0.5 * t
        right = _times((c - 1.0 - b * u, -b * v), H)
        slope = _over((b - right[0], -right[1]), (1.0 - u, -v))
        du, dv = (jnp.zeros_like(u) if isinstance(d, SymbolicZero) else d for d in (du, dv))
        d_real, d_imaginary = slope[0] * du - slope[1] * dv, slope[1] * du + slope[0] * dv
    if not isinstance(dt, SymbolicZero):
        of_numerator, of_denominator = (_polynomial(u, v, slope) for slope in slopes)
        shared = _times(H, of_denominator)
        in_t = _times((u, v), _over((of_numerator[0] - shared[0], of_numerator[1] - shared[1]), Q))
        d_real, d_imaginary = d_real + in_t[0] * dt, d_imaginary + in_t[1] * dt
    return (1.0 + real, imaginary), (d_real, d_imaginary)


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
    order : int
        Of the approximant to the hypergeometric function; see `order_for`.

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
    order: int = eqx.field(static=True, default=order_for())

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
        real, imaginary = _hypergeometric(u, v, t, self.order)
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
    order: int = order_for(),
) -> PowerLaw:
    """Singular isothermal ellipsoid: the power law of slope 2; parameters as for `PowerLaw`.

    References
    ----------
    Kormann, Schneider & Bartelmann (1994), A&A 284, 285.
    """
    return PowerLaw(theta_E, 2.0, e1, e2, center_x, center_y, order)


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
