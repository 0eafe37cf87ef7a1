"""Supernovae as standard candles: distances of many redshifts at once, and what is observed of a population."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy import units
from astropy.cosmology import FlatLambdaCDM
from scipy.stats import norm

from bayesastro.simulators.cosmology import (
    Cosmology,
    detection_log_probability,
    heliocentric_distance_modulus,
    interpolated_distance,
    observed_moments,
    transverse_comoving_distance,
    tripp_magnitude,
)

RNG = np.random.default_rng(5)
Z = np.sort(RNG.uniform(0.001, 2.3, 300))


def test_interpolated_distances_are_the_distances():
    with jax.enable_x64(True):

        def error(Omega_m, Omega_k, w0, w_early):
            universe = Cosmology(70.0, Omega_m, Omega_k, w0, w_early - w0)
            return jnp.max(jnp.abs(interpolated_distance(Z, universe) / transverse_comoving_distance(Z, universe) - 1))

        n = 200
        universes = (
            RNG.uniform(0.05, 0.95, n),
            RNG.uniform(-0.05, 0.05, n),
            RNG.uniform(-2.0, 0.0, n),
            RNG.uniform(-2.5, 0.0, n),
        )
        assert np.max(jax.jit(jax.vmap(error))(*universes)) < 1e-9


def test_interpolated_distances_have_their_gradients():
    with jax.enable_x64(True):

        def total(distance):
            return lambda Omega_m, w0: jnp.sum(distance(Z, Cosmology(70.0, Omega_m, 0.0, w0)))

        fast, slow = (
            jax.grad(total(d), (0, 1))(0.3, -0.9) for d in (interpolated_distance, transverse_comoving_distance)
        )
        np.testing.assert_allclose(fast, slow, rtol=1e-9)


def test_distance_modulus_of_a_moving_observer():
    z_hel = Z * 1.002
    with jax.enable_x64(True):
        found = heliocentric_distance_modulus(Z, z_hel, Cosmology(72.0, 0.28))
    distance = FlatLambdaCDM(H0=72.0, Om0=0.28, Tcmb0=0).comoving_transverse_distance(Z).to_value(units.pc)
    np.testing.assert_allclose(found, 5 * np.log10((1 + z_hel) * distance / 10), rtol=0, atol=1e-8)


def test_moments_are_those_of_drawn_supernovae():
    """Mean and covariance of a linear map of normals, written out once more."""
    n, alpha, beta = 4, 0.14, 3.1
    mu, M = RNG.uniform(35, 43, n), RNG.normal(-19, 0.1, n)
    roots = np.tril(RNG.normal(size=(n, 3, 3))) * 0.1
    covariance = roots @ np.swapaxes(roots, 1, 2)
    mean, spread = observed_moments(mu, M, (0.1, -0.02), (0.11, 0.9, 0.07), alpha, beta, covariance)
    np.testing.assert_allclose(mean[:, 0], mu + M - alpha * 0.1 + beta * -0.02, rtol=1e-6)
    np.testing.assert_allclose(mean[:, 1:], np.tile([0.1, -0.02], (n, 1)), rtol=1e-6)
    variances = np.diag([0.11**2, 0.9**2, 0.07**2])
    mixing = np.array([[1, -alpha, beta], [0, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(spread, covariance + mixing @ variances @ mixing.T, rtol=1e-5, atol=1e-8)
    x1, c = RNG.normal(size=n), RNG.normal(size=n)
    np.testing.assert_allclose(tripp_magnitude(mu, M, x1, c, alpha, beta), mu + M - alpha * x1 + beta * c, rtol=1e-6)


@pytest.mark.parametrize("magnitude", [18.0, 24.0, 30.0, 60.0])
def test_detection_falls_with_magnitude_and_stays_finite(magnitude):
    with jax.enable_x64(True):
        found, slope = jax.value_and_grad(lambda m: detection_log_probability(m, 24.0, 0.5))(magnitude)
    assert found == pytest.approx(norm.logcdf((24.0 - magnitude) / 0.5), rel=1e-9)
    assert -np.inf < float(slope) <= 0
