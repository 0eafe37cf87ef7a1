"""Small networks of stellar spectra, and spectra made with them, for tests."""

import numpy as np

from bayesastro.datasets.payne import NetworkWeights, PayneNetworks, StellarSpectra
from bayesastro.models.spectra import binary_star, young_star
from bayesastro.models.spectra.payne import renormalised

WAVELENGTH = np.exp(np.log(15500.0) + 4e-5 * np.concatenate([np.arange(40), 60 + np.arange(40)]))
"""Two detectors of 40 pixels of 12 km/s."""

LOW, HIGH = np.array([4200.0, 4.0, -0.79, -0.3, 0.0]), np.array([7000.0, 4.98, 0.38, 0.5, 45.0])


def networks(seed=1):
    """Random networks of shape as the published ones; companions are a little cooler, and all known."""
    rng, n = np.random.default_rng(seed), len(WAVELENGTH)
    lines = rng.uniform(size=(n, 1)) < 0.5

    def pixels(k, level, depth):
        hidden, offset = rng.normal(0.0, 1.5, (n, 5, k)), rng.normal(0.0, 1.0, (n, 5))
        output = depth * rng.normal(size=(n, 5))
        return NetworkWeights(
            weights=(hidden, output), offsets=(offset, level - output.sum(1) / 2), low=LOW[:k], high=HIGH[:k]
        )

    is_continuum = ~lines[:, 0]
    # Nearly linear: in 1000 K, from 0.85 of the primary's temperature at the least mass ratio to all of it at one.
    small = np.diag([0.01, 0.01, 0.01, 0.01])
    slopes = np.array([[2.2, 0.0, 0.0, 0.6], [0.0, 0.5, 0.0, -0.2]]) / 0.0025
    companion = NetworkWeights(
        weights=(small, slopes),
        offsets=(np.zeros(4), np.array([5.3, 4.55]) - 0.5 * slopes.sum(axis=1)),
        low=np.array([*LOW[:3], 0.3]),
        high=np.array([*HIGH[:3], 1.0]),
    )
    radius = NetworkWeights(
        weights=(np.full((1, 3), 0.01) * [[1.0, -2.0, 0.0]], np.array([[60.0]])),
        offsets=(np.zeros(1), np.array([-29.0])),
        low=np.array([3000.0, 3.9, -1.0]),
        high=np.array([8000.0, 5.3, 0.5]),
    )
    return PayneNetworks(
        wavelength=WAVELENGTH,
        normalised=pixels(5, 0.9, np.where(lines, 0.1, 0.005)),
        unnormalised=pixels(4, 10.0, 1.0),
        companion=companion,
        radius=radius,
        is_continuum=is_continuum,
        is_masked=np.arange(n) % 20 == 7,
        citation="random",
    )


def spectra(visits=1, *, sigma=0.01, seed=3):
    """Flux about one, with some pixels that are not used."""
    given, rng = networks(), np.random.default_rng(seed)
    flux = 0.95 + sigma * rng.normal(size=(visits, len(WAVELENGTH)))
    return StellarSpectra(
        name="simulated",
        wavelength=WAVELENGTH,
        flux=flux,
        sigma=np.full(flux.shape, sigma),
        is_used=np.broadcast_to(~given.is_masked, flux.shape),
        time=np.arange(float(visits)),
        citation="simulated",
    )


def pair(visits, **settings):
    """A problem of two stars."""
    given = networks()
    return binary_star.build(renormalised(spectra(visits), given), given, **settings)


def young(**settings):
    """A problem of a young star in bins of eight pixels."""
    return young_star.build(spectra(), networks(), **{"bin_size": 8} | settings)
