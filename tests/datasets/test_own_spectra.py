"""Spectra of one's own: units at the door, what is used, and what does not fit."""

import astropy.units as u
import numpy as np
import pytest
from stellar_spectra import WAVELENGTH, networks

from bayesastro.datasets import read_xray_spectrum, stellar_spectra
from bayesastro.models.spectra import binary_star

FLUX = 1.0 + 0.01 * np.arange(80.0)


def test_units_are_turned_into_angstrom_and_those_of_the_flux():
    plain = stellar_spectra(WAVELENGTH, FLUX, 0.01 * FLUX, name="mine")
    jansky = FLUX * u.Jy
    for wavelength in (WAVELENGTH * u.AA, (WAVELENGTH / 10) * u.nm, (1e8 / WAVELENGTH) * u.cm**-1):
        found = stellar_spectra(wavelength, jansky, 10 * FLUX * u.mJy, name="mine")
        np.testing.assert_allclose(found.wavelength, plain.wavelength, rtol=1e-12)
        np.testing.assert_allclose(found.flux, plain.flux)
        np.testing.assert_allclose(found.sigma, plain.sigma)
        assert found.flux.shape == (1, 80)
    binary_star.build(plain, networks())


def test_pixels_keep_their_flux_when_wavelengths_fall():
    order = np.arange(80)[::-1]
    found = stellar_spectra(WAVELENGTH[order], FLUX[order], 0.01 * FLUX[order], name="mine")
    np.testing.assert_array_equal(found.wavelength, WAVELENGTH)
    np.testing.assert_array_equal(found.flux[0], FLUX)


def test_pixels_that_are_not_finite_or_have_no_error_are_not_used():
    flux, sigma = FLUX.copy(), 0.01 * FLUX
    flux[3], sigma[5], sigma[7] = np.nan, 0.0, np.inf
    found = stellar_spectra(WAVELENGTH, flux, sigma, name="mine", is_used=np.arange(80) != 9, time=2459000.5)
    assert set(np.flatnonzero(~found.is_used[0])) == {3, 5, 7, 9}
    assert found.time.tolist() == [2459000.5]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="`wavelength` must be in Angstrom or a unit of its kind, but is in kg"):
        stellar_spectra(WAVELENGTH * u.kg, FLUX, FLUX, name="mine")
    with pytest.raises(ValueError, match="`sigma` must be in Jy or a unit of its kind, but is in K"):
        stellar_spectra(WAVELENGTH, FLUX * u.Jy, FLUX * u.K, name="mine")
    with pytest.raises(ValueError, match="`sigma` has the unit Jy and `flux` none"):
        stellar_spectra(WAVELENGTH, FLUX, FLUX * u.Jy, name="mine")
    with pytest.raises(ValueError, match="as many fluxes and errors as wavelengths"):
        stellar_spectra(WAVELENGTH[:70], FLUX, FLUX, name="mine")
    with pytest.raises(ValueError, match="positive and different"):
        stellar_spectra(np.full(80, 5000.0), FLUX, FLUX, name="mine")
    with pytest.raises(ValueError, match="80 wavelengths from 1\\.55 to"):
        binary_star.build(stellar_spectra(WAVELENGTH / 1e4, FLUX, FLUX, name="mine"), networks())


def test_energies_of_x_rays_have_units_too(published_file):
    path = published_file("xray_3c273_chandra/3c273.pi.gz")
    plain = read_xray_spectrum(path, low=0.5, high=2.0)
    found = read_xray_spectrum(path, low=500 * u.eV, high=6.19920992 * u.AA)
    np.testing.assert_array_equal(found.counts, plain.counts)
    with pytest.raises(ValueError, match="`low` must be in keV or a unit of its kind, but is in s"):
        read_xray_spectrum(path, low=1 * u.s, high=2.0)
