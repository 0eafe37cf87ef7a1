"""Programs say what units their sites have, and their `build` takes quantities."""

import astropy.units as u
import matrix
import numpy as np
import pytest
import transits
from astropy.units import Unit
from lenses import gaussian_psf, small_lens

from bayesastro.models.lensing import parametric
from bayesastro.models.lightcurves import transit, transit_rv

SAID = {
    "cosmology.expansion": {"H0": "km / (s Mpc)", "r_d": "Mpc", "H": "km / (s Mpc)"},
    "cosmology.tripp sampled": {"M": "mag", "m": "mag"},
    "lightcurves.transit rotation": {"period": "d", "gp_period": "d"},
    "lightcurves.transient": {"flux": "uJy", "time": "d"},
    "lensing.euclid": {"theta_E": "arcsec", "source_magnitude": "mag"},
    "lensing.parametric": {"theta_E": "arcsec", "source_R": "arcsec"},
    "spectra.binary_star": {"Teff": "K", "velocity": "km / s"},
    "spectra.deblending": {"flux": "mJy", "background": "mJy / beam"},
    "spectra.xray": {"nH": "1e22 / cm2"},
}


@pytest.mark.parametrize("model", SAID)
def test_programs_say_their_units(model):
    units = matrix.MODELS[model]().units
    assert {name: Unit(units[name]) for name in SAID[model]} == {name: Unit(unit) for name, unit in SAID[model].items()}


def same(found, expected):
    """Whether two problems have the same data and covariates."""
    for part in ("observed", "covariates"):
        arrays = getattr(expected, part)
        assert getattr(found, part).keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_allclose(getattr(found, part)[name], array, rtol=1e-9, atol=1e-12, err_msg=name)


def test_a_transit_in_hours_is_the_one_in_days():
    time, flux, sigma = transits.light_curve()
    settings = {"variability": "rotation", "gp_time": (3.0, 1.5), "exposure": 0.02, "window": 0.4}
    plain = transit.build(time, flux, sigma, period=(3.0, 0.01), t0=(2459000.25, 0.005), **settings)
    found = transit.build(
        (time * u.d).to(u.h),
        flux * u.dimensionless_unscaled,
        sigma,
        period=(72 * u.h, 0.24 * u.h),
        t0=[2459000.25, 0.005] * u.d,
        **settings | {"exposure": 28.8 * u.min, "window": 9.6 * u.h},
    )
    same(found, plain)
    with pytest.raises(ValueError, match=r"`time` must be in d .* but is in m"):
        transit.build(time * u.m, flux, sigma, **transits.EPHEMERIS)
    with pytest.raises(ValueError, match="`flux` must be without a unit, but is in Jy"):
        transit.build(time, flux * u.Jy, sigma, **transits.EPHEMERIS)


def test_velocities_keep_their_unit():
    rv_time, instrument = 2459000.0 + np.arange(6.0), np.zeros(6, int)
    velocity, error = np.array([50.0, -20.0, 10.0, 60.0, -50.0, 0.0]), np.full(6, 0.005)
    arrays = (*transits.light_curve(), rv_time)
    found = transit_rv.build(*arrays, velocity * u.m / u.s, error * u.km / u.s, instrument, **transits.EPHEMERIS)
    same(found, transit_rv.build(*arrays, velocity, 1000 * error, instrument, **transits.EPHEMERIS))
    assert found.units["semi_amplitude"] == found.units["velocity"] == "m / s"
    with pytest.raises(ValueError, match="`rv_sigma` must be in m / s"):
        transit_rv.build(*arrays, velocity * u.m / u.s, error * u.d, instrument, **transits.EPHEMERIS)


def test_an_image_of_a_lens_keeps_its_unit():
    plain = small_lens()
    image, noise = plain.observed["image"], plain.covariates["noise"]
    found = parametric.build(
        image * u.nJy, (noise * u.nJy).to(u.uJy), gaussian_psf(), (0.12 * u.arcsec).to(u.rad), lens_light="sersic"
    )
    same(found, plain)
    assert found.units["image"] == "nJy"
    with pytest.raises(ValueError, match="`pixel_scale` must be in arcsec"):
        parametric.build(image, noise, gaussian_psf(), 0.12 * u.pix)
