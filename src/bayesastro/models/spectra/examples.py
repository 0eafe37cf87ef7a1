"""Problems of this package's programs with published data, for a first fit."""

from dataclasses import replace

from bayesastro.datasets import load
from bayesastro.models.spectra import binary_star, deblending, deblending_sed, deconvolution, star, xray, young_star
from bayesastro.models.spectra.payne import renormalised, spectrum_network
from bayesastro.problem import Problem
from bayesastro.simulators.spectra.sed_emulator import cigale_emulator

__all__ = [
    "apogee_pair",
    "apogee_star",
    "ngc_7793_ulx_4",
    "ngc_7793_ulx_4_unfolded",
    "xid_plus_fluxes",
    "xid_plus_galaxies",
    "young_apogee_star",
]


def ngc_7793_ulx_4() -> Problem:
    """An absorbed power law and black body: an ultraluminous X-ray source."""
    return xray.build(load("ngc_7793_ulx_4"), load("tbabs_wilm"), components=("powerlaw", "blackbody"))


def ngc_7793_ulx_4_unfolded() -> Problem:
    """The spectrum of the same source without a formula."""
    return deconvolution.build(load("ngc_7793_ulx_4"))


def apogee_star() -> Problem:
    """A star by its lines in the H band, its continuum divided out."""
    networks = load("payne_networks")
    spectrum = renormalised(load("apogee_2m1948"), networks)
    return star.build(spectrum, spectrum_network(networks))


def apogee_pair() -> Problem:
    """Two stars in one spectrum."""
    networks = load("payne_networks")
    return binary_star.build(renormalised(load("apogee_2m1301"), networks), networks)


def young_apogee_star(max_veiling: float = 2.0) -> Problem:
    """A star's spectrum at low resolution, under dust and veiling that it may have; all pixels that networks describe."""
    networks = load("payne_networks")
    spectrum = replace(load("apogee_2m1948"), is_used=~networks.is_masked[None])
    return young_star.build(spectrum, networks, max_veiling=max_veiling)


def xid_plus_fluxes() -> Problem:
    """Fluxes of 51 sources in three confused maps."""
    return deblending.build(load("xid_plus_tile"))


def xid_plus_galaxies() -> Problem:
    """The same with spectra of galaxies for a prior."""
    layers = load("xid_plus_emulator")
    emulator = cigale_emulator(layers.weights, layers.biases)
    return deblending_sed.build(load("xid_plus_tile"), emulator, redshift=(1.5, 1.0))
