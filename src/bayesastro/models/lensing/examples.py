"""Problems of this package's programs with published data, for a first fit."""

from bayesastro.datasets import load
from bayesastro.models.lensing import euclid
from bayesastro.models.lensing.slacs import slacs_problem
from bayesastro.problem import Problem

__all__ = ["euclid_lens", "j1627"]


def j1627() -> Problem:
    """The lens J1627-0053 of the SLACS survey."""
    return slacs_problem(load("slacs_lenses")["J1627-0053"])


def euclid_lens() -> Problem:
    """A lens of Euclid's first quick release in its visible band."""
    lens = load("euclid_lens")
    noise = euclid.noise_levels(lens.image, lens.rms, lens.mask)
    return euclid.build(
        lens.image, noise, lens.psf, lens.pixel_scale, lens.zero_point, mask=lens.mask, lens_light="double"
    )
