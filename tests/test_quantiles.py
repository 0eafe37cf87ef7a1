"""Quantile maps against SciPy's distribution functions, in both tails, with derivatives by finite differences.

Variates are checked by SciPy's F at the variate rather than by its quantiles: `scipy.stats.beta.isf` is off by 1e-9 at
a = 1e3, b = 1e5. A relative error of x is that of the tail probability times F/(x f).
"""

from functools import cache

import jax
import numpy as np
import pytest
from scipy import special, stats

from bayesastro import quantiles

SHAPES = np.array([1e-2, 0.1, 0.5, 0.9, 1.0, 1.2, 3.0, 10.0, 100.0, 1e3, 1e4, 1e5])
DEGREES = np.array([0.5, 0.8, 1.0, 2.0, 5.0, 30.0, 300.0, 1e4, 1e5])
XI = np.concatenate([np.linspace(-8.0, 8.0, 33), [-1e-3, 1e-3, 0.1]])
XI_FEW = np.array([-3.0, -0.7, 0.3, 1.5])

NAMES = ["gamma", "beta", "student_t"]
FORWARD = {name: getattr(quantiles, f"normal_to_{name}") for name in NAMES}
INVERSE = {name: getattr(quantiles, f"{name}_to_normal") for name in NAMES}
SCIPY = {"gamma": stats.gamma, "beta": stats.beta, "student_t": stats.t}
WIDE = {
    "gamma": (SHAPES[:, None],),
    "beta": (SHAPES[:, None, None], SHAPES[:, None]),
    "student_t": (DEGREES[:, None],),
}
MODERATE = {
    "gamma": np.array([[0.1, 0.9, 2.5, 40.0, 1e3]]),
    "beta": np.array([[0.2, 0.5, 2.0, 30.0, 500.0, 1e3], [2.0, 0.5, 5.0, 0.3, 20.0, 1e4]]),
    "student_t": np.array([[0.5, 1.0, 3.0, 30.0, 1e3]]),
}

CHUNK = 512
# Compiling takes most of the time here, a third of it without XLA's newer fusion; the loop below keeps the default.
# Newer ones have no such option.
FAST_COMPILATION = {"xla_cpu_use_fusion_emitters": False} if jax.__version_info__ < (0, 11) else {}


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def _value(fn, num_arguments):
    return fn


def _value_and_gradient(fn, num_arguments):
    return jax.value_and_grad(fn, tuple(range(num_arguments)))


def _value_and_slope(fn, num_arguments):
    return jax.value_and_grad(fn)


def _second_derivative(fn, num_arguments):
    return jax.grad(jax.grad(fn))


@cache
def _compiled(fn, transform, num_arguments):
    return jax.jit(jax.vmap(transform(fn, num_arguments)), compiler_options=FAST_COMPILATION)


def evaluate(fn, *args, transform=_value_and_gradient):
    """The transformed map of the broadcast arguments, in pieces of one size, so that it compiles once a module."""
    args = np.broadcast_arrays(*args)
    flat = [np.append(arg, np.repeat(arg.flat[-1], -arg.size % CHUNK)) for arg in args]
    compiled = _compiled(fn, transform, len(args))
    pieces = [compiled(*(arg[i : i + CHUNK] for arg in flat)) for i in range(0, len(flat[0]), CHUNK)]
    return jax.tree.map(lambda *parts: np.concatenate(parts)[: args[0].size].reshape(args[0].shape), *pieces)


def smaller_tail(name, x, xi, *params):
    """SciPy's F(x) for ξ < 0, else 1 − F(x)."""
    if name == "gamma":
        return np.where(xi < 0, special.gammainc(*params, x), special.gammaincc(*params, x))
    if name == "beta":
        return np.where(xi < 0, special.betainc(*params, x), special.betaincc(*params, x))
    return np.where(xi < 0, stats.t.cdf(x, *params), stats.t.sf(x, *params))


def difference(function, value, step):
    """Central difference of fourth order."""
    near = function(value + step) - function(value - step)
    return (8.0 * near - function(value + 2.0 * step) + function(value - 2.0 * step)) / (12.0 * step)


@pytest.mark.parametrize("name", ["gamma", "beta"])
def test_variates_have_the_normal_tail_probability(name):
    x, gradient = evaluate(FORWARD[name], XI, *WIDE[name])
    assert not np.isnan(x).any()
    assert all(np.isfinite(by).all() for by in gradient)
    inside = (x > 1e-290) & (x < (1.0 if name == "beta" else np.inf))
    xi, *params = (np.broadcast_to(value, x.shape)[inside] for value in (XI, *WIDE[name]))
    log_tail = stats.norm.logcdf(-np.abs(xi))
    ratio = smaller_tail(name, x[inside], xi, *params) / np.exp(log_tail)
    sensitivity = np.exp(log_tail - SCIPY[name].logpdf(x[inside], *params)) / x[inside]
    assert np.max(np.abs(ratio - 1.0) * sensitivity) < 1e-11


@pytest.mark.parametrize("name", ["gamma", "student_t"])
def test_variates_equal_scipy_quantiles(name):
    xi = XI[np.abs(XI) > 1e-2] if name == "student_t" else XI  # SciPy's t near 0 loses digits to 1/2 − p
    tail = stats.norm.cdf(-np.abs(xi))
    expected = np.where(xi < 0, SCIPY[name].ppf(tail, *WIDE[name]), SCIPY[name].isf(tail, *WIDE[name]))
    x, _ = evaluate(FORWARD[name], xi, *WIDE[name])
    shown = np.abs(expected) > 1e-290
    np.testing.assert_allclose(x[shown], expected[shown], rtol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_round_trip(name):
    xi = XI[np.abs(XI) <= 5.0]
    x, _ = evaluate(FORWARD[name], xi, *WIDE[name])
    back, _ = evaluate(INVERSE[name], x, *WIDE[name], transform=_value_and_slope)
    again, _ = evaluate(FORWARD[name], back, *WIDE[name])
    # Near 1 a beta variate has rounded 1 − x: the round trip in ξ shows that rounding, not an error of the map.
    shown = (np.abs(x) > 1e-290) & (x < (1.0 - 1e-6 if name == "beta" else np.inf))
    np.testing.assert_allclose(again[shown], x[shown], rtol=1e-9)
    np.testing.assert_allclose(back[shown], np.broadcast_to(xi, x.shape)[shown], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_derivatives(name):
    """dx/dξ = φ/f and dx/dθ = −(∂F/∂θ)/f, with ∂F/∂θ by differences of SciPy's F; dξ/dx is the inverse."""
    params = MODERATE[name][:, :, None]
    x, (by_xi, *by_params) = evaluate(FORWARD[name], XI_FEW, *params)
    density = SCIPY[name].pdf(x, *params)
    np.testing.assert_allclose(by_xi, stats.norm.pdf(XI_FEW) / density, rtol=1e-9)
    sign = np.where(XI_FEW < 0, -1.0, 1.0)
    for i, by_param in enumerate(by_params):

        def tail(value, i=i):
            return smaller_tail(name, x, XI_FEW, *params[:i], value, *params[i + 1 :])

        expected = sign * difference(tail, params[i], 3e-3 * params[i] / (1.0 + np.sqrt(params[i]))) / density
        # In units of x/θ: at df = 1e3 the t distribution changes by only 1e-6 of itself over the steps.
        np.testing.assert_allclose(by_param * params[i] / x, expected * params[i] / x, rtol=1e-7, atol=1e-9)
    _, back = evaluate(INVERSE[name], x, *params, transform=_value_and_slope)
    np.testing.assert_allclose(back * by_xi, 1.0, rtol=1e-9)


@pytest.mark.parametrize("name", ["gamma", "student_t"])
def test_second_derivative(name):
    params = MODERATE[name][:, :, None]
    expected = difference(lambda xi: evaluate(FORWARD[name], xi, *params)[1][0], XI_FEW, 1e-3)
    second = evaluate(FORWARD[name], XI_FEW, *params, transform=_second_derivative)
    np.testing.assert_allclose(second, expected, rtol=1e-7, atol=1e-10)


def test_student_t_is_smooth_at_zero():
    """t = ξ r(ξ²) with slope φ(0)/f_T(0) and no curvature at 0; below √eps the series continues the solution."""
    xi = np.array([0.0, 1e-300, -1e-12, 1e-8, -1.6e-8, 1e-7, 1e-5])
    slope = stats.norm.pdf(0.0) / stats.t.pdf(0.0, DEGREES[:, None])
    t, (by_xi, by_df) = evaluate(quantiles.normal_to_student_t, xi, DEGREES[:, None])
    np.testing.assert_allclose(t, xi * slope, rtol=1e-9)
    np.testing.assert_allclose(by_xi, np.broadcast_to(slope, t.shape), rtol=1e-9)
    np.testing.assert_array_equal(by_df[:, 0], 0.0)
    np.testing.assert_array_equal(
        evaluate(quantiles.normal_to_student_t, 0.0, DEGREES, transform=_second_derivative), np.zeros(len(DEGREES))
    )
    back, by_t = evaluate(quantiles.student_t_to_normal, t, DEGREES[:, None], transform=_value_and_slope)
    np.testing.assert_allclose(back, np.broadcast_to(xi, t.shape), rtol=1e-9)
    np.testing.assert_allclose(by_t * by_xi, 1.0, rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_vmap_equals_loop(name):
    """The loop calls the map on scalars, with default compilation; the other side is the one of all tests here."""
    rows = [(-1.3, *params) for params in MODERATE[name].T]
    scalar = jax.jit(FORWARD[name])
    np.testing.assert_allclose(
        [float(scalar(*row)) for row in rows], evaluate(FORWARD[name], *np.array(rows).T)[0], rtol=1e-13
    )


@pytest.mark.parametrize("name", NAMES)
def test_single_precision(name):
    params = [value[value >= 0.1].reshape(-1, *[1] * (value.ndim - 1)) for value in WIDE[name]]
    xi = np.linspace(-4.0, 4.0, 17)
    expected, _ = evaluate(FORWARD[name], xi, *params)
    with jax.enable_x64(False):
        # The gradient for one map only, to save compiling: the quadrature of the gamma is the one near overflow.
        transform = _value_and_gradient if name == "gamma" else _value
        result = evaluate(FORWARD[name], np.float32(xi), *map(np.float32, params), transform=transform)
    x = result[0] if name == "gamma" else result
    assert x.dtype == np.float32
    assert all(np.isfinite(values).all() for values in jax.tree.leaves(result))
    shown = np.abs(expected) > 1e-36
    np.testing.assert_allclose(x[shown], expected[shown], rtol=1e-4)


def test_limits_of_the_support():
    xi = np.array([-np.inf, np.inf, np.nan])
    np.testing.assert_array_equal(evaluate(quantiles.normal_to_gamma, xi, 0.5)[0], [0.0, np.inf, np.nan])
    np.testing.assert_array_equal(evaluate(quantiles.normal_to_beta, xi, 2.0, 0.3)[0], [0.0, 1.0, np.nan])
    np.testing.assert_array_equal(evaluate(quantiles.normal_to_student_t, xi, 3.0)[0], xi)
    np.testing.assert_array_equal(evaluate(quantiles.normal_to_gamma, 1.0, -1.0)[0], np.nan)
    ends = np.array([0.0, 1.0, -0.1, 1.1])
    np.testing.assert_array_equal(
        evaluate(quantiles.beta_to_normal, ends, 0.3, 200.0, transform=_value_and_slope)[0],
        [-np.inf, np.inf, np.nan, np.nan],
    )
    back, _ = evaluate(quantiles.gamma_to_normal, ends[[0, 2]], 2.0, transform=_value_and_slope)
    np.testing.assert_array_equal(back, [-np.inf, np.nan])
    np.testing.assert_array_equal(evaluate(quantiles.student_t_to_normal, xi, 3.0, transform=_value_and_slope)[0], xi)


@pytest.mark.parametrize("shape", [0.1, 0.9, 1.0, 1.5, 10.0, 1e3])
def test_many_gammas_of_one_shape_are_interpolated(shape):
    """To the precision of those computed one by one, with derivatives in both arguments."""
    xi = np.random.default_rng(1).uniform(-8.0, 8.0, 4096)
    ones = np.ones_like(xi)

    def log_variate(xi, concentration):
        return jax.numpy.log(quantiles.normal_to_gamma(xi, concentration))

    def by_shape(stretch):
        """Of the same shape for all, or an array of them, which are not interpolated."""
        return jax.jit(lambda xi, a: jax.jvp(log_variate, (xi, a * stretch), (ones, 0 * a * stretch))), jax.jit(
            lambda xi, a: jax.jvp(log_variate, (xi, a * stretch), (0 * ones, 1.0 + 0 * a * stretch))
        )

    for one, many in zip(by_shape(ones), by_shape(1.0), strict=True):
        (value, slope), (expected, expected_slope) = many(xi, shape), one(xi, shape)
        seen = np.asarray(expected) > -650  # variates below the smallest number are 0
        np.testing.assert_allclose(value[seen], expected[seen], atol=1e-11, rtol=1e-13)
        np.testing.assert_allclose(slope[seen], expected_slope[seen], rtol=1e-9, atol=1e-9)


def test_interpolated_gammas_end():
    xi = np.zeros(5000)
    xi[:3] = -37.9, 38.1, np.nan
    value = np.asarray(quantiles.normal_to_gamma(xi, 2.0))
    assert value[0] == pytest.approx(np.sqrt(2) * np.exp(0.5 * stats.norm.logcdf(-37.9)), rel=1e-6)
    assert np.isnan(value[1:3]).all()
    assert np.isfinite(value[3:]).all()
