"""The lens program with an HST image of a SLACS lens."""

from typing import Literal

import numpy as np

from bayesastro.datasets.slacs import SLACSLens
from bayesastro.models.lensing import parametric
from bayesastro.problem import Problem

__all__ = ["slacs_problem"]


def slacs_problem(
    lens: SLACSLens,
    *,
    radius: float = 2.7,
    core: float = 0.2,
    mass: Literal["power_law", "isothermal"] = "power_law",
    shear: bool = True,
    num_sources: int = 2,
    supersampling: int = 2,
) -> Problem:
    """The program with one lens, its galaxy's light described by smooth fixed shapes.

    All lenses give problems of equal shapes, for `fit_many`.

    Parameters
    ----------
    lens : SLACSLens
    radius : float [arcsec]
        Of the circle that is fitted; the image is cut to the square around it. By default all arcs of the survey lie
        within; for Einstein radii below 1.3 arcsec 2.25 suffice.
    core : float [arcsec]
        Radius of the circle left out at the middle, where dust and a nucleus are no smooth galaxy.
    mass : {"power_law", "isothermal"}
    shear : bool
    num_sources, supersampling : int
        As for `parametric.build`. These sources have knots: with one Sérsic profile, J0728+3835 is fitted by a source as
        large as the lens and an Einstein radius 10 % too small, with two it is 500 nats better and right.

    Raises
    ------
    ValueError
        If the circle does not fit into the image, or holds no more than the core.
    """
    size = lens.image.shape[0]
    half = round(radius / lens.pixel_scale)
    if not 0 <= core < radius or half > size // 2:
        raise ValueError(
            f"`radius` must lie between `core` and {size // 2 * lens.pixel_scale:g} arcsec, but radius={radius}, "
            f"core={core} came."
        )
    cut = slice(size // 2 - half, size // 2 + half + 1)
    side = lens.pixel_scale * np.arange(-half, half + 1)
    r = np.hypot(*np.meshgrid(side, side))
    return parametric.build(
        lens.image[cut, cut],
        lens.noise[cut, cut],
        lens.psf,
        lens.pixel_scale,
        mask=lens.mask[cut, cut] & (r > core) & (r < radius),
        mass=mass,
        shear=shear,
        lens_light="smooth",
        num_sources=num_sources,
        supersampling=supersampling,
    )
