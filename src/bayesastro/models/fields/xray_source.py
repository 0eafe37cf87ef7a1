r"""One X-ray source in several observations: a round Gaussian seen through each point-spread function, and a background.

The rate in a pixel of observation o, in counts, is

.. math:: t_o \left[ N \, (\mathrm{PSF}_o * g)(x, y; w) + b \right]

with a Gaussian g of unit integral and full width w at half maximum. Pixels that no region holds tell nothing.

References
----------
Cash 1979, ApJ 228, 939, equation 7 (the C-statistic); Evans et al. 2010, ApJS 189, 37 (arXiv:1005.4665), section 3.5 (extents of
the Chandra Source Catalog's sources); Freeman, Doe & Siemiginowska 2001, SPIE 4477, 76 (Sherpa).
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from bayesastro.problem import Problem
from bayesastro.simulators.convolution import convolved_image
from bayesastro.simulators.counts import require_counts
from bayesastro.simulators.fields.sources import gaussian_source

__all__ = ["build", "program"]

POSITION_SD = 5.0
"""[pixel] Of the prior about the middle of the regions."""

FWHM = (0.1, 20.0)
"""[pixel] Bounds of the logarithmically uniform prior."""

NORM, BACKGROUND = (0.1, 1e5), (1e-6, 10.0)
"""[counts], [counts per pixel] Bounds of the logarithmically uniform priors."""


def program(
    psf: Float[Array, "o py px"],
    is_used: Bool[Array, "o ny nx"],
    origin: Float[Array, "o 2"],
    middle: Float[Array, " 2"],
    exposure: Float[Array, " o"],
    *,
    subpixels: int = 3,
) -> None:
    """Counts of all observations.

    Sites: ``xpos`` and ``ypos`` [pixel], ``fwhm`` [pixel], ``norm`` [counts], ``background`` [counts per pixel]. Observed:
    ``counts``. Deterministic: ``ampl``, the height of the Gaussian before it is spread [counts per pixel].

    Parameters
    ----------
    psf : array, shape (o, py, px)
        Their centres in the middle.
    is_used : array of bool, shape (o, ny, nx)
    origin : array, shape (o, 2)
        x and y of the middle of each observation's first pixel.
    middle : array, shape (2,)
        About which the source is.
    exposure : array, shape (o,)
        Relative to that of which counts are told.
    subpixels : int
        As for :func:`bayesastro.simulators.fields.gaussian_source`.
    """
    x: Any = numpyro.sample("xpos", dist.Normal(middle[0], POSITION_SD))
    y: Any = numpyro.sample("ypos", dist.Normal(middle[1], POSITION_SD))
    fwhm: Any = numpyro.sample("fwhm", dist.LogUniform(*FWHM))
    norm = numpyro.sample("norm", dist.LogUniform(*NORM))
    background = numpyro.sample("background", dist.LogUniform(*BACKGROUND))
    numpyro.deterministic("ampl", norm * 4 * jnp.log(2.0) / (jnp.pi * jnp.square(fwhm)))

    _, ny, nx = is_used.shape

    def seen(psf: Array, origin: Array, exposure: Array) -> Array:
        source = gaussian_source((ny, nx), x - origin[0], y - origin[1], fwhm, subpixels=subpixels)
        # Far from the source the transform's rounding may be below zero.
        return exposure * (norm * jnp.maximum(convolved_image(source, psf), 0.0) + background)

    rate = jax.vmap(seen)(psf, origin, exposure)
    numpyro.sample("counts", dist.Poisson(jnp.where(is_used, rate, 1.0)).mask(is_used).to_event(3))


def build(
    counts: Sequence[ArrayLike],
    psf: Sequence[ArrayLike],
    regions: Sequence[ArrayLike],
    origins: ArrayLike,
    *,
    exposure: ArrayLike | None = None,
    subpixels: int = 3,
) -> Problem:
    """The program with images, each cut to its region.

    Parameters
    ----------
    counts : sequence of arrays, shapes (ny, nx)
        Each observation's, on pixels of the same size and orientation.
    psf : sequence of arrays
        Of unit sum and odd sides, their centres in the middle.
    regions : sequence of arrays of bool
        Pixels that count, of the shape of the images; such as :meth:`bayesastro.datasets.CountsImage.ellipse` gives.
    origins : array, shape (o, 2)
        x and y of the middle of each image's first pixel, in common coordinates [pixel].
    exposure : array, shape (o,), optional
        Relative to that of which counts are told; by default all are alike.
    subpixels : int
        As for :func:`program`.

    Raises
    ------
    ValueError
        If there are not as many of each, an image holds no counts or is not of its region's shape, a region is empty, a
        side of a point-spread function is even, or an exposure is not positive.
    """
    images, kernels = [np.asarray(image) for image in counts], [np.asarray(kernel, float) for kernel in psf]
    masks, places = [np.asarray(region, bool) for region in regions], np.asarray(origins, float)
    time = np.ones(len(images)) if exposure is None else np.asarray(exposure, float)
    if not images or not len(images) == len(kernels) == len(masks) or places.shape != (len(images), 2):
        raise ValueError(
            f"There must be as many `counts`, `psf`, `regions` and `origins`, but {len(images)}, {len(kernels)}, "
            f"{len(masks)} and {places.shape} came."
        )
    if time.shape != (len(images),) or not (time > 0).all():
        raise ValueError(f"`exposure` must be {len(images)} positive numbers, but {exposure} came.")
    for image, mask, kernel in zip(images, masks, kernels, strict=True):
        require_counts(image)
        if image.shape != mask.shape or not mask.any():
            raise ValueError(f"A region of shape {mask.shape} does not fit counts of shape {image.shape}, or is empty.")
        if any(side % 2 == 0 for side in kernel.shape) or not kernel.sum() > 0:
            raise ValueError(f"`psf` needs odd sides, so that it has a middle pixel, but {kernel.shape} came.")
    first = np.array([np.argwhere(mask).min(0) for mask in masks])
    size = np.max([np.argwhere(mask).max(0) + 1 - begin for mask, begin in zip(masks, first, strict=True)], axis=0)
    sides = [max(kernel.shape[axis] for kernel in kernels) for axis in (0, 1)]
    corner = places + first[:, ::-1]
    middles = [place + np.argwhere(mask).mean(0)[::-1] for place, mask in zip(places, masks, strict=True)]
    return Problem(
        program,
        psf=np.stack([_widened(kernel, sides) for kernel in kernels]),
        is_used=np.stack([_cut(mask, begin, size) for mask, begin in zip(masks, first, strict=True)]),
        origin=corner,
        middle=np.mean(middles, axis=0),
        exposure=time,
        subpixels=subpixels,
        observed={
            "counts": np.stack([_cut(image, begin, size) for image, begin in zip(images, first, strict=True)]).astype(
                int
            )
        },
    ).with_units(dict.fromkeys(("xpos", "ypos", "fwhm"), "pix"))


def _cut(image: np.ndarray, begin: np.ndarray, size: np.ndarray) -> np.ndarray:
    """So many rows and columns from a pixel on; zero beyond the image."""
    part = image[begin[0] : begin[0] + size[0], begin[1] : begin[1] + size[1]]
    return np.pad(part, [(0, long - short) for long, short in zip(size, part.shape, strict=True)])


def _widened(kernel: np.ndarray, sides: Sequence[int]) -> np.ndarray:
    half = [((side - short) // 2,) * 2 for side, short in zip(sides, kernel.shape, strict=True)]
    return np.pad(kernel, half)
