"""Quantile maps against SciPy's distribution functions, in both tails, with derivatives by finite differences.

Variates are checked by SciPy's F at the variate rather than by its quantiles: `scipy.stats.beta.isf` is off by 1e-9 at
a = 1e3, b = 1e5. A relative error of x is that of the tail probability times F/(x f).
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from bayesastro import quantiles

SHAPES = np.array([1e-2, 0.1, 0.5, 0.9, 1.0, 1.2, 3.0, 10.0, 100.0, 1e3, 1e4, 1e5])
DEGREES = np.array([0.5, 0.8, 1.0, 2.0, 5.0, 30.0, 300.0, 1e4, 1e5])
XI = np.concatenate([np.linspace(-8.0, 8.0, 33), [-1e-3, 1e-3, 0.1]])
XI_SHORT = np.array([-3.0, -0.7, 0.3, 1.5])

MAPS = {
    "gamma": (quantiles.normal_to_gamma, quantiles.gamma_to_normal, (SHAPES[:, None],)),
    "beta": (quantiles.normal_to_beta, quantiles.beta_to_normal, (SHAPES[:, None, None], SHAPES[:, None])),
    "student_t": (quantiles.normal_to_student_t, quantiles.student_t_to_normal, (DEGREES[:, None],)),
}
MODERATE = {
    "gamma": [(0.1,), (0.9,), (2.5,), (40.0,), (1e3,)],
    "beta": [(0.2, 2.0), (0.5, 0.5), (2.0, 5.0), (30.0, 0.3), (500.0, 20.0), (1e3, 1e4)],
    "student_t": [(0.5,), (1.0,), (3.0,), (30.0,), (1e3,)],
}
FROZEN = {"gamma": stats.gamma, "beta": stats.beta, "student_t": stats.t}


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def tails(name, x, *params):
    """F and 1 − F, each to relative precision where it is the smaller."""
    if name == "gamma":
        return special.gammainc(params[0], x), special.gammaincc(params[0], x)
    if name == "beta":
        return special.betainc(*params, x), special.betaincc(*params, x)
    return stats.t.cdf(x, *params), stats.t.sf(x, *params)


def smaller_tail(name, x, xi, *params):
    lower, upper = tails(name, x, *params)
    return np.where(xi < 0, lower, upper)


@pytest.mark.parametrize("name", ["gamma", "beta"])
def test_variates_have_the_normal_tail_probability(name):
    forward, _, params = MAPS[name]
    x = np.asarray(jax.jit(forward)(XI, *params))
    assert not np.isnan(x).any()
    inside = (x > 1e-290) & (x < 1.0 if name == "beta" else True)
    _, *full, xi = (np.broadcast_to(value, x.shape)[inside] for value in (x, *params, XI))
    ratio = smaller_tail(name, x[inside], xi, *full) / stats.norm.cdf(-np.abs(xi))
    slope = np.exp(stats.norm.logcdf(-np.abs(xi)) - FROZEN[name].logpdf(x[inside], *full)) / x[inside]
    assert np.max(np.abs(ratio - 1.0) * slope) < 1e-11


@pytest.mark.parametrize("name", ["gamma", "student_t"])
def test_variates_equal_scipy_quantiles(name):
    forward, _, params = MAPS[name]
    xi = XI[np.abs(XI) > 1e-2] if name == "student_t" else XI  # SciPy's t near 0 loses digits to 1/2 − p
    tail = stats.norm.cdf(-np.abs(xi))
    expected = np.where(xi < 0, FROZEN[name].ppf(tail, *params), FROZEN[name].isf(tail, *params))
    x = np.asarray(jax.jit(forward)(xi, *params))
    shown = np.abs(expected) > 1e-290
    np.testing.assert_allclose(x[shown], expected[shown], rtol=1e-11)


@pytest.mark.parametrize("name", MAPS)
def test_round_trip(name):
    forward, inverse, params = MAPS[name]
    xi = XI[np.abs(XI) <= 5.0]
    x = np.asarray(jax.jit(forward)(xi, *params))
    # A beta variate close to 1 has rounded 1 − x away: the round trip shows that rounding, not an error.
    shown = (np.abs(x) > 1e-290) & ((x < 1.0 - 1e-6) if name == "beta" else True)
    again = np.asarray(jax.jit(lambda x, *params: forward(inverse(x, *params), *params))(x, *params))
    np.testing.assert_allclose(again[shown], x[shown], rtol=1e-9)
    np.testing.assert_allclose(
        np.asarray(jax.jit(inverse)(x, *params))[shown], np.broadcast_to(xi, x.shape)[shown], rtol=1e-9, atol=1e-9
    )


def difference(function, value, step):
    """Central difference of fourth order."""
    near = function(value + step) - function(value - step)
    return (8.0 * near - function(value + 2.0 * step) + function(value - 2.0 * step)) / (12.0 * step)


@pytest.mark.parametrize("name", MAPS)
def test_derivatives(name):
    """dx/dξ = φ/f and dx/dθ = −(∂F/∂θ)/f, ∂F/∂θ by differences of SciPy's F; d²x/dξ² by differences of dx/dξ."""
    forward, inverse, _ = MAPS[name]
    params = np.array(MODERATE[name]).T[:, :, None]
    x = np.asarray(jax.jit(forward)(XI_SHORT, *params))
    density = FROZEN[name].pdf(x, *params)
    gradient = jax.jit(jnp.vectorize(jax.grad(forward, tuple(range(1 + len(params))))))
    by_xi, *by_params = (np.asarray(value) for value in gradient(XI_SHORT, *params))
    np.testing.assert_allclose(by_xi, stats.norm.pdf(XI_SHORT) / density, rtol=1e-9)

    for i, by_param in enumerate(by_params):

        def tail(value, i=i):
            return smaller_tail(name, x, XI_SHORT, *params[:i], value, *params[i + 1 :])

        slope = difference(tail, params[i], 1e-3 * params[i]) * np.where(XI_SHORT < 0, -1.0, 1.0)
        # Student's F at df = 1e3 varies by 1e-7 of itself over the step, hence the looser absolute bound there.
        np.testing.assert_allclose(by_param, slope / density, rtol=1e-7, atol=1e-8 * np.abs(x) / params[i])

    backward = jax.jit(jnp.vectorize(jax.grad(inverse)))(x, *params)
    np.testing.assert_allclose(np.asarray(backward) * by_xi, 1.0, rtol=1e-9)
    second = jax.jit(jnp.vectorize(jax.grad(jax.grad(forward))))(XI_SHORT, *params)
    slope = difference(lambda xi: np.asarray(gradient(xi, *params)[0]), XI_SHORT, 1e-3)
    np.testing.assert_allclose(second, slope, rtol=1e-7, atol=1e-8)


def test_student_t_is_smooth_at_zero():
    """t = ξ r(ξ²): value 0, slope φ(0)/f_T(0), no curvature; the series below √eps joins the solution above it."""
    degrees = DEGREES[:, None]
    xi = np.array([0.0, 1e-300, -1e-12, 1e-8, -1.6e-8, 1e-7, 1e-5])
    slope = stats.norm.pdf(0.0) / stats.t.pdf(0.0, degrees)
    t, by_xi = jax.jit(lambda xi, df: jax.jvp(lambda xi: quantiles.normal_to_student_t(xi, df), (xi,), (0 * xi + 1,)))(
        *np.broadcast_arrays(xi, degrees)
    )
    np.testing.assert_allclose(t, xi * slope, rtol=1e-9)
    np.testing.assert_allclose(by_xi, np.broadcast_to(slope, by_xi.shape), rtol=1e-9)
    by_both = jax.jit(jax.grad(quantiles.normal_to_student_t, (0, 1)))(0.0, 3.0)
    np.testing.assert_allclose(by_both, [stats.norm.pdf(0.0) / stats.t.pdf(0.0, 3.0), 0.0], rtol=1e-12)
    assert float(jax.jit(jax.grad(jax.grad(quantiles.normal_to_student_t)))(0.0, 3.0)) == 0.0
    np.testing.assert_allclose(jax.grad(quantiles.student_t_to_normal)(0.0, 3.0), 1.0 / by_both[0], rtol=1e-12)


@pytest.mark.parametrize("name", MAPS)
def test_vmap_equals_loop(name):
    forward = jax.jit(MAPS[name][0])
    rows = np.array(MODERATE[name])
    mapped = jax.jit(jax.vmap(forward))(XI_SHORT, *rows[: len(XI_SHORT)].T)
    loop = [forward(xi, *row) for xi, row in zip(XI_SHORT, rows, strict=False)]
    np.testing.assert_allclose(mapped, loop, rtol=1e-14)


@pytest.mark.parametrize("name", MAPS)
def test_single_precision(name):
    forward, inverse, params = MAPS[name]
    xi = np.linspace(-4.0, 4.0, 17)
    params = [value[value >= 0.1].reshape(-1, *[1] * (value.ndim - 1)) for value in params]
    expected = np.asarray(jax.jit(forward)(xi, *params))
    with jax.enable_x64(False):
        single = [np.float32(value) for value in (xi, *params)]
        gradient_fn = jax.grad(lambda *args: forward(*args).sum(), tuple(range(len(single))))
        x, gradients = jax.jit(lambda *args: (forward(*args), gradient_fn(*args)))(*np.broadcast_arrays(*single))
    assert x.dtype == np.float32
    assert all(np.isfinite(value).all() for value in gradients)
    shown = np.abs(expected) > 1e-36
    np.testing.assert_allclose(np.asarray(x)[shown], expected[shown], rtol=1e-4, atol=1e-6 * (name == "student_t"))


def test_limits_of_the_support():
    xi = np.array([-np.inf, np.inf, np.nan, -40.0])
    np.testing.assert_array_equal(quantiles.normal_to_gamma(xi, 0.5), [0.0, np.inf, np.nan, 0.0])
    np.testing.assert_array_equal(quantiles.normal_to_beta(xi[:3], 2.0, 0.3), [0.0, 1.0, np.nan])
    np.testing.assert_array_equal(quantiles.normal_to_student_t(xi[:3], 3.0), xi[:3])
    np.testing.assert_array_equal(quantiles.gamma_to_normal(np.array([0.0, -1.0]), 2.0), [-np.inf, np.nan])
    ends = np.array([0.0, 1.0, -0.1, 1.1])
    np.testing.assert_array_equal(quantiles.beta_to_normal(ends, 0.3, 200.0), [-np.inf, np.inf, np.nan, np.nan])
    np.testing.assert_array_equal(quantiles.student_t_to_normal(xi[:3], 3.0), xi[:3])
    assert np.isnan(quantiles.normal_to_gamma(1.0, -1.0))
