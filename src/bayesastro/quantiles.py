"""Standard normal variates mapped to gamma, beta and Student-t variates, and back, differentiably.

The map that gives a standard normal ξ the prior with distribution function F is x(ξ) = F⁻¹(Φ(ξ)). All work happens in
a coordinate y in which the density is log-concave (log x for the gamma, logit x for the beta; Student's t² is a beta
ratio) and in the smaller tail; ln F and ln (1 − F) are concave there, so that Newton's iteration always converges:

    F(y) = f(y) ∫₀^∞ exp[ln f(y − u) − ln f(y)] du .

The exponent has a closed form free of cancellation, so nothing underflows, and one fixed double-exponential rule,
u = s exp(t − e^−t), trapezoidal in t, integrates it to rounding; s is the length over which f falls by 1/e. Derivatives
follow from the implicit function theorem; with respect to the parameters they are derivatives of the same integral.

Rejected: JAX's ``gammainc`` and ``betainc`` underflow in the far tails, carry relative errors of 4e-10 and up to 7e-8
in float64 at parameters near 1e5 (against SciPy; ln Γ cancels terms of its size); ``betainc`` lacks ∂/∂a and ∂/∂b.

Thousands of gamma variates of one shape, such as the pixels of an image, are interpolated in ξ by Chebyshev polynomials in
panels, from variates at their nodes: to the same precision for shapes from 0.1 on, and a hundred times as fast.

Precision: for shapes in [1e-2, 1e5], degrees of freedom in [0.5, 1e5] and |ξ| ≤ 8 the variates are good to a relative
1e-11, their parameter derivatives to 1e-9, in float64. float32 gives about 1e-5, or a multiple |d ln x/dξ| of its
rounding where that is more. Beta variates above 1 − 2⁻⁵³ round to 1, variates below the smallest number to 0. The
inverse maps return ±∞ where a tail probability underflows (|ξ| > 37; 12 in float32).

References
----------
Takahasi & Mori (1974), Publ. RIMS 9, 721, doi:10.2977/prims/1195192451 : double-exponential integration.
NIST Digital Library of Mathematical Functions, 5.11.1, 8.2.4 and 8.17.2 : Stirling's series, regularised integrals.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import gammaln, log_ndtr, ndtri
from jaxtyping import Array, ArrayLike, Float

__all__ = [
    "beta_to_normal",
    "gamma_to_normal",
    "normal_to_beta",
    "normal_to_gamma",
    "normal_to_student_t",
    "student_t_to_normal",
]

# The integrands stay small for |arg u| < 0.35 at worst (shapes and x near 1), whence an error of exp(−2π 0.35/0.08) =
# 1e-12. The ends leave out exp(−40) and exp(−50); further right, exp(u) in the gamma's upper tail overflows in float32.
_STEP = 0.08
_T = np.arange(-3.6, 4.0, _STEP)
_NODES = np.exp(_T - np.exp(-_T))
_WEIGHTS = _STEP * (1.0 + np.exp(-_T)) * _NODES
# exp(60) is far from overflow in either precision, and 1 + q (eᵘ − 1) = q eᵘ to rounding beyond it, as q > 1e-8.
_EXPONENT_SWITCH = 60.0
_MAX_STEPS = 100  # in the stated ranges Newton takes 1 to 20, mostly 4; without convergence the answer is NaN
_MANY = 4096  # variates of one shape, from which on they are interpolated
_PANEL, _DEGREE = 1.0, 15  # width of a panel in ξ, degree of its polynomial
_REACH, _REACH_SINGLE = 38.0, 12.0  # where panels end
_STIRLING = (-691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12)  # of 1/z¹¹, 1/z⁹, …, 1/z

_Argument = Float[ArrayLike, "..."]
_Result = Float[Array, "..."]
# (ln F, ln (1 − F), ln f, d ln f/dη) of η and the parameters.
_LogTails = Callable[..., tuple[Array, Array, Array, Array]]


def normal_to_gamma(xi: _Argument, concentration: _Argument) -> _Result:
    """Gamma variate with the cumulative probability of a standard normal one: P(concentration, x) = Φ(ξ).

    Parameters
    ----------
    xi, concentration : arrays [1]
        Standard normal variate; positive shape. The rate is 1: divide the result by another rate.
    """
    if jnp.size(concentration) == 1 and jnp.size(xi) >= _MANY:
        return _many_gammas(xi, concentration)
    xi, a = _common(xi, concentration)
    return a * jnp.exp(_gamma_eta(xi, a))


def _gamma_eta(xi: Array, a: Array) -> Array:
    """η = ln(x/a)."""
    log_p, log_q = log_ndtr(xi), log_ndtr(-xi)
    return _solve(_gamma_log_tails, log_p, log_q, _gamma_guess(xi, log_p, log_q, a), (a,))


def _many_gammas(xi: _Argument, concentration: _Argument) -> _Result:
    """Gamma variates of one shape, with η interpolated over ξ; NaN beyond the panels."""
    dtype = jnp.result_type(xi, concentration, float)
    xi, a = jnp.asarray(xi, dtype), jnp.asarray(concentration, dtype).reshape(())
    reach = _REACH if dtype == jnp.float64 else _REACH_SINGLE
    num_panels, num = round(2 * reach / _PANEL), _DEGREE + 1
    angles = np.pi * (np.arange(num) + 0.5) / num
    nodes = _PANEL * (np.arange(num_panels)[:, None] + 0.5 + 0.5 * np.cos(angles)) - reach
    values = _gamma_eta(*_common(jnp.asarray(nodes, dtype), a))
    to_coefficients = np.cos(np.outer(angles, np.arange(num))) * np.where(np.arange(num) == 0, 1.0, 2.0) / num
    coefficients = values @ jnp.asarray(to_coefficients, dtype)
    place = (xi + reach) / _PANEL
    panel = jnp.clip(jnp.nan_to_num(jnp.floor(place)), 0, num_panels - 1).astype(jnp.int32)
    t = 2.0 * (place - panel) - 1.0
    later, last = jnp.zeros_like(xi), jnp.zeros_like(xi)
    for k in range(_DEGREE, 0, -1):  # Clenshaw's recurrence
        later, last = coefficients[panel, k] + 2.0 * t * later - last, later
    eta = coefficients[panel, 0] + t * later - last
    return a * jnp.exp(jnp.where(jnp.abs(xi) <= reach, eta, jnp.nan))


def gamma_to_normal(x: _Argument, concentration: _Argument) -> _Result:
    """Standard normal variate with the cumulative probability of a gamma one: Φ(ξ) = P(concentration, x).

    `x` [1] is finite, and NaN comes back where it is negative; `concentration` as for :func:`normal_to_gamma`.
    """
    x, a = _common(x, concentration)
    return _normal_quantile(*_gamma_log_tails(jnp.log(x) - jnp.log(a), a)[:2])


def normal_to_beta(xi: _Argument, a: _Argument, b: _Argument) -> _Result:
    """Beta variate with the cumulative probability of a standard normal one: I_x(a, b) = Φ(ξ).

    Parameters
    ----------
    xi, a, b : arrays [1]
        Standard normal variate; positive shapes, with density ∝ x^(a − 1) (1 − x)^(b − 1).
    """
    xi, a, b = _common(xi, a, b)
    log_p, log_q = log_ndtr(xi), log_ndtr(-xi)
    eta = _solve(_beta_log_tails, log_p, log_q, _beta_guess(xi, log_p, log_q, a, b), (a, b))
    return _logistic(eta + jnp.log(a) - jnp.log(b))


def beta_to_normal(x: _Argument, a: _Argument, b: _Argument) -> _Result:
    """Standard normal variate with the cumulative probability of a beta one: Φ(ξ) = I_x(a, b).

    NaN comes back where `x` [1] lies outside [0, 1]; `a` and `b` as for :func:`normal_to_beta`.
    """
    x, a, b = _common(x, a, b)
    eta = jnp.log(x) - jnp.log1p(-x) - jnp.log(a) + jnp.log(b)
    return _normal_quantile(*_beta_log_tails(eta, a, b)[:2])


def normal_to_student_t(xi: _Argument, df: _Argument) -> _Result:
    """Student-t variate with the cumulative probability of a standard normal one: F_T(t; df) = Φ(ξ).

    t²/(df + t²) follows Beta(1/2, df/2), so that ln t² solves P(|T| < t) = erf(|ξ|/√2).

    Parameters
    ----------
    xi, df : arrays [1]
        Standard normal variate; positive degrees of freedom.
    """
    xi, df = _common(xi, df)
    size, direction = _off_centre(xi)
    log_p, log_q = jnp.log(lax.erf(size * math.sqrt(0.5))), math.log(2.0) + log_ndtr(-size)
    # Wallace (1959), Ann. Math. Stat. 30, 1121: |ξ| (8 df + 3) = (8 df + 1) √(df ln(1 + t²/df)), to within a percent.
    w = (size * (8.0 * df + 3.0) / (8.0 * df + 1.0)) ** 2 / df
    guess = w + jnp.log(-jnp.expm1(-w)) + jnp.log(df)
    return direction * jnp.exp(0.5 * _solve(_beta_log_tails, log_p, log_q, guess, (jnp.full_like(df, 0.5), 0.5 * df)))


def student_t_to_normal(t: _Argument, df: _Argument) -> _Result:
    """Standard normal variate with the cumulative probability of a Student-t one: Φ(ξ) = F_T(t; df).

    `t` [1] is any real number; `df` as for :func:`normal_to_student_t`.
    """
    t, df = _common(t, df)
    size, direction = _off_centre(t)
    log_p, log_q = _beta_log_tails(2.0 * jnp.log(size), jnp.full_like(df, 0.5), 0.5 * df)[:2]
    central = log_p < log_q
    # Both branches of a `where` are differentiated: each gets a harmless argument where the other is taken.
    inner = math.sqrt(2.0) * lax.erf_inv(jnp.exp(jnp.where(central, log_p, math.log(0.5))))
    outer = -ndtri(0.5 * jnp.exp(jnp.where(central, math.log(0.5), log_q)))
    return direction * jnp.where(central, inner, outer)


def _common(*args: ArrayLike) -> list[Array]:
    """The arguments as floating-point arrays of one dtype and shape."""
    dtype = jnp.result_type(*args, float)
    return jnp.broadcast_arrays(*(jnp.asarray(arg, dtype) for arg in args))


def _off_centre(x: Array) -> tuple[Array, Array]:
    """|x| and its sign; below √eps, √eps and x/√eps: there an odd g is linear to rounding, g(x) = sign × g(size)."""
    floor = math.sqrt(jnp.finfo(x.dtype).eps)
    near = jnp.abs(x) < floor
    return jnp.where(near, floor, jnp.abs(x)), jnp.where(near, x / floor, jnp.sign(x))


def _logistic(y: Array) -> Array:
    """1/(1 + e^−y), to relative precision on both sides and without overflow."""
    small = jnp.exp(-jnp.abs(y))
    return jnp.where(y < 0, small, 1.0) / (1.0 + small)


def _normal_quantile(log_p: Array, log_q: Array) -> Array:
    """ξ with ln Φ(ξ) = `log_p` and ln Φ(−ξ) = `log_q`, from the smaller tail."""
    z = ndtri(jnp.exp(jnp.minimum(log_p, log_q)))
    return jnp.where(log_p < log_q, z, -z)


def _stirling_remainder(z: Array) -> Array:
    """ln Γ(z) − (z − 1/2) ln z + z − ln(2π)/2, by its asymptotic series from z = 10 on (DLMF 5.11.1)."""
    inverse = 1.0 / jnp.where(z < 10.0, 10.0, z)  # at 10 itself `maximum` would halve the derivative
    series = inverse * jnp.polyval(jnp.asarray(_STIRLING, z.dtype), inverse**2)
    small = jnp.where(z < 10.0, z, 10.0)
    direct = gammaln(small) - (small - 0.5) * jnp.log(small) + small - 0.5 * math.log(2.0 * math.pi)
    return jnp.where(z < 10.0, direct, series)


def _log_tail_integral(log_ratio: Callable[[Array], Array], scale: Array) -> Array:
    """ln ∫₀^∞ exp(log_ratio(u)) du, for a ratio that falls by about 1/e over `scale`."""
    scale = lax.stop_gradient(scale)  # the integral does not depend on it
    u = jnp.multiply.outer(jnp.asarray(_NODES, scale.dtype), scale)
    weights = jnp.asarray(_WEIGHTS, scale.dtype).reshape(-1, *[1] * scale.ndim)
    return jnp.log(scale) + jnp.log(jnp.sum(weights * jnp.exp(log_ratio(u)), axis=0))


def _fall_length(rate: Array, slope: Array, bend: Array) -> Array:
    """Root s of rate s − (rate − slope) s/(1 + bend s) = 1: a fall by 1, with `slope` at first and `rate` at last."""
    k = slope - bend
    root = jnp.sqrt(k**2 + 4.0 * rate * bend)
    return jnp.where(k > 0, 2.0 / (k + root), (root - k) / (2.0 * rate * bend))


def _both_tails(log_tail: Array, is_lower: Array) -> tuple[Array, Array]:
    """ln F and ln (1 − F) from the one of them that was integrated."""
    other = jnp.log(-jnp.expm1(log_tail))
    return jnp.where(is_lower, log_tail, other), jnp.where(is_lower, other, log_tail)


def _gamma_log_tails(eta: Array, a: Array) -> tuple[Array, Array, Array, Array]:
    """The tails of η = ln(x/a), where ln f = a (η − e^η + 1) + ln √(a/2π) − remainder(a).

    The integral runs away from the mode, or for a < 1 from x = 1: the upper tail has a plateau below.
    """
    x = a * jnp.exp(eta)
    is_lower = x <= jnp.maximum(a, 1.0)
    sign = jnp.where(is_lower, 1.0, -1.0).astype(x.dtype)
    fall_above = 2.0 / (x - a + jnp.sqrt((x - a) ** 2 + 2.0 * x))
    length = jnp.where(is_lower, _fall_length(a, a - x, jnp.full_like(a, 0.5)), fall_above)
    log_density = a * (eta - jnp.expm1(eta)) + 0.5 * jnp.log(a / (2.0 * math.pi)) - _stirling_remainder(a)
    integral = _log_tail_integral(lambda u: -sign * a * u - x * jnp.expm1(-sign * u), length)
    return *_both_tails(log_density + integral, is_lower), log_density, a - x


def _beta_log_ratio(u: Array, p: Array, q: Array, a: Array, b: Array) -> Array:
    """ln f(y − u) − ln f(y) for u ≥ 0, ln f = a ln p + b ln q + const, p = 1 − q = logistic(y).

    −a u − (a + b) ln(1 + p (e^−u − 1)) = b u − (a + b) ln(1 + q (eᵘ − 1)): the first where p is the smaller.
    """
    by_p = p <= 0.5
    shift = jnp.where(by_p, p, q) * jnp.expm1(jnp.where(by_p, -u, jnp.minimum(u, _EXPONENT_SWITCH)))
    beyond = jnp.maximum(u - _EXPONENT_SWITCH, 0.0)
    linear = jnp.where(by_p, -a * u, b * jnp.minimum(u, _EXPONENT_SWITCH) - a * beyond)
    return linear - (a + b) * jnp.log1p(shift)


def _beta_log_tails(eta: Array, a: Array, b: Array) -> tuple[Array, Array, Array, Array]:
    """The tails of η = logit x − ln(a/b), which vanishes at the mode; the upper is the lower one of 1 − x.

    As for the gamma, the integral runs away from the mode, or from x ≈ 1/b where a < 1, 1 − x ≈ 1/a where b < 1.
    """
    y = eta + jnp.log(a) - jnp.log(b)
    is_lower = y <= jnp.log(jnp.maximum(a, 1.0)) - jnp.log(jnp.maximum(b, 1.0))
    p, q = _logistic(y), _logistic(-y)

    p0, q0 = a / (a + b), b / (a + b)
    from_mode = tuple(jnp.where(eta < 0, *pair) for pair in ((p0, q0), (q0, p0), (a, b), (b, a)))
    log_density = _beta_log_ratio(jnp.abs(eta), *from_mode) + 0.5 * jnp.log(a * q0 / (2.0 * math.pi))
    log_density += _stirling_remainder(a + b) - _stirling_remainder(a) - _stirling_remainder(b)
    outwards = tuple(jnp.where(is_lower, *pair) for pair in ((p, q), (q, p), (a, b), (b, a)))
    length = _fall_length(outwards[2], jnp.where(is_lower, 1.0, -1.0) * (a * q - b * p), 0.5 * outwards[1])
    integral = _log_tail_integral(lambda u: _beta_log_ratio(u, *outwards), length)
    return *_both_tails(log_density + integral, is_lower), log_density, a * q - b * p


def _gamma_guess(xi: Array, log_p: Array, log_q: Array, a: Array) -> Array:
    """First η: F ≤ x^a/Γ(a + 1) bounds x from below; above, a normal η (a ≥ 1) or 1 − F ≈ a e^−x (a < 1)."""
    bound = (log_p + gammaln(a + 1.0)) / a - jnp.log(a)
    exponential = jnp.log(jnp.maximum(jnp.log(a) - log_q, float(jnp.finfo(a.dtype).tiny))) - jnp.log(a)
    return jnp.maximum(bound, jnp.where(a < 1.0, exponential, xi / jnp.sqrt(a)))


def _beta_guess(xi: Array, log_p: Array, log_q: Array, a: Array, b: Array) -> Array:
    """First η: normal with the curvature at the mode where a, b ≥ 1; else f ≈ p^a/B or q^b/B in the nearer tail."""
    log_beta = gammaln(a) + gammaln(b) - gammaln(a + b)
    lower = (log_p + jnp.log(a) + log_beta) / a
    upper = -(log_q + jnp.log(b) + log_beta) / b
    tail = jnp.where(xi < 0, lower, upper) - jnp.log(a) + jnp.log(b)
    return jnp.where((a >= 1.0) & (b >= 1.0), xi * jnp.sqrt(1.0 / a + 1.0 / b), tail)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _solve(tails: _LogTails, log_p: Array, log_q: Array, guess: Array, params: tuple[Array, ...]) -> Array:
    """η with ln F(η) = `log_p` where that is the smaller tail, else ln (1 − F(η)) = `log_q`, by Newton's iteration."""
    is_lower = log_p < log_q
    tolerance = float(jnp.finfo(guess.dtype).eps)

    def step(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        count, eta, done = state
        lower, upper, log_density, slope = tails(eta, *params)
        log_tail = jnp.where(is_lower, lower, upper)
        hazard = jnp.where(is_lower, 1.0, -1.0) * jnp.exp(log_density - log_tail)
        change = (jnp.minimum(log_p, log_q) - log_tail) / hazard
        # Newton's error after the step is |h''/2h'| change², h = ln F: a test that rounding in h cannot defeat.
        error = 0.5 * jnp.abs(slope - hazard) * change**2
        now_done = ~((error > tolerance) | (jnp.abs(change) > 0.01))
        return count + 1, jnp.where(done, eta, eta + change), done | now_done

    start: Any = (0, guess, jnp.zeros(guess.shape, bool))
    _, eta, done = lax.while_loop(lambda state: (state[0] < _MAX_STEPS) & ~jnp.all(state[2]), step, start)
    eta = jnp.where(jnp.isneginf(jnp.minimum(log_p, log_q)), jnp.where(is_lower, -jnp.inf, jnp.inf), eta)
    return jnp.where(done, eta, jnp.nan)


@_solve.defjvp
def _solve_jvp(tails: _LogTails, primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    """dη = (d ln p − Σ (∂ ln F/∂θ) dθ)/(∂ ln F/∂η); in the upper tail with 1 − F and q in place of F and p."""
    log_p, log_q, guess, params = primals
    d_log_p, d_log_q, _, d_params = tangents
    is_lower = log_p < log_q
    eta = _solve(tails, log_p, log_q, guess, params)

    lower, upper, log_density, _ = tails(eta, *params)
    hazard = jnp.where(is_lower, 1.0, -1.0) * jnp.exp(log_density - jnp.where(is_lower, lower, upper))
    numerator = jnp.where(is_lower, d_log_p, d_log_q)
    for i, d_theta in enumerate(d_params):
        one_hot = tuple(jnp.full_like(theta, float(i == j)) for j, theta in enumerate(params))
        d_lower, d_upper, *_ = jax.jvp(partial(tails, eta), params, one_hot)[1]
        numerator = numerator - jnp.where(is_lower, d_lower, d_upper) * d_theta
    return eta, numerator / hazard
