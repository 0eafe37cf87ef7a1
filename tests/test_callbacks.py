"""Code that JAX cannot trace: right values in double precision, clear words when it fails, and no gradient promised."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bayesastro as ba
from bayesastro.compilation import compile_clock

X = np.linspace(0.0, 1.0, 6)
Y = 1.0 + 2.0 * X
QUICK = ba.Ensemble(max_steps=300)


def line(a, b):
    return a + b * X


def problem(function=line, shape=6, **options):
    call = ba.external(function, shape, **options)

    def program():
        a = numpyro.sample("a", dist.Normal(0.0, 3.0))
        b = numpyro.sample("b", dist.Normal(0.0, 3.0))
        numpyro.sample("y", dist.Normal(call(a, b), 0.5).to_event(1))

    return ba.Problem(program, observed={"y": Y})


def traced_problem():
    def program():
        a = numpyro.sample("a", dist.Normal(0.0, 3.0))
        b = numpyro.sample("b", dist.Normal(0.0, 3.0))
        numpyro.sample("y", dist.Normal(a + b * jnp.asarray(X), 0.5).to_event(1))

    return ba.Problem(program, observed={"y": Y})


def test_the_same_density_as_in_jax_to_the_last_digits():
    theta = {"a": 1.0 + 1e-9, "b": -0.3}
    here, there = (p.log_likelihood(theta)["y"] for p in (problem(), traced_problem()))
    np.testing.assert_allclose(here, there, rtol=1e-14)


@pytest.mark.parametrize("vectorised", [False, True])
def test_many_points_at_once(vectorised):
    shapes = []

    def function(a, b):
        shapes.append(np.shape(a))
        assert a.dtype == np.float64
        return a[..., None] + b[..., None] * X

    theta = {"a": np.arange(4.0), "b": np.ones(4)}
    found = problem(function, vectorised=vectorised).log_likelihood(theta, batch_ndims=1)["y"]
    np.testing.assert_allclose(found, traced_problem().log_likelihood(theta, batch_ndims=1)["y"], rtol=1e-14)
    assert ((4,) in shapes) == vectorised


def test_a_shape_may_follow_from_those_of_the_arguments():
    double = ba.external(lambda x: 2 * x, shape=lambda shape: shape)
    with jax.enable_x64(True):
        for size in (2, 3):
            np.testing.assert_array_equal(jax.jit(double)(np.arange(float(size))), 2.0 * np.arange(size))


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64, np.float64, bool])
def test_arguments_keep_their_dtype(dtype):
    seen = []

    def function(x):
        seen.append(x)
        return x.astype(float)

    values = np.array([0, 1, 2**20 + 1]).astype(dtype)
    with jax.enable_x64(True):
        back = jax.jit(ba.external(function, shape=3))(values)
    assert seen[-1].dtype == dtype
    np.testing.assert_array_equal(back, values.astype(float))


def test_single_precision_narrows_the_result():
    result = ba.fit(problem(), QUICK, seed=1, progress=False, precision="single")
    assert result["posterior"]["a"].dtype == np.float32


def under_scan(call):
    return jax.lax.scan(lambda carry, x: (carry, call(x)), 0.0, jnp.ones(2))[1].sum()


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda call, a: call(a),
        lambda call, a: jax.jit(call)(a),
        lambda call, a: jax.lax.cond(a > 0, call, lambda a: a, a),
        lambda call, a: jax.lax.while_loop(lambda x: x < 3.0, lambda x: call(jnp.abs(x) + 1.0), a),
        lambda call, a: a + under_scan(call),
        lambda call, a: jax.vmap(call)(a * jnp.ones(2)).sum(),
    ],
    ids=["plain", "jit", "cond", "while", "scan", "vmap"],
)
def test_the_lack_of_a_gradient_is_seen_wherever_the_call_is(wrapped):
    def boltzmann(x):
        return x

    call = ba.external(boltzmann, ())

    def program():
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(wrapped(call, a), 1.0))

    problem = ba.Problem(program, observed={"y": 0.0})
    assert problem.provides >= {"density", "simulate", "proper_prior"}
    with compile_clock() as clock, pytest.raises(ValueError, match=r"`NUTS` needs a gradient.*`boltzmann`.*`Ensemble`"):
        ba.fit(problem, ba.NUTS(), seed=1)
    assert clock.count == 0
    assert problem.check().loc["Ensemble", "ok"]


def test_a_call_with_a_gradient_of_its_own_provides_one():
    call = ba.external(lambda x: x**2, ())
    square = jax.custom_jvp(call)
    square.defjvp(lambda primals, tangents: (call(primals[0]), 2 * primals[0] * tangents[0]))

    def program():
        a = numpyro.sample("a", dist.Normal(1.0, 0.1))
        numpyro.sample("y", dist.Normal(square(a), 1.0))

    problem = ba.Problem(program, observed={"y": 1.0})
    result = ba.fit(problem, ba.NUTS(num_chains=1, num_warmup=50, num_draws=50), seed=1, progress=False)
    assert np.isfinite(result["posterior"]["a"]).all()


def failing(a, b):
    raise ArithmeticError("no convergence in 100 steps")


def short(a, b):
    return line(a, b)[:5]


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (failing, {}, r"`failing` raised ArithmeticError: no convergence in 100 steps\. Correct it"),
        (short, {}, r"`short` returned shape \(5,\), but \(6,\) is declared"),
        (line, {"dtype": int}, r"`line` returned dtype `float64`, but `int64` is declared"),
        (lambda a, b: ["x"] * 6, {}, r"returned dtype `<U1`"),
        (lambda a, b: line(1.0, 1.0), {"vectorised": True}, r"shape \(6,\), but \(\d+, 6\) is declared for arguments"),
    ],
    ids=["raises", "shape", "dtype", "text", "leading axes"],
)
def test_failures_are_told_in_a_clear_sentence(function, options, message):
    with pytest.raises(RuntimeError, match=message):
        ba.fit(problem(function, **options), QUICK, seed=1, progress=False)


def test_only_functions_of_real_numbers_are_taken():
    with pytest.raises(TypeError, match=r"`external` needs a function, but 1\.0 came"):
        ba.external(1.0, ())
    with pytest.raises(TypeError, match="`external` passes real numbers, but `dtype` is `complex128`"):
        ba.external(line, (), complex)
    with pytest.raises(TypeError, match="`line` takes real numbers, but `complex64` came"):
        ba.external(line, ())(1j, 1.0)


def test_points_where_the_code_gives_no_number_are_rejected_and_counted():
    def function(a, b):
        return line(a, b) * (1.0 if b < 2.0 else np.nan)

    with pytest.warns(UserWarning, match="^Site `y`: `loc` of its `Normal` is nan at"):
        result = ba.fit(problem(function), QUICK, seed=1, progress=False)
    assert result["posterior"]["b"].max() < 2.0
    assert result.attrs["num_nans"] > 0
    assert "nans" in ba.diagnose(result).ids
