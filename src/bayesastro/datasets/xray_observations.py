"""Observations of one place of the sky in X-rays: counts with their exposures and point-spread functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bayesastro.datasets.xray_images import CountsImage, read_counts_image, read_exposure, read_psf

__all__ = ["XrayObservation", "read_xray_observations"]


@dataclass(frozen=True, kw_only=True, eq=False)
class XrayObservation:
    """One observation.

    Parameters
    ----------
    image : CountsImage
    exposure : (ny, nx) array [s]
        The map of the file; without one that of the header, all over the image.
    psf : (p, p) array, or None
        Of unit sum; None where no file gives it.
    """

    image: CountsImage
    exposure: Float[np.ndarray, "ny nx"]
    psf: Float[np.ndarray, "p p"] | None


def read_xray_observations(
    counts: Sequence[str | Path],
    *,
    exposure: Sequence[str | Path] | None = None,
    psf: Sequence[str | Path] | None = None,
    psf_size: int = 33,
    aligned: bool = True,
) -> list[XrayObservation]:
    """Observations from their FITS files.

    Parameters
    ----------
    counts : sequence of path
    exposure, psf : sequence of path, optional
        One for each of `counts`.
    psf_size : int [pixel]
        Odd; how much of a point-spread function is kept.
    aligned : bool
        Whether all images are to be fitted on the pixels of the first. Their point-spread functions then lie off the
        middle by as much as the images are off it; see :func:`~bayesastro.datasets.read_psf`.

    Raises
    ------
    FileNotFoundError
    ValueError
        If there are not as many files of each kind, or one is not as it should be.
    """
    for name, given in (("exposure", exposure), ("psf", psf)):
        if given is not None and len(given) != len(counts):
            raise ValueError(f"`{name}` needs a file for each of the {len(counts)} of `counts`, but has {len(given)}.")
    images = [read_counts_image(path) for path in counts]
    maps = [np.full(i.counts.shape, i.exposure) for i in images] if exposure is None else map(read_exposure, exposure)
    offsets = [image.offset_from(images[0]) if aligned else None for image in images]
    psfs = (
        [None] * len(images)
        if psf is None
        else [read_psf(path, psf_size, offset) for path, offset in zip(psf, offsets, strict=True)]
    )
    return [
        XrayObservation(image=image, exposure=seconds, psf=spread)
        for image, seconds, spread in zip(images, maps, psfs, strict=True)
    ]
