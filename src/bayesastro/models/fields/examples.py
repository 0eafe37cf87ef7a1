"""Problems of this package's programs with published data, or with simulated ones, for a first fit."""

from typing import Any

import jax
import numpy as np

from bayesastro.datasets import load
from bayesastro.models.fields import initial_conditions, lognormal, lognormal_two_point, xray_image, xray_source
from bayesastro.problem import Problem
from bayesastro.simulators.instruments import king_psf

__all__ = [
    "abell_1835",
    "abell_1835_settings",
    "chandra_source",
    "chandra_source_settings",
    "galaxies",
    "lognormal_correlations",
    "lognormal_field",
    "sagittarius_a_settings",
    "simulated_galaxies",
]

IMAGE_PRIORS: dict[str, Any] = {
    "points": (1.5, 0.01),
    "flat": (0.2, 0.2),
    "diffuse": {"fluctuations": (2.0, 1.0), "offset_sd": (2.0, 1.0)},
}
"""Of X-ray images. The diffuse emission may fall far below its mean, where the flat background is what remains."""

REGIONS = (
    (3145.8947368421, 4520.7894736842, 37.0615234375, 15.3881587982, 92.2273254395),
    (3144.5238095238, 4518.8095238095, 25.2978591919, 19.1118583679, 42.9872131348),
)
"""Ellipses of the Chandra Source Catalog about its source, in physical coordinates."""

GALAXIES = {"Omega_m": 0.3111, "sigma8": 0.8102, "b1": 1.0, "b2": 0.2, "bs2": -0.2, "bn2": 0.5}
"""Truth of the simulated galaxies."""

GALAXY_DENSITY = 1e-3
"""(h/Mpc)³"""

SEED = 1
"""Of the simulations."""


def lognormal_field() -> Problem:
    """Pixels of a simulated log-normal field."""
    field = load("lognormal_field")
    return lognormal.build(field.y, field.sigma)


def lognormal_correlations() -> Problem:
    """Correlations of the same field, with a normal law of them."""
    field = load("lognormal_field")
    return lognormal_two_point.build(field.y, field.sigma)


def galaxies(cells: int, box_size: float) -> tuple[np.ndarray, np.ndarray]:
    """Density of simulated galaxies on a mesh of so many cells along a side, and the modes that they are made of."""
    known = initial_conditions.build(np.ones((cells,) * 3), box_size, GALAXY_DENSITY, priors=GALAXIES)
    made = known.simulate(1, key=jax.random.key(SEED))
    return made.observables["density"][0], made.parameters["modes"][0]


def simulated_galaxies() -> Problem:
    """Galaxies of the program itself in a box of 320 Mpc/h, on a mesh of 16³."""
    return initial_conditions.build(galaxies(16, 320.0)[0], 320.0, GALAXY_DENSITY)


def abell_1835() -> Problem:
    """The middle of the cluster Abell 1835, 128 pixels of 4 arcsec on a side."""
    return xray_image.build(**abell_1835_settings(128))


def abell_1835_settings(size: int = 256) -> dict[str, Any]:
    """Arguments of `xray_image.build`: a square about the cluster, with a King profile and particles."""
    (seen,) = load("abell_1835")
    cut = tuple(slice(middle - size // 2, middle + size // 2) for middle in (348, 328))
    return IMAGE_PRIORS | {
        "counts": seen.image.counts[cut],
        "exposure": seen.exposure[cut],
        "psf": np.asarray(king_psf(31, seen.image.pixel_size, 5.0, 1.5)),
        "pixel_size": seen.image.pixel_size,
        "particles": (0.2, 0.2),
        "min_exposure": 1000.0,
        "margin": 15,
    }


def sagittarius_a_settings() -> dict[str, Any]:
    """Arguments of `xray_image.build`: both observations on the pixels of the first, the second half a pixel off."""
    seen = load("sagittarius_a")
    return IMAGE_PRIORS | {
        "counts": np.stack([one.image.counts for one in seen]),
        "exposure": np.stack([one.exposure for one in seen]),
        "psf": np.stack([one.psf for one in seen]),
        "pixel_size": seen[0].image.pixel_size,
        "margin": 16,
    }


def chandra_source() -> Problem:
    """A source of the Chandra Source Catalog in two observations."""
    return xray_source.build(**chandra_source_settings())


def chandra_source_settings() -> dict[str, Any]:
    """Arguments of `xray_source.build`: cut-outs and regions as Sherpa's test `lev3fft` takes them."""
    seen = load("chandra_source")
    return {
        "counts": [one.image.counts for one in seen],
        "psf": [one.psf for one in seen],
        "regions": [one.image.ellipse(*ellipse) for one, ellipse in zip(seen, REGIONS, strict=True)],
        "origins": [one.image.origin for one in seen],
    }
