"""A strong lens of Euclid's first quick release: images in nine bands.

Cut-outs of 100 × 100 pixels of 0.1 arcsec with point-spread functions and maps of standard deviations, as Euclid's
pipeline gives them: Euclid's visible and near-infrared bands, and those of the Dark Energy Survey on the same pixels.

References
----------
Walmsley et al. (2025), arXiv:2503.15324; Busillo et al. (2025), arXiv:2503.15329.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

__all__ = ["EuclidLens", "euclid_lens"]

IMAGES = "102019126_NEG589666030505609975.fits"
NEIGHBOURS = "mask_extra_galaxies.fits"

_CITATION = (
    "Euclid Quick Release Q1 (ESA, 2025); Walmsley et al. 2025, arXiv:2503.15324; images made available with PyAutoLens"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class EuclidLens:
    """One band of the lens.

    Parameters
    ----------
    name, band : str
    image : (100, 100) array
        Sky subtracted; rows along y, northwards, columns westwards; the lens galaxy in the middle, its light included.
    rms : (100, 100) array
        Standard deviations in the same unit.
    mask : (100, 100) array of bool
        False at neighbouring galaxies, and where a standard deviation is not positive.
    psf : (p, p) array
        Of unit sum.
    pixel_scale : float [arcsec]
    zero_point : float [mag]
        AB magnitude of one unit of the image.
    citation : str
    """

    name: str
    band: str
    image: Float[np.ndarray, "ny nx"]
    rms: Float[np.ndarray, "ny nx"]
    mask: Bool[np.ndarray, "ny nx"]
    psf: Float[np.ndarray, "py px"]
    pixel_scale: float
    zero_point: float
    citation: str


def euclid_lens(folder: str | Path, band: str = "VIS") -> EuclidLens:
    """The lens in a band.

    Parameters
    ----------
    folder : path
        With the images, compressed or not, and the mask.
    band : str
        ``"VIS"``, ``"NIR_Y"``, ``"NIR_J"``, ``"NIR_H"``, ``"DES_G"``, ``"DES_R"``, ``"DES_I"`` or ``"DES_Z"``.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If there is no such band.
    """
    from astropy.io import fits  # slow to load

    folder = Path(folder)
    images = folder / IMAGES if (folder / IMAGES).is_file() else folder / f"{IMAGES}.gz"
    for path in (images, folder / NEIGHBOURS):
        if not path.is_file():
            raise FileNotFoundError(f"`euclid_lens` needs the file `{path.name}` in `{folder}`, but there is none.")
    file: Any
    neighbours: Any
    with fits.open(images) as file, fits.open(folder / NEIGHBOURS) as neighbours:
        bands = [hdu.name.removesuffix("_BGSUB") for hdu in file if hdu.name.endswith("_BGSUB")]
        if band not in bands:
            raise ValueError(f"`band` must be one of {bands}, but {band!r} came.")
        image, rms, psf = (np.array(file[f"{band}_{kind}"].data, float) for kind in ("BGSUB", "RMS", "PSF"))
        header = file[f"{band}_BGSUB"].header
        is_neighbour = np.asarray(neighbours[0].data) > 0
    return EuclidLens(
        name=IMAGES.split(".")[0],
        band=band,
        image=image,
        rms=rms,
        mask=~is_neighbour & np.isfinite(image) & (rms > 0),
        psf=psf / psf.sum(),
        pixel_scale=round(3600 * abs(header["CD2_2"]), 6),
        zero_point=float(header["MAGZERO"]),
        citation=_CITATION,
    )
