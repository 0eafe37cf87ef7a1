"""Sixty-three strong lenses of the Sloan Lens ACS Survey: HST images and published mass models.

Cut-outs of HST/ACS F814W images at 0.05 arcsec a pixel with noise and point-spread function, as prepared by Cao et
al. (2025); redshifts, velocity dispersions and singular isothermal ellipsoids of Bolton et al. (2008).

References
----------
Bolton et al. (2008), ApJ 682, 964, arXiv:0805.1931, tables 4 and 5; Cao et al. (2025), arXiv:2503.08586.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

__all__ = ["SLACSLens", "slacs_lenses"]

PIXEL_SCALE = 0.05
"""arcsec"""

MASKED_NOISE = 5e4
"""Larger noise marks a pixel that is not to be used."""

_CITATION = (
    "Bolton et al. 2008, ApJ 682, 964 (arXiv:0805.1931); images: HST/ACS F814W, prepared by Cao et al. 2025 "
    "(arXiv:2503.08586)"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class SLACSLens:
    """One lens.

    Parameters
    ----------
    name : str
    image : (111, 111) array [electrons/s]
        Rows along y; the lens galaxy in the middle, its light included.
    noise : (111, 111) array [electrons/s]
        Standard deviations; 1 at masked pixels.
    mask : (111, 111) array of bool
        True where the image may be used.
    psf : (15, 15) array
        Of unit sum.
    pixel_scale : float [arcsec]
    z_l, z_s : float
        Redshifts of lens and source.
    sigma : float [km/s]
        Velocity dispersion in the SDSS fibre; NaN where there is none.
    b_SIE : float [arcsec]
        Published Einstein radius, on the intermediate axis.
    q_SIE, position_angle : float
        Published axis ratio of the mass, and angle [deg] of its major axis, east of north.
    grade : str
        "A", a certain lens.
    citation : str
    """

    name: str
    image: Float[np.ndarray, "ny nx"]
    noise: Float[np.ndarray, "ny nx"]
    mask: Bool[np.ndarray, "ny nx"]
    psf: Float[np.ndarray, "py px"]
    pixel_scale: float
    z_l: float
    z_s: float
    sigma: float
    b_SIE: float
    q_SIE: float
    position_angle: float
    grade: str
    citation: str


def slacs_lenses(folder: str | Path) -> dict[str, SLACSLens]:
    """The lenses by name, in order of right ascension.

    Parameters
    ----------
    folder : path
        With ``slacs63_f814w.npz`` and ``auger_bolton_table.vot``.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    """
    from astropy.io.votable import parse_single_table  # slow to load

    folder = Path(folder)
    for name in ("slacs63_f814w.npz", "auger_bolton_table.vot"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"`slacs_lenses` needs the file `{name}` in `{folder}`, but there is none.")
    table = parse_single_table(folder / "auger_bolton_table.vot").to_table()
    published = {str(row["Name1"]): row for row in table}
    lenses = {}
    with np.load(folder / "slacs63_f814w.npz", allow_pickle=False) as stored:
        for name, image, noise, psf in zip(*(stored[key] for key in ("name", "image", "noise", "psf")), strict=True):
            row = published[str(name)]
            sigmas = np.ma.filled(np.ma.asarray(row["sigma1"], float), np.nan)
            mask = noise.astype(float) < MASKED_NOISE
            lenses[str(name)] = SLACSLens(
                name=str(name),
                image=image.astype(float),
                noise=np.where(mask, noise.astype(float), 1.0),
                mask=mask,
                psf=psf.astype(float) / psf.astype(float).sum(),
                pixel_scale=PIXEL_SCALE,
                z_l=float(row["zFG1"]),
                z_s=float(row["zBG1"]),
                sigma=float(sigmas),
                b_SIE=float(row["bSIE2"]),
                q_SIE=float(row["qSIE2"]),
                position_angle=float(row["PASIE2"]),
                grade=str(row["Lens1"]),
                citation=_CITATION,
            )
    return lenses
