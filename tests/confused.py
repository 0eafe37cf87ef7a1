"""Confused maps for tests: four sources in two bands, two of them closer than the beam; a small emulator that CIGALE's laws hold of."""

import numpy as np

from bayesastro.datasets.confused_maps import ConfusedMap
from bayesastro.models.spectra import deblending, deblending_sed
from bayesastro.problem import Problem
from bayesastro.simulators.spectra.pointing import gaussian_beam, pointing_entries
from bayesastro.simulators.spectra.sed_emulator import SedEmulator, cigale_emulator

PLACES = np.array([[2.0, 2.2], [3.1, 2.6], [6.0, 7.0], [7.5, 1.0]])
"""Of the sources [pixel of the first band]; the first two are 1.2 pixels apart, the beam is 3 pixels wide."""

FLUXES = np.array([[12.0, 5.0, 20.0, 8.0], [8.0, 9.0, 12.0, 3.0]])
BACKGROUNDS, CONFUSION, NOISE = np.array([-3.0, -4.0]), np.array([1.5, 2.0]), np.array([1.0, 1.5])
SIDES, SCALES, FWHM = (9, 6), (1.0, 1.5), 3.0


def small_map(band: int = 0, seed: int = 0, upper: float = 40.0) -> ConfusedMap:
    rng = np.random.default_rng(seed + band)
    y, x = (axis.ravel() for axis in np.mgrid[: SIDES[band], : SIDES[band]])
    places = PLACES / SCALES[band]
    beam, pixel, source = pointing_entries(
        lambda dx, dy: gaussian_beam(dx, dy, FWHM), (x, y), (places[:, 0], places[:, 1]), 4.0
    )
    brightness = np.full(x.size, BACKGROUNDS[band])
    np.add.at(brightness, pixel, beam * FLUXES[band, source])
    noise = NOISE[band] * rng.uniform(0.9, 1.1, x.size)
    return ConfusedMap(
        brightness=brightness + rng.normal(0.0, np.hypot(noise, CONFUSION[band])),
        noise=noise,
        x=x,
        y=y,
        beam=beam,
        pixel=pixel,
        source=source,
        source_x=places[:, 0],
        source_y=places[:, 1],
        flux_lower=np.zeros(4),
        flux_upper=np.full(4, upper),
        background=(-5.0, 5.0),
    )


def small_maps() -> dict[str, ConfusedMap]:
    return {"blue": small_map(0), "red": small_map(1)}


def dense(one: ConfusedMap) -> np.ndarray:
    """The pointing matrix with its zeros."""
    matrix = np.zeros((one.brightness.size, one.source_x.size))
    np.add.at(matrix, (one.pixel, one.source), one.beam)
    return matrix


def small_layers() -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Matrices and offsets: proportional to the star-formation rate, fainter with redshift, and redder."""
    rng = np.random.default_rng(5)
    first = np.concatenate([np.eye(6), 0.2 * rng.normal(size=(6, 6))], axis=1)
    second = np.zeros((12, 9))
    second[0], second[2] = np.log(10.0), np.linspace(-1.5, -0.7, 9)
    second[6:] = 0.1 * rng.normal(size=(6, 9))
    first[0, 6:] = 0.0  # the rate enters through one unit, which its bias keeps positive
    biases = (np.concatenate([[5.0], np.zeros(11)]), np.full(9, 1.0 - 5.0 * np.log(10.0)))
    return (first, second), biases


def small_emulator() -> SedEmulator:
    return cigale_emulator(*small_layers())


def flat(**settings) -> Problem:
    return deblending.build(small_maps(), **settings)


def sed(**settings) -> Problem:
    outputs = {"blue": "spire_250", "red": "spire_500"}
    redshift = (np.array([1.0, 0.8, 1.5, 0.5]), 0.3)
    return deblending_sed.build(small_maps(), small_emulator(), redshift=redshift, outputs=outputs, **settings)
