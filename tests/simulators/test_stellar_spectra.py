"""Emulators, Doppler shifts, broadening, dust and continua, against closed forms and an independent package."""

import itertools

import astropy.units as u
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dust_extinction.parameter_averages import CCM89, O94
from stellar_spectra import WAVELENGTH, networks

from bayesastro.models.spectra.payne import spectrum_network, stars_of
from bayesastro.simulators.emulators import Domain, Perceptron, PrincipalComponents
from bayesastro.simulators.spectra.broadening import (
    LIGHT_SPEED,
    broadened,
    doppler_shifted,
    doppler_shifted_pixels,
    gaussian_kernel,
    rotation_kernel,
)
from bayesastro.simulators.spectra.continuum import continuum_fit, polynomials
from bayesastro.simulators.spectra.dust import extinction_curve, reddened, veiled
from bayesastro.simulators.spectra.spectrograph import binned, spectrograph_of


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def by_hand(network, labels):
    """Ting et al. 2019, equation 2, pixel by pixel in NumPy."""
    s = (labels - network.low) / (network.high - network.low) - 0.5
    (w0, w1), (b0, b1) = network.weights, network.offsets
    hidden = 1 / (1 + np.exp(-(np.einsum("ijk,k->ij", w0, s) + b0)))
    return (w1 * hidden).sum(axis=1) + b1


def test_networks_of_pixels_are_the_published_formula():
    given, labels = networks(), np.array([5500.0, 4.5, -0.1, 0.1, 7.0])
    np.testing.assert_allclose(spectrum_network(given)(labels), by_hand(given.normalised, labels), rtol=1e-12)
    stars, at = stars_of(given), given.is_continuum
    per_wavelength = (np.median(WAVELENGTH) / WAVELENGTH[at]) ** 2
    np.testing.assert_allclose(
        stars.continuum(labels[:4]), by_hand(given.unnormalised, labels[:4])[at] * per_wavelength, rtol=1e-12
    )


def test_an_emulator_has_no_answer_outside_its_domain():
    network = spectrum_network(networks())
    inside, outside = np.array([5500.0, 4.5, 0.0, 0.0, 7.0]), np.array([5500.0, 3.0, 0.0, 0.0, 7.0])
    assert np.isnan(network(outside)).all()
    assert np.isfinite(jax.jacfwd(network)(inside)).all()
    np.testing.assert_allclose(network(np.stack([inside, inside]))[1], network(inside), rtol=1e-12)


def test_principal_components_are_sums():
    domain = Domain(("a", "b"), np.zeros(2), np.ones(2))
    rng = np.random.default_rng(1)
    layers = [rng.normal(size=(8, 2)), rng.normal(size=(3, 8))], [rng.normal(size=8), rng.normal(size=3)]
    amplitudes = Perceptron(domain=domain, weights=tuple(layers[0]), offsets=tuple(layers[1]), activation="tanh")
    mean, components = rng.normal(size=20), rng.normal(size=(3, 20))
    labels = np.array([0.2, 0.9])
    hidden = np.tanh(layers[0][0] @ (labels - 0.5) + layers[1][0])
    expected = mean + (layers[0][1] @ hidden + layers[1][1]) @ components
    np.testing.assert_allclose(
        PrincipalComponents(amplitudes=amplitudes, mean=mean, components=components)(labels), expected, rtol=1e-12
    )


FINE = np.exp(np.log(15000.0) + 1e-5 * np.arange(800))


def line(wavelength, width=2.0):
    return 1.0 - 0.5 * np.exp(-0.5 * ((wavelength - 15060.0) / width) ** 2)


@pytest.mark.parametrize("velocity", [-80.0, 0.0, 3.7, 42.0])
def test_a_shifted_line_is_where_doppler_says(velocity):
    factor = np.sqrt((1 - velocity / LIGHT_SPEED) / (1 + velocity / LIGHT_SPEED))
    moved = line(FINE * factor)
    np.testing.assert_allclose(doppler_shifted(jnp.asarray(line(FINE)), FINE, velocity), moved, atol=2e-5)
    step = spectrograph_of(FINE).step
    np.testing.assert_allclose(doppler_shifted_pixels(jnp.asarray(line(FINE)), step, velocity), moved, atol=2e-5)
    linear = np.interp(FINE * factor, FINE, line(FINE))
    np.testing.assert_allclose(doppler_shifted(jnp.asarray(line(FINE)), FINE, velocity, order="linear"), linear)


def test_shifts_stay_on_their_detector_and_have_gradients():
    spectrograph = spectrograph_of(WAVELENGTH)
    assert spectrograph.detectors == ((0, 40), (40, 80))
    flux = jnp.concatenate([jnp.full(40, 0.5), jnp.full(40, 1.0)])
    np.testing.assert_allclose(spectrograph.shifted(flux, 900.0), flux)
    values, h = jnp.asarray(line(FINE)), 1e-4
    step = spectrograph_of(FINE).step
    slope = jax.jacfwd(lambda v: doppler_shifted_pixels(values, step, v))(13.0)
    ends = [doppler_shifted_pixels(values, step, 13.0 + sign * h) for sign in (1, -1)]
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * h), atol=1e-8)
    with pytest.raises(ValueError, match="even in the logarithm"):
        spectrograph_of(np.linspace(15000.0, 17000.0, 50))


def test_bins_are_means_of_neighbours_on_one_detector():
    spectrograph, flux = spectrograph_of(WAVELENGTH), np.random.default_rng(1).uniform(size=80)
    np.testing.assert_array_equal(spectrograph.bins(1), np.arange(80))
    place = spectrograph.bins(12)  # three bins of each detector, the last of 16 pixels
    ends = [0, 12, 24, 40, 52, 64, 80]
    expected = [flux[a:b].mean() for a, b in itertools.pairwise(ends)]
    np.testing.assert_allclose(binned(flux, place, 6), expected, rtol=1e-12)
    np.testing.assert_array_equal(spectrograph.bins(100), np.repeat([0, 1], 40))


@pytest.mark.parametrize("limb_darkening", [0.0, 0.6])
def test_rotation_has_the_variance_of_its_profile(limb_darkening):
    """Of Gray's profile, ((1 − ε) / 4 + 2 ε / 15) / (1 − ε / 3) in units of v² sin² i; a pixel adds a twelfth of its square."""
    v, step = 37.3, 4.0
    kernel = np.asarray(rotation_kernel(v, step, 12, limb_darkening=limb_darkening))
    place = step * np.arange(-12, 13)
    expected = v**2 * ((1 - limb_darkening) / 4 + 2 * limb_darkening / 15) / (1 - limb_darkening / 3)
    assert kernel.sum() == pytest.approx(1.0, abs=1e-12)
    assert kernel @ place**2 == pytest.approx(expected + step**2 / 12, rel=2e-3)
    np.testing.assert_allclose(kernel, kernel[::-1], atol=1e-12)


def test_no_rotation_changes_nothing():
    none = np.eye(1, 11, 5)[0]
    for v in (0.0, 1e-9, 1.0):
        np.testing.assert_allclose(rotation_kernel(v, 4.0, 5), none, atol=1e-12)
        assert np.isfinite(jax.jacfwd(lambda v: rotation_kernel(v, 4.0, 5))(v)).all()
    flux = jnp.asarray(np.random.default_rng(1).uniform(size=80))
    np.testing.assert_allclose(spectrograph_of(WAVELENGTH).rotating(flux, 0.0, 400.0), flux)


def test_a_normal_profile_broadens_a_normal_line():
    step = spectrograph_of(FINE).step
    sigma = 25.0
    kernel = gaussian_kernel(sigma, step, 50)
    wide = np.hypot(2.0, 15060.0 * np.hypot(sigma, step / np.sqrt(12)) / LIGHT_SPEED)
    expected = 1.0 - (2.0 / wide) * (1.0 - line(FINE, wide))
    np.testing.assert_allclose(broadened(jnp.asarray(line(FINE)), kernel), expected, atol=2e-5)


@pytest.mark.parametrize("law", ["CCM89", "O94"])
@pytest.mark.parametrize("R_V", [2.5, 3.1, 5.5])
def test_extinction_is_that_of_dust_extinction(law, R_V):
    wavelength = np.geomspace(1001.0, 33000.0, 500)
    expected = {"CCM89": CCM89, "O94": O94}[law](Rv=R_V)(wavelength * u.AA)
    a, b = extinction_curve(wavelength, law)
    np.testing.assert_allclose(a + b / R_V, expected, rtol=1e-12, atol=1e-14)
    flux = reddened(jnp.ones(500), (a, b), 1.7, R_V)
    np.testing.assert_allclose(flux, 10 ** (-0.4 * 1.7 * expected), rtol=1e-12)


def test_wavelengths_in_another_unit_are_refused():
    with pytest.raises(ValueError, match="Are they in ångström"):
        extinction_curve(np.array([1.5, 1.6]))


def test_veiling_fills_lines():
    flux = jnp.asarray([1.0, 0.5])
    np.testing.assert_allclose(veiled(flux, 0.5, 1.0) / 1.5, [1.0, 1.0 / 1.5])


def test_a_continuum_fit_gives_back_polynomials():
    spectrograph = spectrograph_of(WAVELENGTH)
    rng = np.random.default_rng(2)
    basis = polynomials(WAVELENGTH, spectrograph.parts, 3)
    curve = basis @ rng.normal(size=8)
    pixels = np.arange(0, 80, 2)
    weight = np.where(np.arange(40) % 5, rng.uniform(1.0, 2.0, 40), 0.0)
    fit = continuum_fit(WAVELENGTH, spectrograph.parts, pixels, weight, 3)
    spoilt = curve.copy()
    spoilt[pixels[weight == 0]] = 100.0
    np.testing.assert_allclose(fit(jnp.asarray(spoilt)[pixels]), curve, rtol=1e-9)
    with pytest.raises(ValueError, match="more than 30 pixels on each detector"):
        continuum_fit(WAVELENGTH, spectrograph.parts, pixels, weight, 30)
