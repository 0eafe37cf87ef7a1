"""The emulator of CIGALE: the library that it was trained with, CIGALE's own laws, its domain, and bad input."""

import jax
import numpy as np
import pytest
from confused import small_emulator, small_layers
from jax.example_libraries import stax

from bayesastro.datasets.confused_maps import read_emulator_weights
from bayesastro.simulators.spectra.sed_emulator import CIGALE_INPUTS, cigale_emulator, scaled_log_flux

LOWER, UPPER = np.array(list(CIGALE_INPUTS.values())).T
TYPICAL = {
    "log_sfr": 2.0,
    "agn_fraction": 0.1,
    "redshift": 1.0,
    "attenuation": 2.0,
    "dust_slope": 2.0,
    "log_tau": 3.5,
}


@pytest.fixture
def layers(published_file):
    return read_emulator_weights(published_file("xidplus/cigale_emulator.npz"))


@pytest.fixture
def emulator(layers):
    return cigale_emulator(layers.weights, layers.biases)


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def inside(num):
    return np.random.default_rng(1).uniform(LOWER, UPPER, (num, 6))


def test_it_is_the_network_of_stax(emulator, layers):
    """XID+ trains and runs it with jax's stax: Dense and LeakyRelu, four times, and Dense."""
    _, apply = stax.serial(*[stax.Dense(128), stax.LeakyRelu] * 4, stax.Dense(9))
    pairs = list(zip(layers.weights, layers.biases, strict=True))
    parameters = [part for layer in pairs[:-1] for part in (layer, ())] + [pairs[-1]]
    theta = inside(200)
    np.testing.assert_allclose(emulator(theta), apply(parameters, theta), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(jax.vmap(emulator)(theta), emulator(theta), rtol=1e-10, atol=1e-12)


def test_fluxes_are_proportional_to_the_star_formation_rate(emulator):
    """CIGALE scales its spectra to the rate; the network learnt that to a tenth where most of its training is."""
    theta = np.tile(list(TYPICAL.values()), (41, 1))
    theta[:, 0] = np.linspace(-1.0, 4.0, 41)
    slope = np.gradient(np.asarray(emulator(theta)), 0.125, axis=0) / np.log(10.0)
    assert abs(slope.mean() - 1.0) < 0.02
    assert slope.std() < 0.1


def test_a_galaxy_that_forms_a_hundred_suns_a_year_at_redshift_one(emulator):
    """Some 20 mJy at 250 μm, falling to 500 μm; its dust peaks at longer waves from further away."""
    near = np.exp(emulator(np.array(list(TYPICAL.values()))))[-3:]
    assert 10 < near[0] < 50
    assert near[0] > near[1] > near[2]
    far = np.exp(emulator(np.array(list((TYPICAL | {"redshift": 4.0}).values()))))[-3:]
    assert far[0] < far[1] < far[2] < near[2]


def test_gradient_is_that_of_finite_differences(emulator):
    theta = np.array(list(TYPICAL.values()))
    slope = jax.jacfwd(emulator)(theta)
    steps = 1e-6 * np.eye(6)
    wanted = np.stack([(emulator(theta + s) - emulator(theta - s)) / 2e-6 for s in steps], axis=1)
    np.testing.assert_allclose(slope, wanted, rtol=1e-4, atol=1e-4)


def test_outside_its_domain_it_says_nothing(emulator):
    theta = np.array(list(TYPICAL.values()))
    for place in range(6):
        for end in (LOWER[place] - 0.01, UPPER[place] + 0.01):
            beyond = theta.copy()
            beyond[place] = end
            assert np.isnan(emulator(beyond)).all()
    assert np.isfinite(emulator(np.stack([LOWER, UPPER]))).all()


def test_beyond_the_rates_of_the_training_fluxes_scale(emulator):
    def flux(rate, **other):
        return np.asarray(scaled_log_flux(emulator, TYPICAL | {"log_sfr": np.array(rate)} | other))

    np.testing.assert_allclose(flux(1.0), emulator(np.array([1.0, *list(TYPICAL.values())[1:]])), rtol=1e-12)
    np.testing.assert_allclose(flux(7.4) - flux(4.4), 3 * np.log(10.0), rtol=1e-10)
    np.testing.assert_allclose(flux(-2.0) - flux(-5.0), 3 * np.log(10.0), rtol=1e-10)
    assert np.isnan(flux(1.0, redshift=7.0)).all()
    slope = jax.grad(lambda rate: scaled_log_flux(emulator, TYPICAL | {"log_sfr": rate})[-1])
    np.testing.assert_allclose(slope(6.0), np.log(10.0))


def test_inputs_outside_the_domain_are_refused_by_name():
    domain = small_emulator().domain
    domain.require("redshift", np.array([0.05, 6.0]))
    with pytest.raises(ValueError, match=r"`redshift` from 0.05 to 6 .* 1 of 2 values are, as 8"):
        domain.require("redshift", np.array([1.0, 8.0]))
    with pytest.raises(ValueError, match="as nan"):
        domain.require("attenuation", np.nan)
    with pytest.raises(ValueError, match="`mass` is no label"):
        domain.require("mass", np.array(1.0))


def test_networks_of_other_sizes_are_refused():
    weights, biases = small_layers()
    with pytest.raises(ValueError, match="6 inputs and 9 outputs, but one of 6 and 8"):
        cigale_emulator((weights[0], weights[1][:, :8]), (biases[0], biases[1][:8]))
