"""Bright point sources of an X-ray image, to start a fit from.

Where the prior says that nearly all pixels are dark, no gradient leads from there to a source a thousand times as bright: what
a variational fit from the prior's median finds is a bump of the diffuse emission in its place. Started with the bright
sources as points it keeps, changes or drops them.

References
----------
Stewart 2006, A&A 454, 997 (arXiv:astro-ph/0511084), matched filters for sources among Poisson counts.
"""

from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from scipy import ndimage, signal

from bayesastro.problem import Problem

__all__ = ["bright_points"]

CORE = 0.05
"""Of its peak, below which the point-spread function is taken for background."""

MOST_AROUND = 0.5
"""What is extended has more than this part of its counts in the ring about its core, above what is further out."""


def bright_points(
    problem: Problem, *, significance: float = 3.0, seed: int = 1
) -> dict[str, Float[np.ndarray, "ny nx"]]:
    """Fluxes with sources of a matched filter at its peaks over the local background, and draws of the prior elsewhere.

    Parameters
    ----------
    problem : Problem
        From :func:`bayesastro.models.fields.xray_image.build`, with points.
    significance : float
        Least signal to noise, by counts in the filter.
    seed : int

    Returns
    -------
    dict
        The latent ``points``, for :func:`bayesastro.start_from`.

    Raises
    ------
    ValueError
        If the problem has no points.
    """
    if "points" not in {site.name for site in problem.parameters}:
        raise ValueError("The problem has no `points` to start from. Build it with `points=`.")
    given = problem.covariates
    counts, exposure, psf = problem.observed["counts"], given["exposure"], given["psf"].mean((2, 3))
    excess, spread, weight, around = (np.zeros(counts.shape[2:]) for _ in range(4))
    for at in np.ndindex(*counts.shape[:2]):
        seen, time, kernel = counts[at].astype(float), exposure[at], psf[at]
        radius = _core_radius(kernel)
        ring, outer = _ring(radius, 2 * radius), _ring(2 * radius, 4 * radius)
        near = _rate_in(ring, seen, time)
        background = time * near
        around += ring.sum() * time * (near - _rate_in(outer, seen, time))
        excess += _correlated(seen - background, kernel)
        spread += _correlated(seen + background, kernel**2)
        weight += _correlated(time, kernel**2)
    ratio = excess / np.sqrt(np.maximum(spread, 1e-9))
    is_peak = (ratio == ndimage.maximum_filter(ratio, 2 * _core_radius(psf[0, 0]) + 1)) & (ratio > significance)
    drawn = problem.simulate(1, key=jax.random.key(seed)).parameters["points"][0]
    flux = excess / np.where(weight > 0, weight, 1.0)
    is_source = is_peak & (around < MOST_AROUND * flux * exposure.sum((0, 1)))
    return {"points": np.where(is_source, flux, np.minimum(drawn, np.median(drawn)))}


def _core_radius(psf: np.ndarray) -> int:
    """Half the side in pixels of the square that holds what is brighter than `CORE`."""
    rows, columns = np.nonzero(psf > CORE * psf.max())
    return int(max(np.ptp(rows), np.ptp(columns)) // 2 + 1)


def _ring(inner: int, outer: int) -> np.ndarray:
    place = np.arange(-outer, outer + 1)
    distance = np.hypot(place[:, None], place)
    return ((distance > inner) & (distance <= outer)).astype(float)


def _rate_in(ring: np.ndarray, counts: np.ndarray, exposure: np.ndarray) -> np.ndarray:
    """Counts over exposure in a ring about each pixel; 0 where there is no exposure."""
    seen = _correlated(exposure, ring)
    return _correlated(counts, ring) / np.where(seen > 1e-6 * seen.max(), seen, np.inf)


def _correlated(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    found: Any = signal.fftconvolve(image, kernel[::-1, ::-1], mode="same")
    return np.maximum(found, 0.0) if (image >= 0).all() else found
