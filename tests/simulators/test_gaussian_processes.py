"""Kernels and likelihoods of light curves: celerite2 and dense matrices as oracles, and points left out."""

import celerite2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from celerite2 import terms
from scipy import stats

from bayesastro.simulators.lightcurves import gaussian_process as gp
from bayesastro.simulators.lightcurves import kernels

KERNELS = {
    "rotation": lambda: kernels.rotation(0.8, 3.2, 1.0, 0.5, 0.3),
    "quasi-periodic": lambda: kernels.quasi_periodic(0.6, 0.4, 5.0, 2.2),
    "matern": lambda: kernels.matern32(0.5, 2.0),
    "sum": lambda: kernels.matern32(0.5, 2.0) + kernels.rotation(0.8, 3.2, 1.0, 0.5, 0.3),
}


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def series(seed, n=60):
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0, 20, n))
    return jnp.asarray(time), jnp.asarray(rng.uniform(0.05, 0.3, n) ** 2), jnp.asarray(rng.normal(size=n))


def celerites(term, time, variance, residual):
    process = celerite2.GaussianProcess(term)
    process.compute(np.asarray(time), diag=np.asarray(variance), quiet=True)
    return process.log_likelihood(np.asarray(residual))


def test_stored_values_of_celerite2():
    time = jnp.linspace(0, 10, 40)
    y, variance = jnp.sin(time) + 0.1 * jnp.cos(7 * time), jnp.full(40, 0.01)
    likelihood = gp.log_likelihood(kernels.rotation(0.8, 3.2, 1.0, 0.5, 0.3), time, variance, y)
    assert float(likelihood) == pytest.approx(-7.507804633118207, abs=1e-8)
    # An oscillator of S0, ω0 and Q has the variance S0 ω0 Q.
    S0, w0, Q = 0.3, 2.0, 2.0
    decay = w0 / (2 * Q)
    oscillator = kernels.Oscillator(np.sqrt(S0 * w0 * Q), decay, decay * np.sqrt(4 * Q**2 - 1))
    assert float(gp.log_likelihood(oscillator, time, variance, y)) == pytest.approx(-1.6011310016970706, abs=1e-8)


@pytest.mark.parametrize("seed", range(8))
def test_likelihoods_equal_celerite2s(seed):
    rng = np.random.default_rng(seed)
    data = series(seed)
    sigma, period, Q0, dQ, f = np.exp(rng.normal([0, 0.7, 0, 0, -1], 1.0))
    theirs = celerites(terms.RotationTerm(sigma=sigma, period=period, Q0=Q0, dQ=dQ, f=f), *data)
    mine = float(gp.log_likelihood(kernels.rotation(sigma, period, Q0, dQ, f), *data))
    assert mine == pytest.approx(theirs, rel=1e-8, abs=1e-8)
    B, C, L, P = np.exp(rng.normal([0, 0, 1, 0.7], 1.0))
    sum_of_terms = terms.RealTerm(a=B * (1 + C) / (2 + C), c=1 / L) + terms.ComplexTerm(
        a=B / (2 + C), b=0.0, c=1 / L, d=2 * np.pi / P
    )
    mine = float(gp.log_likelihood(kernels.quasi_periodic(B, C, L, P), *data))
    assert mine == pytest.approx(celerites(sum_of_terms, *data), rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("name", ["rotation", "sum"])
def test_everything_equals_dense_matrices(name):
    kernel, (time, variance, residual) = KERNELS[name](), series(3, 40)
    time = time.at[7].set(time[6])  # two exposures at one time
    K = np.asarray(kernel(time, time))
    noisy = K + np.diag(variance)
    expected = stats.multivariate_normal(np.zeros(40), noisy).logpdf(residual)
    assert float(gp.log_likelihood(kernel, time, variance, residual)) == pytest.approx(expected, rel=1e-10)
    factor = np.asarray(jax.vmap(lambda z: gp.correlated(kernel, time, variance, z))(jnp.eye(40))).T
    np.testing.assert_allclose(factor @ factor.T, noisy, atol=1e-12)
    mean, sd = gp.predict(kernel, time, variance, residual)
    np.testing.assert_allclose(mean, K @ np.linalg.solve(noisy, residual), atol=1e-11)
    np.testing.assert_allclose(sd**2, np.diag(K - K @ np.linalg.solve(noisy, K)), atol=1e-11)
    at = jnp.linspace(-1.0, 21.0, 23)
    expected = np.asarray(kernel(at, time)) @ np.linalg.solve(noisy, residual)
    np.testing.assert_allclose(gp.predict_at(kernel, time, variance, residual, at), expected, atol=1e-11)


def test_formulas_of_the_kernels():
    tau = jnp.linspace(0.0, 7.0, 30)
    zero = jnp.zeros(1)
    matern = 0.25 * (1 + np.sqrt(3) * tau / 2) * np.exp(-np.sqrt(3) * tau / 2)
    np.testing.assert_allclose(KERNELS["matern"]()(tau, zero)[:, 0], matern, rtol=1e-12)
    B, C, L, P = 0.6, 0.4, 5.0, 2.2
    form = B / (2 + C) * np.exp(-tau / L) * (np.cos(2 * np.pi * tau / P) + 1 + C)
    np.testing.assert_allclose(KERNELS["quasi-periodic"]()(tau, zero)[:, 0], form, rtol=1e-12)
    rotation = terms.RotationTerm(sigma=0.8, period=3.2, Q0=1.0, dQ=0.5, f=0.3).get_value(np.asarray(tau))
    np.testing.assert_allclose(KERNELS["rotation"]()(tau, zero)[:, 0], rotation, rtol=1e-10)


@pytest.mark.parametrize("name", ["rotation", "matern"])
def test_masked_points_are_as_if_absent(name):
    kernel, (time, variance, residual) = KERNELS[name](), series(4)
    mask = (jnp.arange(60) % 7 != 3) & (jnp.arange(60) < 55)  # gaps, and the end as padding has it
    expected = gp.log_likelihood(kernel, time[mask], variance[mask], residual[mask])
    wild = jnp.where(mask, residual, 1e6)
    assert float(gp.log_likelihood(kernel, time, variance, wild, mask)) == pytest.approx(float(expected), rel=1e-12)


def test_one_point():
    kernel = KERNELS["rotation"]()
    found = gp.log_likelihood(kernel, jnp.array([3.0]), jnp.array([0.04]), jnp.array([0.5]))
    assert float(found) == pytest.approx(stats.norm(0, np.sqrt(0.64 + 0.04)).logpdf(0.5), rel=1e-12)


def test_gradients_are_finite_where_tinygps_oscillators_have_none():
    """In a batch, on both sides of the critical quality, and for very good and very bad oscillators."""
    time, variance, residual = series(5)

    def likelihood(theta):
        return gp.log_likelihood(kernels.rotation(*jnp.exp(theta)), time, variance, residual)

    theta = jnp.log(jnp.array([[0.8, 3.2, 1.0, 0.5, 0.3], [0.8, 3.2, 1e-4, 1e-4, 0.3], [0.8, 3.2, 1e3, 10.0, 0.3]]))
    gradient = jax.jit(jax.vmap(jax.grad(likelihood)))(theta)
    assert np.isfinite(gradient).all()
    steps = 1e-6 * jnp.eye(5)
    up, down = (jax.jit(jax.vmap(likelihood))(theta[0] + sign * steps) for sign in (1, -1))
    np.testing.assert_allclose(gradient[0], (up - down) / 2e-6, rtol=1e-5, atol=1e-5)


def test_innovations_of_the_true_process_are_white():
    kernel, (time, variance, _) = KERNELS["rotation"](), series(6, 3000)
    drawn = gp.correlated(kernel, time, variance, jnp.asarray(np.random.default_rng(7).normal(size=3000)))
    innovation, spread = gp.innovations(kernel, time, variance, drawn)
    assert stats.kstest(np.asarray(innovation / jnp.sqrt(spread)), "norm").pvalue > 1e-4
