"""Growth and the linear power spectrum against integration of the equations, and against colossus."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from colossus.cosmology import cosmology as colossus
from colossus.cosmology.power_spectrum import modelEisenstein98, modelEisenstein98ZeroBaryon
from scipy import integrate

from bayesastro.simulators.cosmology import growth, linear_power, smooth_transfer, transfer
from bayesastro.simulators.cosmology.matter_power import CMB_TEMPERATURE

K = np.geomspace(1e-3, 5.0, 60)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def universe():
    parameters = {"flat": True, "H0": 67.66, "Om0": 0.31, "Ob0": 0.049, "sigma8": 0.81, "ns": 0.9665}
    return colossus.setCosmology("tested", relspecies=False, Tcmb0=CMB_TEMPERATURE, persistence="", **parameters)


def integrated(scale_factor, Omega_m):
    """D₁, D₂ and their rates by an integrator, from deep in the era of matter."""

    def change(log_a, y):
        dust = Omega_m * np.exp(-3 * log_a)
        matter = dust / (dust + 1 - Omega_m)
        friction = 2 - 1.5 * matter
        return [
            y[1],
            -friction * y[1] + 1.5 * matter * y[0],
            y[3],
            -friction * y[3] + 1.5 * matter * (y[2] - y[0] ** 2),
        ]

    early = 1e-4
    start = [early, early, -3 / 7 * early**2, -6 / 7 * early**2]
    solution = integrate.solve_ivp(
        change, [np.log(early), 0], start, method="DOP853", rtol=1e-11, atol=1e-20, dense_output=True
    ).sol
    y, today = solution(np.log(scale_factor)), solution(0.0)[0]
    return y[0] / today, y[2] / today**2, y[1] / y[0], y[3] / y[2]


@pytest.mark.parametrize("Omega_m", [0.05, 0.31, 0.95])
def test_growth_solves_its_equations(Omega_m):
    for scale_factor in (0.1, 0.5, 1.0):
        found = growth(scale_factor, Omega_m)
        np.testing.assert_allclose(found, integrated(scale_factor, Omega_m), rtol=1e-8)


def test_growth_without_a_cosmological_constant():
    a = np.array([0.05, 0.3, 1.0])
    np.testing.assert_allclose(growth(a, 1.0), [a, -3 / 7 * a**2, np.ones(3), 2 * np.ones(3)], rtol=1e-10)


def test_growth_is_that_of_colossus(universe):
    z = np.array([0.2, 1.0, 3.0])
    np.testing.assert_allclose(growth(1 / (1 + z), 0.31).first, universe.growthFactor(z), rtol=5e-5)


def test_gradients_of_growth():
    gradient = jax.jacfwd(growth, argnums=(0, 1))(0.5, 0.3)
    for place, step in ((0, np.array([1e-5, 0])), (1, np.array([0, 1e-5]))):
        above, below = growth(0.5 + step[0], 0.3 + step[1]), growth(0.5 - step[0], 0.3 - step[1])
        for found, high, low in zip(gradient, above, below, strict=True):
            assert float(found[place]) == pytest.approx(float(high - low) / 2e-5, rel=1e-6)


@pytest.mark.parametrize(("Omega_m", "h", "Omega_b"), [(0.31, 0.6766, 0.049), (0.15, 0.8, 0.03), (0.9, 0.5, 0.09)])
def test_transfer_functions_are_those_of_colossus(Omega_m, h, Omega_b):
    theirs = {"h": h, "Om0": Omega_m, "Ob0": Omega_b, "Tcmb0": CMB_TEMPERATURE}
    np.testing.assert_allclose(transfer(K, Omega_m, h=h, Omega_b=Omega_b), modelEisenstein98(K, **theirs), rtol=1e-8)
    smooth = smooth_transfer(K, Omega_m, h=h, Omega_b=Omega_b)
    np.testing.assert_allclose(smooth, modelEisenstein98ZeroBaryon(K, **theirs), rtol=1e-8)


@pytest.mark.parametrize("wiggles", [True, False])
def test_power_is_that_of_colossus(universe, wiggles):
    model = "eisenstein98" if wiggles else "eisenstein98_zb"
    ours = linear_power(K, 0.81, 0.31, wiggles=wiggles)
    np.testing.assert_allclose(ours, universe.matterPowerSpectrum(K, model=model), rtol=2e-4)  # it interpolates


def test_power_has_the_variance_it_is_scaled_to():
    points = np.linspace(np.log(1e-4), np.log(30.0), 4001)
    k = np.exp(points)
    window = 3 * (np.sin(8 * k) - 8 * k * np.cos(8 * k)) / (8 * k) ** 3
    variance = integrate.simpson(np.asarray(linear_power(k, 0.7, 0.2)) * window**2 * k**3 / (2 * np.pi**2), x=points)
    assert np.sqrt(variance) == pytest.approx(0.7, rel=1e-5)


def test_gradients_of_power():
    def total(Omega_m, h, Omega_b, n_s):
        return jnp.sum(jnp.log(linear_power(K, 0.8, Omega_m, h=h, Omega_b=Omega_b, n_s=n_s)))

    at = np.array([0.3, 0.68, 0.049, 0.96])
    gradient = jax.grad(total, argnums=(0, 1, 2, 3))(*at)
    for place, found in enumerate(gradient):
        step = 1e-6 * np.eye(4)[place]
        expected = (total(*(at + step)) - total(*(at - step))) / 2e-6
        assert float(found) == pytest.approx(float(expected), rel=1e-6)
